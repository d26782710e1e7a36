"""Oracles: methods that know the truth, as bounds for the others."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, cast

from langchain_optscale.errors import SettingsError
from langchain_optscale.evaluation.methods import Outcome, best_score
from langchain_optscale.evaluation.selection import place_of
from langchain_optscale.records.decisions import StopReason
from langchain_optscale.stopping import OptimalN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_optscale.evaluation.samples import Question

__all__ = ["CorrectnessOracle", "TailOracle"]


@dataclass(frozen=True)
class TailOracle:
    """The paper's bound with the known share of this question's samples that have the target.

    N* = ceil(log(1 - confidence) / log(1 - q)), q the share of *all* the question's samples whose score is at least the
    target. All N* are drawn at once, or as many as the cap allows, and the best score is returned. OptScale^0
    differs from it by the error of the estimate alone.

    Attributes:
        target: A score in [0, 1].
        confidence: In (0, 1).

    Example:
        >>> from langchain_optscale.evaluation.pools import Question, Sample
        >>> question = Question("a", "2 + 2?", tuple(Sample(score=s) for s in (0.3, 0.5, 0.95, 0.9, 0.1, 0.2)))
        >>> TailOracle(target=0.9, confidence=0.7).run(question, max_samples=6).drawn
        3
    """

    target: float
    confidence: float = 0.95
    name: ClassVar[str] = "oracle-tail"
    needs: ClassVar[frozenset[str]] = frozenset({"scores"})

    def __post_init__(self) -> None:
        OptimalN(self.target, self.confidence)

    @property
    def settings(self) -> Mapping[str, Any]:
        """Its fields, JSON-ready."""
        return asdict(self)

    def run(self, question: Question, max_samples: int) -> Outcome:
        """Draw N* and choose.

        Raises:
            SettingsError: A sample has no score.
        """
        place_of("best", question.samples)
        hits = sum(cast("float", sample.score) >= self.target for sample in question.samples)
        misses = len(question.samples) - hits
        needed = math.inf if hits == 0 else 1.0
        if hits and misses:
            # The slack keeps a whole ratio of two logarithms from being rounded up.
            ratio = math.log1p(-self.confidence) / math.log(misses / len(question.samples))
            needed = max(1, math.ceil(ratio * (1.0 - 1e-12)))
        drawn = int(min(needed, max_samples))
        drawn_samples = question.samples[:drawn]
        reached = best_score(drawn_samples) >= self.target
        if needed <= max_samples:
            return Outcome(
                drawn, drawn, 1, place_of("best", drawn_samples), StopReason.OPTIMAL_N, reached, kept=reached
            )
        return Outcome(drawn, drawn, 1, place_of("best", drawn_samples), StopReason.MAX_SAMPLES, reached)


@dataclass(frozen=True)
class CorrectnessOracle:
    """Draws up to the first right sample and returns it; without one up to the cap, it draws only one.

    No method is more accurate on the same samples, and none that is as accurate draws fewer.

    Example:
        >>> from langchain_optscale.evaluation.pools import Question, Sample
        >>> question = Question("a", "2 + 2?", (Sample(correct=False), Sample(correct=True), Sample(correct=True)))
        >>> CorrectnessOracle().run(question, 3).drawn, CorrectnessOracle().run(question, 1).drawn
        (2, 1)
    """

    name: ClassVar[str] = "oracle-correct"
    needs: ClassVar[frozenset[str]] = frozenset({"correct"})

    @property
    def settings(self) -> Mapping[str, Any]:
        """None."""
        return {}

    def run(self, question: Question, max_samples: int) -> Outcome:
        """Draw up to the first right sample.

        Raises:
            SettingsError: A sample does not say whether it is right.
        """
        if any(sample.correct is None for sample in question.samples):
            raise SettingsError("the correctness oracle needs samples that say whether they are right")
        for place, sample in enumerate(question.samples[:max_samples]):
            if sample.correct:
                return Outcome(place + 1, place + 1, place + 1, place, StopReason.ANSWER_CONFIDENT, kept=True)
        return Outcome(1, 1, 1, 0, StopReason.FUTILITY)
