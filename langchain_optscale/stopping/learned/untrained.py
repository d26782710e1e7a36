"""The untrained rule on recorded trajectories, which a learned rule has to beat.

A fit to few questions may lose to the untrained default at its own number of candidates by chance. So a rule that
would spend about as many must be better by a standard error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from langchain_optscale.answers.selection import as_selection
from langchain_optscale.stats.estimators import default_estimator
from langchain_optscale.stopping.answer_rules import default_selection, selection_for
from langchain_optscale.stopping.base import History
from langchain_optscale.stopping.learned.trajectories import in_errors

if TYPE_CHECKING:
    from langchain_optscale.answers.selection import Selection
    from langchain_optscale.stopping.base import Rule
    from langchain_optscale.stopping.learned.backward import FloatArray
    from langchain_optscale.stopping.learned.trajectories import Recording

__all__ = ["Untrained"]

_ORDERS = 4
"""Trajectories of each question."""

_AS_MANY = 0.1
"""Two mean numbers of candidates within this share of one another count as equal."""

_LEAST_BETTER = 1.0
"""In standard errors over questions."""


@dataclass(frozen=True, eq=False)
class Untrained:
    """The value that an untrained rule returns, and its candidates, by question.

    Attributes:
        worths: Mean worth of what it returns, shape (Q,).
        spent: Mean number of candidates, shape (Q,).
    """

    worths: FloatArray
    spent: FloatArray

    @classmethod
    def of(cls, rule: Rule, recording: Recording, points: tuple[int, ...], orders: int, seed: int) -> Untrained:
        """Run a rule, with its default selection, on the first few trajectories of each question of a fit."""
        estimator = default_estimator(None, looks_ahead=any(part.looks_ahead for part in rule.parts()))
        known: dict[str, Any] = {"max_samples": points[-1], "estimator": estimator}
        selection = cast("Selection", as_selection(selection_for(default_selection(rule), rule)))
        worths, spent = np.zeros((2, len(recording.questions)))
        used = min(orders, _ORDERS)
        for number, (group, order) in enumerate(recording.orders(points[-1], orders, seed)):
            if number % orders >= used:
                continue
            samples = [recording.questions[group].samples[place] for place in order]
            scores = tuple([float(sample.score) for sample in samples])
            answers = tuple([sample.answer for sample in samples])
            for n in points:
                if n == points[-1] or rule(History(scores=scores[:n], answers=answers[:n], **known)).stop:
                    break
            worths[group] += recording.worths[group][order[selection.position(answers[:n], scores[:n])]] / used
            spent[group] += n / used
        return cls(worths, spent)

    def serves(self, worths: FloatArray, spent: FloatArray) -> bool:
        """Whether a learned rule with these held-out worths and candidates (Q,) spends as much and is not better."""
        as_many = abs(spent.mean() - self.spent.mean()) <= _AS_MANY * self.spent.mean()
        return bool(as_many and in_errors(worths - self.worths) < _LEAST_BETTER)
