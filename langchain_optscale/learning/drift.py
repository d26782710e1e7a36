r"""Has something changed since it was learned? Predicted against realised, looked at after every search.

Each figure of a search has a `stats.mean_test.MeanTest` of its own, and all figures of a monitor share alpha.

A score is not bet on itself but its rank among the scores that were learned from, as a share: it is even over [0, 1],
so that a shift of narrow scores is a large one.

A verifier that turns round may leave the mean of scores as it was. Whether scores still say what is right shows without
labels in how they go with agreement. With r the rank of the mean of the first two scores, a whether their answers are
equal and m how often they were, together = 1/2 + (r - 1/2) (a - m) / max(m, 1 - m) exceeds 1/2 as both are correlated.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_optscale.errors import InvalidRecordError
from langchain_optscale.records.stored import Fields, reading
from langchain_optscale.stats.mean_test import MeanTest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from langchain_optscale.learning.rows import SearchRow

__all__ = [
    "ALPHA",
    "NAMES",
    "Alarm",
    "DriftMonitor",
    "Expected",
    "expectations",
    "figures_of",
]

ALPHA = 0.01
"""The probability that a monitor ever raises an alarm where nothing has changed."""

_FEWEST = 20
_RANKS, _FEW_VALUES = 99, 3
# Of what is estimated from n searches: the slack in its standard errors, and at least so much.
_ERRORS, _LEAST_SLACK = 2.0, 0.01

NAMES = {
    "score": "the mean of the first two scores",
    "spread": "the difference of the first two scores",
    "agreement": "how often the first two answers are equal",
    "together": "how far scores go with the agreement of answers (1/2 for not at all)",
    "silence": "how often the first candidates have no answer",
    "right": "how often labelled answers are right, against what was predicted",
    "changed": "how often the default would have returned another answer",
    "stable": "how often an answer that was called stable was not",
}
"""The figures that are watched, in words."""


@dataclass(frozen=True)
class Expected:
    """What a figure is expected to be.

    Attributes:
        mean: In [0, 1].
        slack: How far the true mean may be from it without an alarm, at least 0.
        searches: How many it was learned from.
        values: Evenly spaced quantiles of the values that it was learned from, at most 99, where they take many: then
            `slack` is that of the mean rank, which is expected to be 1/2. Empty for shares.
    """

    mean: float
    slack: float
    searches: int
    values: tuple[float, ...] = ()

    @classmethod
    def of(cls, values: Sequence[float]) -> Expected:
        """The mean of values in [0, 1], with two standard errors of slack, and at least 0.01."""
        if len(set(values)) > _FEW_VALUES:
            ordered = sorted(values)
            count = min(len(ordered), _RANKS)
            kept = [ordered[place * (len(ordered) - 1) // (count - 1)] for place in range(count)]
            slack = max(_LEAST_SLACK, _ERRORS / math.sqrt(12.0 * len(values)))
            return cls(math.fsum(values) / len(values), slack, len(values), tuple(kept))
        mean = math.fsum(values) / len(values)
        variance = math.fsum((value - mean) ** 2 for value in values) / max(1, len(values) - 1)
        # As if one more search of either kind had been seen: equal values are no proof that all will be equal.
        error = math.sqrt((variance + 0.25 / len(values)) / len(values))
        return cls(mean, max(_LEAST_SLACK, _ERRORS * error), len(values))

    def rank(self, value: float) -> float:
        """The share of the values that it was learned from below this one, ties counted half; itself for a share."""
        if not self.values:
            return value
        return (bisect_left(self.values, value) + bisect_right(self.values, value)) / (2.0 * len(self.values))

    def test(self, alpha: float) -> MeanTest:
        """The test of values as `rank` gives them."""
        return MeanTest(0.5 if self.values else self.mean, self.slack, alpha)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {"mean": self.mean, "slack": self.slack, "searches": self.searches, "values": list(self.values)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Expected:
        """Read what `to_dict` wrote.

        Raises:
            InvalidRecordError: It is damaged.
        """
        fields = Fields(data, "an expected figure")
        with reading("an expected figure"):
            mean, slack = fields.real("mean"), fields.seconds("slack")
            if not 0.0 <= mean <= 1.0:
                raise InvalidRecordError(f"the mean of an expected figure must be in [0, 1], got {mean!r}")
            values = tuple(map(float, fields.items("values", (), most=_RANKS)))
            return cls(mean, slack, fields.whole("searches"), values)


@dataclass(frozen=True)
class Alarm:
    """Something has changed since it was learned.

    Attributes:
        figure: Which figure, a key of `NAMES`.
        expected: Its mean when it was learned.
        observed: Its mean since.
        searches: How many searches were looked at since.
        alpha: The probability of such an alarm where nothing has changed.
    """

    figure: str
    expected: float
    observed: float
    searches: int
    alpha: float

    def __str__(self) -> str:
        return (
            f"{NAMES[self.figure]} was {self.expected:.3f} when it was learned and is {self.observed:.3f} over "
            f"{self.searches} searches since: what was learned is no longer used, the untrained default decides"
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, with the sentence under "text"."""
        names = ("figure", "expected", "observed", "searches", "alpha")
        return {**{name: getattr(self, name) for name in names}, "text": str(self)}


@dataclass
class DriftMonitor:
    """Watches the searches of one pair of policy and verifier, after something was learned from earlier ones.

    Args:
        expected: By figure, as `expectations` gives it.
        alpha: The probability that it ever raises an alarm where nothing has changed; shared by the figures.

    Attributes:
        alarm: The first alarm; None before it.

    Example:
        >>> monitor = DriftMonitor({"score": Expected(0.6, 0.02, 400)})
        >>> for _ in range(60):
        ...     alarm = monitor.observe({"score": 0.3})
        >>> alarm.figure, alarm.searches < 60
        ('score', True)
    """

    expected: Mapping[str, Expected]
    alpha: float = ALPHA
    alarm: Alarm | None = None
    _tests: dict[str, MeanTest] = field(default_factory=dict, repr=False)
    _totals: dict[str, float] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        share = self.alpha / max(1, len(self.expected))
        self._tests = {name: one.test(share) for name, one in self.expected.items()}
        self._totals = dict.fromkeys(self._tests, 0.0)

    def observe(self, figures: Mapping[str, float]) -> Alarm | None:
        """Take the figures of the next search, each in [0, 1]; those that nothing was expected of are ignored.

        Returns:
            The first alarm, also at every later search; None without one.
        """
        for name, value in {**figures, **_together(figures, self.expected)}.items():
            if self.alarm is not None or name not in self._tests:
                continue
            test, expected = self._tests[name], self.expected[name]
            self._totals[name] += value
            if test.observe(expected.rank(value)):
                self.alarm = Alarm(name, expected.mean, self._totals[name] / test.count, test.count, self.alpha)
        return self.alarm

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: "alarm", and of each figure "expected", "observed", "searches" and "evidence"."""
        return {
            "alarm": self.alarm and self.alarm.to_dict(),
            "figures": {
                name: {
                    "expected": self.expected[name].mean,
                    "observed": self._totals[name] / test.count if test.count else None,
                    "searches": test.count,
                    "evidence": test.evidence,
                }
                for name, test in self._tests.items()
            },
        }


def figures_of(row: SearchRow, predicted: float | None = None) -> dict[str, float]:
    """The figures of a search, each in [0, 1], as far as it has them.

    Those of the first two candidates do not depend on when the search stopped.

    Args:
        row: The search.
        predicted: P(right) of the returned answer, as it was learned; with a label it gives "right", half of one plus
            the label less the prediction.
    """
    scores, answers = row.scored[:2], row.scored_answers[:2]
    figures: dict[str, float] = {}
    if len(scores) == 2:
        figures["score"] = math.fsum(scores) / 2.0
        figures["spread"] = abs(scores[0] - scores[1])
        if answers[0] is not None or answers[1] is not None:
            figures["agreement"] = float(answers[0] == answers[1])
        figures["silence"] = sum(answer is None for answer in answers) / 2.0
    if predicted is not None and row.label is not None and row.label.correct is not None:
        figures["right"] = (1.0 + float(row.label.correct) - predicted) / 2.0
    if row.explored and row.chosen is not None and row.stopped_choice is not None:
        first, last = row.answers[row.stopped_choice], row.answers[row.chosen]
        changed = float(first != last) if first is not None else float(row.stopped_choice != row.chosen)
        figures["changed"] = changed
        if row.claim == "stable":
            figures["stable"] = changed
    return figures


def expectations(figures: Iterable[Mapping[str, float]], confidence: float = 0.95) -> dict[str, Expected]:
    """What to expect of each figure of which there were at least 20.

    Of "right" half of one is expected, and of "stable" that 1 - confidence fail, however many there were.

    Args:
        figures: Of past searches, by `figures_of`.
        confidence: That stable answers were promised with.
    """
    known = list(figures)
    values = _by_name(known)
    found = {name: Expected.of(one) for name, one in values.items() if len(one) >= _FEWEST}
    for name, one in _by_name(_together(figure, found) for figure in known).items():
        if len(one) >= _FEWEST:
            found[name] = Expected.of(one)
    found["stable"] = Expected((1.0 - confidence) / 2.0, (1.0 - confidence) / 2.0, len(values.get("stable", ())))
    found["right"] = Expected(0.5, _LEAST_SLACK * 2.0, len(values.get("right", ())))
    return found


def _by_name(figures: Iterable[Mapping[str, float]]) -> dict[str, list[float]]:
    values: dict[str, list[float]] = {}
    for one in figures:
        for name, value in one.items():
            values.setdefault(name, []).append(value)
    return values


def _together(figures: Mapping[str, float], expected: Mapping[str, Expected]) -> dict[str, float]:
    """How the scores of a search go with the agreement of its answers; nothing where one of them is not known."""
    score, agreement = expected.get("score"), expected.get("agreement")
    if score is None or not score.values or agreement is None or not {"score", "agreement"} <= figures.keys():
        return {}
    mean = agreement.mean
    away = (figures["agreement"] - mean) / max(mean, 1.0 - mean)
    return {"together": 0.5 + (score.rank(figures["score"]) - 0.5) * away}
