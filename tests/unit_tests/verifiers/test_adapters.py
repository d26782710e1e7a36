import asyncio
import math
import threading
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
from langchain_core.callbacks import BaseCallbackHandler, CallbackManager
from langchain_core.language_models import FakeListLLM, GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompt_values import ChatPromptValue, StringPromptValue
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from pydantic import BaseModel

from langchain_optscale.errors import InvalidScoreError, SettingsError
from langchain_optscale.records.candidates import Verdict
from langchain_optscale.records.usage import Usage
from langchain_optscale.verifiers import CallableVerifier, LLMJudge, RunnableVerifier, Verifier, as_verifier, to_verdict
from langchain_optscale.verifiers.conformance import VerifierConformance, make_candidate

PROMPT = StringPromptValue(text="question")


class Recorder(BaseCallbackHandler):
    def __init__(self):
        self.started = []

    def on_chat_model_start(self, serialized, messages, *, parent_run_id=None, **kwargs):
        self.started.append(messages[0][-1].text)


def judge(*answers, spent=None):
    usage = spent and {"input_tokens": spent[0], "output_tokens": spent[1], "total_tokens": sum(spent)}
    return GenericFakeChatModel(messages=iter([AIMessage(answer, usage_metadata=usage) for answer in answers]))


def rating_chain(model):
    template = ChatPromptTemplate.from_template("{prompt} -> {candidate}")
    return template | model | StrOutputParser() | RunnableLambda(float)


def share_of_a(prompt, candidate):
    return candidate.text.count("a") / max(1, len(candidate.text))


async def async_share_of_a(prompt, candidate):
    await asyncio.sleep(0)
    return share_of_a(prompt, candidate)


class Grade(BaseModel):
    score: float
    explanation: str
    strict: bool = True


@dataclass
class Graded:
    score: float


@pytest.mark.parametrize(
    ("value", "score"),
    [
        (0.25, 0.25),
        (1, 1.0),
        (True, 1.0),
        (False, 0.0),
        (Fraction(1, 4), 0.25),
        (Decimal("0.25"), 0.25),
        (np.float32(0.25), 0.25),
        (np.int64(1), 1.0),
        (np.bool_(True), 1.0),
        (np.array(0.25), 0.25),
        ({"score": 0.25}, 0.25),
        ({"score": np.float64(0.25), "other": object()}, 0.25),
        (Grade(score=0.25, explanation="why"), 0.25),
        (Graded(0.25), 0.25),
        (Verdict(0.25), 0.25),
    ],
)
def test_what_is_a_score(value, score):
    assert to_verdict(value).score == score


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("0.9", "parse it in the chain"),
        ({"score": "0.9"}, "parse it in the chain"),
        (AIMessage("0.9"), "end the chain with a parser"),
        (AIMessage("0.9", score=0.9), "end the chain with a parser"),
        (None, "None"),
        ({}, "dict"),
        ({"score": None}, "dict"),
        ([0.5], "list"),
        (b"0.5", "bytes"),
        (0.5j, "complex"),
        (np.array([0.5]), "ndarray"),
        (np.str_("0.5"), "parse it"),
        (math.nan, "finite"),
        (math.inf, "finite"),
        (10**400, "finite"),
        (Decimal("sNaN"), "finite"),
        (1.2, "rescale"),
        (-0.1, "rescale"),
        ({"score": 10}, "rescale"),
    ],
)
def test_what_is_no_score(value, sentence):
    with pytest.raises(InvalidScoreError, match=sentence) as caught:
        to_verdict(value)
    assert len(str(caught.value)) < 200


def test_explanation_and_raw_are_kept():
    assert to_verdict({"score": 1, "explanation": "why"}) == Verdict(1.0, "why", raw={"score": 1, "explanation": "why"})
    assert to_verdict(Grade(score=1, explanation="why")).raw["strict"] is True
    assert to_verdict({"score": 1, "thing": object()}).raw is None


def test_as_verifier():
    verifier = CallableVerifier(share_of_a)
    assert as_verifier(verifier) is verifier
    assert isinstance(as_verifier(RunnableLambda(len)), RunnableVerifier)
    assert isinstance(as_verifier(share_of_a), CallableVerifier)
    assert isinstance(as_verifier(max), CallableVerifier)
    assert isinstance(as_verifier(judge()), LLMJudge)
    assert isinstance(as_verifier(judge().bind(stop=["x"]).with_config(tags=["t"])), LLMJudge)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (FakeListLLM(responses=["7"]), "StrOutputParser"),
        ("exact", "str"),
        (None, "None"),
        (Verifier, "instance"),
        (lambda candidate: 1.0, "two positional"),
        (lambda a, b, c: 1.0, "two positional"),
        (lambda *, prompt, candidate: 1.0, "two positional"),
    ],
)
def test_as_verifier_refuses(value, sentence):
    with pytest.raises(SettingsError, match=sentence):
        as_verifier(value)


def test_a_runnable_verifier_needs_a_runnable():
    with pytest.raises(SettingsError, match="Runnable"):
        RunnableVerifier(share_of_a)


def test_names_and_reprs():
    assert repr(CallableVerifier(share_of_a)) == "CallableVerifier(share_of_a)"
    assert repr(CallableVerifier(partial(share_of_a))) == "CallableVerifier(share_of_a)"
    assert CallableVerifier(share_of_a).name == "share_of_a"
    assert CallableVerifier(lambda prompt, candidate: 1).name == "CallableVerifier"
    assert repr(RunnableVerifier(RunnableLambda(share_of_a, name="rate"))) == "RunnableVerifier(rate)"


class AsyncCall:
    async def __call__(self, prompt, candidate):
        return 0.5


@pytest.mark.parametrize(
    "function",
    [async_share_of_a, partial(async_share_of_a), AsyncCall(), lambda p, c: async_share_of_a(p, c)],
)
async def test_async_functions_need_the_async_path(function):
    verifier = CallableVerifier(function)
    with pytest.raises(SettingsError, match="use ainvoke"):
        verifier.verify(PROMPT, make_candidate("ab"))
    assert (await verifier.averify(PROMPT, make_candidate("ab"))).score == 0.5


async def test_a_plain_function_does_not_block_the_loop():
    threads = []

    def where(prompt, candidate):
        threads.append(threading.current_thread())
        return 1.0

    await CallableVerifier(where).averify(PROMPT, make_candidate("a"))
    assert threads[0] is not threading.current_thread()


async def test_errors_of_the_function_come_through():
    def broken(prompt, candidate):
        raise KeyError("lost")

    with pytest.raises(KeyError):
        CallableVerifier(broken).verify(PROMPT, make_candidate("a"))
    with pytest.raises(KeyError):
        await CallableVerifier(broken).averify(PROMPT, make_candidate("a"))


def test_a_runnable_gets_the_documented_mapping():
    seen = []
    prompt = ChatPromptValue(
        messages=[SystemMessage("be brief"), HumanMessage("first"), AIMessage("1"), HumanMessage("second")]
    )
    candidate = make_candidate("answer {x}")
    RunnableVerifier(RunnableLambda(lambda given: seen.append(given) or 1.0)).verify(prompt, candidate)
    assert seen == [
        {
            "prompt": "second",
            "candidate": "answer {x}",
            "conversation": prompt.messages,
            "message": candidate.message,
        }
    ]


def test_without_a_human_message_the_prompt_is_the_whole_conversation():
    prompt = ChatPromptValue(messages=[SystemMessage("be brief")])
    rate = RunnableLambda(lambda given: "be brief" in given["prompt"])
    assert RunnableVerifier(rate).verify(prompt, make_candidate("a")).score == 1.0


@pytest.mark.parametrize("manager", [False, True])
async def test_a_chain_is_traced_and_its_tokens_are_counted(manager):
    recorder = Recorder()
    config = {"callbacks": CallbackManager([], inheritable_handlers=[recorder]) if manager else [recorder]}
    verifier = RunnableVerifier(rating_chain(judge("0.25", "0.5", spent=(7, 2))))
    first = verifier.verify(PROMPT, make_candidate("x"), config)
    second = await verifier.averify(PROMPT, make_candidate("y"), config)
    assert (first.score, second.score) == (0.25, 0.5)
    assert first.usage == second.usage == Usage(7, 2, 1)
    assert recorder.started == ["question -> x", "question -> y"]


async def test_chains_inside_functions_are_traced_and_counted_too():
    recorder = Recorder()
    chain = rating_chain(judge("0.25", "0.5", "0.75", spent=(7, 2)))
    given = {"prompt": "q", "candidate": "c"}

    async def rate(prompt, candidate):
        return await chain.ainvoke(given)

    plain, awaited = CallableVerifier(lambda prompt, candidate: chain.invoke(given)), CallableVerifier(rate)
    config = {"callbacks": [recorder]}
    verdicts = [
        plain.verify(PROMPT, make_candidate("x"), config),
        await plain.averify(PROMPT, make_candidate("x"), config),
        await awaited.averify(PROMPT, make_candidate("x"), config),
    ]
    assert [(verdict.score, verdict.usage) for verdict in verdicts] == [
        (score, Usage(7, 2, 1)) for score in (0.25, 0.5, 0.75)
    ]
    assert recorder.started == ["q -> c"] * 3


def test_usage_is_none_without_models_and_the_verifiers_own_word_counts():
    assert CallableVerifier(share_of_a).verify(PROMPT, make_candidate("a")).usage is None
    own = Verdict(1.0, usage=Usage(1, 1, 1))
    chain = judge("x", spent=(7, 2)) | RunnableLambda(lambda message: own)
    verifier = RunnableVerifier(RunnableLambda(lambda given: given["prompt"]) | chain)
    assert verifier.verify(PROMPT, make_candidate("a")) is own


async def test_cancelling_reaches_an_async_function():
    cancelled = asyncio.Event()
    started = asyncio.Event()

    async def slow(prompt, candidate):
        started.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    task = asyncio.create_task(CallableVerifier(slow).averify(PROMPT, make_candidate("a")))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cancelled.is_set()


class TestCallable(VerifierConformance):
    def make_verifier(self):
        return CallableVerifier(share_of_a)

    def good_candidate(self):
        return make_candidate("aa")

    def bad_candidate(self):
        return make_candidate("ab")


class TestAsyncCallable(TestCallable):
    synchronous = False

    def make_verifier(self):
        return CallableVerifier(async_share_of_a)


class TestRunnable(TestCallable):
    def make_verifier(self):
        return RunnableVerifier(RunnableLambda(lambda given: share_of_a(None, make_candidate(given["candidate"]))))


class TestJudgingChain(TestCallable):
    deterministic = False

    def make_verifier(self):
        return RunnableVerifier(rating_chain(judge(*["0.5"] * 50)))
