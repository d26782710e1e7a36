"""The features of a learned rule: a few numbers of the candidates so far, the same in the fit and at run time.

With answers the numbers are about the *leader*, the answer of the candidate that the selection would return now:

    share, log_count           its share k / n of the candidates, log k
    rival_share, rival_count   share and log(1 + count) of the most frequent other answer
    score_share                its share of all calibrated scores
    leader_score               its mean calibrated score
    leader_odds                log-odds of its posterior, where a candidate multiplies its answer's odds by
                               8 c / (1 - c), c its calibrated score, and "none of these" keeps odds of 1: the
                               evidence of `answers.EvidenceVote`
    best, mean                 highest and mean calibrated score
    distinct, unanswered       distinct answers / n, candidates without an answer / n

Without answers they are about the scores alone:

    best, lead                 highest calibrated score, and how far it stands above the second
    mean, spread               mean and standard deviation
    stale                      share of the candidates that came after the best
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from langchain_optscale.answers.evidence import AGREEMENT, EvidenceVote, log_odds
from langchain_optscale.answers.selection import SELECTIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_optscale.answers.selection import Selection

__all__ = ["ANSWER_FEATURES", "SCORE_FEATURES", "answer_features", "leading", "score_features", "selection_of"]

ANSWER_FEATURES = (
    "share",
    "log_count",
    "rival_share",
    "rival_count",
    "score_share",
    "leader_score",
    "leader_odds",
    "best",
    "mean",
    "distinct",
    "unanswered",
)
SCORE_FEATURES = ("best", "lead", "mean", "spread", "stale")

_MOST_ODDS = 12.0
_CONSTANT = math.log(AGREEMENT)


def selection_of(select: str | EvidenceVote) -> Selection:
    """The selection that the `select` of a learned rule names."""
    return SELECTIONS[select] if isinstance(select, str) else select


def leading(
    selection: Selection, answers: Sequence[str | None], scores: Sequence[float], calibrated: Sequence[float]
) -> int:
    """The place of the candidate that the selection would return now; `calibrated` are the calibrated scores."""
    if isinstance(selection, EvidenceVote):
        return selection.among(answers, scores, calibrated)
    return selection.position(answers, scores)


def answer_features(answers: Sequence[str | None], calibrated: Sequence[float], leader: int) -> list[float]:
    """The numbers about a prefix whose candidates have answers.

    Args:
        answers: Canonical answers in order of arrival, None where a candidate has none; length n >= 1.
        calibrated: Calibrated scores in [0, 1], length n.
        leader: The place of the candidate that the selection would return.

    Returns:
        As many finite numbers as `ANSWER_FEATURES`, in its order. A leader without an answer stands alone.

    Example:
        >>> numbers = dict(zip(ANSWER_FEATURES, answer_features(["3", "4", "4"], [0.5, 0.5, 0.5], 1)))
        >>> round(numbers["share"], 3), round(numbers["rival_share"], 3), round(numbers["leader_odds"], 3)
        (0.667, 0.333, 1.962)
    """
    n = len(answers)
    given = answers[leader]
    own: str | int = leader if given is None else given
    tallies: dict[str | int, list[float]] = {}
    unanswered = 0
    for place, answer in enumerate(answers):
        key: str | int
        if answer is not None:
            key = answer
        else:
            unanswered += 1
            if place != leader:
                continue
            key = place
        score = calibrated[place]
        evidence = _CONSTANT + log_odds(score)
        tally = tallies.get(key)
        if tally is None:
            tallies[key] = [1.0, score, evidence]
        else:
            tally[0] += 1.0
            tally[1] += score
            tally[2] += evidence
    count, sum_of_own, _ = tallies[own]
    total = math.fsum(calibrated)
    rival = max([tally[0] for key, tally in tallies.items() if key != own], default=0.0)
    return [
        count / n,
        math.log(count),
        rival / n,
        math.log1p(rival),
        sum_of_own / total if total > 0 else count / n,
        sum_of_own / count,
        _posterior_odds(own, tallies),
        max(calibrated),
        total / n,
        len(tallies) / n,
        unanswered / n,
    ]


def score_features(calibrated: Sequence[float]) -> list[float]:
    """The numbers about a prefix whose candidates have scores alone.

    Args:
        calibrated: Calibrated scores in [0, 1], in order of arrival, at least one.

    Returns:
        As many finite numbers as `SCORE_FEATURES`, in its order.

    Example:
        >>> [round(number, 3) for number in score_features([0.2, 0.8, 0.5])]
        [0.8, 0.3, 0.5, 0.245, 0.333]
    """
    n = len(calibrated)
    best = max(calibrated)
    place = calibrated.index(best)
    second = max((score for other, score in enumerate(calibrated) if other != place), default=0.0)
    mean = math.fsum(calibrated) / n
    spread = math.sqrt(math.fsum([(score - mean) ** 2 for score in calibrated]) / n)
    return [best, best - second, mean, spread, (n - 1 - place) / n]


def _posterior_odds(own: str | int, tallies: dict[str | int, list[float]]) -> float:
    """The log-odds log P(own) / (1 - P(own)) against all other answers and none of them, within +-12."""
    others = [0.0, *[tally[2] for key, tally in tallies.items() if key != own]]
    highest = max(others)
    against = highest + math.log(math.fsum([math.exp(value - highest) for value in others]))
    return max(-_MOST_ODDS, min(_MOST_ODDS, tallies[own][2] - against))
