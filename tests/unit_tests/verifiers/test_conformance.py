import asyncio

import pytest

from langchain_optscale.records.candidates import Verdict
from langchain_optscale.verifiers import Verifier
from langchain_optscale.verifiers.conformance import VerifierConformance, make_candidate


class Honest(Verifier):
    def verify(self, prompt, candidate, config=None):
        return Verdict(min(1.0, len(candidate.text) / 10))


class UpsideDown(Honest):
    def verify(self, prompt, candidate, config=None):
        return Verdict(1 - super().verify(prompt, candidate).score)


class Changing(Honest):
    def verify(self, prompt, candidate, config=None):
        candidate.message.additional_kwargs["seen"] = True
        return super().verify(prompt, candidate)


class Leaking(Honest):
    def __repr__(self):
        return "Leaking(api_key='sk-abcdefgh12345678')"


class Bare(Honest):
    def verify(self, prompt, candidate, config=None):
        return 0.5


class Mixed(Honest):
    async def averify(self, prompt, candidate, config=None):
        self.current = candidate
        await asyncio.sleep(0)
        return self.verify(prompt, self.current)


class Disagreeing(Honest):
    async def averify(self, prompt, candidate, config=None):
        return Verdict(0.5)


class NoConfig(Honest):
    def verify(self, prompt, candidate):
        return Verdict(1.0)


class Nameless(Honest):
    name = ""


@pytest.mark.parametrize(
    ("verifier", "test"),
    [
        (UpsideDown, "test_good_is_not_below_bad"),
        (Changing, "test_candidate_and_prompt_are_not_changed"),
        (Leaking, "test_repr_shows_no_secret"),
        (Bare, "test_scores_are_finite_and_between_0_and_1"),
        (Bare, "test_odd_texts_give_a_verdict_or_an_error"),
        (Mixed, "test_concurrent_calls_do_not_mix_up_candidates"),
        (Disagreeing, "test_verifying_twice_gives_the_same_score"),
        (NoConfig, "test_a_config_is_accepted"),
        (Nameless, "test_name_and_policy_kwargs_have_their_types"),
    ],
)
def test_each_test_finds_its_fault(verifier, test):
    class Suite(VerifierConformance):
        def make_verifier(self):
            return verifier()

        def good_candidate(self):
            return make_candidate("long text")

        def bad_candidate(self):
            return make_candidate("x")

    with pytest.raises((AssertionError, TypeError)):
        getattr(Suite(), test)()


def test_what_must_be_overridden():
    suite = VerifierConformance()
    for method in (suite.make_verifier, suite.good_candidate, suite.bad_candidate):
        with pytest.raises(NotImplementedError):
            method()


class TestHonest(VerifierConformance):
    def make_verifier(self):
        return Honest()

    def good_candidate(self):
        return make_candidate("a long text")

    def bad_candidate(self):
        return make_candidate("x")
