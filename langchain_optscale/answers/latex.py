r"""LaTeX normalisation: the last box, and one spelling for equivalent notations.

>>> last_box(r"so \boxed{\frac{1}{2}}, that is, half"), bare(r"\left( \dfrac12,\, 3^{\circ} \right)")
('\\frac{1}{2}', '( \\frac{1}{2}, 3 )')
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["bare", "last_box"]

_BOX_TOKEN = re.compile(r"\\f?box(?:ed)?(?![A-Za-z])\s*+(?:(?P<open>\{)|(?P<bare>[^\s${}\\]++))?|\\.|[{}]", re.DOTALL)

_WRAPPER = re.compile(
    r"\\(?:text(?:bf|it|rm|sf|tt|normal)?|math(?:rm|bf|it|sf|tt|bb|cal|frak|normal)|[mfh]?box(?:ed)?|operatorname\*?"
    r"|boldsymbol|bm|displaystyle|ensuremath|emph|underline)\s*\{|\\[{}\\]|[{}]"
)
_NOISE = re.compile(
    r"\\(?:left|right|[bB]igg?[lrm]?|displaystyle|textstyle|limits|nolimits|bf|rm|it)(?![A-Za-z])|\\!|\\/"
)
_SPACE = re.compile(r"\\[,;: ]|\\q?quad(?![A-Za-z])|~")
_DEGREE = re.compile(r"\^\s*\{?\s*\\circ\s*\}?|\\degrees?(?![A-Za-z])|°")
_FRACTION = re.compile(r"\\[dtc]frac(?![A-Za-z])")
_SHORT_FRACTION = re.compile(r"\\frac\s*+(\d|[A-Za-z]|\{[^{}]*+\})\s*+(\d|[A-Za-z]|\{[^{}]*+\})")
_SHORT_ROOT = re.compile(r"\\sqrt\s*+(\d|[A-Za-z])(?![A-Za-z])")
_UNICODE_ROOT = re.compile(r"√\s*+(?:\(([^()]*+)\)|(\d++|[A-Za-z]))")
_NAMES = {
    "leq": "le",
    "leqslant": "le",
    "geq": "ge",
    "geqslant": "ge",
    "neq": "ne",
    "cdot": "times",
    "ast": "times",
    "lbrace": "{",
    "rbrace": "}",
    "to": "rightarrow",
}
_NAME = re.compile(rf"\\({'|'.join(_NAMES)})(?![A-Za-z])")
_COMMA = re.compile(r"\{,\}|(?<=\d)(?:[\u00a0\u2009\u202f]|\\[,!])(?=\d{3}(?!\d))")
_ESCAPED = re.compile(r"\\([$%#&_])")
_EXPONENT = re.compile(r"\^\s*\{\s*(\w)\s*\}")

_SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ"
_RAISED = re.compile(f"[{_SUPERSCRIPTS}]+")
_LOWERED = str.maketrans(_SUPERSCRIPTS, "0123456789+-n")
_VULGAR = re.compile("[¼-¾⅐-⅞↉]")
_SYMBOLS = {
    "−": "-",
    "–": "-",
    "‑": "-",
    "‐": "-",
    "⁄": "/",
    "×": r"\times ",
    "·": r"\times ",
    "⋅": r"\times ",
    "÷": "/",
    "π": r"\pi ",
    "∞": r"\infty ",
    "≤": r"\le ",
    "≥": r"\ge ",
    "≠": r"\ne ",
    "∪": r"\cup ",
    "∩": r"\cap ",
    "∈": r"\in ",
    "’": "'",
    "‘": "'",
    "“": '"',
    "”": '"',
}
_SYMBOL = re.compile("|".join(_SYMBOLS))
_ASCII_RELATIONS = {"<=": r"\le ", ">=": r"\ge ", "!=": r"\ne "}
_ASCII_RELATION = re.compile("|".join(_ASCII_RELATIONS))


def last_box(text: str) -> str | None:
    r"""The content of the last complete \boxed or \fbox, or None.

    Of nested boxes the outermost counts; empty and unfinished boxes do not.
    """
    found: str | None = None
    # For each open brace: where the content of its box begins, or None for other braces.
    open_braces: list[int | None] = []
    for token in _BOX_TOKEN.finditer(text):
        if token["open"]:
            open_braces.append(token.end())
        elif token["bare"]:
            found = token["bare"].rstrip(".,;:") or found
        elif token[0] == "{":
            open_braces.append(None)
        elif token[0] == "}" and open_braces:
            start = open_braces.pop()
            if start is not None and (content := text[start : token.start()].strip()):
                found = content
    return found


def bare(text: str) -> str:
    r"""The text with one spelling for equivalent LaTeX and Unicode notations.

    Wrappers such as \text{} and \left, and degree signs, are removed; \dfrac and \frac12 become \frac{1}{2}, ≤ becomes
    \le, ½ becomes 1/2. For answers, not for whole replies: the worst case is quadratic in the length.
    """
    text = _COMMA.sub(",", text)
    text = _RAISED.sub(lambda match: "^{" + match[0].translate(_LOWERED) + "}", text)
    text = _VULGAR.sub(lambda match: " " + unicodedata.normalize("NFKC", match[0]), text)
    text = unicodedata.normalize("NFKC", text.replace("°", r"\degree "))
    text = _UNICODE_ROOT.sub(lambda match: rf"\sqrt{{{match[1] or match[2]}}}", text)
    text = _SYMBOL.sub(lambda match: _SYMBOLS[match[0]], text)
    text = _ASCII_RELATION.sub(lambda match: _ASCII_RELATIONS[match[0]], text)
    text = _DEGREE.sub("", _SPACE.sub(" ", _NOISE.sub("", _unwrapped(text))))
    text = _FRACTION.sub(r"\\frac", text)
    text = _SHORT_FRACTION.sub(lambda match: rf"\frac{{{_inner(match[1])}}}{{{_inner(match[2])}}}", text)
    text = _SHORT_ROOT.sub(r"\\sqrt{\1}", text)
    text = _NAME.sub(lambda match: "\\" + _NAMES[match[1]], text)
    text = _EXPONENT.sub(r"^\1", _ESCAPED.sub(r"\1", text))
    return " ".join(text.split())


def _unwrapped(text: str) -> str:
    """Remove the wrapper commands with their own braces."""
    parts: list[str] = []
    keeps: list[bool] = []
    place = 0
    for token in _WRAPPER.finditer(text):
        parts.append(text[place : token.start()])
        place = token.end()
        if token[0] == "}":
            if keeps.pop() if keeps else True:
                parts.append("}")
        elif token[0] in ("\\{", "\\}", "\\\\"):
            parts.append(token[0])
        else:
            keeps.append(token[0] == "{")
            # A space where the command was, so that "5\text{cm}" is two words.
            parts.append("{" if keeps[-1] else " ")
    return "".join([*parts, text[place:]])


def _inner(group: str) -> str:
    return group[1:-1].strip() if group.startswith("{") else group
