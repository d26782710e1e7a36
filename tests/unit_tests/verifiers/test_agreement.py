"""Agreement as a score, alone and in searches."""

import asyncio
import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_optscale import (
    AgreementVerifier,
    CachedVerifier,
    EnsembleVerifier,
    FallbackVerifier,
    OptScale,
    SettingsError,
)
from langchain_optscale.answers import AnswerBook, as_extractor
from langchain_optscale.records.decisions import StopReason
from langchain_optscale.stats import IsotonicCalibration
from langchain_optscale.stopping import MaxSamples, TargetReached
from langchain_optscale.verifiers import CalibratedVerifier
from langchain_optscale.verifiers.conformance import VerifierConformance, make_candidate
from tests.unit_tests.fakes import PlainPolicy, ScriptedPolicy

ONE_AT_A_TIME = {"max_concurrency": 1}


def search(texts, **settings):
    given_ = {"verifier": AgreementVerifier(), "extract": "number", "stopping": MaxSamples(len(texts)), "round_size": 1}
    return OptScale(policy=ScriptedPolicy(texts=texts), **(given_ | {"first_round": 1} | settings))


def scores_of(texts, **settings):
    return search(texts, **settings).invoke("q", ONE_AT_A_TIME).scores


def test_scores_by_hand():
    # m of n candidates so far, this one included: m / (n + 1), by Laplace's rule.
    assert scores_of(["4", "4.0", "5", "4", "none"]) == (1 / 2, 2 / 3, 1 / 4, 3 / 5, 1 / 6)
    assert scores_of(["4"] * 9)[-1] == 0.9
    strict = AgreementVerifier(agreeing=0.5, differing=1.5)
    assert scores_of(["4", "4", "4"], verifier=strict) == (0.25, 0.5, 0.625)


@given(st.lists(st.sampled_from("345x"), min_size=1, max_size=30), st.floats(0.01, 10), st.floats(0.01, 10))
def test_scores_against_exact_arithmetic(answers, agreeing, differing):
    book = AnswerBook(as_extractor("number"))
    verifier = AgreementVerifier(agreeing, differing).for_search(book)
    for n, answer in enumerate(answers):
        book.read(n, answer)
        same = sum(answer == other for other in answers[:n]) if answer != "x" else 0
        exact = (same + Fraction(agreeing)) / (n + Fraction(agreeing) + Fraction(differing))
        verdict = verifier.verify(None, make_candidate(answer, n))
        assert verdict.score == pytest.approx(float(exact), rel=1e-12)
        assert verdict.raw == {"same": same, "others": n}


def test_all_choices_of_one_request_count_for_each_of_them():
    # Whichever is verified first, all eight have arrived.
    for _ in range(5):
        result = search(["4"] * 6 + ["5"] * 2, first_round=8, round_size=8).invoke("q")
        assert {index: verdict.score for index, verdict in result.verdicts.items()} == {
            index: 6 / 9 if index < 6 else 2 / 9 for index in range(8)
        }


def test_sync_and_async_agree():
    texts = ["4", "5", "4", "4", "5", "4", "4", "4"]
    first = search(texts).invoke("q", ONE_AT_A_TIME)
    second = asyncio.run(search(texts).ainvoke("q", ONE_AT_A_TIME))
    assert first.scores == second.scores
    assert first.rounds == second.rounds


def test_a_clear_majority_ends_the_search_and_the_vote_is_returned():
    texts = ["5", "4", "4", "4", "4", "4", "4", "4", "4", "4"]
    rule = TargetReached(0.75) | MaxSamples(10)
    result = search(texts, stopping=rule, select="vote").invoke("q", ONE_AT_A_TIME)
    # 4 of 5 gives 4/6, 5 of 6 gives 5/7, 6 of 7 gives 6/8.
    assert (len(result.scores), result.stop_reason, result.best.answer) == (7, StopReason.TARGET_REACHED, "4")


def test_a_candidate_that_could_not_be_drawn_is_not_counted():
    result = search(["4", "", "4"]).invoke("q", ONE_AT_A_TIME)
    assert result.scores == (1 / 2, 2 / 3)


def test_searches_do_not_see_each_other():
    runnable = search(["4", "4"])
    assert [runnable.invoke("q", ONE_AT_A_TIME).scores for _ in range(3)] == [(1 / 2, 2 / 3)] * 3

    async def together():
        return await asyncio.gather(*(runnable.ainvoke("q", ONE_AT_A_TIME) for _ in range(6)))

    assert {result.scores for result in asyncio.run(together())} == {(1 / 2, 2 / 3)}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda inner: EnsembleVerifier([inner, lambda prompt, candidate: 1.0]),
        lambda inner: FallbackVerifier(inner, lambda prompt, candidate: 1.0),
        lambda inner: CalibratedVerifier(inner, IsotonicCalibration.fit([0.4, 0.6], [False, True])),
    ],
)
def test_it_works_within_other_verifiers(wrap):
    alone = scores_of(["4", "4", "5"])
    wrapped = scores_of(["4", "4", "5"], verifier=wrap(AgreementVerifier()))
    assert wrapped[1] > wrapped[2]
    assert len(wrapped) == len(alone)
    for verifier in (wrap(AgreementVerifier()), AgreementVerifier()):
        with pytest.raises(SettingsError, match="set extract= to find them"):
            OptScale(policy=PlainPolicy(texts=["4"]), verifier=verifier)


def test_its_scores_cannot_be_cached():
    with pytest.raises(SettingsError, match="compares the candidates"):
        search(["4"], verifier=CachedVerifier(EnsembleVerifier([AgreementVerifier(), lambda prompt, candidate: 1.0])))


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, "1", True, 5e-324])
def test_bad_settings(value):
    with pytest.raises(SettingsError, match="agreeing must be a finite number above 0"):
        AgreementVerifier(agreeing=value)


def test_values():
    assert repr(AgreementVerifier()) == "AgreementVerifier(agreeing=1.0, differing=1.0)"
    assert AgreementVerifier().for_search(AnswerBook(as_extractor("text"))) == AgreementVerifier()


class TestAlone(VerifierConformance):
    def make_verifier(self):
        return AgreementVerifier()

    def good_candidate(self):
        return make_candidate("Paris, France")

    def bad_candidate(self):
        return make_candidate("I do not know")


class TestInASearch(TestAlone):
    def make_verifier(self):
        book = AnswerBook(as_extractor("text"))
        for index, text in enumerate(["Paris, France", "I do not know", "paris, france", "Lyon"]):
            book.read(index, text)
        return AgreementVerifier().for_search(book)

    def bad_candidate(self):
        return make_candidate("I do not know", index=1)
