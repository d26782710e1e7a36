"""The algebra of rules, on hand-made histories."""

import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_optscale.errors import InvalidRecordError
from langchain_optscale.records.decisions import Decision, StopReason
from langchain_optscale.stopping import (
    Deadline,
    History,
    MaxSamples,
    MinSamples,
    OptimalN,
    Rule,
    TargetReached,
)


@dataclass(frozen=True)
class FixedRequest(Rule):
    """Continues with a fixed number of requested draws, or stops."""

    draw: int | None = None
    stop: bool = False

    def __call__(self, history):
        if self.stop:
            return Decision(stop=True, reason=StopReason.FUTILITY, draw=0, rule="FixedRequest")
        return Decision(draw=self.draw, rule="FixedRequest", optimal_n=self.draw)


EMPTY = History()


@pytest.mark.parametrize(
    ("left", "right", "either", "both"),
    [
        (3, 5, 3, 5),
        (5, 3, 3, 5),
        (None, 4, 4, None),
        (4, None, 4, None),
        (None, None, None, None),
        (0, 2, 0, 2),
    ],
)
def test_wishes_of_rules_that_go_on(left, right, either, both):
    assert (FixedRequest(left) | FixedRequest(right))(EMPTY).draw == either
    assert (FixedRequest(left) & FixedRequest(right))(EMPTY).draw == both


@pytest.mark.parametrize(("left", "right"), [(True, False), (False, True), (True, True)])
def test_stops(left, right):
    joined = FixedRequest(2, stop=left), FixedRequest(2, stop=right)
    either = (joined[0] | joined[1])(EMPTY)
    both = (joined[0] & joined[1])(EMPTY)
    assert (either.stop, either.reason, either.draw) == (True, StopReason.FUTILITY, 0)
    assert both.stop == (left and right)
    assert both.draw == (0 if left and right else 2)


def test_the_left_side_gives_the_reason_of_both():
    decision = (OptimalN(0.5, 0.9) & MinSamples(2))(History(scores=(0.9, 0.91)))
    assert decision.reason is StopReason.OPTIMAL_N
    swapped = (MinSamples(2) & OptimalN(0.5, 0.9))(History(scores=(0.9, 0.91)))
    assert swapped.reason is StopReason.MIN_SAMPLES


def test_figures_and_bound_of_both_sides_are_kept():
    decision = (TargetReached(0.9) | OptimalN(0.95, 0.9) | MaxSamples(16))(History(scores=(0.3, 0.6)))
    assert {"best", "confidence", "max_samples"} <= decision.figures.keys()
    assert decision.draw == min(decision.optimal_n - 2, 14)


def test_repr_reads_as_it_was_written():
    rule = (TargetReached(0.9) | OptimalN(0.9, 0.95)) & MinSamples(3) | MaxSamples(8)
    assert repr(rule) == (
        "(TargetReached(target=0.9) | OptimalN(target=0.9, confidence=0.95)) & MinSamples(limit=3)"
        " | MaxSamples(limit=8)"
    )
    assert eval(repr(rule)) == rule  # noqa: S307 - our own repr


def test_limits_of_joined_rules():
    rule = OptimalN(0.9, 0.95) & MinSamples(5) | MaxSamples(8) | Deadline(3.0)
    assert (rule.min_samples, rule.max_samples, rule.deadlines) == (5, 8, (3.0,))
    assert (MaxSamples(8) & OptimalN(0.9, 0.9)).max_samples is None
    assert (MaxSamples(8) & MaxSamples(9)).max_samples == 9
    assert (Deadline(2) | Deadline(1)).deadlines == (1, 2)


def test_a_rule_joins_only_with_rules():
    with pytest.raises(TypeError):
        MaxSamples(3) | 4


RULES = st.recursive(
    st.one_of(
        st.builds(TargetReached, st.floats(0, 1)),
        st.builds(OptimalN, st.floats(0, 1), st.floats(0.01, 0.99)),
        st.builds(MaxSamples, st.integers(1, 99)),
        st.builds(Deadline, st.floats(0.1, 1e6)),
        st.builds(FixedRequest, st.none() | st.integers(0, 9), st.booleans()),
    ),
    lambda rules: st.builds(lambda a, b, either: a | b if either else a & b, rules, rules, st.booleans()),
)


@given(RULES)
def test_json_round_trip(rule):
    assert Rule.from_dict(json.loads(json.dumps(rule.to_dict()))) == rule


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"rule": "Magic"}, "unknown stopping rule 'Magic'"),
        ({}, "unknown stopping rule None"),
        ({"rule": "MaxSamples", "limit": 0}, "at least 1"),
        ({"rule": "MaxSamples", "size": 3}, "unexpected keyword argument"),
        ({"rule": "os.system", "command": "true"}, "unknown stopping rule 'os.system'"),
    ],
)
def test_damaged_json_is_refused(data, sentence):
    with pytest.raises(InvalidRecordError, match=sentence):
        Rule.from_dict(data)
