"""The benchmark that reads math-verify's published pairs, on a source distribution of our own."""

import io
import os
import tarfile
from pathlib import Path

import pytest

from benchmarks.math_verify_pairs import agreement, answer_of, published_pairs

TESTS = r"""
import math
import pytest

@pytest.mark.parametrize(
    "gold,pred,expected",
    [
        ("$7$", r"$\boxed{7}$", 1),
        ("$7$", r"$\boxed{7}$", 1),
        ("$7$", "so the answer is $7$, as was to be shown", 1),
        (f"{math.sqrt(17):.15f}", "$4$", 0),
        ("$1,2$", "(2,1)", 1),
    ],
)
def test_pairs(gold, pred, expected): ...

@pytest.mark.parametrize("gold, pred, strict, expected", [("f(x)", "f(y)", True, 0), ("f(x)", "f(y)", False, 1)])
def test_settings(gold, pred, strict, expected): ...

@pytest.mark.parametrize("text", ["no pair"])
def test_other(text): ...
"""


def write_sdist(path):
    with tarfile.open(path, "w:gz") as archive:
        for name, text in {"m-1/tests/test_pairs.py": TESTS, "m-1/src/test_not.py": "raise SystemExit"}.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return path


def test_pairs_are_read_and_compared(tmp_path):
    pairs = published_pairs(write_sdist(tmp_path / "m.tar.gz"))
    assert [(pair["gold"], pair["same"], pair["settings"]) for pair in pairs] == [
        ("$7$", True, {}),
        ("$7$", True, {}),
        ("4.123105625617661", False, {}),
        ("$1,2$", True, {}),
        ("f(x)", False, {}),
        ("f(x)", True, {"strict": False}),
    ]
    figures = agreement(pairs)
    assert (figures["pairs"], figures["comparable"], figures["agree"]) == (6, 4, 3)
    (disagreement,) = figures["disagreements"]
    assert (disagreement["gold"], disagreement["published"]) == ("$1,2$", True)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"Thus $x = \boxed{\frac12}$.", r"\frac12"),
        ("$x = 3$", "$x = 3$"),
        ("28 percent", "28 percent"),
        (r"$\text{Paris}$", r"$\text{Paris}$"),
        ("Paris", "Paris"),
        ("the number is 10, not 12", None),
    ],
)
def test_the_answer_of_a_side(text, answer):
    assert answer_of(text) == answer


@pytest.mark.skipif("MATH_VERIFY_SDIST" not in os.environ, reason="MATH_VERIFY_SDIST names no source distribution")
def test_the_published_pairs():
    figures = agreement(published_pairs(Path(os.environ["MATH_VERIFY_SDIST"])))
    assert figures["agree"] / figures["comparable"] > 0.95
