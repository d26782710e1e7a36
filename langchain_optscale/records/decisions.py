"""What the session decides after each candidate: to stop and why, or how many to draw, and on what estimate."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from langchain_optscale.records.candidates import Verdict
from langchain_optscale.records.stored import MOST_CANDIDATES, Fields, reading

if TYPE_CHECKING:
    from collections.abc import Mapping


__all__ = ["Decision", "Estimate", "Observation", "Round", "StopReason"]


class StopReason(Enum):
    """Why a search ended; the value is a sentence that a person understands.

    Example:
        >>> print(StopReason.MAX_SAMPLES.name, "-", StopReason.MAX_SAMPLES.value)
        MAX_SAMPLES - the largest allowed number of candidates was drawn
    """

    TARGET_REACHED = "a candidate reached the target score"
    OPTIMAL_N = "as many candidates were drawn as the bound asks for"
    ANSWER_CONFIDENT = "the leading answer is probable enough to be right"
    ANSWER_STABLE = "the candidates still allowed would hardly change the answer"
    ANSWER_SETTLED = "no allowed number of further candidates is worth its price in a surer answer"
    MARGINAL_GAIN = "one more candidate is not expected to improve the best score enough"
    FUTILITY = "the target is too unlikely to be reached within what may still be drawn"
    MIN_SAMPLES = "the least number of candidates was drawn and nothing asked for more"
    MAX_SAMPLES = "the largest allowed number of candidates was drawn"
    TOKEN_BUDGET = "the token budget is spent"  # noqa: S105 - tokens of text
    COST_BUDGET = "the money budget is spent"
    DEADLINE = "the time is up"
    FAILURES = "too many candidates failed"
    BATCH_BUDGET = "the budget of the batch is spent, or of more use to other questions"

    @classmethod
    def of(cls, name: str) -> StopReason:
        """The reason of that name; also of a name that version 0.1.0 wrote."""
        return cls[_FORMER_REASONS.get(name, name)]


_FORMER_REASONS = {"HOPELESS": "FUTILITY"}


@dataclass(frozen=True, slots=True)
class Estimate:
    """The estimated distribution of the verifier's scores: a normal truncated to [0, 1].

    Attributes:
        mu: Location of the *untruncated* normal; it may lie outside [0, 1].
        sigma: Scale of the untruncated normal, > 0.
        method: Name of the estimator.
        n: Number of scores it rests on.
        at_bound: True where the estimate sits on a bound of the estimator's parameter space, as it does for
            saturated or constant scores, whose likelihood has no interior maximum.

    Example:
        >>> from langchain_optscale.stats import MaximumLikelihood
        >>> estimate = MaximumLikelihood()([0.5, 0.6, 0.7, 0.8])
        >>> round(estimate.mu, 2), round(estimate.sigma, 2), estimate.n
        (0.65, 0.11, 4)
    """

    mu: float
    sigma: float
    method: str
    n: int
    at_bound: bool = False

    def summary(self) -> Estimate:
        """The numbers alone; an estimator's own kind of estimate may hold a whole posterior beside them."""
        return Estimate(self.mu, self.sigma, self.method, self.n, self.at_bound)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form of the numbers; `from_dict` reads it."""
        return {"mu": self.mu, "sigma": self.sigma, "method": self.method, "n": self.n, "at_bound": self.at_bound}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Estimate:
        """Read what `to_dict` wrote."""
        fields = Fields(data, "an estimate")
        fields.real("mu")
        fields.real("sigma")
        fields.text("method")
        fields.whole("n")
        fields.flag("at_bound", default=False)
        with reading("an estimate"):
            return cls(**data)


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether to stop and why, or how many candidates to draw next.

    Attributes:
        stop: True where the search should end.
        reason: Why it should end, None while it goes on; of a search that explores, why it would have ended.
        draw: How many more candidates the rule requests next; None where it leaves that open. 0 when stopping.
        optimal_n: The computed optimal number of candidates in total (the bound's N*), None where no bound was
            computed or no finite N reaches the target.
        rule: The rule that spoke.
        figures: The numbers that were compared.
        claim: What is promised with the rule's confidence when it stops: "stable" (the whole cap would return the same
            answer), "target reached", "target out of reach", or "not sure".
        probability: The probability of what could be claimed, None where nothing can.

    Example:
        >>> from langchain_optscale.stopping import History, MaxSamples
        >>> decision = MaxSamples(2)(History(scores=(0.4, 0.6)))
        >>> decision.stop, decision.reason.name
        (True, 'MAX_SAMPLES')
    """

    stop: bool = False
    reason: StopReason | None = None
    draw: int | None = None
    optimal_n: int | None = None
    rule: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)
    claim: str = "not sure"
    probability: float | None = None

    def __str__(self) -> str:
        known = self.figures if self.optimal_n is None else {"N*": self.optimal_n, **self.figures}
        figures = ", ".join(f"{name} {value:.4g}" for name, value in known.items())
        if self.stop and self.reason is not None:
            return f"stop: {self.reason.value}" + (f" ({figures})" if figures else "")
        request = "more" if self.draw is None else f"{self.draw} more"
        return f"draw {request}" + (f" ({figures})" if figures else "")

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; the reason stands by its name."""
        return {
            "stop": self.stop,
            "reason": self.reason and self.reason.name,
            "draw": self.draw,
            "optimal_n": self.optimal_n,
            "rule": self.rule,
            "figures": dict(self.figures),
            **({} if self.probability is None else {"claim": self.claim, "probability": self.probability}),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Decision:
        """Read what `to_dict` wrote."""
        fields = Fields(data, "a decision")
        fields.flag("stop")
        for name in ("draw", "optimal_n"):
            if not fields.is_null(name):
                fields.whole(name)
        fields.text("rule")
        figures = Fields(fields.mapping("figures"), "the figures of a decision")
        for name, value in figures.data.items():
            if not isinstance(value, bool):
                figures.real(name)
        reason = fields.get("reason", None)
        with reading("a decision"):
            return cls(**{**data, "reason": None if reason is None else StopReason.of(reason)})


@dataclass(frozen=True, slots=True)
class Observation:
    """The estimate and the decision after one candidate's outcome.

    Attributes:
        index: The candidate.
        score: Its score, None for a failure.
        estimate: The estimate after it, None where no rule asked for one, as after the end of the search.
        decision: The decision after it.
    """

    index: int
    score: float | None
    estimate: Estimate | None
    decision: Decision

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; `from_dict` gives an equal observation back."""
        return {
            "index": self.index,
            "score": self.score,
            "estimate": self.estimate and self.estimate.to_dict(),
            "decision": self.decision.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Observation:
        """Read what `to_dict` wrote."""
        fields = Fields(data, "an observation")
        return cls(
            index=fields.whole("index"),
            score=None if fields.is_null("score") else Verdict(fields.real("score")).score,
            estimate=None if fields.is_null("estimate") else Estimate.from_dict(data["estimate"]),
            decision=Decision.from_dict(fields.get("decision")),
        )


@dataclass(frozen=True, slots=True)
class Round:
    """One round of a search.

    Attributes:
        number: From 0.
        indexes: The candidates that were asked for in it.
        observations: One for each of them whose outcome is known, in the order of arrival.
    """

    number: int
    indexes: tuple[int, ...]
    observations: tuple[Observation, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; `from_dict` gives an equal round back."""
        return {
            "number": self.number,
            "indexes": list(self.indexes),
            "observations": [observation.to_dict() for observation in self.observations],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Round:
        """Read what `to_dict` wrote, in version 0.1.0 as well."""
        fields = Fields(data, "a round")
        indexes = fields.wholes("indexes", most=MOST_CANDIDATES)
        observations = fields.items("observations" if "observations" in data else "looks", most=MOST_CANDIDATES)
        with reading("a round"):
            return cls(
                fields.whole("number"),
                indexes,
                tuple(map(Observation.from_dict, observations)),
            )
