"""Several verifiers weighed by data: how they are fitted, what they answer, and what becomes of failures."""

import asyncio
import pickle
from functools import cache

import numpy as np
import pytest
from langchain_core.prompt_values import StringPromptValue

from langchain_optscale import OptScale, SettingsError
from langchain_optscale.errors import InvalidRecordError
from langchain_optscale.evaluation.pools import Pool, Question, Sample
from langchain_optscale.records.candidates import Verdict
from langchain_optscale.records.usage import Usage
from langchain_optscale.verifiers import LengthCheck, StackedVerifier, Verifier
from langchain_optscale.verifiers.conformance import VerifierConformance, make_candidate
from tests.unit_tests.fakes import ScriptedPolicy

PROMPT = StringPromptValue(text="2 + 2?")
RNG = np.random.default_rng(0)
TRUTH = RNG.random(600) < 0.5
NOISY = np.clip(0.5 + 0.25 * (TRUTH[:, None] - 0.5) + RNG.normal(0, (0.15, 0.25, 0.35), (600, 3)), 0, 1)
ARRAYS = {"scores": NOISY, "groups": np.repeat(np.arange(100), 6), "labels": TRUTH}


class Fixed(Verifier):
    """Scores by a number in the text, and fails where it is told to."""

    def __init__(self, place, error=None, usage=None):
        self.place, self.error, self.usage = place, error, usage

    @property
    def name(self):
        return f"member{self.place}"

    def verify(self, prompt, candidate, config=None):
        if self.error is not None:
            raise self.error
        return Verdict(float(candidate.text.split()[self.place]), f"said {self.place}", self.usage)


@cache
def fitted(labels):
    return StackedVerifier.fit([Fixed(place) for place in range(3)], ARRAYS, labels).stack


def stacked(*members, labels="gold"):
    return StackedVerifier(members or [Fixed(place) for place in range(3)], fitted(labels))


def verify(verifier, text, path="sync"):
    candidate = make_candidate(text)
    if path == "sync":
        return verifier.verify(PROMPT, candidate)
    return asyncio.run(verifier.averify(PROMPT, candidate))


both = pytest.mark.parametrize("path", ["sync", "async"])


class TestStackedVerifier(VerifierConformance):
    def make_verifier(self):
        return stacked(LengthCheck(at_most=2), LengthCheck(at_most=3), LengthCheck(at_most=4))

    def good_candidate(self):
        return make_candidate("four")

    def bad_candidate(self):
        return make_candidate("it is, as far as I can see from here, four")


@both
@pytest.mark.parametrize("labels", ["gold", "none"])
def test_a_probability_of_all_members(path, labels):
    verifier = stacked(labels=labels)
    high, low = verify(verifier, "0.9 0.9 0.9", path), verify(verifier, "0.1 0.1 0.1", path)
    assert 0 < low.score < 0.2 < 0.8 < high.score < 1
    assert high.score == verifier.stack([0.9, 0.9, 0.9])
    assert high.raw == {"member0": 0.9, "member1": 0.9, "member2": 0.9}
    assert high.explanation == "member0: said 0; member1: said 1; member2: said 2"
    # The first member is the best one: it counts more.
    assert verify(verifier, "0.9 0.1 0.1", path).score > verify(verifier, "0.1 0.1 0.9", path).score


@both
def test_a_failed_member_says_nothing(path):
    verifier = stacked(Fixed(0, usage=Usage(3, 1, 1)), Fixed(1, ValueError("no")), Fixed(2, usage=Usage(4, 1, 1)))
    verdict = verify(verifier, "0.9 0.0 0.9", path)
    assert verdict.raw["member1"] is None
    assert verdict.score == verifier.stack([0.9, None, 0.9])
    assert "member1 failed: ValueError: no" in verdict.explanation
    assert verdict.usage == Usage(7, 2, 2)


@both
def test_where_all_fail_the_first_error_is_raised(path):
    verifier = stacked(*(Fixed(place, ValueError(f"no {place}")) for place in range(3)))
    with pytest.raises(ValueError, match="no 0"):
        verify(verifier, "0.9 0.9 0.9", path)
    wrong = stacked(Fixed(0), Fixed(1, SettingsError("never")), Fixed(2))
    with pytest.raises(SettingsError, match="never"):
        verify(wrong, "0.9 0.9 0.9", path)


def pools(count=3, **changes):
    def pool(place):
        return Pool(
            tuple(
                Question(
                    f"q{number}",
                    "",
                    tuple(
                        Sample(float(NOISY[row, place]), correct=bool(TRUTH[row]), tokens=1)
                        for row in range(6 * number, 6 * number + 6)
                    ),
                )
                for number in range(100)
            ),
            name=f"member{place}",
        )

    return [pool(place) for place in range(count)]


def test_pools_and_arrays_give_the_same_weights():
    members = [Fixed(place) for place in range(3)]
    assert StackedVerifier.fit(members, pools()).stack == stacked().stack
    with pytest.raises(SettingsError, match="needs a pool with its scores, got 2 pools"):
        StackedVerifier.fit(members, pools(2))
    other = [*pools(2), Pool(pools(1)[0].questions[1:], name="short")]
    with pytest.raises(SettingsError, match="the same questions"):
        StackedVerifier.fit(members, other)
    for damage, said in (({"gold": 1}, "unknown array 'gold'"), ({"groups": None}, "'groups' is missing")):
        arrays = {name: value for name, value in {**ARRAYS, **damage}.items() if value is not None}
        with pytest.raises(SettingsError, match=said):
            StackedVerifier.fit(members, arrays)
    with pytest.raises(SettingsError, match="one of each of the 2 verifiers"):
        StackedVerifier.fit(members[:2], ARRAYS)


def test_a_file_brings_the_weights_back(tmp_path):
    verifier = stacked()
    verifier.save(tmp_path / "stack.json")
    again = StackedVerifier.load(tmp_path / "stack.json", [Fixed(place) for place in range(3)])
    assert again.stack == verifier.stack
    assert verify(again, "0.7 0.2 0.4") == verify(verifier, "0.7 0.2 0.4")
    with pytest.raises(SettingsError, match="fitted for 3 members, got 2"):
        StackedVerifier.load(tmp_path / "stack.json", [Fixed(0), Fixed(1)])
    (tmp_path / "stack.json").write_text("{}")
    with pytest.raises(InvalidRecordError, match="not a stack of format"):
        StackedVerifier.load(tmp_path / "stack.json", [Fixed(0)])


def test_it_searches_and_travels():
    verifier = stacked()
    policy = ScriptedPolicy(texts=["0.2 0.9 0.9", "0.9 0.6 0.6", "0.1 0.1 0.1"])
    search = OptScale(policy=policy, verifier=verifier, max_samples=3, price=1e-9, seed=0)
    expected = max(policy.texts, key=lambda text: verifier.stack([float(word) for word in text.split()]))
    assert search.invoke("q").text == expected
    assert pickle.loads(pickle.dumps(verifier)).stack == verifier.stack  # noqa: S301 - our own
