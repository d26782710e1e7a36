"""Comparisons of candidates by a judge, and the ranking that comes of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_optscale.errors import InvalidRecordError
from langchain_optscale.records.stored import MOST_CANDIDATES, Fields
from langchain_optscale.records.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Comparison", "FailedComparison", "Ranking"]

_SLACK = 1e-6


@dataclass(frozen=True)
class Comparison:
    """A judge's preference among candidates in one order.

    Attributes:
        order: Indexes of the candidates in the order in which the judge saw them; at least two, all different.
        shares: Each one's share of the win, at least 0, in total 1: 1 and 0, equal shares for a tie, or probabilities.
        explanation: The judge's reasons, if it gave any.
        usage: What the judge's model consumed; None where that is unknown, or the comparison was cached.

    Raises:
        InvalidRecordError: The order or the shares are none.
    """

    order: tuple[int, ...]
    shares: tuple[float, ...]
    explanation: str | None = None
    usage: Usage | None = None

    def __post_init__(self) -> None:
        if len(self.order) < 2 or len(set(self.order)) < len(self.order):
            raise InvalidRecordError(f"a comparison needs at least two different candidates, got {list(self.order)}")
        if len(self.shares) != len(self.order) or not all(0 <= share <= 1 + _SLACK for share in self.shares):
            raise InvalidRecordError(f"a comparison needs a share in [0, 1] for each candidate, got {self.shares}")
        if abs(sum(self.shares) - 1.0) > _SLACK:
            raise InvalidRecordError(f"the shares of a comparison must add up to 1, got {list(self.shares)}")

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; `from_dict` reads it."""
        return {
            "order": list(self.order),
            "shares": list(self.shares),
            "explanation": self.explanation,
            "usage": self.usage and self.usage.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: object) -> Comparison:
        """Read what `to_dict` wrote.

        Raises:
            InvalidRecordError: A field is missing or damaged.
        """
        fields = Fields(data, "a comparison")
        usage = fields.data.get("usage")
        said = fields.data.get("explanation")
        return cls(
            fields.wholes("order", most=MOST_CANDIDATES),
            fields.reals("shares", most=MOST_CANDIDATES),
            None if said is None else fields.text("explanation"),
            None if usage is None else Usage.from_dict(usage),
        )


@dataclass(frozen=True)
class FailedComparison:
    """A comparison that a judge did not make.

    Attributes:
        order: Indexes of the candidates in the order in which they were shown.
        error: Class and message of the error.
    """

    order: tuple[int, ...]
    error: str

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; `from_dict` reads it."""
        return {"order": list(self.order), "error": self.error}

    @classmethod
    def from_dict(cls, data: object) -> FailedComparison:
        """Read what `to_dict` wrote.

        Raises:
            InvalidRecordError: A field is missing or damaged.
        """
        fields = Fields(data, "a failed comparison")
        return cls(fields.wholes("order", most=MOST_CANDIDATES), fields.text("error"))


@dataclass(frozen=True)
class Ranking:
    """The candidates that were compared, and how strong they are by the comparisons and their scores.

    Attributes:
        indexes: The candidates, by index, the strongest first.
        strengths: Their strengths in logits (see `stats.bradley_terry`), in the same order.
        stds: The standard deviations of the strengths.
        probabilities: P(each is the strongest of them).
        place_bias: How much the judge prefers what it sees first, in logits, after asking in both orders.
        place_bias_std: Its standard deviation.
        pointwise: The index of the candidate that would have been chosen without comparisons.
        comparisons: What the judge said, in the order in which it was asked.
        failures: The comparisons that failed.
        usage: What all comparisons consumed, also those that failed.
    """

    indexes: tuple[int, ...]
    strengths: tuple[float, ...]
    stds: tuple[float, ...]
    probabilities: tuple[float, ...]
    place_bias: float
    place_bias_std: float
    pointwise: int
    comparisons: tuple[Comparison, ...] = ()
    failures: tuple[FailedComparison, ...] = ()
    usage: Usage = field(default_factory=Usage)

    @property
    def best(self) -> int:
        """The index of the strongest candidate."""
        return self.indexes[0]

    def __str__(self) -> str:
        asked = len(self.comparisons) + len(self.failures)
        changed = "" if self.best == self.pointwise else f" instead of {self.pointwise}"
        noun = "comparison" if asked == 1 else "comparisons"
        return f"candidate {self.best}{changed} after {asked} {noun}, P(best) = {self.probabilities[0]:.2f}"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; `from_dict` reads it."""
        return {
            "indexes": list(self.indexes),
            "strengths": list(self.strengths),
            "stds": list(self.stds),
            "probabilities": list(self.probabilities),
            "place_bias": self.place_bias,
            "place_bias_std": self.place_bias_std,
            "pointwise": self.pointwise,
            "comparisons": [comparison.to_dict() for comparison in self.comparisons],
            "failures": [failure.to_dict() for failure in self.failures],
            "usage": self.usage.to_dict(),
        }

    def summary(self) -> dict[str, Any]:
        """The ranking in a few JSON-ready figures, with the numbers of comparisons in place of them."""
        full = self.to_dict()
        short = {name: full[name] for name in ("indexes", "strengths", "probabilities", "place_bias", "pointwise")}
        return {**short, "comparisons": len(self.comparisons), "failures": len(self.failures)}

    @classmethod
    def from_dict(cls, data: object) -> Ranking:
        """Read what `to_dict` wrote.

        Raises:
            InvalidRecordError: A field is missing or damaged.
        """
        fields = Fields(data, "a ranking")
        ranking = cls(
            fields.wholes("indexes", most=MOST_CANDIDATES),
            fields.reals("strengths", most=MOST_CANDIDATES),
            fields.reals("stds", most=MOST_CANDIDATES),
            fields.reals("probabilities", most=MOST_CANDIDATES),
            fields.real("place_bias"),
            fields.real("place_bias_std"),
            fields.whole("pointwise"),
            tuple(Comparison.from_dict(item) for item in fields.items("comparisons")),
            tuple(FailedComparison.from_dict(item) for item in fields.items("failures")),
            Usage.from_dict(fields.get("usage")),
        )
        _same_length(ranking.indexes, ranking.strengths, ranking.stds, ranking.probabilities)
        return ranking


def _same_length(*rows: Sequence[Any]) -> None:
    if not rows[0] or len({len(row) for row in rows}) > 1:
        raise InvalidRecordError("a ranking must have a strength, its deviation and a probability for each candidate")
