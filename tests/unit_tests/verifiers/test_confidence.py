import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.prompt_values import StringPromptValue

from langchain_optscale.errors import InvalidScoreError, SettingsError
from langchain_optscale.verifiers import ConfidenceVerifier
from langchain_optscale.verifiers.conformance import VerifierConformance, make_candidate


def candidate(*values):
    content = [{"token": "x", "logprob": value} for value in values]
    return make_candidate("x" * len(values), logprobs={"content": content})


def verify(candidate, *settings):
    return ConfidenceVerifier(*settings).verify(StringPromptValue(text="q"), candidate)


def test_the_score_is_the_geometric_mean_of_the_probabilities():
    verdict = verify(candidate(math.log(0.5), math.log(0.125)))
    assert verdict.score == pytest.approx(0.25)
    assert verdict.raw == {
        "tokens": 2,
        "mean_logprob": pytest.approx(math.log(0.25)),
        "minimum_logprob": pytest.approx(math.log(0.125)),
    }
    assert ConfidenceVerifier().policy_kwargs == {"logprobs": True}


def test_rounding_above_zero_is_a_probability_of_one():
    assert verify(candidate(1e-9, 0.0)).score == 1.0
    assert verify(candidate(-9999.0)).score == 0.0


@pytest.mark.parametrize(
    "broken",
    [
        make_candidate("x"),
        make_candidate("x", logprobs=None),
        make_candidate("x", logprobs=[]),
        make_candidate("x", logprobs={}),
        make_candidate("x", logprobs={"content": None}),
        make_candidate("x", logprobs={"content": []}),
        make_candidate("x", logprobs={"content": ["x"]}),
        make_candidate("x", logprobs={"content": [{"token": "x"}]}),
        candidate(None),
        candidate("-1"),
        candidate(True),
        candidate(-math.inf),
        candidate(math.nan),
        candidate(0.1),
    ],
)
def test_missing_or_impossible_logprobs(broken):
    with pytest.raises(InvalidScoreError, match="log-probabilities"):
        verify(broken)


@given(st.lists(st.floats(-1e4, 0), min_size=1))
def test_the_score_lies_between_the_extremes(values):
    score = verify(candidate(*values)).score
    assert math.exp(min(values)) * (1 - 1e-9) <= score <= math.exp(max(values)) * (1 + 1e-9)


@pytest.mark.parametrize(
    ("settings", "logprob", "tail"),
    [
        (("mean",), -1.0, None),
        (("minimum",), -4.0, None),
        (("last", 1), -0.5, 1),
        (("last", 2), -0.25, 2),
        (("lowest", 1), -4.0, 1),
        (("lowest", 2), -2.25, 2),
        (("lowest", 0.2), -4.0, 1),
        (("lowest", 0.21), -2.25, 2),
        (("last", 99), -1.0, 5),
        (("lowest",), -4.0, 1),
    ],
)
def test_minimum_and_tails(settings, logprob, tail):
    verdict = verify(candidate(-0.25, -0.25, -4.0, 0.0, -0.5), *settings)
    assert verdict.score == pytest.approx(math.exp(logprob))
    assert verdict.raw.get("tail_tokens") == tail
    assert f"{math.exp(logprob):.4g}" in verdict.explanation


@pytest.mark.parametrize(
    "settings", [("max",), ("last", 0), ("last", 1.5), ("last", -1), ("last", True), ("last", math.nan)]
)
def test_settings_out_of_range(settings):
    with pytest.raises(SettingsError):
        ConfidenceVerifier(*settings)


def test_repr():
    assert repr(ConfidenceVerifier()) == "ConfidenceVerifier()"
    assert repr(ConfidenceVerifier("minimum")) == "ConfidenceVerifier('minimum')"
    assert repr(ConfidenceVerifier("last", 8)) == "ConfidenceVerifier('last', tail=8)"


class TestConfidence(VerifierConformance):
    def make_verifier(self):
        return ConfidenceVerifier()

    def good_candidate(self):
        return candidate(-0.1, -0.2)

    def bad_candidate(self):
        return candidate(-1.0, -2.0)


class TestLowestConfidence(TestConfidence):
    def make_verifier(self):
        return ConfidenceVerifier("lowest", 1)
