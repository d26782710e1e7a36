"""Lists of statements about unknowns: the values of one unknown, tuples of several, ranges, systems."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from langchain_optscale.answers.notation import relations
from langchain_optscale.answers.notation.nodes import Equation, Inequality, Leaf, Node, Number, Sequence, join
from langchain_optscale.answers.notation.plain import math_text
from langchain_optscale.answers.notation.quantity import read_quantity

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_optscale.answers.notation.splitting import List

    Read = Callable[[str], Node]

__all__ = ["in_name_order", "interval", "read_ranges", "read_solutions", "statement"]

# The numbered solutions of one equation, as many countries write them.
_ROOTS = re.compile(r"x_(?:1|\{1\}) x_(?:2|\{2\})(?: x_(?:3|\{3\})(?: x_(?:4|\{4\}))?)?")
_INFINITY = Leaf(r"\infty")
_MINUS_INFINITY = Leaf(r"-\infty")


def read_solutions(listed: List, read: Read) -> list[Node] | None:
    """Values of unknowns: x = 1 or 2; x = 1, y = 2; p = 5, q = 2 or p = 7, q = 2; (x, y) = (1, 2) or (2, 1).

    Returns:
        The values of one unknown; or for several unknowns one tuple a solution, in the order of their names. None where
        the list states no values, or states them in no such order.
    """
    named = [relations.assignment(member) for member in listed.members]
    if not any(one is not None and one.name for one in named):
        return None
    groups = listed.groups
    if not all(len(group) > 1 and all(map(_has_name, group)) for group in groups):
        groups = (listed.members,)
    solutions: list[Node] = []
    for group in groups:
        found = _solutions_of_group(group, read)
        if found is None:
            return None
        solutions += found
    return solutions


def _solutions_of_group(members: tuple[str, ...], read: Read) -> list[Node] | None:
    named = [one for one in map(relations.assignment, members) if one is not None]
    names = [one.name for one in named]
    if len(named) < len(members):
        # x = 4, -8, -10: the other members are values of the same name.
        if relations.assignment(members[0]) is None or len(named) > 1 or any(map(relations.relation_of, members[1:])):
            return None
        return [in_name_order(read(value), names[0]) for value in (named[0].value, *members[1:])]
    if len(set(names)) == 1 or _ROOTS.fullmatch(" ".join(names)):
        return [in_name_order(read(one.value), one.name) for one in named]
    size = len(set(names))
    if len(names) % size or any(name != names[place % size] for place, name in enumerate(names)):
        return None
    values = [read(one.value) for one in named]
    order = sorted(range(size), key=names.__getitem__)
    return [Sequence("(", tuple(values[start + place] for place in order), ")") for start in range(0, len(names), size)]


def in_name_order(node: Node, name: str) -> Node:
    """The value of (y, x) with its members in the order of the names; any other value as it is."""
    names = relations.names_in(name)
    if not isinstance(node, Sequence) or len(names) != len(node.items):
        return node
    order = sorted(range(len(names)), key=names.__getitem__)
    return Sequence(node.opening, tuple(node.items[place] for place in order), node.closing)


def read_ranges(listed: List, read: Read) -> Node | None:
    """Bounds of one unknown: a union where they are alternatives, the interval between them where both hold."""
    bounds = [one for one in map(relations.bounds, listed.members) if one is not None]
    if len(bounds) < len(listed.members) or len({one.name for one in bounds}) != 1:
        return None
    intervals = [interval(one, read) for one in bounds]
    if listed.separators == {"alternative"}:
        return join([*intervals])
    return _between(*intervals) if len(intervals) == 2 else None


def interval(bounds: relations.Bounds, read: Read) -> Sequence:
    """The interval of some bounds."""
    opening, closing = "[" if bounds.closed[0] else "(", "]" if bounds.closed[1] else ")"
    return Sequence(opening, (read(bounds.lower), read(bounds.upper)), closing)


def statement(text: str) -> Equation | Inequality | None:
    """An equation or inequality with the names of its unknowns; None for any other text."""
    relation = relations.relation_of(text)
    if relation is None:
        return None
    relation = relations.sides(relation)
    parts = tuple(map(math_text, relation.parts))
    if relation.operators in (("=",), (r"\ne",)):
        first, second = sorted(parts, key=_side_order)
        return Equation(first, second) if relation.operators == ("=",) else Inequality((first, second), (r"\ne",))
    ascending = relations.upward(relations.Relation(parts, relation.operators))
    return None if ascending is None else Inequality(ascending.parts, ascending.operators)


def _side_order(text: str) -> tuple[bool, bool, str]:
    """Names first, numbers last."""
    return read_quantity(text) is not None, not relations.is_name(text), text


def _has_name(member: str) -> bool:
    named = relations.assignment(member)
    return named is not None and bool(named.name)


def _between(one: Sequence, other: Sequence) -> Node | None:
    """The interval between a lower and an upper bound; their union where nothing lies between them."""
    lower, upper = (one, other) if one.items[1] == _INFINITY else (other, one)
    start, end = lower.items[0], upper.items[1]
    if lower.items[1] != _INFINITY or upper.items[0] != _MINUS_INFINITY:
        return None
    if not isinstance(start, Number) or not isinstance(end, Number):
        return None
    return Sequence(lower.opening, (start, end), upper.closing) if start.value < end.value else join([one, other])
