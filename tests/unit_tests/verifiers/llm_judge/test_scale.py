"""Grades in the ways that judges write them."""

from __future__ import annotations

import time

import pytest

from langchain_optscale.verifiers.llm_judge.scale import Scale

TEN, FIVE, WORDS = Scale.parse("0-10"), Scale.parse("1-5"), Scale.parse("yes/no")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("8", 8), ("8/10", 8), ("8 / 10", 8), ("**8** out of 10", 8), ("8 of 10", 8), ("eight out of ten", 8),
        ("8 (good)", 8), ("8/10 (very good: 3 small faults)", 8), ("8, because it is short", 8), ("8 - good", 8),
        ("8 – good", 8), ("8: fine", 8), ("8. Well done", 8), ("8!", 8), ("8 points", 8), ("4.5 stars", 4.5),
        ("Score: 4.5", 4.5), ("Grade: **8/10**", 8), ("the final score is 8", 8), ("`8`", 8), ('"8"', 8), ("7,5", 7.5),
        ("Eight", 8), ("ten", 10), ("zero", 0),
        ("[8]", 8), ("[[8]]", 8), ("<8>", 8), (r"\boxed{8}", 8), (r"$\boxed{8}$/10", 8), ("{8}", 8), ("８", 8),
        ("８／１０", 8), ("8 pts", 8), ("8分", 8), ("8점", 8), ("+8", 8), ("about 8", 8), ("~8", 8), ("7½", 7.5),
        ("7 1/2", 7.5), ("8 out of a possible 10", 8), ("8 von 10", 8), ("8 sur 10", 8), ("8 de 10", 8), ("8 из 10", 8),
        ("8<|im_end|>", 8), ("8</s>", 8), ("8 | good", 8), ("Score - 8", 8),
        ("I'd give it an 8", 8), ("I rate this 8", 8),
        # a share of the highest grade
        ("80%", 8), ("80 %", 8), (r"80\%", 8), ("75 percent", 7.5), ("4/5", 8), ("Score: 4 out of 5", 8),
        ("12,5%", 1.25),
        ("**4**/5 (good)", 8), ("80/100", 8), ("8/100", 0.8), ("16 of 20", 8), ("0%", 0), ("100 %", 10),
        ("★★★★★★★★☆☆", 8),
        # neither one grade nor one of this scale
        ("7-8", None), ("7 – 8", None), ("7 or 8", None), ("8 to 9", None), ("8, 9", None), ("8/5", None),
        ("80", None), ("8/101", None), ("101%", None), ("6/5", None), ("4/7", None), ("70-80%", None), ("<8", None),
        ("7 | 8", None), ("7½-8", None), ("-80%", None), ("8-", None), ("★★★★☆", None), ("between 7 and 8", None),
        ("11", None), ("-1", None), ("eleven", None),
        ("1e1", None), ("0.5.2", None), ("", None), ("good", None), ("not 8", None), ("٨", None), ("²", None),
    ],
)  # fmt: skip
def test_numbers(text: str, value: float | None) -> None:
    assert TEN.read(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5/5", 5),
        ("five of five", 5),
        ("Rating: 4 out of 5.", 4),
        ("4/10", None),
        ("0", None),
        ("six", None),
        ("80%", None),
        ("★★★★☆", 4),
        ("★★★★★", 5),
        ("4/20", None),
    ],
)
def test_another_scale(text: str, value: float | None) -> None:
    assert FIVE.read(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Yes", 1), ("**No**", 0), ("yes.", 1), ("Yes, because it is short", 1), ("No (wrong sum)", 0),
        ("Verdict: yes", 1), ("No - wrong", 0), ("yes/no", None), ("Yes and no", None), ("Not sure", None),
        ("nope", None), ("1", None), ("one", None), ("true", 1), ("False.", 0), ("[yes]", 1), (r"\text{no}", 0),
        ("Answer: yes", 1), ("Y", 1), ("n", 0), ("not yes", None), ("100%", None), ("never", None),
    ],
)  # fmt: skip
def test_words(text: str, value: float | None) -> None:
    assert WORDS.read(text) == value


@pytest.mark.parametrize(
    ("text", "place"),
    [("8/10", 0), ("**8** of 10", 2), ("Score: 8", 7), ("eight", 0), (" `7`", 2), ("[7]", 1), (r"\boxed{7}", 7)],
)
def test_where_the_grade_begins(text: str, place: int) -> None:
    found = TEN.find(text)
    assert found is not None
    assert found[1] == place


@pytest.mark.parametrize(
    "text", ["8" * 100_000, "the " * 50_000, "8 " * 50_000, "8 (" * 50_000, "*" * 100_000, "[" * 100_000, "★" * 100_000]
)
def test_long_texts_take_no_time(text: str) -> None:
    began = time.perf_counter()
    assert TEN.read(text) is None
    assert time.perf_counter() - began < 2.0
