"""The parts of an answer, and the one string in which each of them is written.

Two answers are equal where their nodes are: members without an order are sorted, numbers stand by their value.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from langchain_optscale.answers.numerals import write_number

__all__ = [
    "EMPTY",
    "Collection",
    "Equation",
    "Inequality",
    "Leaf",
    "Matrix",
    "Node",
    "Number",
    "Sequence",
    "Union",
    "collect",
    "join",
    "write",
]


@dataclass(frozen=True, slots=True)
class Number:
    """A rational number, exactly."""

    value: Fraction


@dataclass(frozen=True, slots=True)
class Leaf:
    """Normalised text that is not taken apart: an expression, a word, the name of an option.

    Attributes:
        text: The text.
        prose: Whether it is words rather than mathematics.
    """

    text: str
    prose: bool = False


@dataclass(frozen=True, slots=True)
class Sequence:
    """Members in brackets whose order counts: a tuple, a vector, an interval."""

    opening: str
    items: tuple[Node, ...]
    closing: str

    @property
    def is_interval(self) -> bool:
        """Whether it can be read as an interval; (a, b) can be read as a pair, too."""
        return len(self.items) == 2


@dataclass(frozen=True, slots=True)
class Collection:
    """Members whose order does not count; make it by `collect`.

    A list without brackets keeps what occurs twice in it, such as the prime factors 2, 2, 3; a set never has any.
    """

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Union:
    """A union of intervals and sets; make it by `join`."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    """Rows of equal length."""

    rows: tuple[tuple[Node, ...], ...]


@dataclass(frozen=True, slots=True)
class Equation:
    """Two sides, in the order of their text."""

    left: str
    right: str


@dataclass(frozen=True, slots=True)
class Inequality:
    r"""A chain of expressions, each smaller than the next.

    Attributes:
        parts: The expressions.
        relations: What stands between them: "<" or "\le", or a single "\ne" between parts in the order of their text.
    """

    parts: tuple[str, ...]
    relations: tuple[str, ...]


Node: TypeAlias = Number | Leaf | Sequence | Collection | Union | Matrix | Equation | Inequality

EMPTY = Collection(())


def collect(items: list[Node], *, distinct: bool = False) -> Node:
    """The members in their order of value and text; one member alone stands for itself.

    Args:
        items: The members.
        distinct: Whether they are a set. Pairs and intervals always are; numbers in a list without brackets are not.
    """
    distinct = distinct or all(isinstance(one, Sequence) for one in items)
    members = sorted(set(items) if distinct else items, key=_key)
    return members[0] if len(members) == 1 else Collection(tuple(members))


def join(items: list[Node]) -> Node:
    """The union of intervals and sets, in their order."""
    members = sorted(set(items), key=_key)
    return members[0] if len(members) == 1 else Union(tuple(members))


def write(node: Node) -> str:
    """The canonical form, which reads as the same node again."""
    match node:
        case Number(value):
            return write_number(value)
        case Leaf(text):
            return text
        case Sequence(opening, items, closing):
            return opening + ", ".join(map(write, items)) + closing
        case Collection(()):
            return r"\emptyset"
        case Collection(items):
            listed = ", ".join(map(write, items))
            return listed if len(set(items)) < len(items) else rf"\{{{listed}\}}"
        case Union(items):
            return r" \cup ".join(
                rf"\{{{write(one)}\}}" if isinstance(one, Number | Leaf) else write(one) for one in items
            )
        case Matrix(rows):
            body = r" \\ ".join(" & ".join(map(write, row)) for row in rows)
            return rf"\begin{{pmatrix}} {body} \end{{pmatrix}}"
        case Equation(left, right):
            return f"{left}={right}"
        case Inequality(parts, relations):
            pairs = zip(parts, (*(spaced(one) for one in relations), ""), strict=True)
            return "".join(part + relation for part, relation in pairs)


def spaced(relation: str) -> str:
    """A relation as it stands between two expressions: a command must not run into the letter after it."""
    return f"{relation} " if relation.startswith("\\") else relation


def _key(node: Node) -> tuple[int, Fraction, str]:
    if isinstance(node, Number):
        return 0, node.value, ""
    if isinstance(node, Sequence):
        first = node.items[0]
        return (1, first.value, write(node)) if isinstance(first, Number) else (-1, Fraction(0), write(node))
    return 2, Fraction(0), write(node)
