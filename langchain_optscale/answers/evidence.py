"""A vote in log-odds of the calibrated scores.

>>> vote = EvidenceVote()
>>> vote.position(["3", "4", "4"], [0.9, 0.6, 0.6]), vote.position(["3", "4", "4"], [0.9, 0.2, 0.2])
(1, 0)
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from langchain_optscale.answers.selection import BestScore, Selection, all_known
from langchain_optscale.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_optscale.stats.calibration import Calibration

__all__ = ["AGREEMENT", "EvidenceVote", "log_odds"]

AGREEMENT = 8.0
"""The default likelihood ratio of agreement between right and wrong candidates."""

_LEAST = 1e-6
_MOST = 1.0 - _LEAST
_LOW, _HIGH = math.log(_LEAST), -math.log(_LEAST)


def log_odds(probability: float) -> float:
    """log(p / (1 - p)), within +-13.8.

    Example:
        >>> log_odds(0.5), round(log_odds(1.0), 2)
        (0.0, 13.82)
    """
    if _LEAST < probability < _MOST:
        return math.log(probability / (1.0 - probability))
    return _LOW if probability <= _LEAST else _HIGH


@dataclass(frozen=True)
class EvidenceVote(Selection):
    """The answer with the most evidence: the largest sum of log(agreement) + log(c / (1 - c)) over its candidates.

    c is the candidate's score, calibrated. If scores of one question are independent given what is right, and a wrong
    candidate repeats a given wrong answer `agreement` times less often than a right one the right answer, the sum is
    the log-odds of the answer up to what all answers share: naive Bayes over votes and scores together. Unlike a sum of
    scores, a low score speaks against its answer.

    A candidate without an answer has no vote; where no candidate has one the best score decides. Of the candidates with
    the chosen answer the one with the best score is returned, the earliest of equals.

    Attributes:
        calibration: Maps a score to the probability of being right; None takes the scores as probabilities.
        agreement: Finite, > 0.

    Raises:
        SettingsError: The agreement is out of range.

    Example:
        >>> answers, scores = ["4", "5", "5"], [0.9, 0.1, 0.2]
        >>> EvidenceVote().position(answers, scores)
        0
    """

    calibration: Calibration | None = field(default=None, repr=False)
    agreement: float = AGREEMENT

    def __post_init__(self) -> None:
        if isinstance(self.agreement, bool) or not 0.0 < self.agreement < math.inf:
            raise SettingsError(f"agreement must be a finite number above 0, got {self.agreement!r}")

    def position(self, answers: Sequence[str | None], scores: Sequence[float | None]) -> int:
        """The position of the best candidate of the answer with the most evidence."""
        if all(answer is None for answer in answers):
            return BestScore().position(answers, scores)
        known = all_known(scores)
        calibrated = known if self.calibration is None else [self.calibration(score) for score in known]
        return self.among(answers, known, calibrated)

    def among(self, answers: Sequence[str | None], scores: Sequence[float], calibrated: Sequence[float]) -> int:
        """As `position`, with the calibrated scores given."""
        constant = math.log(self.agreement)
        evidence: dict[str, float] = {}
        places: dict[str, int] = {}
        for place, answer in enumerate(answers):
            if answer is None:
                continue
            weight = constant + log_odds(calibrated[place])
            before = places.get(answer)
            if before is None:
                evidence[answer], places[answer] = weight, place
                continue
            evidence[answer] += weight
            if scores[place] > scores[before]:
                places[answer] = place
        if not evidence:
            return BestScore().position(answers, scores)
        # Ties go to the best score, then to the first.
        leader = max(evidence, key=lambda answer: (evidence[answer], scores[places[answer]], -places[answer]))
        return places[leader]
