"""Baselines that weigh answers: best-of-majority, CGES, CITE and confidence-filtered votes, on recorded samples.

Each says what is taken from its paper, and what had to be assumed because the paper leaves it open or recorded samples
do not have it.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np

from langchain_optscale.errors import SettingsError
from langchain_optscale.evaluation.baselines import _Baseline, _FixedNumber
from langchain_optscale.evaluation.methods import Outcome, same_answer
from langchain_optscale.evaluation.selection import place_of
from langchain_optscale.records.decisions import StopReason
from langchain_optscale.stats._scipy import special

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from langchain_optscale.evaluation.samples import Question, Sample

__all__ = ["BestOfMajority", "ConfidenceFilteredVote", "ConfidenceGuided", "ModeCertificate"]

_LEAST, _MOST = 0.02, 0.98


@dataclass(frozen=True)
class BestOfMajority(_FixedNumber):
    """Draw n samples at once, return the best score among frequent answers (Di et al. 2025, arXiv 2510.03199).

    From the paper: candidates are restricted to the responses that are frequent among the samples before the highest
    reward is taken. Assumed: responses are compared by their answers, and an answer is frequent if it has at least the
    share `frequency` of the votes of the most frequent one.

    Attributes:
        n: How many, at least 1; None draws up to the cap.
        frequency: In (0, 1]; 1 leaves the most frequent answers alone.

    Example:
        >>> from langchain_optscale.evaluation.pools import Question, Sample
        >>> samples = [Sample(score=s, answer=a) for s, a in [(0.9, "3"), (0.5, "4"), (0.6, "4"), (0.7, "4")]]
        >>> BestOfMajority().run(Question("a", "?", tuple(samples)), 4).chosen
        3
    """

    frequency: float = 0.5
    name: ClassVar[str] = "best-of-majority"
    needs: ClassVar[frozenset[str]] = frozenset({"scores", "answers"})

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 < self.frequency <= 1.0:
            raise SettingsError(f"frequency must be above 0 and at most 1, got {self.frequency!r}")

    def _choose(self, samples: Sequence[Sample]) -> int:
        votes = Counter(sample.answer for sample in samples if sample.answer is not None)
        least = self.frequency * max(votes.values(), default=0)
        able = [place for place, one in enumerate(samples) if one.answer is not None and votes[one.answer] >= least]
        return max(able or range(len(samples)), key=lambda place: (_score(samples[place]), -place))


@dataclass(frozen=True)
class ConfidenceGuided(_Baseline):
    """Draw one by one until an answer's posterior mass passes a threshold (CGES, arXiv 2511.02603).

    From the paper: a uniform prior over the candidate answers; each sample is evidence by its confidence c, and the
    search stops, and returns the answer, once its posterior mass exceeds the threshold. Assumed: the confidence is the
    sample's score, within [0.02, 0.98]; given that answer j is right, a sample that says j has likelihood c, one that
    says another of the K answers so far (1 - c) / (K - 1), K counted as one more than was observed, for an answer still
    to come. The paper's confidences are token probabilities or rewards scaled to [0, 1]; where a pool's scores are all
    0.5 a sample is evidence only by K.

    Attributes:
        confidence: The posterior mass that has to be reached, in (0, 1).

    Example:
        >>> from langchain_optscale.evaluation.pools import Question, Sample
        >>> question = Question("a", "?", tuple(Sample(score=0.8, answer="4") for _ in range(6)))
        >>> ConfidenceGuided(0.95).run(question, 6).drawn
        3
    """

    confidence: float = 0.95
    name: ClassVar[str] = "cges"
    needs: ClassVar[frozenset[str]] = frozenset({"scores", "answers"})

    def __post_init__(self) -> None:
        _check_open("confidence", self.confidence)

    def run(self, question: Question, max_samples: int) -> Outcome:
        """Draw until an answer is probable enough."""
        samples = question.samples[:max_samples]
        for drawn in range(1, max_samples + 1):
            answer, probability = self._leader(samples[:drawn])
            if answer is not None and probability >= self.confidence and drawn < max_samples:
                chosen = _best_of(samples[:drawn], answer)
                final = self._leader(samples)[0]
                return Outcome(
                    drawn, drawn, drawn, chosen, StopReason.ANSWER_CONFIDENT, kept=final == answer,
                    claim="stable", probability=probability,
                )  # fmt: skip
        answer, _ = self._leader(samples)
        chosen = place_of("best", samples) if answer is None else _best_of(samples, answer)
        return Outcome(max_samples, max_samples, max_samples, chosen, StopReason.MAX_SAMPLES)

    def _leader(self, samples: Sequence[Sample]) -> tuple[str | None, float]:
        """The most probable answer and its posterior mass."""
        spoken = [(one.answer, min(max(_score(one), _LEAST), _MOST)) for one in samples if one.answer is not None]
        answers = dict.fromkeys(answer for answer, _ in spoken)
        if not answers:
            return None, 0.0
        others = math.log(len(answers))  # K - 1, K one more than the observed answers
        absent = math.fsum(math.log1p(-c) - others for _, c in spoken)
        logs = {
            answer: absent + math.fsum(math.log(c) - math.log1p(-c) + others for a, c in spoken if a == answer)
            for answer in answers
        }
        most = max(absent, *logs.values())
        total = math.fsum(math.exp(log - most) for log in (absent, *logs.values()))
        leader = max(logs, key=lambda answer: logs[answer])
        return leader, math.exp(logs[leader] - most) / total


@dataclass(frozen=True)
class ModeCertificate(_Baseline):
    """Draw one by one until the majority is certified as the mode of the policy (CITE, arXiv 2605.05873).

    From the paper: the target is certified as the unique mode when it beats every rival, seen or unseen, in a test
    whose e-process may be watched at every sample (an intersection-union test: the smallest e-value counts), at e >= 1
    / error; it is anytime-valid, needs no list of answers, and speaks of the mode, not of what is right. Assumed: the
    e-process of a pair with counts v_1 and v_j is the likelihood of a uniform mixture over the target's share in (1/2,
    1) against 1/2, so that the runner-up decides; and the target is the leader of the moment. The paper's guarantee is
    for a target that was fixed in advance, so here the error is exceeded where the leader changes.

    Attributes:
        error: In (0, 1).

    Example:
        >>> from langchain_optscale.evaluation.pools import Question, Sample
        >>> question = Question("a", "?", tuple(Sample(answer="4") for _ in range(12)))
        >>> ModeCertificate(0.05).run(question, 12).drawn
        7
    """

    error: float = 0.05
    name: ClassVar[str] = "cite"
    needs: ClassVar[frozenset[str]] = frozenset({"answers"})

    def __post_init__(self) -> None:
        _check_open("error", self.error)

    def run(self, question: Question, max_samples: int) -> Outcome:
        """Draw until the mode is certified."""
        samples = question.samples[:max_samples]
        votes: Counter[Hashable] = Counter()
        least = -math.log(self.error)
        for drawn, sample in enumerate(samples, 1):
            votes[drawn if sample.answer is None else sample.answer] += 1
            (_, first), *rest = votes.most_common(2)
            if log_e_value(first, rest[0][1] if rest else 0) >= least and drawn < max_samples:
                chosen = place_of("vote", samples[:drawn])
                kept = same_answer(samples, chosen, place_of("vote", samples))
                return Outcome(
                    drawn, drawn, drawn, chosen, StopReason.ANSWER_CONFIDENT, kept=kept,
                    claim="stable", probability=1.0 - self.error,
                )  # fmt: skip
        return Outcome(max_samples, max_samples, max_samples, place_of("vote", samples), StopReason.MAX_SAMPLES)


def log_e_value(first: int, second: int) -> float:
    """Log of the e-value against "the first of two answers is no more probable than the second".

    E = 2^(a + b) 2 B(a + 1, b + 1) (1 - I_(1/2)(a + 1, b + 1)) with a = first, b = second: the likelihood of the votes
    for either, averaged over shares uniform in (1/2, 1), against that at 1/2.

    Example:
        >>> round(log_e_value(0, 0), 6), log_e_value(8, 0) > log_e_value(8, 2) > log_e_value(5, 5)
        (0.0, True)
    """
    a, b = first + 1.0, second + 1.0
    upper = float(special.betainc(b, a, 0.5))
    return (first + second + 1) * math.log(2.0) + float(special.betaln(a, b)) + math.log(upper)


@dataclass(frozen=True)
class ConfidenceFilteredVote(_Baseline):
    """A vote of the most confident samples, weighted by confidence (DeepConf, Fu et al. 2025, arXiv 2508.15260).

    From the paper: after a warm-up, the threshold is the confidence that the share `keep` of the warm-up exceeds;
    samples below it do not vote, the others vote with their confidence as the weight, and the search stops once the
    leader has the share `consensus` of the weight. Assumed: a sample's score stands for the trace's confidence. What
    recorded samples cannot show: the paper stops a trace in mid-generation when its *lowest group* confidence falls
    below the threshold, so that it saves tokens of traces that are counted in full here. With a warm-up of the whole
    cap it is the paper's offline vote.

    Attributes:
        warm_up: Samples drawn at once before the first decision, at least 1; 16 in the paper.
        keep: In (0, 1]: 0.1 ("low") or 0.9 ("high") in the paper.
        consensus: In (0, 1]; 0.95 in the paper.

    Example:
        >>> from langchain_optscale.evaluation.pools import Question, Sample
        >>> scores, answers = [0.9, 0.8, 0.2, 0.3, 0.9], "44554"
        >>> samples = tuple(Sample(score=s, answer=a) for s, a in zip(scores, answers))
        >>> outcome = ConfidenceFilteredVote(warm_up=4, keep=0.5).run(Question("a", "?", samples), 5)
        >>> outcome.drawn, outcome.chosen
        (4, 0)
    """

    warm_up: int = 16
    keep: float = 0.1
    consensus: float = 0.95
    name: ClassVar[str] = "deepconf"
    needs: ClassVar[frozenset[str]] = frozenset({"scores", "answers"})

    def __post_init__(self) -> None:
        if isinstance(self.warm_up, bool) or not isinstance(self.warm_up, int) or self.warm_up < 1:
            raise SettingsError(f"warm_up must be a whole number of at least 1, got {self.warm_up!r}")
        for name in ("keep", "consensus"):
            if not 0.0 < getattr(self, name) <= 1.0:
                raise SettingsError(f"{name} must be above 0 and at most 1, got {getattr(self, name)!r}")

    def run(self, question: Question, max_samples: int) -> Outcome:
        """Draw the warm-up, then one by one until the confident samples agree."""
        samples = question.samples[:max_samples]
        first = min(self.warm_up, max_samples)
        threshold = float(np.quantile([_score(sample) for sample in samples[:first]], 1.0 - self.keep))
        for drawn in range(first, max_samples + 1):
            weights = _weights(samples[:drawn], threshold)
            leader = max(weights, key=lambda answer: weights[answer], default=None)
            agreed = leader is not None and weights[leader] >= self.consensus * math.fsum(weights.values())
            if not agreed and drawn < max_samples:
                continue
            chosen = place_of("best", samples[:drawn]) if leader is None else _best_of(samples[:drawn], leader)
            rounds = 1 + drawn - first
            if drawn == max_samples:
                return Outcome(drawn, drawn, rounds, chosen, StopReason.MAX_SAMPLES)
            whole = _weights(samples, threshold)
            kept = leader == max(whole, key=lambda answer: whole[answer])
            return Outcome(drawn, drawn, rounds, chosen, StopReason.ANSWER_CONFIDENT, kept=kept, claim="stable")
        raise AssertionError  # the last sample ends every search


def _weights(samples: Sequence[Sample], threshold: float) -> Mapping[str, float]:
    weights: dict[str, float] = {}
    for sample in samples:
        if sample.answer is not None and _score(sample) >= threshold:
            weights[sample.answer] = weights.get(sample.answer, 0.0) + max(_score(sample), 1e-9)
    return weights


def _best_of(samples: Sequence[Sample], answer: str) -> int:
    places = [place for place, sample in enumerate(samples) if sample.answer == answer]
    return max(places, key=lambda place: (_score(samples[place]), -place))


def _score(sample: Sample) -> float:
    return cast("float", sample.score)


def _check_open(name: str, value: float) -> None:
    if not 0.0 < value < 1.0:
        raise SettingsError(f"{name} must lie strictly between 0 and 1, got {value!r}")
