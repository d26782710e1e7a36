r"""The joint model of answers and scores of one question's candidates.

Symbols: n candidates of one question; p the probability that a candidate is right; a_i the canonical answer of
candidate i, None where it has none; c_j how many gave answer j; s_i its score, c(s) the calibrated score and
z_i = log(c / (1 - c)) its logit; h the hypothesis that answer j is right, or that none of the answers so far is.

    p        ~ Beta(right * firmness, (1 - right) * firmness)               difficulty of the question
    r_i      ~ Bernoulli(p)                                                 whether candidate i is right
    a_i      = the right answer                     if r_i = 1
             = None with probability `silence`      if r_i = 0, else by a Chinese restaurant process: after m wrong
               answers, one given c times before with probability c / (concentration + m), a new one with
               probability concentration / (concentration + m)
    u | p    ~ Normal(slope (2 p - 1), question_std^2)                      random effect of the question
    v_j      ~ Normal(0, answer_std^2)                                      random effect of the answer
    z_i      ~ Normal(centre + u + v_j + separation [r_i = 1], candidate_std^2)

The random effects account for correlated scores. A score that is high because the *question* is easy is high for all
its candidates and carries no information about which answer is right, and a second score of the same answer adds
little. Without them the scores had to be weakened by a factor between 0.1 and 0.7 to be useful.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from langchain_optscale.errors import InvalidRecordError, SettingsError
from langchain_optscale.records.forks import cached_property
from langchain_optscale.records.json_file import JSONFile
from langchain_optscale.records.stored import check_plain, reading

if TYPE_CHECKING:
    from langchain_optscale.stats.calibration import Calibration

__all__ = ["CALIBRATED_SCORES", "DEFAULT", "AnswerModel"]

_FORMAT = "langchain-optscale/answer-model"
_VERSION = 1
# Calibrated scores are clipped to [0.01, 0.99]: atoms at 0 and 1 would dominate.
_LEAST = 0.01
_LEAST_STORED = 1e-6
_MOST_KNOWN = 4096


@dataclass(frozen=True)
class AnswerModel(JSONFile):
    """The constants of the model, see the module's docstring.

    The defaults suit raw scores of unknown scale, `CALIBRATED_SCORES` suits probabilities; `fit_labelled` and
    `fit_unlabelled` fit the constants to recorded candidates.

    Args:
        right: Mean of p, in (0, 1).
        firmness: Sum of the Beta distribution's parameters, in [0.01, 200]; below 2 most questions have p near 0 or 1.
        concentration: > 0; two wrong answers agree with probability 1 / (1 + concentration).
        silence: Probability in (0, 1) that a wrong candidate has no answer.
        separation: Difference of the mean logits of right and wrong candidates of a question, >= 0.
        centre: Mean logit of a wrong candidate where p = 1/2.
        slope: Increase of a question's mean logit from p = 1/2 to p = 1.
        question_std: Standard deviation of the logits between questions of the same p, > 0.
        answer_std: Between the answers of one question, > 0.
        candidate_std: Between the candidates of one answer, > 0.
        calibration: Maps scores to probabilities; None takes the scores as probabilities.

    Raises:
        SettingsError: A constant is out of range.

    Example:
        >>> model = AnswerModel()
        >>> AnswerModel.from_dict(model.to_dict()) == model
        True
        >>> round(model.logit(0.75), 4), round(model.logit(1.0), 4)
        (1.0986, 4.5951)
    """

    right: float = 0.45
    firmness: float = 1.0
    concentration: float = 3.7
    silence: float = 0.06
    separation: float = 1.55
    centre: float = 0.0
    slope: float = 0.6
    question_std: float = 0.65
    answer_std: float = 1.8
    candidate_std: float = 0.8
    calibration: Calibration | None = None

    def __post_init__(self) -> None:
        for name in ("right", "silence"):
            if not 0.0 < getattr(self, name) < 1.0:
                raise SettingsError(f"{name} of an answer model must lie in (0, 1), got {getattr(self, name)!r}")
        if not 0.01 <= self.firmness <= 200.0:
            raise SettingsError(f"firmness of an answer model must lie in [0.01, 200], got {self.firmness!r}")
        for name in ("concentration", "question_std", "answer_std", "candidate_std"):
            if not 1e-4 <= getattr(self, name) <= 1e4:
                raise SettingsError(f"{name} of an answer model must lie in [1e-4, 1e4], got {getattr(self, name)!r}")
        for name in ("separation", "centre", "slope"):
            if not abs(getattr(self, name)) <= 100.0:
                raise SettingsError(f"{name} of an answer model must lie in [-100, 100], got {getattr(self, name)!r}")
        if self.separation < 0.0:
            raise SettingsError(f"separation of an answer model must be at least 0, got {self.separation!r}")

    def logit(self, score: float) -> float:
        """The logit of the calibrated score, clipped to [0.01, 0.99]."""
        logit = self._logits.get(score)
        if logit is None:
            if len(self._logits) >= _MOST_KNOWN:
                self._logits.clear()
            logit = _logit(score if self.calibration is None else self.calibration(score))
            self._logits[score] = logit
        return logit

    @cached_property
    def _logits(self) -> dict[float, float]:
        """Cached logits by score: a session repeats the same scores after every candidate."""
        return {}

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form for `from_dict`."""
        data: dict[str, Any] = {"format": _FORMAT, "version": _VERSION}
        for item in fields(self):
            data[item.name] = getattr(self, item.name)
        if self.calibration is not None:
            data["calibration"] = self.calibration.to_dict()
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> AnswerModel:
        """Read what `to_dict` wrote.

        Raises:
            InvalidRecordError: It is no answer model, of a later version, or damaged.
        """
        settings = dict(data) if isinstance(data, Mapping) else {}
        if (settings.pop("format", None), settings.pop("version", None)) != (_FORMAT, _VERSION):
            raise InvalidRecordError(f"not an answer model of format {_FORMAT!r}, version {_VERSION}")
        check_plain(settings, "an answer model")
        with reading("the answer model"):
            if settings.get("calibration") is not None:
                # Needs SciPy.
                from langchain_optscale.stats.calibration import Calibration

                settings["calibration"] = Calibration.from_dict(settings["calibration"])
            model = cls(**settings)
        # Closer to 0 and 1 the posterior has no numbers, and no fit comes near them.
        if not all(_LEAST_STORED <= share <= 1.0 - _LEAST_STORED for share in (model.right, model.silence)):
            raise InvalidRecordError(f"right and silence of an answer model must keep {_LEAST_STORED:g} off 0 and 1")
        return model


def _logit(probability: float) -> float:
    bounded = min(max(probability, _LEAST), 1.0 - _LEAST)
    return math.log(bounded / (1.0 - bounded))


DEFAULT = AnswerModel()
"""For raw scores of unknown scale.

Fitted with labels to the first halves of three pools (MATH, GSM8K, a small model's arithmetic) together, each in five
copies with logits scaled by 0.6 to 1.6 and shifted by up to 0.8, so that it fits no particular verifier; then rounded.
`python -m benchmarks.answers --constants` reproduces it and evaluates it on the other halves.
"""

CALIBRATED_SCORES = AnswerModel(
    right=0.47,
    firmness=2.2,
    concentration=3.6,
    silence=0.07,
    separation=1.55,
    centre=-0.45,
    slope=1.0,
    question_std=0.5,
    answer_std=1.5,
    candidate_std=0.75,
)
"""For scores that are probabilities of being right; from the same halves, with cross-fitted calibrations."""
