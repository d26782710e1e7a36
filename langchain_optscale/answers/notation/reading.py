r"""From the text of an answer to its node.

    >>> Reader().form(r"x = 1 \text{ or } x = \dfrac{1}{2}"), Reader().form(r"\{0.5, 1\}")
    ('\\{0.5, 1\\}', '\\{0.5, 1\\}')
    >>> Reader().form("y = 2, x = 1"), Reader().form("(x, y) = (1, 2)"), Reader().form("1 < x <= 2")
    ('(1, 2)', '(1, 2)', '(1, 2]')

A notation with two meanings is one node: (1, 2) is both the pair and the interval.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from langchain_optscale.answers.notation import relations
from langchain_optscale.answers.notation.calendar import read_calendar
from langchain_optscale.answers.notation.matrices import cells, equations
from langchain_optscale.answers.notation.nodes import (
    EMPTY,
    Collection,
    Equation,
    Inequality,
    Leaf,
    Matrix,
    Node,
    Number,
    Sequence,
    Union,
    collect,
    join,
    write,
)
from langchain_optscale.answers.notation.plain import is_prose, normal_text, undressed
from langchain_optscale.answers.notation.quantity import read_quantity, unit_after, without_unit
from langchain_optscale.answers.notation.solutions import (
    in_name_order,
    interval,
    read_ranges,
    read_solutions,
    statement,
)
from langchain_optscale.answers.notation.splitting import (
    bracketed,
    intervals_in_english,
    split_list,
    split_top,
    top_places,
)
from langchain_optscale.answers.notation.words import number_in_words

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Reader"]

_DEEPEST = 4
_EMPTY = re.compile(
    r"\\emptyset|\\\{ ?\\\}|\{ ?\}|(?:the )?empty set|(?:there (?:is|are) )?no (?:real |integer )?solutions?",
    re.IGNORECASE,
)
_REAL = re.compile(r"\\R|(?:the set of )?(?:all )?(?:the )?real numbers|all reals", re.IGNORECASE)
_EXCEPT = re.compile(
    r"(?:\\R|(?:all )?real numbers|all reals)\s*(?:\\setminus|-|except(?: for)?|other than|without)\s*"
    r"(?:\w\s*(?:=|\\ne)\s*)?(?P<without>\\\{.+\\\}|\{.+\}|[^{}]+)",
    re.IGNORECASE,
)
_NAMED = {
    "dne": "does not exist",
    "does not exist": "does not exist",
    "it does not exist": "does not exist",
    "the limit does not exist": "does not exist",
    "n/a": "not applicable",
    "not applicable": "not applicable",
}
_REMAINDER = re.compile(r"(?P<whole>-?\d+),?\s*(?:[Rr]\.?|rem\.?|(?:with )?(?:a )?remainder(?: of)?)\s*(?P<rest>\d+)")
_BUILDER = re.compile(r"\s*(?P<name>[^|:]{1,40}?)\s*(?:\\in ?\\R\s*)?(?:\||:)\s*(?P<condition>.+)")
_CUP = re.compile(r"(?<=[)\]}])\s*U\s*(?=[(\[{\\])")
_SIGNS = re.compile(r"\\pm(?![A-Za-z])\s*")
_LOGIC = re.compile(r"\\(?:vee|wedge)(?![A-Za-z])")
_OPTION = re.compile(r"\(?[A-Za-z]\)?")
_DOTS = frozenset({"...", r"\dots"})


@dataclass(frozen=True)
class Reader:
    """Reads answers.

    Attributes:
        percent: Whether a percent sign divides by 100; otherwise it is dropped.
        units: Whether a unit after a number is dropped.
    """

    percent: bool = False
    units: bool = True

    def form(self, text: str) -> str:
        """The canonical form of an answer."""
        return write(self.read(text))

    def unit(self, text: str) -> str | None:
        """The unit of an answer that is one number or expression; None where it has none, or units are kept."""
        if not self.units:
            return None
        text = undressed(text)
        named = relations.assignment(text)
        return unit_after(text if named is None else named.value)

    def read(self, text: str, depth: int = _DEEPEST) -> Node:
        """The node of an answer; at depth 0 only numbers are read."""
        text = undressed(text)
        value = read_quantity(text, percent=self.percent, units=self.units)
        if value is not None:
            return Number(value)
        if (date := read_calendar(text)) is not None:
            return Leaf(date, prose=True)
        if (number := number_in_words(text)) is not None:
            return Number(number)
        text = without_unit(text) if self.units else text
        constant = _constant(text) or self._all_except(text)
        if constant is not None:
            return constant
        if is_prose(text):
            return self._words(text, depth)
        if depth:
            text = intervals_in_english(_CUP.sub(r" \\cup ", text))
            for reader in (
                self._matrix,
                self._list,
                self._sequence,
                self._union,
                self._relation,
                self._both_signs,
            ):
                node = reader(text, depth - 1)
                if node is not None:
                    return node
        return Leaf(normal_text(text))

    def _at(self, depth: int) -> Callable[[str], Node]:
        return lambda text: self.read(text, depth)

    def _words(self, text: str, depth: int) -> Node:
        """Prose, a matrix as Python writes it, or a quantity with a name of several letters: area = 5."""
        if depth and (rows := cells(text)) is not None:
            return self._rows(rows, depth - 1)
        named = relations.assignment(text) if depth else None
        if named is not None and named.name:
            return self.read(named.value, depth - 1)
        return Leaf(normal_text(text, prose=True), prose=True)

    def _all_except(self, text: str) -> Node | None:
        """The real numbers without some: a union of open intervals."""
        found = _EXCEPT.fullmatch(text)
        if found is None:
            return None
        node = self.read(found["without"])
        members = node.items if isinstance(node, Collection) else (node,)
        values = sorted({one.value for one in members if isinstance(one, Number)})
        if len(values) < len(members) or not values:
            return None
        ends: list[Node] = [Leaf(r"-\infty"), *map(Number, values), Leaf(r"\infty")]
        return join([Sequence("(", pair, ")") for pair in pairwise(ends)])

    def _matrix(self, text: str, depth: int) -> Node | None:
        rows = cells(text)
        if rows is not None:
            return self._rows(rows, depth)
        system = equations(text)
        return self._list(", ".join(system), depth) or self.read(system[0], depth) if system else None

    def _rows(self, rows: list[list[str]], depth: int) -> Matrix:
        return Matrix(tuple(tuple(self.read(cell, depth) for cell in row) for row in rows))

    def _list(self, text: str, depth: int) -> Node | None:
        """A list without brackets, of values or of statements about unknowns."""
        listed = split_list(text)
        if listed is None or any(map(is_prose, listed.members)):
            return None
        if _LOGIC.search(text) and not all(map(relations.relation_of, listed.members)):
            return None
        if "alternative" in listed.separators and all(map(_OPTION.fullmatch, listed.members)):
            # Of two options, "A or B" chooses none.
            return None
        if not _DOTS.isdisjoint(listed.members):
            # 1, 2, ..., 10 is a sequence.
            members = [r"\dots" if one in _DOTS else write(self.read(one, depth)) for one in listed.members]
            return Leaf(", ".join(members))
        read = self._at(depth)
        solutions = read_solutions(listed, read)
        if solutions is not None:
            return collect(_flat(solutions))
        ranges = read_ranges(listed, read)
        if ranges is not None:
            return ranges
        nodes = [read(member) for member in listed.members]
        if any(isinstance(node, Inequality | Equation) for node in nodes) or any(map(_is_stated, listed.members)):
            # A system: the names of the unknowns count.
            nodes = [statement(member) or self.read(member, 0) for member in listed.members]
        return collect(_flat(nodes))

    def _sequence(self, text: str, depth: int) -> Node | None:
        outer = bracketed(text)
        if outer is None:
            return None
        opening, inner, closing = outer
        if opening in ("{", "\\{"):
            return self._set(inner, depth)
        listed = split_list(inner)
        if listed is None or not listed.separators <= {"strong", "comma"}:
            # Parentheses around one member only group it.
            return self.read(inner, depth) if (opening, closing) == ("(", ")") and inner.strip() else None
        return Sequence(opening, tuple(self.read(member, depth) for member in listed.members), closing)

    def _set(self, inner: str, depth: int) -> Node | None:
        builder = _BUILDER.fullmatch(inner)
        if builder and relations.is_name(builder["name"]):
            node = self.read(builder["condition"], depth)
            is_range = isinstance(node, Union | Inequality) or (isinstance(node, Sequence) and node.is_interval)
            return node if is_range else None
        listed = self._list(inner, depth)
        if listed is None:
            # One member; {a, , b} and { } have none.
            return None if split_top(inner, ",")[1:] or not inner.strip() else self.read(inner, depth)
        return collect(list(listed.items), distinct=True) if isinstance(listed, Collection) else listed

    def _union(self, text: str, depth: int) -> Node | None:
        parts = [part.strip() for part in split_top(text, r"\cup")]
        if len(parts) < 2 or not all(parts):
            return None
        nodes = []
        for part in parts:
            node = self.read(part, depth)
            outer = bracketed(part)
            is_set = outer is not None and outer[0] in ("{", "\\{")
            if not is_set and not (isinstance(node, Sequence) and node.is_interval):
                return None
            nodes.append(node)
        return join(nodes)

    def _relation(self, text: str, depth: int) -> Node | None:
        named = relations.assignment(text)
        if named is not None:
            return in_name_order(self.read(named.value, depth), named.name)
        bounds = relations.bounds(text)
        return statement(text) if bounds is None else interval(bounds, self._at(depth))

    def _both_signs(self, text: str, depth: int) -> Node | None:
        r"""A \pm b is a + b and a - b."""
        found = list(_SIGNS.finditer(text))
        if len(found) != 1 or r"\mp" in text or top_places(text) is None:
            return None
        before, after = text[: found[0].start()].rstrip(), text[found[0].end() :]
        if not after:
            return None
        plus = "" if not before or before[-1] in "({[,=" else "+"
        return collect([self.read(f"{before}{plus}{after}", depth), self.read(f"{before}-{after}", depth)])


def _constant(text: str) -> Node | None:
    if _EMPTY.fullmatch(text):
        return EMPTY
    if _REAL.fullmatch(text):
        return Sequence("(", (Leaf(r"-\infty"), Leaf(r"\infty")), ")")
    if (name := _NAMED.get(text.lower())) is not None:
        return Leaf(name, prose=True)
    if division := _REMAINDER.fullmatch(text):
        return Leaf(f"{int(division['whole'])} remainder {int(division['rest'])}", prose=True)
    return None


def _is_stated(member: str) -> bool:
    named = relations.assignment(member)
    return relations.bounds(member) is not None or (named is not None and bool(named.name))


def _flat(nodes: list[Node]) -> list[Node]:
    r"""The members, those of both signs one by one: 1 \pm 2, 5."""
    return [one for node in nodes for one in (node.items if isinstance(node, Collection) and node.items else (node,))]
