"""Equality over generated notations: one answer, one form; different answers, different forms."""

from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_optscale.answers import NormalForm, SameMath, same_answer
from langchain_optscale.answers.numerals import write_number

FORM = NormalForm().canonical
DECIMAL = st.integers(-(10**6), 10**6).map(lambda number: Fraction(number, 1000))
RATIONAL = st.fractions(min_value=-50, max_value=50, max_denominator=40)
NUMBER = st.one_of(st.integers(-(10**7), 10**7).map(Fraction), DECIMAL, RATIONAL)
SMALL = st.one_of(st.integers(-99, 99).map(Fraction), RATIONAL)


def are_same(one, other):
    """By their forms, or as quantities of which one may lack its unit."""
    first, second = FORM(one), FORM(other)
    return first == second or NormalForm().match(first, [second]) is not None


def number_notations(value):
    """Ways to write a number that need no context."""
    sign, size = "-" if value < 0 else "", abs(value)
    over, under = size.numerator, size.denominator
    yield write_number(value)
    yield rf"{sign}\frac{{{over}}}{{{under}}}"
    yield rf"{sign}\dfrac{{{3 * over}}}{{{3 * under}}}"
    yield f"{sign}{over}/{under}"
    if over > under > 1:
        yield rf"{sign}{over // under}\tfrac{{{over % under}}}{{{under}}}"
    if under == 1:
        yield f"{sign}{over}.00"
    yield f"${write_number(value)}$"


def whole_notations(value):
    """Ways to write an answer that is a number."""
    yield from number_notations(value)
    written = write_number(value)
    yield f"x = {written}"
    yield rf"\boxed{{{written}}}"
    yield rf"{written}\text{{ cm}}"
    yield f"{written} %"
    yield f"**{written}**."
    if value.denominator == 1 and abs(value) >= 1000:
        grouped = f"{value.numerator:,}"
        for separator in (",", " ", "'", "\u202f", r"\,", "{,}", r",\!"):
            yield grouped.replace(",", separator)
    whole, _, digits = written.partition(".")
    if len(digits) == 2 and len(whole.lstrip("-")) < 2:
        yield f"{whole},{digits}"


@st.composite
def answers(draw):
    """An answer: its kind and its parts."""
    kind = draw(st.sampled_from(["number", "set", "tuple", "interval", "matrix"]))
    if kind == "number":
        return kind, draw(NUMBER)
    if kind == "set":
        return kind, frozenset(draw(st.lists(SMALL, min_size=2, max_size=4, unique=True)))
    if kind == "tuple":
        return kind, tuple(draw(st.lists(SMALL, min_size=3, max_size=4)))
    if kind == "interval":
        ends = sorted(draw(st.lists(SMALL, min_size=2, max_size=2, unique=True)))
        return kind, (draw(st.sampled_from("([")), *ends, draw(st.sampled_from(")]")))
    rows, columns = draw(st.integers(1, 3)), draw(st.integers(2, 3))
    cells = draw(st.lists(SMALL, min_size=rows * columns, max_size=rows * columns))
    return kind, tuple(tuple(cells[row * columns : (row + 1) * columns]) for row in range(rows))


@st.composite
def notations(draw, answer):
    """One way to write the answer."""
    kind, parts = answer
    if kind == "number":
        return draw(st.sampled_from(list(whole_notations(parts))))

    def written(value):
        return draw(st.sampled_from(list(number_notations(value))))

    if kind == "set":
        members = [written(one) for one in draw(st.permutations(sorted(parts)))]
        *firsts, last = members
        return draw(
            st.sampled_from(
                [
                    ", ".join(members),
                    "; ".join(members),
                    rf"\{{{', '.join(members)}\}}",
                    rf"\left\{{{','.join(members)}\right\}}"
                    if not any("," in one for one in members)
                    else ", ".join(members),
                    rf"{', '.join(firsts)} \text{{ and }} {last}",
                    f"{', '.join(firsts)}, or {last}",
                    " or ".join(f"x = {one}" for one in members),
                    rf"x \in \{{{'; '.join(members)}\}}",
                ]
            )
        )
    if kind == "tuple":
        members = [written(one) for one in parts]
        names = "abcd"[: len(members)]
        assigned = [f"{name} = {one}" for name, one in zip(names, members, strict=True)]
        return draw(
            st.sampled_from(
                [
                    f"({', '.join(members)})",
                    rf"\left( {'; '.join(members)} \right)",
                    f"({', '.join(names)}) = ({', '.join(members)})",
                    ", ".join(draw(st.permutations(assigned))),
                    " and ".join(draw(st.permutations(assigned))),
                ]
            )
        )
    if kind == "interval":
        opening, lower, upper, closing = parts
        low, high = written(lower), written(upper)
        left, right = (r"\le" if opening == "[" else "<"), (r"\le" if closing == "]" else "<")
        french = ("[" if opening == "[" else "]", "]" if closing == "]" else "[")
        return draw(
            st.sampled_from(
                [
                    f"{opening}{low}, {high}{closing}",
                    rf"\left{opening}{low}; {high}\right{closing}",
                    rf"{low} {left} x {right} {high}",
                    rf"t \in {opening}{low}, {high}{closing}",
                    f"{french[0]}{low}; {high}{french[1]}",
                ]
            )
        )
    rows = [[written(one) for one in row] for row in parts]
    body = r" \\ ".join(" & ".join(row) for row in rows)
    tight = r"\\".join("&".join(row) for row in rows)
    columns = "c" * len(rows[0])
    return draw(
        st.sampled_from(
            [
                rf"\begin{{pmatrix}} {body} \end{{pmatrix}}",
                rf"\begin{{bmatrix}}{tight}\\\end{{bmatrix}}",
                rf"\left[\begin{{array}}{{{columns}}}{tight}\end{{array}}\right]",
                rf"A = \begin{{pmatrix}}{tight}\end{{pmatrix}}",
            ]
        )
    )


@given(st.data())
@settings(max_examples=300)
def test_all_notations_of_an_answer_have_one_form(data):
    answer = data.draw(answers())
    first, second = data.draw(notations(answer)), data.draw(notations(answer))
    assert are_same(first, second)
    assert FORM(FORM(first)) == FORM(first)


@given(st.data())
@settings(max_examples=300)
def test_notations_of_different_answers_have_different_forms(data):
    one, other = data.draw(answers()), data.draw(answers())
    first, second = data.draw(notations(one)), data.draw(notations(other))
    assert are_same(first, second) == (one == other)


@given(st.fractions(max_denominator=10**30), st.fractions(max_denominator=10**30))
def test_numbers_are_compared_exactly(one, other):
    first, second = f"{one.numerator}/{one.denominator}", rf"\frac{{{other.numerator}}}{{{other.denominator}}}"
    assert (FORM(first) == FORM(second)) == (one == other)


@given(st.integers(1, 10**12), st.integers(0, 12), st.integers(1, 9))
def test_neighbours_of_a_tiny_number_are_different(number, zeros, last):
    tiny = f"0.{'0' * zeros}{number}"
    assert FORM(tiny) != FORM(tiny + str(last))
    assert FORM(tiny) == FORM(tiny + "0")


@given(st.integers(0, 10**9), st.integers(2, 16))
def test_a_numeral_of_another_base_has_its_value(number, base):
    digits, rest = "", number
    while rest or not digits:
        digits, rest = "0123456789ABCDEF"[rest % base] + digits, rest // base
    if digits.isdigit():
        assert FORM(f"{digits}_{{{base}}}") == str(number)
        assert FORM(f"{digits} (base {base})") == str(number)


@given(st.integers(0, 999), st.integers(0, 3), st.integers(1, 9999), st.integers(0, 3))
def test_repeating_decimals_are_fractions(whole, zeros, period, fixed_length):
    fixed, digits = "7" * fixed_length, "0" * zeros + str(period)
    value = Fraction(int(f"{whole}{fixed}"), 10**fixed_length) + Fraction(
        period, (10 ** len(digits) - 1) * 10**fixed_length
    )
    for written in (rf"{whole}.{fixed}\overline{{{digits}}}", f"{whole}.{fixed}({digits})"):
        assert FORM(written) == write_number(value)


@given(RATIONAL.filter(bool), st.integers(1, 60))
def test_quantities_are_converted_exactly(value, times):
    written = write_number(value)
    for small, large, factor in (
        ("cm", "m", 100),
        ("s", "min", 60),
        ("in", "ft", 12),
        ("g", "kg", 1000),
        ("mm^2", "cm^2", 100),
    ):
        many = write_number(value * factor)
        assert are_same(f"{many} {small}", f"{written} {large}")
        assert not are_same(f"{written} {small}", f"{written} {large}")
        assert are_same(f"{many} {small}", many)
        assert not are_same(f"{write_number(value * factor + times)} {small}", f"{written} {large}")


EXPRESSIONS = [
    ["x+1", "1+x", r"\frac{2x+2}{2}"],
    ["(x+1)^2", "x^2+2x+1", "(1+x)(x+1)"],
    [r"\sqrt{8}", r"2\sqrt{2}", r"\frac{4}{\sqrt{2}}"],
    ["2.8284271247461903"],
    [r"\sin(2x)", r"2\sin x\cos x"],
    ["y=2x+1", "2x-y+1=0", "4x+2=2y"],
    ["2x+1"],
    ["x+y=5", "2x+2y=10"],
    ["5"],
    [r"\{\sqrt{4}, 3\}", r"\{3, 2\}"],
    [r"(\sqrt{4}, 3)", "(2, 3)"],
    ["(3, 2)"],
    [r"\frac{1}{2^{90}}", "2^{-90}"],
    [r"\frac{1}{2^{91}}"],
    [r"\binom{n}{2}", r"\frac{n(n-1)}{2}"],
    ["x^2<4", "(-2, 2)", "-2<x<2"],
    ["x^2", r"x\cdot x"],
    [r"(5, \infty)", "x>5"],
    [r"(-1, \infty)", "-x<1"],
    [r"(-\infty, \infty)", r"\mathbb{R}"],
    [r"(-\infty, 1)", "x<1", "1>x"],
    ["(2, 1)"],
    [r"\infty"],
    [r"-\infty"],
    [r"\sqrt{2}+10^{-60}"],
    ["|x|", r"\sqrt{x^2}"],
    ["x"],
]


def test_same_math_is_an_equivalence_relation():
    """Reflexive, symmetric and transitive, over all pairs and so over all triples."""
    pytest.importorskip("latex2sympy2_extended")
    labelled = [(text, number) for number, texts in enumerate(EXPRESSIONS) for text in texts]
    for (one, first), (other, second) in product(labelled, labelled):
        assert same_answer(one, other) == (first == second), (one, other)


@given(st.lists(st.integers(-9, 9), min_size=4, max_size=4), st.integers(1, 5))
@settings(max_examples=25, deadline=None)
def test_products_and_sums_are_equal_exactly_where_they_should_be(numbers, off):
    pytest.importorskip("latex2sympy2_extended")
    a, b, c, d = numbers
    factored = f"({a}x+({b}))({c}x+({d}))"
    expanded = f"({a * c})x^2+({a * d + b * c})x+({b * d})"
    wrong = f"({a * c})x^2+({a * d + b * c})x+({b * d + off})"
    equivalence = SameMath(timeout_s=30)
    assert same_answer(factored, expanded, equivalence)
    assert same_answer(expanded, factored, equivalence)
    assert not same_answer(factored, wrong, equivalence)
