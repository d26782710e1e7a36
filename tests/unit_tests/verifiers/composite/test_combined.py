import asyncio
import math
from types import MappingProxyType

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.prompt_values import StringPromptValue
from langchain_core.runnables import RunnableLambda

from langchain_optscale.errors import InvalidScoreError, SettingsError
from langchain_optscale.records.candidates import Verdict
from langchain_optscale.records.usage import Usage
from langchain_optscale.verifiers import (
    ConfidenceVerifier,
    EnsembleVerifier,
    LengthCheck,
    RequiredWords,
    Verifier,
)
from langchain_optscale.verifiers.conformance import VerifierConformance, make_candidate

PROMPT = StringPromptValue(text="q")
CANDIDATE = make_candidate("a")


def constant(score):
    return lambda prompt, candidate: score


def combined(scores, **settings):
    return EnsembleVerifier([constant(score) for score in scores], **settings).verify(PROMPT, CANDIDATE).score


class NoLogprobs(Verifier):
    policy_kwargs = MappingProxyType({"logprobs": False})

    def verify(self, prompt, candidate, config=None):
        return Verdict(1.0)


@pytest.mark.parametrize(
    ("scores", "settings", "expected"),
    [
        ([0.5, 1.0], {}, 0.75),
        ([0.5, 1.0], {"weights": [3, 1]}, 0.625),
        ([0.5, 1.0, 0.25], {"combine": "min"}, 0.25),
        ([0.5, 1.0, 0.25], {"combine": "product"}, 0.125),
        ([1.0] * 10, {"weights": [0.1] * 10}, 1.0),
    ],
)
def test_scores(scores, settings, expected):
    assert combined(scores, **settings) == expected


SCORES = st.lists(st.floats(0, 1), min_size=1, max_size=6)


@given(SCORES, st.data())
@example([1.0, math.nextafter(1.0, 0.0)], None)
def test_every_combination_stays_within_the_scores_and_is_one_only_where_all_are(scores, data):
    weight = st.floats(1e-6, 1e6)
    weights = data and data.draw(st.lists(weight, min_size=len(scores), max_size=len(scores)))
    for settings in ({"weights": weights}, {"combine": "min"}, {"combine": "product"}):
        score = combined(scores, **settings)
        assert 0.0 <= score <= 1.0
        assert (score == 1.0) is (min(scores) == 1.0)
    assert min(scores) * (1 - 1e-12) <= combined(scores, weights=weights) <= max(scores) * (1 + 1e-12)


def test_a_tiny_score_keeps_its_digits():
    assert combined([2.2250738585072014e-308], weights=[1e-06]) == 2.2250738585072014e-308


def test_the_verdict_names_the_verifier_and_the_failures():
    verifiers = [
        constant(Verdict(0.5, usage=Usage(5, 1, 1))),
        LengthCheck(exactly=1),
        LengthCheck(at_least=2),
        RunnableLambda(lambda given: Verdict(1.0, "fine", usage=Usage(7, 2, 1)), name="rate"),
    ]
    verdict = EnsembleVerifier(verifiers).verify(PROMPT, CANDIDATE)
    assert verdict.raw == {"CallableVerifier": 0.5, "LengthCheck 1": 1.0, "LengthCheck 2": 0.5, "rate": 1.0}
    assert verdict.explanation == (
        "LengthCheck 1: 1 word, asked for exactly 1; LengthCheck 2: 1 word, asked for at least 2; rate: fine"
    )
    assert verdict.usage == Usage(12, 3, 2)
    assert EnsembleVerifier([constant(1)]).verify(PROMPT, CANDIDATE) == Verdict(1.0, raw={"CallableVerifier": 1.0})


def test_policy_kwargs_are_united():
    assert EnsembleVerifier([ConfidenceVerifier(), constant(1)]).policy_kwargs == {"logprobs": True}
    with pytest.raises(SettingsError, match="logprobs=False"):
        EnsembleVerifier([ConfidenceVerifier(), NoLogprobs()])


@pytest.mark.parametrize(
    ("verifiers", "settings"),
    [
        ([], {}),
        (["text"], {}),
        (constant(1), {}),
        ("text", {}),
        ([constant(1)], {"combine": "median"}),
        ([constant(1)], {"weights": [1, 2]}),
        ([constant(1)], {"weights": [0]}),
        ([constant(1)], {"weights": [-1]}),
        ([constant(1)], {"weights": [math.nan]}),
        ([constant(1)], {"weights": ["1"]}),
        ([constant(1)] * 2, {"weights": [1e308, 1e308]}),
        ([constant(1)], {"weights": [1], "combine": "min"}),
    ],
)
def test_bad_settings(verifiers, settings):
    with pytest.raises(SettingsError):
        EnsembleVerifier(verifiers, **settings)


def test_repr():
    assert repr(EnsembleVerifier([ConfidenceVerifier()], weights=[2])) == (
        "EnsembleVerifier([ConfidenceVerifier()], weights=[2.0], combine='mean')"
    )


async def test_the_async_path_is_concurrent():
    barrier = asyncio.Barrier(3)

    async def meet(prompt, candidate):
        await barrier.wait()
        return 1.0

    async with asyncio.timeout(5):
        assert (await EnsembleVerifier([meet] * 3).averify(PROMPT, CANDIDATE)).score == 1.0


async def test_the_first_error_is_raised_as_it_is_and_the_others_are_cancelled():
    cancelled = []

    async def slow(prompt, candidate):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(candidate.index)
            raise

    async def broken(prompt, candidate):
        raise ConnectionError("lost") from KeyError("cause")

    with pytest.raises(ConnectionError, match="lost") as caught:
        await EnsembleVerifier([slow, broken]).averify(PROMPT, CANDIDATE)
    assert isinstance(caught.value.__cause__, KeyError)
    assert cancelled == [0]
    with pytest.raises(InvalidScoreError):
        EnsembleVerifier([constant(2)]).verify(PROMPT, CANDIDATE)


async def test_cancelling_the_ensemble_cancels_everyone():
    cancelled = []
    started = asyncio.Barrier(3)

    async def slow(prompt, candidate):
        await started.wait()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(1)
            raise

    task = asyncio.create_task(EnsembleVerifier([slow, slow]).averify(PROMPT, CANDIDATE))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cancelled == [1, 1]


def test_runnables_get_the_callbacks_under_their_own_names_and_no_shared_run_id():
    class Recorder(BaseCallbackHandler):
        runs = []  # noqa: RUF012 - one list for the one test

        def on_chain_start(self, serialized, inputs, *, run_id, name=None, **kwargs):
            self.runs.append((run_id, name))

    one, two = (RunnableLambda(lambda given: 1.0, name=name) for name in ("one", "two"))
    config = {
        "callbacks": [Recorder()],
        "run_id": "00000000-0000-0000-0000-000000000001",
        "run_name": "parent",
    }
    EnsembleVerifier([one, two]).verify(PROMPT, CANDIDATE, config)
    assert sorted(name for _, name in Recorder.runs) == ["one", "two"]  # they run at the same time
    assert len({run_id for run_id, _ in Recorder.runs}) == 2


class TestEnsemble(VerifierConformance):
    def make_verifier(self):
        return EnsembleVerifier([LengthCheck(exactly=2), RequiredWords(["Paris"]), RunnableLambda(lambda _: 0.5)])

    def good_candidate(self):
        return make_candidate("Paris, France")

    def bad_candidate(self):
        return make_candidate("I do not know")
