r"""Taking text apart where it is not within brackets.

>>> split_top("f(1, 2), [3, 4)", ",")
['f(1, 2)', ' [3, 4)']
>>> [str(one) for one in split_list("12 and 13, or 14").members]
['12', '13', '14']
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["List", "bracketed", "intervals_in_english", "split_list", "split_top", "top_places"]

_OPENING = "([{"
_CLOSING = ")]}"
_TOKEN = re.compile(r"\\(?P<frame>begin|end)\{[a-zA-Z]+\*?\}|\\[A-Za-z]+|\\.|.", re.DOTALL)

# Words between the members of a list. Those of one letter stand between numbers only: y is also an unknown.
_ALTERNATIVE = (
    r",?\s+(?:or|oder|ou|или)\s+|(?<=[\d)}\]])\s*or\s*(?=[-\w(\\{\[])|\s*(?:或者|或|または|또는)\s*"
    r"|(?<=\d)\s+o\s+(?=-?\d)|\s*\\vee(?![A-Za-z])\s*"
)
_ADDITION = (
    r",?\s+(?:and|und|et|и|as well as)\s+|(?<=[\d)}\]])\s*and\s*(?=[-\w(\\{\[])"
    r"|\s*(?:以及|和|与|及|、|，|と|および|그리고)\s*|(?<=\d)\s+[yei&]\s+(?=-?\d)|\s*\\wedge(?![A-Za-z])\s*"
)
_SEPARATOR = re.compile(rf"(?P<strong>;|；)|(?P<alternative>{_ALTERNATIVE})|(?P<addition>{_ADDITION})|(?P<comma>,)")
_BOTH = re.compile(r"\A(?:both|either|sowohl|entweder|soit)\s+")
_FRENCH = re.compile(
    r"(?<![\w)}\]])(?P<open>[\[\]])\s*(?P<inner>[^\[\],;]+[,;][^\[\],;]+)(?P<close>[\[\]])(?!\s*[\w(])"
)
_DECIMAL_MEMBER = re.compile(r"[-+]?\d+,\d+(?:\s?[^\d,]{0,12})?")
_DECIMAL_COMMA = re.compile(r"(?<=\d),(?=\d)(?!\d{3}(?!\d))")
_PAIRS = {"(": ")", "[": "]", "{": "}", "\\{": "\\}"}


@dataclass(frozen=True, slots=True)
class List:
    """The members of a list, in groups where the text makes groups of them: p=5, q=2; p=7, q=2.

    Attributes:
        groups: At least one; each has at least one member.
        separators: What parts the members: some of "strong", "alternative", "addition", "comma".
    """

    groups: tuple[tuple[str, ...], ...]
    separators: frozenset[str]

    @property
    def members(self) -> tuple[str, ...]:
        """All members, without their groups."""
        return tuple(member for group in self.groups for member in group)


def split_list(text: str) -> List | None:
    """The members of a list without brackets; None where the text is no list, or has empty members."""
    groups: list[list[str]] = [[]]
    separators: set[str] = set()
    start = 0
    text = _BOTH.sub("", text)
    for place, end, kind in _separators(text):
        groups[-1].append(text[start:place].strip())
        start = end
        separators.add(kind)
        if kind in ("strong", "alternative"):
            groups.append([])
    groups[-1].append(text[start:].strip())
    if not separators or not all(all(group) for group in groups):
        return None
    # Here a comma between digits is a decimal comma, save before three of them.
    return List(tuple(tuple(map(_pointed, group)) for group in groups), frozenset(separators))


def _pointed(member: str) -> str:
    return member if set(member) & set(_OPENING) else _DECIMAL_COMMA.sub(".", member)


def _separators(text: str) -> list[tuple[int, int, str]]:
    top = top_places(text)
    if top is None:
        return []
    found = [match for match in _SEPARATOR.finditer(text) if match.start() in top]
    kinds = {str(match.lastgroup) for match in found}
    # With another separator at hand a comma without a space is no separator of digits: 1,5; 2,5 and 1,234, 5,678.
    wide = "strong" in kinds or any(match["comma"] and text[match.end() : match.end() + 1].isspace() for match in found)
    words = [match for match in found if match["alternative"] or match["addition"]]
    if words and not wide:
        # 1,5 and 2,5 are decimals; 1,2 and 3 are not.
        starts = [0, *(match.end() for match in words)]
        ends = [*(match.start() for match in words), len(text)]
        wide = all(_DECIMAL_MEMBER.fullmatch(text[start:end].strip()) for start, end in zip(starts, ends, strict=True))
    return [
        (match.start(), match.end(), str(match.lastgroup))
        for match in found
        if not (match["comma"] and wide and _within_number(text, match.start()))
    ]


def _within_number(text: str, comma: int) -> bool:
    return comma > 0 and text[comma - 1].isdigit() and text[comma + 1 : comma + 2].isdigit()


def split_top(text: str, separator: str) -> list[str]:
    """The parts between separators that stand within no brackets; one part where the brackets do not match."""
    top = top_places(text)
    parts, start = [], 0
    if top is not None:
        for match in re.finditer(re.escape(separator), text):
            if match.start() in top and match.start() >= start:
                parts.append(text[start : match.start()])
                start = match.end()
    return [*parts, text[start:]]


def bracketed(text: str) -> tuple[str, str, str] | None:
    r"""Opening bracket, content and closing bracket where one pair of ( [ { or \{ encloses the whole text."""
    opening = text[:2] if text.startswith("\\{") else text[:1]
    if opening not in _PAIRS:
        return None
    closing = text[-2:] if text.endswith("\\}") else text[-1:]
    allowed = (")", "]") if opening in "([" else (_PAIRS[opening],)
    if closing not in allowed or len(text) < len(opening) + len(closing):
        return None
    inner = text[len(opening) : len(text) - len(closing)]
    return None if top_places(inner) is None else (opening, inner, closing)


def intervals_in_english(text: str) -> str:
    r"""French and German open ends, ]0, 1[, written as (0, 1).

    >>> intervals_in_english("]0; 1] \\cup [2; 3[")
    '(0; 1] \\cup [2; 3)'
    """

    def english(match: re.Match[str]) -> str:
        opening = "(" if match["open"] == "]" else "["
        return opening + match["inner"] + (")" if match["close"] == "[" else "]")

    return _FRENCH.sub(english, text) if "]" in text or "[" in text else text


def top_places(text: str) -> set[int] | None:
    """The places of the characters outside all brackets; None where brackets do not match."""
    places: set[int] = set()
    depth = 0
    for token in _TOKEN.finditer(text):
        one = token[0].lstrip("\\") or "\\"
        opens = token["frame"] == "begin" or one in _OPENING
        closes = token["frame"] == "end" or one in _CLOSING
        depth -= closes
        if depth < 0:
            return None
        if not depth and not opens and not closes:
            places.update(range(token.start(), token.end()))
        depth += opens
    return None if depth else places
