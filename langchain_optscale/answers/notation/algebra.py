r"""Exact equality of canonical forms by SymPy: of expressions, and of nodes that are made of them.

Only the child process imports this module; it needs the extra "math". What can be decided by exact arithmetic is; two
expressions in unknowns are equal where they agree to 420 digits at several points, positive and negative ones, so that
\sqrt{x^2} is not x. Nothing is ever rounded: 1/3 is not 0.33, and 2^{-60} is not 2^{-61}.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import sympy
from latex2sympy2_extended import NormalizationConfig, latex2sympy
from latex2sympy2_extended.latex2sympy2 import ConversionConfig

from langchain_optscale.answers.notation.nodes import (
    Collection,
    Equation,
    Inequality,
    Leaf,
    Matrix,
    Node,
    Number,
    Sequence,
    Union,
)
from langchain_optscale.answers.notation.reading import Reader

__all__ = ["same_form"]

# As it is written: no unit is dropped, no symbol put in lower case, 2(3) is no mixed number.
_AS_WRITTEN = NormalizationConfig(
    basic_latex=True, units=False, malformed_operators=False, nits=False, boxed="none", equations=False
)
_LITERALLY = ConversionConfig(
    interpret_as_mixed_fractions=False,
    interpret_simple_eq_as_assignment=False,
    interpret_contains_as_eq=False,
    lowercase_symbols=False,
)
# What the parser would drop or take for something else.
_UNREADABLE = re.compile(
    r"['\"?&%$#@;,:`]|!!|(?<!_)\d\s+\d|\d_|_\s*\Z|(?<!\\)\b[A-Za-z]{3,}|\d/\d+(?=[A-Za-z(\\])"
    r"|(?<![A-Za-z\\])(?:to|of|in|is|if|or|at|by|no|on|as|an|be)(?![A-Za-z])"
    r"|\\(?:pm|mp|dots|text|angle|triangle|measuredangle|overrightarrow|widehat|vec|wedge|vee|perp|parallel|cong|sim|equiv|p?mod|bmod"
    r"|R?[Rr]ightarrow|mapsto|forall|exists|sub|sup|cup|cap|setminus|in|ni|not|circ|neg)(?![A-Za-z])"
)
# Dates, ranges, versions and dimensions are no differences, quotients and products: 2024-10-12, 5-10, 1.2.3, 3 x 4.
_CODE = re.compile(r"[-+]?\d+(?:\.\d+)?(?:(?:-\d+(?:\.\d+)?)+|(?:/\d+){2,}|(?:\.\d+)+|(?:\s*(?:[xX]|\\times)\s*\d+)+)")
# x2 is not 2x, it may be x_2.
_NUMBERED = re.compile(r"[A-Za-z]\d")
_COMMAND = re.compile(r"\\[A-Za-z]+")
_MATRIX = re.compile(r"\\(?:begin|end)\{[pb]matrix\}")
_COEFFICIENT = re.compile(r"(?<![_^\d])(\d+)\(")
_DECIMAL = re.compile(r"(\d*)\.(\d+)")
_MIXED = re.compile(r"(?<![\d.^_{])(\d+)\\frac\{(\d+)\}\{(\d+)\}")
_FUNCTION = re.compile(
    r"(?<![\\A-Za-z])(sin|cos|tan|cot|sec|csc|log|ln|exp|arcsin|arccos|arctan|sinh|cosh|tanh)(?![A-Za-z])"
)
_POINTS = tuple(map(sympy.Rational, ("7/5", "-13/7", "29/11", "-3/8", "41/17", "5/19")))
_PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29)
# More than any number that is written out, see `numerals`.
_DIGITS = 450
_CLOSE = sympy.Rational(1, 10**420)
_ENOUGH = 3
_SYMBOLIC = (sympy.Sum, sympy.Product, sympy.Integral, sympy.Derivative, sympy.Limit, sympy.core.function.AppliedUndef)


def same_form(form: str, other: str) -> bool:
    """Whether two canonical forms are equal; False also where that cannot be decided."""
    try:
        return _same(_read(form), _read(other))
    except (Exception, RecursionError):  # noqa: BLE001 - SymPy fails in many ways; what fails is not known to be equal
        return False


@lru_cache(maxsize=256)
def _read(form: str) -> Node:
    return Reader(units=False).read(form)


def _same(one: Node, other: Node) -> bool:
    if one == other:
        return True
    match one, other:
        case Number(), Number():
            return False
        case Collection(), Collection():
            return _pairs_up(list(one.items), list(other.items))
        case Sequence(), Sequence():
            same_brackets = (one.opening, one.closing) == (other.opening, other.closing)
            return same_brackets and _all_same(one.items, other.items)
        case Matrix(), Matrix():
            shapes = [(len(matrix.rows), len(matrix.rows[0])) for matrix in (one, other)]
            return shapes[0] == shapes[1] and all(map(_all_same, one.rows, other.rows))
        case Equation(), Equation():
            return _proportional(one, other)
        case ((Number() | Leaf() | Matrix()), (Number() | Leaf() | Matrix())):
            return _same_expression(_expression(one), _expression(other))
        case ((Inequality() | Union() | Sequence()), (Inequality() | Union() | Sequence())):
            return _same_set(one, other)
        case _:
            return False


def _all_same(ones: tuple[Node, ...], others: tuple[Node, ...]) -> bool:
    return len(ones) == len(others) and all(map(_same, ones, others))


def _pairs_up(ones: list[Node], others: list[Node]) -> bool:
    """Whether each has its equal among the others; first come, first served will do for an equivalence."""
    if len(ones) != len(others):
        return False
    for one in ones:
        place = next((place for place, other in enumerate(others) if _same_member(one, other)), None)
        if place is None:
            return False
        del others[place]
    return True


def _same_member(one: Node, other: Node) -> bool:
    """Like `_same`, but inequalities are about the same unknowns: x < 1, y > 2 is a system."""
    if isinstance(one, Inequality) or isinstance(other, Inequality):
        return one == other or (isinstance(one, Inequality) and isinstance(other, Inequality) and _multiple(one, other))
    return _same(one, other)


def _expression(node: Node) -> Any:
    """The node as SymPy has it; None where it cannot be read."""
    match node:
        case Number(value):
            return sympy.Rational(value.numerator, value.denominator)
        case Leaf(text, prose):
            return None if prose else _parsed(text)
        case Matrix(rows):
            cells = [[_expression(cell) for cell in row] for row in rows]
            return None if any(cell is None for row in cells for cell in row) else sympy.ImmutableDenseMatrix(cells)
        case _:
            return None


@lru_cache(maxsize=256)
def _parsed(text: str) -> Any:
    text = _FUNCTION.sub(r"\\\1 ", text)
    if (
        _CODE.fullmatch(text)
        or _NUMBERED.search(_COMMAND.sub(" ", text))
        or _UNREADABLE.search(_MATRIX.sub("", text).replace("&", "") if "matrix" in text else text)
    ):
        return None
    text = _COEFFICIENT.sub(r"\1\\cdot(", text)
    text = _DECIMAL.sub(_as_fraction, _MIXED.sub(r"(\1+\\frac{\2}{\3})", text))
    try:
        parsed = latex2sympy(text, normalization_config=_AS_WRITTEN, conversion_config=_LITERALLY)
    except Exception:  # noqa: BLE001 - whatever cannot be read is not known to be equal
        return None
    if isinstance(parsed, sympy.MatrixBase | sympy.MatrixExpr):
        return parsed.doit()
    if not isinstance(parsed, sympy.Expr) or parsed.has(sympy.Float):
        return None
    return parsed.subs(sympy.Symbol("i"), sympy.I)


def _as_fraction(match: re.Match[str]) -> str:
    return rf"\frac{{{int(match[1] + match[2])}}}{{{10 ** len(match[2])}}}"


def _same_expression(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return False
    if isinstance(one, sympy.MatrixBase) or isinstance(other, sympy.MatrixBase):
        return (
            isinstance(one, sympy.MatrixBase)
            and isinstance(other, sympy.MatrixBase)
            and one.shape == other.shape
            and all(map(_same_expression, one, other))
        )
    if isinstance(one, sympy.MatrixExpr) or isinstance(other, sympy.MatrixExpr):
        return bool(one == other)
    if one.has(*_SYMBOLIC) or other.has(*_SYMBOLIC):
        return bool(sympy.expand(one.doit() - other.doit()) == 0)
    symbols = one.free_symbols | other.free_symbols
    if not symbols:
        return _same_constant(one, other)
    agreed = 0
    for values in _assignments(symbols):
        first, second = one.subs(values), other.subs(values)
        if _is_number(first) and _is_number(second):
            if not _same_constant(first, second):
                return False
            agreed += 1
    return agreed >= _ENOUGH


def _assignments(symbols: set[Any]) -> list[dict[Any, Any]]:
    """Points with different coordinates, in no simple relation to each other."""
    ordered = sorted(symbols, key=str)[: len(_PRIMES)]
    return [
        {
            symbol: point * sympy.sqrt(1 + sympy.Rational(_PRIMES[place], 31)) if place else point
            for place, symbol in enumerate(ordered)
        }
        for point in _POINTS
    ]


def _is_number(value: Any) -> bool:
    return not value.free_symbols and not value.has(sympy.zoo, sympy.nan, sympy.oo, -sympy.oo)


def _same_constant(one: Any, other: Any) -> bool:
    one, other = one.doit(), other.doit()
    if one == other:
        return True
    if not _is_number(one) or not _is_number(other) or (one.is_Rational and other.is_Rational):
        return False
    first, second = one.evalf(_DIGITS), other.evalf(_DIGITS)
    if not (first.is_finite and second.is_finite):
        return False
    size = sympy.Max(sympy.Abs(first), sympy.Abs(second))
    if size < _CLOSE:
        # One of them is 0, or both are tiny: the digits say nothing.
        return bool(sympy.simplify(one - other) == 0)
    return bool(sympy.Abs(first - second) <= _CLOSE * size)


def _difference(left: str, right: str) -> Any:
    sides = _parsed(left), _parsed(right)
    if any(not isinstance(side, sympy.Expr) or side.has(sympy.oo) for side in sides):
        return None
    return sides[0] - sides[1]


def _proportional(one: Equation, other: Equation) -> bool:
    """Whether they say the same: one is a multiple of the other by a number that is not 0."""
    factor = _factor(_difference(one.left, one.right), _difference(other.left, other.right))
    return factor is not None and factor != 0


def _factor(one: Any, other: Any) -> Any:
    """The number by which the one is a multiple of the other; None where there is none, or it is unknown."""
    if one is None or other is None or one.free_symbols != other.free_symbols or not one.free_symbols:
        return None
    if one.has(*_SYMBOLIC) or other.has(*_SYMBOLIC):
        return next((factor for factor in (1, -1) if sympy.expand(one.doit() - factor * other.doit()) == 0), None)
    factor, agreed = None, 0
    for values in _assignments(one.free_symbols):
        first, second = one.subs(values), other.subs(values)
        if not (_is_number(first) and _is_number(second)) or second == 0 or first == 0:
            continue
        ratio = first / second
        if factor is not None and not _same_constant(ratio, factor):
            return None
        factor, agreed = ratio, agreed + 1
    return factor if agreed >= _ENOUGH else None


def _same_set(one: Node, other: Node) -> bool:
    """Whether two conditions of one unknown hold for the same numbers, or two inequalities are multiples."""
    if isinstance(one, Inequality) and isinstance(other, Inequality) and _multiple(one, other):
        return True
    sets = _set(one), _set(other)
    return None not in sets and bool(sets[0] == sets[1])


def _multiple(one: Inequality, other: Inequality) -> bool:
    if one.relations != other.relations or len(one.parts) != 2:
        return False
    factor = _factor(_difference(*one.parts), _difference(*other.parts))
    return factor is not None and bool(factor > 0 or one.relations == (r"\ne",))


def _set(node: Node) -> Any:
    """The real numbers that the node stands for; None where they are not known."""
    match node:
        case Sequence(opening, (first, second), closing):
            ends = _expression(first), _expression(second)
            if None in ends or not all(end.is_extended_real for end in ends):
                return None
            return sympy.Interval(*ends, opening == "(", closing == ")")
        case Collection(items):
            members = [_expression(item) for item in items]
            return None if None in members else sympy.FiniteSet(*members)
        case Union(items):
            sets = [_set(Collection((one,)) if isinstance(one, Number | Leaf) else one) for one in items]
            return None if None in sets else sympy.Union(*sets)
        case Inequality(parts, relations):
            return _solutions(parts, relations)
        case _:
            return None


def _solutions(parts: tuple[str, ...], relations: tuple[str, ...]) -> Any:
    expressions = [_parsed(part) for part in parts]
    if any(not isinstance(one, sympy.Expr) for one in expressions):
        return None
    symbols = set().union(*(one.free_symbols for one in expressions))
    if len(symbols) != 1:
        return None
    unknown = sympy.Symbol("x", real=True)
    expressions = [one.subs(symbols.copy().pop(), unknown) for one in expressions]
    kinds = {"<": sympy.StrictLessThan, r"\le": sympy.LessThan, r"\ne": sympy.Unequality}
    found = sympy.S.Reals
    for place, relation in enumerate(relations):
        condition = kinds[relation](expressions[place], expressions[place + 1])
        if condition == sympy.false:
            return sympy.S.EmptySet
        if condition == sympy.true:
            continue
        found = sympy.Intersection(found, sympy.solve_univariate_inequality(condition, unknown, relational=False))
    return found
