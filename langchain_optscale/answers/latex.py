r"""Boxed answers in LaTeX.

>>> last_box(r"so \boxed{\frac{1}{2}}, that is, half")
'\\frac{1}{2}'
"""

from __future__ import annotations

import re

__all__ = ["last_box"]

_BOX_TOKEN = re.compile(r"\\f?box(?:ed)?(?![A-Za-z])\s*+(?:(?P<open>\{)|(?P<bare>[^\s${}\\]++))?|\\.|[{}]", re.DOTALL)

_BETWEEN = re.compile(r"[ $]{0,9}+(?:(?:,|;|,?\s?(?:and|or|\\text\{ ?(?:and|or) ?\}|\\quad))[\s$]{0,9}+)?")


def last_box(text: str) -> str | None:
    r"""The content of the last complete \boxed or \fbox, or None.

    Of nested boxes the outermost counts; empty and unfinished boxes do not. Boxes with no more than a comma or "and"
    between them are one answer, a list: \boxed{1} and \boxed{2}.
    """
    found: list[str] = []
    end: int | None = None
    # For each open brace: where the content of its box begins, or None for other braces.
    open_braces: list[int | None] = []
    for token in _BOX_TOKEN.finditer(text):
        if token["open"]:
            open_braces.append(token.end())
        elif token["bare"]:
            bare = token["bare"].rstrip(".,;:")
            found, end = ([bare], None) if bare else (found, end)
        elif token[0] == "{":
            open_braces.append(None)
        elif token[0] == "}" and open_braces:
            start = open_braces.pop()
            if start is not None and (content := text[start : token.start()].strip()):
                begin = text.rfind("\\", 0, start)
                if end is None or not _BETWEEN.fullmatch(text, end, begin):
                    found = []
                if found[-1:] != [content]:
                    found.append(content)
                end = token.end()
    return ", ".join(found) or None
