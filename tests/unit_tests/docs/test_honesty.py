"""The study counts promises only where they can fail."""

import numpy as np

from docs.honesty import CAP, TARGETS, Questions, single_analysis
from langchain_optscale.stats import EmpiricalPrior


def _played(scores):
    rows = np.tile(np.array(scores), (3, 1))
    prior = EmpiricalPrior.fit([[0.3, 0.5, 0.7, 0.6, 0.4]] * 6)
    return Questions("made", rows, {target: np.full(3, 0.5) for target in TARGETS}, prior)


def test_questions_whose_target_is_met_are_not_counted():
    """Three scores that have every target: nothing more is needed, so no promise about more draws is made or kept."""
    assert single_analysis(_played([0.99, 0.2, 0.3] + [0.99] * (CAP - 3))) == []


def test_the_others_are_counted_by_what_comes_after():
    scores = [0.5, 0.79, 0.7]
    never, always = (single_analysis(_played(scores + [then] * (CAP - 3))) for then in (0.5, 0.99))
    assert never
    assert {row.kept for row in never} == {0}
    assert all(row.kept == row.questions > 0 for row in always)
