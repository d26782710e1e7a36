"""Oracles: hand-computed cases, and that no method does better."""

import pytest

from langchain_optscale.errors import SettingsError
from langchain_optscale.evaluation.oracles import CorrectnessOracle, TailOracle
from langchain_optscale.records.decisions import StopReason
from tests.unit_tests.evaluation.replayed import question


def test_correctness_by_hand():
    asked = question(correct=[False, False, True, True])
    found = CorrectnessOracle().run(asked, 4)
    assert (found.drawn, found.rounds, found.chosen, found.kept) == (3, 3, 2, True)
    given_up = CorrectnessOracle().run(asked, 2)
    assert (given_up.drawn, given_up.chosen, given_up.stop_reason) == (1, 0, StopReason.FUTILITY)


@pytest.mark.parametrize(
    ("confidence", "drawn", "reason"),
    [
        (0.5, 1, StopReason.OPTIMAL_N),  # one of two has it: 1 - 1/2 is enough
        (0.75, 2, StopReason.OPTIMAL_N),  # 1 - 1/4, a whole ratio of logarithms
        (0.76, 3, StopReason.OPTIMAL_N),
        (0.95, 4, StopReason.MAX_SAMPLES),  # log 0.05 / log 0.5 = 4.3: cut at the cap
    ],
)
def test_the_tail_by_hand(confidence, drawn, reason):
    outcome = TailOracle(0.9, confidence).run(question(scores=[0.1, 0.95, 0.2, 0.9]), 4)
    assert (outcome.drawn, outcome.rounds, outcome.stop_reason) == (drawn, 1, reason)
    assert outcome.reached is (drawn > 1)


def test_a_tail_that_is_empty_or_everything():
    assert TailOracle(0.9).run(question(scores=[0.1, 0.2, 0.3]), 3).drawn == 3
    assert TailOracle(0.1).run(question(scores=[0.1, 0.2, 0.3]), 3).drawn == 1


def test_it_knows_samples_beyond_the_cap():
    outcome = TailOracle(0.9, 0.8).run(question(scores=[0.1, 0.2, 0.95, 0.95, 0.95]), 2)
    assert (outcome.drawn, outcome.kept) == (2, False)


def test_what_is_refused():
    with pytest.raises(SettingsError, match="confidence"):
        TailOracle(0.9, 1.0)
    with pytest.raises(SettingsError, match="target"):
        TailOracle(1.9)
    with pytest.raises(SettingsError, match="right"):
        CorrectnessOracle().run(question(scores=[0.5]), 1)
