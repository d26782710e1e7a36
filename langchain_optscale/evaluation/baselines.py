"""Baselines: the methods of other papers and packages, each on the same recorded samples.

None decides by a sample that it has not drawn, unlike the methods in `oracles`; whether what it claimed is true
(`Outcome.kept`) is judged by all of them. In votes, a sample without an answer votes for itself alone. Each returns
what its source returns; `select` makes those that stop by a rule return what another selection takes of the same
samples, so that stopping and selecting can be told apart. More are in `vote_baselines` and `index_policies`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from langchain_optscale.answers.selection import WeightedVote as _WeightedSelection
from langchain_optscale.errors import SettingsError
from langchain_optscale.evaluation.criteria import beta_probability, dirichlet_probability
from langchain_optscale.evaluation.methods import Outcome, SessionMethod, same_answer
from langchain_optscale.evaluation.selection import place_of
from langchain_optscale.records.decisions import StopReason
from langchain_optscale.stats.estimation import MaximumAPosteriori, MaximumLikelihood
from langchain_optscale.stopping import MinSamples, OptimalN, TrainedOptimalN

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from langchain_optscale.answers.selection import SelectionLike
    from langchain_optscale.evaluation.methods import Prior
    from langchain_optscale.evaluation.samples import Question, Sample

__all__ = [
    "AdaptiveConsistency",
    "BestOfN",
    "EarlyStoppingConsistency",
    "SelfConsistency",
    "ThresholdStopping",
    "WeightedVote",
    "optscale_0",
    "optscale_t",
]


class _Baseline:
    """What all of them share: they are frozen dataclasses whose fields are their settings."""

    name: ClassVar[str]

    @property
    def settings(self) -> Mapping[str, Any]:
        """Its fields, JSON-ready; a selection only where it is not the method's own."""
        given = {item.name: getattr(self, item.name) for item in fields(self)}  # type: ignore[arg-type]
        own = {item.name: item.default for item in fields(self)}  # type: ignore[arg-type]
        return {name: value for name, value in given.items() if name != "select" or value != own[name]}


@dataclass(frozen=True)
class _FixedNumber(_Baseline, ABC):
    n: int | None = None

    def __post_init__(self) -> None:
        if self.n is not None and (isinstance(self.n, bool) or not isinstance(self.n, int) or self.n < 1):
            raise SettingsError(f"n must be a whole number of at least 1, got {self.n!r}")

    def run(self, question: Question, max_samples: int) -> Outcome:
        """Draw n samples, or up to the cap, in one round, and choose."""
        n = max_samples if self.n is None else min(self.n, max_samples)
        return Outcome(n, n, 1, self._choose(question.samples[:n]), StopReason.MAX_SAMPLES)

    @abstractmethod
    def _choose(self, samples: Sequence[Sample]) -> int:
        """The place of the sample to return."""


@dataclass(frozen=True)
class BestOfN(_FixedNumber):
    """Draw n samples at once, return the one with the best score.

    Attributes:
        n: How many, at least 1; None draws up to the cap.
        select: What to return in place of the best score: a name of `answers.SELECTIONS`.

    Example:
        >>> from langchain_optscale.evaluation.pools import Question, Sample
        >>> question = Question("a", "2 + 2?", (Sample(score=0.3), Sample(score=0.9), Sample(score=0.95)))
        >>> BestOfN(2).run(question, max_samples=3).chosen, BestOfN().run(question, max_samples=3).chosen
        (1, 2)
    """

    select: SelectionLike = "best"
    needs: ClassVar[frozenset[str]] = frozenset({"scores"})

    @property
    def name(self) -> str:  # type: ignore[override]  # another selection is another method
        """Its name, with the selection if it is another one."""
        return "best-of-n" if self.select == "best" else f"fixed n, {self.select}"

    def _choose(self, samples: Sequence[Sample]) -> int:
        return place_of(self.select, samples)


@dataclass(frozen=True)
class SelfConsistency(_FixedNumber):
    """Draw n samples at once, return the majority's answer (Wang et al. 2022, arXiv 2203.11171).

    Attributes:
        n: How many, at least 1; None draws up to the cap.
    """

    name: ClassVar[str] = "self-consistency"
    needs: ClassVar[frozenset[str]] = frozenset({"answers"})

    def _choose(self, samples: Sequence[Sample]) -> int:
        return place_of("vote", samples)


@dataclass(frozen=True)
class WeightedVote(_FixedNumber):
    """Draw n samples at once, return the answer with the largest sum of scores (Li et al. 2022, arXiv 2206.02336).

    Attributes:
        n: How many, at least 1; None draws up to the cap.
        exponent: Of the scores, see `answers.WeightedVote`.
    """

    exponent: float = 1.0
    name: ClassVar[str] = "weighted-vote"
    needs: ClassVar[frozenset[str]] = frozenset({"scores", "answers"})

    def _choose(self, samples: Sequence[Sample]) -> int:
        return place_of(_WeightedSelection(self.exponent), samples)


@dataclass(frozen=True)
class ThresholdStopping(_Baseline):
    """Draw one by one, return the first score at or above the threshold, at the cap the best (as DSPy's BestOfN).

    Attributes:
        threshold: A score in [0, 1].
        select: What to return of the drawn samples in place of the best score: a name of `answers.SELECTIONS`.

    Example:
        >>> from langchain_optscale.evaluation.pools import Question, Sample
        >>> question = Question("a", "2 + 2?", (Sample(score=0.3), Sample(score=0.9), Sample(score=0.95)))
        >>> outcome = ThresholdStopping(0.9).run(question, max_samples=3)
        >>> outcome.drawn, outcome.chosen, outcome.reached
        (2, 1, True)
    """

    threshold: float = 0.9
    select: SelectionLike = "best"
    name: ClassVar[str] = "threshold"
    needs: ClassVar[frozenset[str]] = frozenset({"scores"})

    def __post_init__(self) -> None:
        if not 0.0 <= self.threshold <= 1.0:
            raise SettingsError(f"threshold must be a score in [0, 1], got {self.threshold!r}")

    def run(self, question: Question, max_samples: int) -> Outcome:
        """Draw until a score suffices."""
        samples = question.samples[:max_samples]
        for place, sample in enumerate(samples):
            if sample.score is not None and sample.score >= self.threshold:
                chosen = place_of(self.select, samples[: place + 1])
                return Outcome(place + 1, place + 1, place + 1, chosen, StopReason.TARGET_REACHED, reached=True)
        best = place_of(self.select, samples)
        return Outcome(max_samples, max_samples, max_samples, best, StopReason.MAX_SAMPLES, reached=False)


@dataclass(frozen=True)
class AdaptiveConsistency(_Baseline):
    """Draw one by one until the leading answer is probable enough, return it (Aggarwal et al. 2023, arXiv 2305.11860).

    It claims that more votes would not change the majority.

    Attributes:
        confidence: The probability that has to be reached, in (0, 1); 0.95 in the paper.
        criterion: "beta" compares the two leading answers, "dirichlet" all of them; see `criteria`.
        select: What to return of the drawn samples in place of the majority: a name of `answers.SELECTIONS`.

    Example:
        >>> from langchain_optscale.evaluation.pools import Question, Sample
        >>> question = Question("a", "2 + 2?", tuple(Sample(answer=answer) for answer in "444444"))
        >>> AdaptiveConsistency().run(question, max_samples=6).drawn
        4
    """

    confidence: float = 0.95
    criterion: Literal["beta", "dirichlet"] = "beta"
    select: SelectionLike = "vote"
    needs: ClassVar[frozenset[str]] = frozenset({"answers"})

    def __post_init__(self) -> None:
        if not 0.0 < self.confidence < 1.0:
            raise SettingsError(f"confidence must lie strictly between 0 and 1, got {self.confidence!r}")
        if self.criterion not in _CRITERIA:
            raise SettingsError(f"criterion must be one of {', '.join(_CRITERIA)}, got {self.criterion!r}")

    @property
    def name(self) -> str:  # type: ignore[override]  # the two criteria are two methods
        """Its name with the criterion."""
        return f"adaptive-{self.criterion}"

    def run(self, question: Question, max_samples: int) -> Outcome:
        """Draw until the votes are clear."""
        probability = _CRITERIA[self.criterion]
        votes: Counter[Hashable] = Counter()
        for drawn, sample in enumerate(question.samples[:max_samples], 1):
            votes[drawn if sample.answer is None else sample.answer] += 1
            if probability(votes.values()) >= self.confidence:
                return _confident(question, drawn, max_samples, drawn, self.select, self.confidence)
        return _at_cap(question, max_samples, max_samples, self.select)


_CRITERIA = {"beta": beta_probability, "dirichlet": dirichlet_probability}


@dataclass(frozen=True)
class EarlyStoppingConsistency(_Baseline):
    """Draw in windows until one is unanimous, return the majority of all drawn (ESC, Li et al. 2024, arXiv 2401.10480).

    Attributes:
        window: Samples that are drawn at once, at least 2. The last window may be cut short by the cap; it is then no
            reason to stop.
        select: What to return of the drawn samples in place of the majority: a name of `answers.SELECTIONS`.

    Example:
        >>> from langchain_optscale.evaluation.pools import Question, Sample
        >>> question = Question("a", "2 + 2?", tuple(Sample(answer=answer) for answer in "34444455"))
        >>> outcome = EarlyStoppingConsistency(window=3).run(question, max_samples=8)
        >>> outcome.drawn, outcome.rounds, outcome.chosen
        (6, 2, 1)
    """

    window: int = 5
    select: SelectionLike = "vote"
    name: ClassVar[str] = "early-stopping"
    needs: ClassVar[frozenset[str]] = frozenset({"answers"})

    def __post_init__(self) -> None:
        if isinstance(self.window, bool) or not isinstance(self.window, int) or self.window < 2:
            raise SettingsError(f"window must be a whole number of at least 2, got {self.window!r}")

    def run(self, question: Question, max_samples: int) -> Outcome:
        """Draw window by window."""
        for drawn in range(self.window, max_samples + 1, self.window):
            answers = {sample.answer for sample in question.samples[drawn - self.window : drawn]}
            if len(answers) == 1 and None not in answers:
                return _confident(question, drawn, max_samples, drawn // self.window, self.select)
        return _at_cap(question, max_samples, -(-max_samples // self.window), self.select)


def optscale_0(target: float = 0.95, confidence: float = 0.95, first_round: int = 5) -> SessionMethod:
    """OptScale^0 as published: N* from maximum likelihood, redrawn after every score (arXiv 2506.22376).

    The preset `paper`, whose cap is the replay's.

    Args:
        target: A score in [0, 1].
        confidence: In (0, 1).
        first_round: Samples before the first decision; 3, 5, 10 and 20 in the paper for caps of 8, 16, 32 and 64.

    Example:
        >>> optscale_0(0.9).rule
        OptimalN(target=0.9, confidence=0.95) & MinSamples(limit=5)
    """
    rule = OptimalN(target, confidence) & MinSamples(first_round)
    return SessionMethod(rule, "paper", estimator=MaximumLikelihood(), first_round=first_round)


def optscale_t(prior: Prior, target: float = 0.95, confidence: float = 0.95, first_round: int = 5) -> SessionMethod:
    """OptScale^t as published: N* from a posterior maximum (arXiv 2506.22376).

    The preset `paper(..., trained=prior)`, whose cap is the replay's.

    Args:
        prior: The prior of the scores; the paper's is a function of the prompt with deviations of 0.1, as a
            `QuestionPrior` is.
        target: A score in [0, 1].
        confidence: In (0, 1).
        first_round: As in `optscale_0`.

    Example:
        >>> from langchain_optscale import FixedPrior
        >>> optscale_t(FixedPrior(0.85, 0.15)).name
        'paper-trained'
    """
    rule = TrainedOptimalN(target, confidence) & MinSamples(first_round)
    return SessionMethod(rule, "paper-trained", estimator=MaximumAPosteriori(), prior=prior, first_round=first_round)


def _confident(
    question: Question,
    drawn: int,
    cap: int,
    rounds: int,
    select: SelectionLike,
    probability: float | None = None,
) -> Outcome:
    """The end of a search that claims that the whole cap would return the same answer."""
    samples = question.samples[:cap]
    chosen = place_of(select, samples[:drawn])
    kept = same_answer(samples, chosen, place_of(select, samples)) if drawn < cap else None
    return Outcome(
        drawn, drawn, rounds, chosen, StopReason.ANSWER_CONFIDENT, kept=kept, claim="stable", probability=probability
    )


def _at_cap(question: Question, drawn: int, rounds: int, select: SelectionLike) -> Outcome:
    return Outcome(drawn, drawn, rounds, place_of(select, question.samples[:drawn]), StopReason.MAX_SAMPLES)
