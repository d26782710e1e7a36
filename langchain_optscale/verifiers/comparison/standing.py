"""Where candidates stand before they are compared, in the units of a comparison.

Scores are noisy: score_i = q_i + e_i with e_i ~ N(0, s^2). A judge of the same noise that compares i and j prefers i
with probability Phi((q_i - q_j) / (s sqrt 2)), close to 1 / (1 + exp(-(theta_i - theta_j))) for theta = c q / s and
c = 1.702 / sqrt 2 (the logistic approximation of the normal, error below 0.01). Among candidates whose true qualities
vary by t, q_i has the mean m + B (score_i - m) and the deviation s sqrt B, B = t^2 / (t^2 + s^2): the best of noisy
scores is not as good as it looks. Where candidates have answers, what is believed of answer a is its posterior
probability: theta_a = log P(a), with a deviation by which answers are compared whose odds are at most five to one.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_optscale.answers.selection import BestScore, as_selection, choose, votes_of
from langchain_optscale.answers.untrained import UntrainedPosterior
from langchain_optscale.errors import SettingsError
from langchain_optscale.verifiers.llm_judge.scale import Scale

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_optscale.answers.selection import SelectionLike
    from langchain_optscale.records.candidates import Candidate, Verdict

__all__ = ["Standing", "noise_of", "standing_of"]

_SLOPE = 1.702 / math.sqrt(2.0)
_LEAST_SHRINKAGE = 0.25
_UNKNOWN_NOISE = 0.1
# Compared are those that may be the best with a probability of at least one in twenty.
_FAR = 1.645 * math.sqrt(2.0)
_LEAST_P = 1e-12
_ANSWER_STD = math.log(5.0) / _FAR


class Standing(NamedTuple):
    """The candidates to compare.

    Attributes:
        indexes: Their indexes, the one that would be chosen without comparison first.
        means: What is believed of their strengths, in logits.
        std: How uncertain each is.
    """

    indexes: tuple[int, ...]
    means: tuple[float, ...]
    std: float


def standing_of(
    candidates: Sequence[Candidate],
    verdicts: Mapping[int, Verdict],
    base: SelectionLike,
    k: int,
    noise: float | None = None,
) -> Standing:
    """The candidates within the noise of the leading one, at most `k`, of equal answers the best.

    Args:
        candidates: The scored candidates, at least one.
        verdicts: Their verdicts, by index.
        base: The selection whose choice leads.
        k: The most candidates.
        noise: The standard deviation of a score's noise; None takes what the verdicts say, see `noise_of`.
    """
    scores = {candidate.index: verdicts[candidate.index].score for candidate in candidates}
    ordered = sorted(candidates, key=lambda candidate: candidate.index)
    leader = choose(base, ordered, scores)
    champions = _champions(ordered, scores, leader)
    answers = {candidate.index: candidate.answer for candidate in ordered}
    if isinstance(as_selection(base), BestScore) or all(answer is None for answer in answers.values()):
        spread = noise_of(verdicts.values()) if noise is None else noise
        believed, std = _by_scores({index: scores[index] for index in champions}, list(scores.values()), spread)
    else:
        posterior = UntrainedPosterior.of(list(answers.values()), [scores[index] for index in answers])
        believed = {
            index: math.log(max(_LEAST_P, posterior.probabilities[answer]))
            for index in champions
            if (answer := answers[index]) is not None
        }
        std = _ANSWER_STD
    top = max(believed.values(), default=0.0)
    believed[leader] = top  # whatever ranks the candidates, its choice leads
    near = [index for index in believed if index != leader and top - believed[index] <= _FAR * std]
    near.sort(key=lambda index: (-believed[index], -scores[index], index))
    chosen = (leader, *near[: k - 1])
    return Standing(chosen, tuple(believed[index] for index in chosen), std)


def noise_of(verdicts: Any) -> float:
    """The standard deviation of a score's noise as verdicts report it, in score units; 0.1 where they report nothing.

    With several votes of a judge it is that of their mean, with probabilities of grades that of the grade; in both
    cases at least that of rounding to whole grades.
    """
    known = [noise for verdict in verdicts if (noise := _reported(verdict.raw)) is not None]
    return math.sqrt(statistics.fmean(noise**2 for noise in known)) if known else _UNKNOWN_NOISE


def _champions(ordered: Sequence[Candidate], scores: Mapping[int, float], leader: int) -> list[int]:
    """The best candidate of each answer; one without an answer stands for itself."""
    champions = []
    for places in votes_of([candidate.answer for candidate in ordered]).values():
        indexes = [ordered[place].index for place in places]
        best = leader if leader in indexes else max(indexes, key=lambda index: (scores[index], -index))
        champions.append(best)
    return champions


def _by_scores(champions: Mapping[int, float], scores: Sequence[float], noise: float) -> tuple[dict[int, float], float]:
    if noise <= 0:  # equal scores alone are not told apart
        top = max(champions.values())
        return {index: 0.0 for index, score in champions.items() if score == top}, _SLOPE
    variance = statistics.variance(scores) if len(scores) > 1 else 0.0
    true = max(0.0, variance - noise**2)
    shrinkage = max(_LEAST_SHRINKAGE, true / (true + noise**2))
    return (
        {index: _SLOPE * shrinkage * score / noise for index, score in champions.items()},
        _SLOPE * math.sqrt(shrinkage),
    )


def _reported(raw: Any) -> float | None:
    """What the `raw` of an `LLMJudge`'s verdict says of its noise; also inside that of a verifier around it."""
    if not isinstance(raw, Mapping):
        return None
    if "votes" not in raw or "scale" not in raw:
        return _reported(raw.get("raw"))
    try:
        scale = Scale.parse(str(raw["scale"]))
        votes = raw["votes"]
        rounding = 1.0 / ((scale.high - scale.low) * math.sqrt(12.0 * len(votes)))
        if len(votes) > 1:
            return float(max(rounding, statistics.stdev(votes) / math.sqrt(len(votes))))
        spreads = [_spread(one["judged"][0]["probabilities"], scale) for one in raw["criteria"].values()]
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, SettingsError):
        return None  # a single grade in words says nothing of its noise
    return float(max(rounding, math.sqrt(statistics.fmean(spread**2 for spread in spreads))))


def _spread(probabilities: Mapping[str, float], scale: Scale) -> float:
    values = [(scale.score(scale.grades[grade]), chance) for grade, chance in probabilities.items()]
    mean = math.fsum(value * chance for value, chance in values)
    return math.sqrt(max(0.0, math.fsum(chance * (value - mean) ** 2 for value, chance in values)))
