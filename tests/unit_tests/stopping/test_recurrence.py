"""When failures say that further candidates would fail alike."""

import pytest

from langchain_optscale.records.candidates import Failure
from langchain_optscale.stopping.recurrence import is_recurrent

LOST = Failure("draw", "lost")


@pytest.mark.parametrize("count", [1, 2, 4])
def test_failures_that_may_pass_never_end_a_search(count: int) -> None:
    assert LOST.recurrence == "possible"
    assert not is_recurrent(LOST, dict.fromkeys(range(count), LOST), range(count))


def test_a_whole_round_that_failed_alike_ends_it_where_that_is_likely_to_recur() -> None:
    likely = Failure("draw", "quota", recurrence="likely")
    assert is_recurrent(likely, {0: likely, 1: likely}, (0, 1))
    assert not is_recurrent(likely, {0: likely, 1: likely}, (0, 1, 2))
    assert not is_recurrent(likely, {0: likely}, (0,))
    assert not is_recurrent(likely, {0: likely, 1: LOST}, (0, 1))


def test_a_failure_that_is_certain_to_recur_ends_it_at_once() -> None:
    certain = Failure("draw", "the key was rejected", recurrence="certain")
    assert is_recurrent(certain, {3: certain}, (2, 3, 4))
