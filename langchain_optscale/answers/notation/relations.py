r"""Equations and inequalities: what is asked for, and what it is said to be.

    >>> assignment(r"f(x) = 3"), assignment("2x + z = 1"), assignment("x = 5 + 6 = 11")
    (Assignment(name='f(x)', value='3'), None, Assignment(name='x', value='11'))
    >>> bounds(r"5 \ge x")
    Bounds(name='x', lower='-\\infty', upper='5', closed=(False, True))

The name of a single quantity is dropped: x = 3 is 3. The names of several count, and so does an equation between
coordinates: y = 2x + 1 is a line and not its right-hand side.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from langchain_optscale.answers.notation.splitting import bracketed, top_places

__all__ = [
    "Assignment",
    "Bounds",
    "Relation",
    "assignment",
    "bounds",
    "is_name",
    "names_in",
    "relation_of",
    "sides",
    "upward",
]

_OPERATOR = re.compile(r"\\(?:ne|le|ge|approx|in)(?![A-Za-z])|:?={1,2}(?!>)|<|>")
_DOWNWARD = {">": "<", r"\ge": r"\le"}

_GREEK = (
    r"\\(?:alpha|beta|gamma|delta|epsilon|varepsilon|zeta|eta|theta|kappa|lambda|mu|nu|xi|rho|sigma|tau|phi|varphi|chi|psi"
    r"|omega|Delta|Omega|Phi|ell|hat ?\w|hat\{\w\}|bar\{\w+\}|vec\{\w+\}|overline\{\w+\}|mathbf ?\w)"
)
_INDEX = r"(?:_(?:\w|\{[^{}]{1,20}\}|\\[A-Za-z]+))?"
_LETTER = rf"(?:[A-Za-z]|{_GREEK}){_INDEX}'*"
_SEGMENT = (
    r"(?:\\(?:angle|triangle|overline|widehat|measuredangle|vec|overrightarrow|arc) ?)?(?:[A-Z]{1,4}|\{[A-Z]{1,4}\})"
)
_QUANTITY = re.compile(
    rf"(?:{_LETTER}|m?\s?{_SEGMENT}|\|{_SEGMENT}\||(?:area|volume|perimeter|length|width|height|speed|distance|time|probability"
    r"|total|sum|product|ratio|cost|price|profit|radius|result|value|mean|median|mode|average|age|answer|the answer))",
)
_VARIABLE = re.compile(_LETTER)
_FUNCTION = re.compile(rf"({_LETTER})(?:\^(?:-1|\{{-1\}}|\{{?\(?\w\)?\}}?))?'*\s?\([^()]{{1,40}}\)")
_SEGMENT_RATIO = re.compile(rf"\\frac\{{({_SEGMENT})\}}\{{({_SEGMENT})\}}|({_SEGMENT})\s*/\s*({_SEGMENT})")
_COMMAND = re.compile(r"\\[A-Za-z]+")
_COORDINATES = frozenset("xyz")


class Relation(NamedTuple):
    """Expressions and what stands between each and the next, as in the text."""

    parts: tuple[str, ...]
    operators: tuple[str, ...]


class Assignment(NamedTuple):
    """A name, possibly empty, and the expression that it is said to be."""

    name: str
    value: str


class Bounds(NamedTuple):
    """A name and the interval in which it lies; `closed` says of each end whether it belongs to it."""

    name: str
    lower: str
    upper: str
    closed: tuple[bool, bool]


def relation_of(text: str) -> Relation | None:
    """The relation that the text is; None where it is none, or lacks a side."""
    operators: list[str] = []
    parts: list[str] = []
    start = 0
    outside = top_places(text) or ()
    for match in _OPERATOR.finditer(text):
        if match.start() in outside:
            operators.append("=" if "=" in match[0] else match[0])
            parts.append(text[start : match.start()].strip())
            start = match.end()
    parts.append(text[start:].strip())
    return Relation(tuple(parts), tuple(operators)) if operators and all(parts) else None


def sides(relation: Relation) -> Relation:
    r"""The relation without approximations of it: x = 1/3 for x = 1/3 \approx 0.33."""
    parts, operators = relation
    if r"\approx" not in operators:
        return relation
    place = operators.index(r"\approx")
    if place or not is_name(parts[0]):
        return Relation(parts[: place + 1], operators[:place])
    return Relation(parts[:2], ("=",))


def assignment(text: str) -> Assignment | None:
    r"""The name and the value of x = 3, 3 = x, x = 1 + 2 = 3, x \approx 3 or x \in S; None for any other text."""
    relation = relation_of(text)
    if relation is None:
        return None
    parts, operators = sides(relation)
    if not operators:
        return Assignment("", parts[0])
    if operators == (r"\in",):
        return Assignment(*parts) if is_name(parts[0]) else None
    if set(operators) != {"="}:
        return None
    if len(parts) > 2:
        named = is_name(parts[0]) and not is_name(parts[-1])
        return Assignment(parts[0] if named else "", parts[-1]) if not _VARIABLE.fullmatch(parts[-1]) else None
    for name, value in (parts, parts[::-1]):
        if is_name(name) and not is_name(value) and not _depends(name, value):
            return Assignment(name, value)
    return None


def bounds(text: str) -> Bounds | None:
    """The interval of one unknown: a < x <= b, x > a; None for anything else."""
    relation = relation_of(text)
    if relation is None or not set(relation.operators) <= {"<", ">", r"\le", r"\ge"}:
        return None
    ascending = upward(relation)
    if ascending is None:
        return None
    parts, operators = ascending
    closed = [one == r"\le" for one in operators]
    if len(parts) == 3 and _is_unknown(parts[1]) and not _depends(parts[1], f"{parts[0]} {parts[2]}"):
        return Bounds(parts[1], parts[0], parts[2], (closed[0], closed[1]))
    if len(parts) != 2:
        return None
    for name, value, is_upper in ((*parts, True), (*parts[::-1], False)):
        if _is_unknown(name) and not _is_unknown(value) and not _depends(name, value):
            if is_upper:
                return Bounds(name, r"-\infty", value, (False, closed[0]))
            return Bounds(name, value, r"\infty", (closed[0], False))
    return None


def upward(relation: Relation) -> Relation | None:
    """An inequality from the smaller to the larger; None where its operators point in both directions."""
    parts, operators = relation
    if set(operators) <= {"<", r"\le"}:
        return relation
    if set(operators) <= {">", r"\ge"}:
        return Relation(parts[::-1], tuple(_DOWNWARD[one] for one in reversed(operators)))
    return None


def is_name(text: str) -> bool:
    r"""Whether it names a quantity: x, x_1, f(x), \theta, AB, |AB|, A:B, \frac{AB}{CD}, area, (x, y)."""
    if _QUANTITY.fullmatch(text) or _FUNCTION.fullmatch(text) or _SEGMENT_RATIO.fullmatch(text):
        return True
    if ":" in text:
        return all(map(_QUANTITY.fullmatch, re.split(r"\s*:\s*", text)))
    return bool(names_in(text))


def names_in(text: str) -> list[str]:
    """The names in (x, y); empty where the text is no pair or tuple of names."""
    outer = bracketed(text)
    if outer is None or (outer[0], outer[2]) != ("(", ")"):
        return []
    names = [one.strip() for one in re.split("[,;]", outer[1])]
    return names if len(names) > 1 and all(_VARIABLE.fullmatch(one) for one in names) else []


def _is_unknown(text: str) -> bool:
    return bool(_VARIABLE.fullmatch(text) or _FUNCTION.fullmatch(text)) and text not in ("e", "i")


def _depends(name: str, value: str) -> bool:
    """Whether the value speaks of the name itself, or of other coordinates than the one that is named."""
    if name.startswith("\\"):
        return name in value
    letters = set("".join(character for character in _COMMAND.sub(" ", value) if character.isalpha()))
    if name in _COORDINATES and letters & (_COORDINATES - {name}):
        return True
    function = _FUNCTION.fullmatch(name)
    head = (function[1] if function else name).partition("_")[0].strip("|'")
    return bool(re.search(rf"(?<![A-Za-z\\]){re.escape(head)}(?![a-z])", _COMMAND.sub(" ", value))) if head else False
