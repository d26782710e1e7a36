import pytest
from langchain_core.prompt_values import StringPromptValue

from langchain_optscale.errors import SettingsError
from langchain_optscale.records.candidates import Verdict
from langchain_optscale.records.usage import Usage
from langchain_optscale.stats import IsotonicCalibration, LogisticCalibration
from langchain_optscale.verifiers import CalibratedVerifier, ConfidenceVerifier, LengthCheck
from langchain_optscale.verifiers.conformance import VerifierConformance, make_candidate

PROMPT = StringPromptValue(text="q")
CALIBRATION = LogisticCalibration(intercept=-2.0, slope=4.0)


class TestCalibratedVerifier(VerifierConformance):
    def make_verifier(self):
        return CalibratedVerifier(LengthCheck(at_most=3), CALIBRATION)

    def good_candidate(self):
        return make_candidate("three short words")

    def bad_candidate(self):
        return make_candidate("many more words than anybody asked for")

    def prompt(self):
        return PROMPT


async def test_only_the_score_changes():
    spent = Usage(1, 2, 3)
    verifier = CalibratedVerifier(lambda prompt, candidate: Verdict(0.5, "why", spent, {"a": 1}), CALIBRATION)
    verdict = verifier.verify(PROMPT, make_candidate("x"))
    assert verdict == Verdict(0.5, "why", spent, {"score": 0.5, "raw": {"a": 1}})
    assert await verifier.averify(PROMPT, make_candidate("x")) == verdict
    sure = CalibratedVerifier(lambda prompt, candidate: 1.0, CALIBRATION).verify(PROMPT, make_candidate("x"))
    assert sure.score == pytest.approx(0.880797, abs=1e-6)
    assert sure.raw["score"] == 1.0


def test_what_the_verifier_needs_is_passed_on():
    assert CalibratedVerifier(ConfidenceVerifier(), CALIBRATION).policy_kwargs == {"logprobs": True}


@pytest.mark.parametrize("calibration", [0.5, IsotonicCalibration, lambda score: score])
def test_what_is_no_calibration(calibration):
    with pytest.raises(SettingsError, match="must be a Calibration"):
        CalibratedVerifier(LengthCheck(at_most=3), calibration)
