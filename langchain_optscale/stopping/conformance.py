"""What every stopping rule must satisfy, as a test class to run on rules of your own.

    from langchain_optscale.stopping.conformance import RuleConformance

    class TestMyRule(RuleConformance):
        def make_rule(self):
            return MyRule(limit=3)

Any test runner that calls methods named `test_*` will do; pytest needs nothing more.
"""
# ruff: noqa: S101 - assertions are the purpose of this module

from __future__ import annotations

import copy
import json
import warnings
from abc import ABC, abstractmethod

from langchain_optscale.records.decisions import Decision, StopReason
from langchain_optscale.stopping.base import History, Rule
from langchain_optscale.stopping.budgets import MaxSamples

__all__ = ["RuleConformance"]

_SCORE_LISTS: tuple[tuple[float, ...], ...] = (
    (),
    (0.0,),
    (1.0,),
    (0.5, 0.5, 0.5),
    (0.0, 1.0),
    (0.2, 0.4, 0.9, 0.95, 0.1),
    (1.0,) * 16,
    (0.9, 0.90000000001, 0.9),
)


class RuleConformance(ABC):
    """Subclass it, write `make_rule`, and run its tests."""

    @abstractmethod
    def make_rule(self) -> Rule:
        """A rule as a user would configure it; called anew for every test."""

    def histories(self) -> list[History]:
        """Histories on which the rule is tried; extend them with what your rule reads."""
        return [
            History(scores=scores, pending=pending, failures=failures, tokens=50 * len(scores), max_samples=16)
            for scores in _SCORE_LISTS
            for pending in (0, 3)
            for failures in (0, 2)
        ]

    def test_answers_with_a_sound_decision(self) -> None:
        """A stop has a reason and requests no draws; continuing has none and requests at least 0."""
        rule = self.make_rule()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for history in self.histories():
                decision = rule(history)
                assert isinstance(decision, Decision)
                if decision.stop:
                    assert isinstance(decision.reason, StopReason)
                    assert decision.draw in (0, None)
                else:
                    assert decision.reason is None
                    assert decision.draw is None or decision.draw >= 0
                assert decision.optimal_n is None or decision.optimal_n >= 1

    def test_is_a_function_of_the_history(self) -> None:
        """Evaluated twice, or after other histories, a rule decides the same: it keeps no state."""
        rule = self.make_rule()
        first = [rule(history) for history in self.histories()]
        backwards = [rule(history) for history in reversed(self.histories())]
        assert first == backwards[::-1]

    def test_compares_by_value(self) -> None:
        """Two rules with the same settings are equal and have the same repr and hash."""
        one, other = self.make_rule(), self.make_rule()
        assert one == other
        assert hash(one) == hash(other)
        assert repr(one) == repr(other)
        assert copy.deepcopy(one) == one

    def test_joins_with_other_rules(self) -> None:
        """`|` stops no later than either side, `&` no earlier than both."""
        rule, cap = self.make_rule(), MaxSamples(5)
        for history in self.histories():
            alone, capped = rule(history).stop, cap(history).stop
            assert (rule | cap)(history).stop == (alone or capped)
            assert (rule & cap)(history).stop == (alone and capped)

    def test_survives_json(self) -> None:
        """Written as JSON and read back, a rule is equal."""
        rule = self.make_rule()
        assert Rule.from_dict(json.loads(json.dumps(rule.to_dict()))) == rule
