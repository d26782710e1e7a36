r"""Has something changed since it was learned? Predicted against realised, looked at after every search.

Figures that take many values, as scores do, are tested by `stats.exchangeability`: whether they still come from the law
of those that were learned from. Shares, such as how often answers agree, each have a `stats.mean_test`. All tests of a
monitor share alpha.

A verifier that turns round may leave the mean of scores as it was. Whether scores still say what is right shows without
labels in how they go with agreement: scores of searches whose first two answers are equal, and of those whose answers
differ, are two kinds of one test.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from langchain_optscale.errors import InvalidRecordError
from langchain_optscale.records.stored import Fields, reading
from langchain_optscale.stats.exchangeability import ExchangeabilityTest
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
_MOST_VALUES, _FEW_VALUES = 400, 3
# Of what is estimated from n searches: the slack in its standard errors, and at least so much.
_ERRORS, _LEAST_SLACK = 2.0, 0.01

NAMES = {
    "score": "the mean of the first two scores",
    "spread": "the difference of the first two scores",
    "agreement": "how often the first two answers are equal",
    "agreeing": "the mean of the first two scores where their answers are equal",
    "differing": "the mean of the first two scores where their answers differ",
    "silence": "how often the first candidates have no answer",
    "right": "how often labelled answers are right, against what was predicted",
    "changed": "how often the default would have returned another answer",
    "stable": "how often an answer that was called stable was not",
}
"""The figures that are watched, in words."""

_KINDS = ("agreeing", "differing")


@dataclass(frozen=True)
class Expected:
    """What a figure is expected to be.

    Attributes:
        mean: In [0, 1].
        slack: Of a share, how far the true mean may be from it without an alarm, at least 0.
        searches: How many it was learned from.
        values: Of a figure that takes many values those that it was learned from, at most 400 of them, evenly over
            time: their law is tested. Empty for shares, whose mean is.
    """

    mean: float
    slack: float
    searches: int
    values: tuple[float, ...] = ()

    @classmethod
    def of(cls, values: Sequence[float]) -> Expected:
        """Of values in [0, 1]: their law, or of a share the mean, with two standard errors of slack, at least 0.01."""
        if len(set(values)) > _FEW_VALUES:
            return cls.of_law(values)
        mean = math.fsum(values) / len(values)
        variance = math.fsum((value - mean) ** 2 for value in values) / max(1, len(values) - 1)
        # As if one more search of either kind had been seen: equal values are no proof that all will be equal.
        error = math.sqrt((variance + 0.25 / len(values)) / len(values))
        return cls(mean, max(_LEAST_SLACK, _ERRORS * error), len(values))

    @classmethod
    def of_law(cls, values: Sequence[float]) -> Expected:
        """Of at least one value in [0, 1], in the order of time: their law."""
        count, kept = len(values), min(len(values), _MOST_VALUES)
        law = tuple(values[place * count // kept] for place in range(kept))
        return cls(math.fsum(values) / count, 0.0, count, law)

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
            values = tuple(map(float, fields.items("values", (), most=_MOST_VALUES)))
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
        law: Whether it is the law of its values that has changed; else the mean.
    """

    figure: str
    expected: float
    observed: float
    searches: int
    alpha: float
    law: bool = False

    def __str__(self) -> str:
        then, since = f"{self.expected:.3f}", f"{self.observed:.3f} over {self.searches} searches since"
        compared = f"was {then} when it was learned and is {since}"
        if self.law:
            compared = f"is distributed otherwise than when it was learned ({then} on average then, {since})"
        return f"{NAMES[self.figure]} {compared}: what was learned is no longer used, the untrained default decides"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, with the sentence under "text"."""
        return {**asdict(self), "text": str(self)}


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
    _tests: dict[str, _Test] = field(default_factory=dict, repr=False)
    _totals: dict[str, float] = field(default_factory=dict, repr=False)
    _counts: dict[str, int] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self._tests = _tests_of(self.expected, self.alpha)
        self._totals, self._counts = dict.fromkeys(self._tests, 0.0), dict.fromkeys(self._tests, 0)

    def observe(self, figures: Mapping[str, float]) -> Alarm | None:
        """Take the figures of the next search, each in [0, 1]; those that nothing was expected of are ignored.

        Returns:
            The first alarm, also at every later search; None without one.
        """
        for name, value in figures.items():
            if self.alarm is not None or name not in self._tests:
                continue
            self._totals[name] += value
            self._counts[name] += 1
            if self._tests[name].observe(name, value):
                mean, count = self._totals[name] / self._counts[name], self._counts[name]
                expected = self.expected[name]
                self.alarm = Alarm(name, expected.mean, mean, count, self.alpha, bool(expected.values))
        return self.alarm

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: "alarm", and of each figure "expected", "observed", "searches" and "evidence"."""
        return {
            "alarm": self.alarm and self.alarm.to_dict(),
            "figures": {
                name: {
                    "expected": self.expected[name].mean,
                    "observed": self._totals[name] / count if (count := self._counts[name]) else None,
                    "searches": count,
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
            figures[_KINDS[answers[0] != answers[1]]] = figures["score"]
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
    values = _by_name(figures)
    found = {name: Expected.of(one) for name, one in values.items() if len(one) >= _FEWEST and name not in _KINDS}
    if (score := found.get("score")) is not None and score.values:
        found |= {name: Expected.of_law(values[name]) for name in _KINDS if name in values}
    found["stable"] = Expected((1.0 - confidence) / 2.0, (1.0 - confidence) / 2.0, len(values.get("stable", ())))
    found["right"] = Expected(0.5, _LEAST_SLACK * 2.0, len(values.get("right", ())))
    return found


def _by_name(figures: Iterable[Mapping[str, float]]) -> dict[str, list[float]]:
    values: dict[str, list[float]] = {}
    for one in figures:
        for name, value in one.items():
            values.setdefault(name, []).append(value)
    return values


class _Test(Protocol):
    """A test of one or several figures."""

    @property
    def evidence(self) -> float:
        """How many times an initial capital the bets have become."""

    def observe(self, name: str, value: float, /) -> bool:
        """Take the next value of a figure; whether something has changed."""


class _ShareTest:
    """Of the mean of one figure."""

    def __init__(self, expected: Expected, alpha: float) -> None:
        self._test = MeanTest(expected.mean, expected.slack, alpha)

    @property
    def evidence(self) -> float:
        return self._test.evidence

    def observe(self, _: str, value: float, /) -> bool:
        return self._test.observe(value)


def _tests_of(expected: Mapping[str, Expected], alpha: float) -> dict[str, _Test]:
    """The test of each figure, which share alpha; the two kinds of scores have one test, and scores then no other."""
    kinds = [name for name in _KINDS if name in expected]
    alone = [name for name in expected if name in NAMES and name not in kinds and not (kinds and name == "score")]
    share = alpha / max(1, len(alone) + bool(kinds))
    tests: dict[str, _Test] = {}
    for name in alone:
        values = expected[name].values
        tests[name] = ExchangeabilityTest({name: values}, share) if values else _ShareTest(expected[name], share)
    if kinds:
        both = ExchangeabilityTest({name: expected[name].values for name in kinds}, share)
        tests |= dict.fromkeys(kinds, both)
    return tests
