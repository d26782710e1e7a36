"""Text without the marks around it, and the normal form of what is not taken apart."""

from __future__ import annotations

import re

from langchain_optscale.answers.notation.spelling import spell

__all__ = ["FUNCTIONS", "is_prose", "math_text", "normal_text", "undressed"]

# By its first character, what may enclose an answer.
_MARKS = {
    "$": (("$$", "$$"), ("$", "$")),
    "\\": ((r"\(", r"\)"), (r"\[", r"\]")),
    "*": (("**", "**"), ("*", "*")),
    "_": (("__", "__"),),
    "`": (("`", "`"),),
    '"': (('"', '"'),),
    "'": (("'", "'"),),
    "«": (("«", "»"),),
    "„": (("„", "“"),),
}
_END = " \t\n.,;:?。，；：？"
# After a word it is an exclamation, after a number or a lone letter a factorial.
_EXCLAMATION = re.compile(r"(?<=[A-Za-z]{2})!+\Z")
# After a digit or a comma it goes on.
_DOTS = re.compile(r"(?:\d|,\s*)(?:\.{3}|…)\Z")
_OPERATOR_SPACE = re.compile(r"\s*([-+*/^=<>(),\[\]{}|:;])\s*")
_MATH_SPACE = re.compile(r"(\\[A-Za-z]+) (?=[A-Za-z])|(\d) (?=\d)|\s+")
_OPTION = re.compile(r"\(?([A-Za-z])[).:]?")
_PI = re.compile(r"(?<![\\A-Za-z])(?:pi(?![A-Za-z])|inf(?:inity)?(?![A-Za-z]))")
# What says no more than that an answer follows.
_LEAD = re.compile(
    r"\A(?:\*\*)?(?:(?:so|thus|hence|therefore),? )?(?:the )?(?:final |correct )?(?:answer|ans\.?|result)"
    r"(?: is(?: that)?(?:\*\*)?:?|:(?:\*\*)?|\*\*:| ?=)\s*(?=\S)",
    re.IGNORECASE,
)
# Marks around marks around an answer; a text of nothing but marks would take one pass for each.
_DEEPEST = 12
_CONJUNCTION = re.compile(r",?\s+(?:and|&)\s+")

FUNCTIONS = frozenset(
    {
        "sin",
        "cos",
        "tan",
        "cot",
        "sec",
        "csc",
        "log",
        "exp",
        "sqrt",
        "arcsin",
        "arccos",
        "arctan",
        "sinh",
        "cosh",
        "tanh",
    }
    | {"max", "min", "gcd", "lcm", "det", "mod", "infinity", "inf"}
)
"""Words of three and more letters that are mathematics."""
_CONNECTIVES = frozenset(
    {"and", "und", "oder", "или", "または", "그리고", "both", "either", "entweder", "sowohl", "soit", "well"}
)
_WORD = re.compile(r"(?<![A-Za-z\\])[^\W\d_]{3,}")
_FRAME = re.compile(r"\\(?:begin|end)\{[A-Za-z]+\*?\}\s?(?:\{[lcr|\s]*\})?")
_MATHEMATICAL = re.compile(r"[-+*/^=<>|()_\d]")
_INDEX = re.compile(r"_\{[^{}]*\}")


def undressed(text: str) -> str:
    """In one spelling, without the marks of mathematics, markdown and quotation around it or final punctuation."""
    before = None
    for _ in range(_DEEPEST):
        if text == before:
            break
        before = text
        text = _bare(_LEAD.sub("", spell(_bare(text))))
    return text


def _bare(text: str) -> str:
    before = None
    while text != before:
        before = text
        text = text.strip()
        text = text if _DOTS.search(text) else text.rstrip(_END)
        if text.endswith("!"):
            text = _EXCLAMATION.sub("", text)
        for opening, closing in _MARKS.get(text[:1], ()):
            inner = text[len(opening) : -len(closing)]
            if text == opening + inner + closing and inner and opening not in inner:
                text = inner
    return text


def is_prose(text: str) -> bool:
    """Whether it has words; letters in a row are products of unknowns only up to two."""
    return any(
        word.lower() not in FUNCTIONS | _CONNECTIVES and not word.isupper()
        for word in _WORD.findall(_INDEX.sub("", _FRAME.sub("", text)))
    )


def normal_text(text: str, *, prose: bool = False) -> str:
    r"""Without regard to white space, and to case where it is no LaTeX, since \Delta is not \delta.

    A lone letter is taken for the name of an option, (b), and written as a capital.
    """
    if prose and "\\" not in text:
        return _OPERATOR_SPACE.sub(r"\1", _CONJUNCTION.sub(", ", text)).casefold()
    if option := _OPTION.fullmatch(text):
        return option[1].upper()
    return math_text(text)


def math_text(text: str) -> str:
    """The normal form of an expression, in which a lone letter is an unknown and keeps its case."""
    text = _PI.sub(lambda match: r"\pi " if match[0] == "pi" else r"\infty ", text)
    if "\\" in text or "^" in text:
        return _MATH_SPACE.sub(_math_space, text).strip()
    text = _OPERATOR_SPACE.sub(r"\1", text)
    return text if _MATHEMATICAL.search(text) else text.casefold()


def _math_space(match: re.Match[str]) -> str:
    return f"{match[1] or match[2]} " if match[1] or match[2] else ""
