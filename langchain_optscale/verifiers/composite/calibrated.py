"""A verifier whose scores are probabilities of being right."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from langchain_optscale.errors import SettingsError
from langchain_optscale.verifiers.composite.members import Wrapper

if TYPE_CHECKING:
    from langchain_core.prompt_values import PromptValue
    from langchain_core.runnables import RunnableConfig

    from langchain_optscale.answers import AnswerBook
    from langchain_optscale.records.candidates import Candidate, Verdict
    from langchain_optscale.stats.calibration import Calibration
    from langchain_optscale.verifiers.adapters import VerifierLike

__all__ = ["CalibratedVerifier"]


class CalibratedVerifier(Wrapper):
    """Scores a candidate by the probability that it is right, given another verifier's score.

    With it `target=0.9` reads "nine in ten such candidates are right". The verdict keeps the explanation and the usage,
    and its `raw` has the uncalibrated score under "score" and the verifier's own `raw` under "raw".

    Args:
        verifier: Anything that `as_verifier` accepts.
        calibration: Fitted to labelled scores of this verifier on questions of this kind.

    Raises:
        SettingsError: `calibration` is no `Calibration`.

    Example:
        >>> from langchain_optscale.stats import IsotonicCalibration
        >>> calibration = IsotonicCalibration.fit([0.2, 0.4, 0.9, 1.0], [False, False, True, True])
        >>> CalibratedVerifier(lambda prompt, candidate: 0.95, calibration).name
        'calibrated CallableVerifier'
    """

    def __init__(self, verifier: VerifierLike, calibration: Calibration) -> None:
        from langchain_optscale.stats.calibration import Calibration

        if not isinstance(calibration, Calibration):
            raise SettingsError(f"calibration must be a Calibration from stats, not {type(calibration).__name__}")
        super().__init__(verifier)
        self.calibration = calibration

    @property
    def name(self) -> str:
        """The verifier's name, marked as calibrated."""
        return f"calibrated {self.verifier.name}"

    def for_search(self, answers: AnswerBook) -> CalibratedVerifier:
        """A copy around the verifier as this search uses it."""
        inner = self.verifier.for_search(answers)
        return self if inner is self.verifier else CalibratedVerifier(inner, self.calibration)

    def __repr__(self) -> str:
        return f"CalibratedVerifier({self.verifier!r}, {type(self.calibration).__name__})"

    def verify(self, prompt: PromptValue, candidate: Candidate, config: RunnableConfig | None = None) -> Verdict:
        """Verify and calibrate the score."""
        return self._calibrated(self.verifier.verify(prompt, candidate, config))

    async def averify(self, prompt: PromptValue, candidate: Candidate, config: RunnableConfig | None = None) -> Verdict:
        """As `verify`, without blocking the event loop."""
        return self._calibrated(await self.verifier.averify(prompt, candidate, config))

    def _calibrated(self, verdict: Verdict) -> Verdict:
        raw = {"score": verdict.score, "raw": verdict.raw}
        return replace(verdict, score=self.calibration(verdict.score), raw=raw)
