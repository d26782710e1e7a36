"""Taking up rounds that were drawn under other settings."""

import json

import pytest

from langchain_optscale import Session, SettingsError, StopReason, Verdict
from langchain_optscale.stopping import MaxSamples, TargetReached


def test_a_search_goes_on_under_a_new_target_with_what_it_has():
    session = Session(TargetReached(0.9), max_samples=8, first_round=2)
    session.adopt(3)
    assert session.ask() == 0
    assert session.pending == (0, 1, 2)
    for index, score in enumerate((0.2, 0.95, 0.4)):
        session.tell(index, Verdict(score))
    assert session.decision.reason is StopReason.TARGET_REACHED
    session.adopt(2)  # drawn before the target was lowered
    session.tell(3, Verdict(0.99))
    session.tell(4, Verdict(0.1))
    assert session.best == 3
    assert [one.indexes for one in session.rounds] == [(0, 1, 2), (3, 4)]
    assert session.round_of(4) == 1


def test_a_rule_counts_what_was_taken_up():
    session = Session(MaxSamples(4), max_samples=4)
    session.adopt(3)
    for index in range(3):
        session.tell(index, Verdict(0.5))
    assert session.ask() == 1


def test_it_is_part_of_the_json_form():
    session = Session(TargetReached(0.9), max_samples=8)
    session.adopt(5)
    session.tell(2, Verdict(0.3))
    again = Session.from_dict(json.loads(json.dumps(session.to_dict())))
    assert again.pending == session.pending
    assert again.decision == session.decision


@pytest.mark.parametrize("count", [0, -1])
def test_an_empty_round_is_none(count):
    with pytest.raises(SettingsError, match="cannot be adopted"):
        Session(TargetReached(0.9)).adopt(count)


def test_not_while_candidates_are_pending():
    session = Session(TargetReached(0.9))
    session.ask()
    with pytest.raises(SettingsError, match=r"while \[0, 1\] are pending"):
        session.adopt(1)
