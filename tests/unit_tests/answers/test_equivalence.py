"""When answers are the same: by hand, by exact fractions, and by SymPy in threads, tasks and under attack."""

import asyncio
import threading
import time
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_optscale.answers import ExactText, NormalForm, SameMath, _math_process, same_answer
from langchain_optscale.answers.numerals import read_numeral, write_number
from langchain_optscale.errors import SettingsError

FORM = NormalForm().canonical

SAME = [
    [
        "1/2",
        "0.5",
        ".5",
        "0.50",
        r"\frac{1}{2}",
        r"\dfrac12",
        r"\tfrac{1}{2}",
        "$0.5$",
        r"\(\frac 1 2\)",
        "½",
        "5e-1",
        "x = 1/2",
    ],
    ["1,234", "1234", "1234.0", "$1,234", r"\$1{,}234", "1234.", r"1\,234", "1\u202f234", "+1234", "1234 dollars"],
    ["-7", "−7", "- 7", "–7", "$-7$"],
    ["3.5", "3 1/2", r"3\frac{1}{2}", "3½", "7/2"],
    ["90", "90°", r"90^\circ", r"90^{\circ}", "90 degrees", r"90\text{ degrees}"],
    ["5", "5 cm", r"5\text{ cm}", r"5 \, \mathrm{cm}", "5 cm^2", "5 square meters", "5 miles per hour", "5%", r"5\%"],
    ["100000", "1e5", "100,000"],
    ["Paris", "paris", " PARIS. ", "**Paris**", r"\text{Paris}", '"Paris"', "paris!"],
    ["B", "b", "(B)", r"\text{(b)}", r"\mathbf{B}", "B."],
    ["[0, 1/2)", r"\left[0,\, \frac{1}{2}\right)", "[0,0.5)"],
    ["(1, 2)", "(1,2)", r"\left( 1, 2.0 \right)"],
    [r"2\pi r", "2πr", r"2 \pi r"],
    [r"\sqrt{2}", r"\sqrt2", r"\sqrt 2", "√2", "√(2)"],
    [r"\frac{\sqrt{3}}{2}", r"\dfrac{\sqrt 3}{2}", r"\frac{\sqrt3}2"],
    ["x^2", "x²", "x^{2}", "$x^2$"],
    ["x <= 5", "x ≤ 5", r"x \leq 5", r"x\le5"],
    ["New York", "new  york", "New\nYork"],
    ["602e21", r"6.02 \times 10^{23}", "6.02e23"],
]


@pytest.mark.parametrize("spellings", SAME, ids=lambda spellings: spellings[0])
def test_spellings_of_one_answer(spellings):
    first, *others = [FORM(spelling) for spelling in spellings]
    assert all(form == first or NormalForm().match(form, [first]) for form in others), [first, *others]


def test_different_answers_stay_different():
    firsts = [spellings[0] for spellings in SAME]
    more = [
        "0.333",
        "1/3",
        "1/0",
        "5!",
        r"\Delta",
        r"\delta",
        "(2, 1)",
        "(0, 1/2)",
        "2, 1",
        "1, 234",
        "12 apples",
        "x^3",
    ]
    assert len({FORM(one) for one in [*firsts, *more]}) == len(firsts) + len(more)


def test_percent_is_a_unit_unless_a_hundredth_is_meant():
    assert FORM("50%") == "50"
    hundredths = NormalForm(percent=True).canonical
    assert {hundredths(one) for one in ("50%", r"50\%", "50 percent", "0.5", "1/2")} == {"0.5"}


def test_units_may_count():
    kept = NormalForm(units=False).canonical
    assert kept("5 cm") != kept("5 m")
    assert (FORM("5 cm"), FORM("5 m"), FORM("5")) == ("5 cm", "5 m", "5")
    assert same_answer("5 cm", "5")
    assert not same_answer("5 cm", "5 m")
    assert same_answer("500 cm", "5 m")


def test_exact_text_changes_nothing():
    assert ExactText().canonical(" Paris. ") == "Paris."


@given(st.fractions())
def test_numbers_are_written_in_one_form_that_reads_back(number):
    written = write_number(number)
    read = read_numeral(written)
    assert read is not None
    assert read.value == number
    assert FORM(written) == written


@given(st.fractions(max_denominator=999), st.integers(1, 9))
def test_equal_fractions_have_equal_forms(number, times):
    one = f"{number.numerator}/{number.denominator}"
    other = rf"{'-' if number < 0 else ''}\frac{{{abs(number.numerator) * times}}}{{{number.denominator * times}}}"
    assert FORM(one) == FORM(other)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**9), max_value=10**9))
def test_trailing_zeros_and_separators_make_no_difference(number):
    assert FORM(f"{number:,}") == FORM(f"{number:f}000") == write_number(Fraction(number))


PIECES = [*"\\{}()[]$%^_,.;:!?*`\"'-+=<>/|0123aBxπ√½²° ", "\n", r"\frac", r"\text{", " cm"]
ODD = st.lists(st.sampled_from(PIECES), max_size=24).map("".join)


@given(ODD)
@settings(max_examples=500)
def test_the_form_of_a_form_is_itself(text):
    form = FORM(text)
    assert FORM(form) == form == form.strip()


def test_long_texts_are_quick():
    for piece in ("{", r"\frac{", "(", "a\u0301\u0327", "1,", "$"):
        for length in (1900, 1_000_000):
            began = time.process_time()
            FORM(piece * (length // len(piece)))
            assert time.process_time() - began < 3


EQUAL = [
    ("x+1", "1+x"),
    ("(x+1)^2", "x^2+2x+1"),
    (r"\sqrt{4}", "2"),
    (r"\{\sqrt{4}, 1\}", r"\{2, 1\}"),
    ("2x+4y=6", "y=-0.5x+1.5"),
    (r"\frac{1}{\binom{5}{2}}", "0.1"),
    (r"\frac{2}{\sqrt{2}}", r"\sqrt{2}"),
    ("2*3*x", "6x"),
]
DIFFERENT = [
    ("x+1", "x+2"),
    ("0.333333", "1/3"),  # two numbers, exactly different
    ("pairs", "paris"),  # products of the same letters, to a computer algebra system
    ("no", "on"),
    (r"\sqrt{2}", r"\sqrt{3}"),
    ("(1, 2)", "(2, 1)"),
]


@pytest.mark.parametrize(("one", "other"), EQUAL)
def test_equal_expressions(one, other):
    assert NormalForm().canonical(one) != NormalForm().canonical(other)
    assert same_answer(one, other)
    assert same_answer(other, one)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different_expressions(one, other):
    assert not same_answer(one, other)
    assert not same_answer(other, one)


def test_in_threads():
    results = []
    threads = [threading.Thread(target=lambda: results.append(same_answer("x+1", "1+x"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 4


async def test_in_a_task_the_loop_keeps_turning():
    ticks = 0

    async def tick():
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    ticking = asyncio.create_task(tick())
    _math_process._PROCESS.close()  # so that the slow start is part of it
    assert await asyncio.to_thread(same_answer, "x+1", "1+x")
    ticking.cancel()
    assert ticks > 5


def test_what_takes_forever_is_ended_and_the_next_question_is_answered(caplog):
    assert same_answer("x+1", "1+x")  # started
    hard = "9^{9^{9^{9^9}}}"
    began = time.monotonic()
    assert not same_answer(f"{hard}+x", f"x*{hard}", SameMath(timeout_s=0.5))
    assert time.monotonic() - began < 10
    assert same_answer("x+1", "1+x")


def test_starting_takes_nothing_of_a_questions_time():
    assert same_answer("(y+2)^2", "y^2+4y+4")  # started
    began = time.perf_counter()
    assert same_answer("(z+3)^2", "z^2+6z+9")
    warm = time.perf_counter() - began
    _math_process._PROCESS.close()
    assert same_answer("(x+1)^2", "x^2+2x+1", SameMath(timeout_s=max(0.3, 5 * warm)))


def test_a_child_that_dies_is_replaced(caplog):
    assert same_answer("x+1", "1+x")
    _math_process._PROCESS._child.kill()
    _math_process._PROCESS._child.wait()
    assert same_answer("x+1", "1+x")


def test_a_child_that_cannot_start_leaves_answers_apart(monkeypatch, caplog):
    _math_process._PROCESS.close()
    monkeypatch.setattr(_math_process.sys, "executable", "/nonexistent/python")
    assert not same_answer("x+1", "1+x")
    assert "SymPy failed" in caplog.text


def test_without_the_extra_normal_forms_decide(monkeypatch):
    monkeypatch.setattr(_math_process, "_installed", lambda: False)
    assert not same_answer("x+1", "1+x")
    assert same_answer("1/2", "0.5")


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan"), True])
def test_a_timeout_must_be_one(seconds):
    with pytest.raises(SettingsError, match="timeout_s"):
        SameMath(timeout_s=seconds)


@pytest.mark.parametrize(
    "part", ["\\\\", "$", "**", "(", "{", "\\boxed{", "x=", "1, ", "twenty-", "\\pm ", "[1,2]\\cup"]
)
def test_a_long_answer_of_nothing_but_marks_takes_a_moment(part):
    began = time.process_time()
    NormalForm().canonical((part * 2000)[:1980] + "x 1")
    assert time.process_time() - began < 1.5
