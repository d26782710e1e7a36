"""The benchmark of selections: its words fit its figures, and its table has them all."""

import numpy as np
import pytest

from benchmarks.selection import PosteriorVote, figures, table, verdict
from langchain_optscale.evaluation.pools import Pool
from tests.unit_tests.evaluation.replayed import question, random_pool


@pytest.mark.parametrize(
    ("difference", "ci", "said"),
    [
        (-0.03, (-0.05, -0.01), "the best score loses to plain majority by 3.0 points [-5.0, -1.0]"),
        (0.03, (0.01, 0.05), "the best score beats plain majority by 3.0 points [+1.0, +5.0]"),
        (-0.01, (-0.05, 0.01), "not significant: the best score is below plain majority by 1.0 points [-5.0, +1.0]"),
        (0.0, (0.0, 0.0), "both choose the same candidates"),
    ],
)
def test_verdicts(difference, ci, said):
    assert verdict({"difference": difference, "ci": ci}) == said


def misled(questions=60, samples=8):
    """Two in three samples are right, and the wrong ones have the better scores."""
    generator = np.random.default_rng(1)
    made = []
    for number in range(questions):
        right = generator.random(samples) < 2 / 3
        made.append(
            question(
                answers=np.where(right, "right", "wrong").tolist(),
                scores=np.where(right, 0.4, 0.6).tolist(),
                correct=right.tolist(),
                id_=str(number),
            )
        )
    return Pool(tuple(made), "misled")


def test_a_misleading_verifier_loses_to_the_majority():
    row = figures(misled(), 8)
    assert row["verdict"].startswith("the best score loses to plain majority by")
    assert row["accuracy"]["best"]["accuracy"] < 0.2 < 0.7 < row["accuracy"]["majority"]["accuracy"]
    assert row["accuracy"]["weighted^4"]["accuracy"] <= row["accuracy"]["weighted^1"]["accuracy"]


def test_the_table_has_every_pool():
    rows = [figures(random_pool(), n) for n in (2, 8)]
    page = table(rows)
    assert page.count("| random (40) |") == 2
    assert all(row["verdict"] in page for row in rows)
    assert PosteriorVote(3).settings == {"n": 3}
