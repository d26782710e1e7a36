"""Answers through the real search: extracted off the driver, made comparable, passed on, and used to select."""

import asyncio
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda

from langchain_optscale import ChatOptScale, OptScale, SettingsError, answers
from langchain_optscale.answers import BoxedAnswer, LastNumber, RegexAnswer, ToolCallAnswer, WeightedVote
from langchain_optscale.evaluation.methods import SessionMethod
from langchain_optscale.evaluation.recording import record_pool
from langchain_optscale.evaluation.samples import Question, Sample
from langchain_optscale.stopping import MaxSamples
from tests.unit_tests.fakes import ScriptedPolicy


def read_score(prompt, candidate):
    """The number before the first space."""
    return float(candidate.text.split()[0])


def search(texts, **kwargs):
    given_ = {"verifier": read_score, "stopping": MaxSamples(len(texts)), "first_round": len(texts)}
    return OptScale(policy=ScriptedPolicy(texts=texts), **(given_ | kwargs))


def both(runnable, config=None):
    return [runnable.invoke("q", config), asyncio.run(runnable.ainvoke("q", config))]


@pytest.mark.parametrize(
    ("extract", "text", "answer"),
    [
        ("boxed", r"0.5 so \boxed{\frac12}", "0.5"),
        ("number", "0.5 so $1,234.", "1234"),
        ("choice", "0.5 The answer is (b).", "B"),
        ("math", "0.5 so 7 1/2", "7.5"),
        (BoxedAnswer() | LastNumber(), r"0.5 \boxed{x + 1}", "x+1"),
        (RegexAnswer("so (.*)"), "0.5 so **Paris.**", "paris"),
        (lambda text: text[-1], "0.5 so B", "B"),
        ("boxed", "0.5 nothing", None),
    ],
)
def test_extract_takes_names_objects_and_functions(extract, text, answer):
    for result in both(search([text], extract=extract)):
        assert result.best.answer == answer
        assert type(result).from_dict(result.to_dict()).best.answer == answer


def test_equal_answers_are_the_same_string_to_the_session():
    texts = [r"0.5 \boxed{1/2}", r"0.6 \boxed{.50}", r"0.7 \boxed{\frac{1}{2}}", r"0.1 \boxed{2}", "0.2 none"]
    for result in both(search(texts, extract="boxed")):
        assert [candidate.answer for candidate in result.candidates] == ["0.5", "0.5", "0.5", "2", None]


def test_equal_expressions_are_the_same_string():
    texts = [r"0.5 \boxed{x+1}", r"0.6 \boxed{1+x}", r"0.7 \boxed{x+2}"]
    for result in both(search(texts, extract="boxed", round_size=1, first_round=1), {"max_concurrency": 1}):
        assert [candidate.answer for candidate in result.candidates] == ["x+1", "x+1", "x+2"]


def test_a_candidate_without_an_answer_may_win_by_its_score():
    texts = ["0.9 none", "0.3 so 4", "0.4 so 4", "0.1 so 5"]
    chosen = {
        select: both(search(texts, extract=RegexAnswer("so (.*)"), select=select))[0].best.index
        for select in ("best", "vote", "weighted_vote")
    }
    assert chosen == {"best": 0, "vote": 2, "weighted_vote": 0}


SELECTS = ["best", "vote", "weighted_vote", WeightedVote(3.0)]
if hasattr(answers, "select_posterior"):
    SELECTS.append("posterior")


@pytest.mark.parametrize("select", SELECTS, ids=str)
@pytest.mark.parametrize("path", ["sync", "async"])
@given(drawn=st.lists(st.tuples(st.sampled_from(["3", "4", "5", ""]), st.floats(0, 1)), min_size=1, max_size=10))
@settings(max_examples=25, deadline=None)
def test_a_search_and_its_replay_return_the_same(path, select, drawn):
    texts = [f"{score!r} so {answer}" for answer, score in drawn]
    runnable = search(texts, extract=RegexAnswer("so (.*)"), select=select)
    result = runnable.invoke("q") if path == "sync" else asyncio.run(runnable.ainvoke("q"))
    samples = tuple(Sample(score=result.verdicts[one.index].score, answer=one.answer) for one in result.candidates)
    replayed = SessionMethod(MaxSamples(len(drawn)), "it", select=select, first_round=len(drawn)).run(
        Question("q", "q", samples), len(drawn)
    )
    assert replayed.chosen == result.best.index


def test_select_and_extract_may_be_changed_for_a_call():
    texts = ["0.9 so 3", "0.3 so 4", "0.4 so 4"]
    runnable = search(texts, extract="number", overridable={"select", "extract"})
    assert runnable.invoke("q").best.answer == "3"
    assert runnable.invoke("q", {"configurable": {"select": "vote"}}).best.answer == "4"
    assert runnable.invoke("q", {"configurable": {"extract": "choice", "select": "vote"}}).best.index == 0


def test_tool_calls_are_answers():
    calls = [{"q": "a", "n": 1}, {"n": 1.0, "q": "a"}, {"q": "b", "n": 1}]
    drawn = iter(calls * 2)
    lock = threading.Lock()

    def act(prompt):
        with lock:
            return AIMessage("", tool_calls=[{"name": "search", "args": next(drawn), "id": "x"}])

    runnable = OptScale(
        policy=RunnableLambda(act),
        verifier=lambda prompt, candidate: 0.5,
        extract=ToolCallAnswer(),
        select="vote",
        stopping=MaxSamples(3),
        first_round=3,
    )
    for result in both(runnable):
        assert result.best.answer == 'search({"n":1,"q":"a"})'
        assert sorted(candidate.answer for candidate in result.candidates)[2] == 'search({"n":1,"q":"b"})'


async def test_a_slow_extractor_does_not_hold_up_the_loop():
    def slow(text):
        time.sleep(0.3)
        return text

    ticks = 0

    async def tick():
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    ticking = asyncio.create_task(tick())
    await search(["0.5 a"], extract=slow).ainvoke("q")
    ticking.cancel()
    assert ticks > 5


def test_an_extractor_that_fails_fails_that_candidate_alone():
    def odd(text):
        if "bad" in text:
            raise KeyError("bad")
        return text

    for result in both(search(["0.5 good", "0.9 bad", "0.4 good"], extract=odd, fanout="n")):
        assert {index: failure.error for index, failure in result.failures.items()} == {1: "KeyError: 'bad'"}
        assert sorted(result.scores) == [0.4, 0.5]


def test_the_chat_model_takes_them_too():
    model = ChatOptScale(
        policy=ScriptedPolicy(texts=["0.9 so 3", "0.3 so 4", "0.4 so 4.0"]),
        verifier=read_score,
        extract="number",
        select="vote",
        stopping=MaxSamples(3),
        first_round=3,
    )
    assert model.invoke("q").content == "0.4 so 4.0"


def test_recorded_answers_are_canonical():
    policy = ScriptedPolicy(texts=["so 1,234", "so 1234.0"])
    pool = record_pool(
        policy, lambda prompt, candidate: 0.5, [Question("a", "q", gold="$1,234")], 2, extract="number",
        gold_check=answers.same_answer,
    )  # fmt: skip
    assert [(sample.answer, sample.correct) for sample in pool.samples] == [("1234", True)] * 2


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ({"extract": "box"}, "extract: unknown extractor 'box'; known are boxed, number, choice"),
        ({"extract": 3}, "an extractor must be a function"),
        ({"select": "majority"}, "select must be one of 'best', 'vote', 'weighted_vote', 'posterior' or a function"),
        ({"select": 3}, "select must be one of"),
    ],
)
def test_bad_settings(setting, sentence):
    with pytest.raises(SettingsError, match=sentence):
        search(["0.5"], **setting)
