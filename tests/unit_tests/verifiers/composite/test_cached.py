"""Every candidate judged once: what counts as the same, who pays, who waits for whom, and what outlives the process."""

import asyncio
import gc
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage, ChatMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.prompt_values import ChatPromptValue, StringPromptValue
from pydantic import create_model

from langchain_optscale import CachedVerifier, OptScale, SettingsError
from langchain_optscale.records.candidates import Candidate, Verdict
from langchain_optscale.records.usage import Usage
from langchain_optscale.verifiers import (
    EnsembleVerifier,
    JSONCheck,
    LengthCheck,
    LLMJudge,
    RegexCheck,
    RequiredWords,
    RewardModelVerifier,
    Verifier,
)
from langchain_optscale.verifiers.composite.store import SQLiteStore
from langchain_optscale.verifiers.conformance import VerifierConformance, make_candidate
from tests.unit_tests.fakes import ScriptedPolicy

PROMPT = StringPromptValue(text="q")


class Judge(Verifier):
    """Counts its calls; fails or waits as configured."""

    def __init__(self, *errors, delay=0.0):
        self.errors, self.delay, self.calls = list(errors), delay, []
        self.lock = threading.Lock()

    def _answer(self, candidate):
        with self.lock:
            self.calls.append(candidate.text)
            error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error
        return Verdict(0.5, "fine", Usage(3, 1, 1), raw={"text": candidate.text})

    def verify(self, prompt, candidate, config=None):
        time.sleep(self.delay)
        return self._answer(candidate)

    async def averify(self, prompt, candidate, config=None):
        await asyncio.sleep(self.delay)
        return self._answer(candidate)


def verify(cached, candidate, prompt=PROMPT, path="sync"):
    if path == "sync":
        return cached.verify(prompt, candidate)
    return asyncio.run(cached.averify(prompt, candidate))


@pytest.mark.parametrize("path", ["sync", "async"])
def test_the_second_time_costs_nothing(path):
    cached = CachedVerifier(judge := Judge())
    first, second = (verify(cached, make_candidate("a", index), path=path) for index in (0, 7))
    assert first == Verdict(0.5, "fine", Usage(3, 1, 1), raw={"text": "a"})
    assert second == Verdict(0.5, "fine", None, raw={"text": "a"})
    assert (judge.calls, cached.info()) == (["a"], (1, 1, 1))


def candidate(text="a", *, answer=None, calls=(), id_=None, **metadata):
    message = AIMessage(text, tool_calls=list(calls), id=id_, response_metadata=metadata)
    return Candidate(0, message, round=0, answer=answer)


def call(id_, **arguments):
    return {"name": "search", "args": arguments, "id": id_}


def broken(arguments, id_="1"):
    call = {"name": "search", "args": arguments, "id": id_, "error": None, "type": "invalid_tool_call"}
    return Candidate(0, AIMessage("a", invalid_tool_calls=[call]), round=0)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (broken("{q"), broken("{q", "2"), True),
        (broken("{q"), broken("{r"), False),
        (broken("{q"), candidate(), False),
        (broken('{"q": "x"}'), candidate(calls=[call("1", q="x")]), False),
        (candidate(), candidate(id_="other", model_name="other"), True),
        (candidate(calls=[call("1", q="x")]), candidate(calls=[call("2", q="x")]), True),
        (candidate(calls=[call("1", q="x")]), candidate(calls=[call("1", q="y")]), False),
        (candidate("a"), candidate("b"), False),
        (candidate(answer="1"), candidate(answer="2"), False),
        (candidate(logprobs={"content": [1]}), candidate(logprobs={"content": [2]}), False),
    ],
)
def test_what_counts_as_the_same_candidate(one, other, same):
    cached = CachedVerifier(judge := Judge())
    verify(cached, one)
    verify(cached, other)
    assert len(judge.calls) == (1 if same else 2)


def test_what_counts_as_the_same_conversation():
    def chat(id_, text="q"):
        asked = AIMessage("", tool_calls=[call(id_)], id=id_)
        return ChatPromptValue(messages=[HumanMessage(text, id=id_), asked, ToolMessage("r", tool_call_id=id_)])

    cached = CachedVerifier(judge := Judge())
    verify(cached, candidate(), chat("1"))
    verify(cached, candidate(), chat("2"))
    assert len(judge.calls) == 1
    verify(cached, candidate(), chat("1", "another"))
    assert len(judge.calls) == 2


def test_the_least_recently_used_goes_first():
    cached = CachedVerifier(judge := Judge(), size=2)
    for text in ["a", "b", "a", "c", "a", "b"]:
        verify(cached, make_candidate(text))
    assert judge.calls == ["a", "b", "c", "b"]
    assert cached.info() == (2, 4, 2)


def test_identical_requests_in_threads_share_one_call():
    cached = CachedVerifier(judge := Judge(delay=0.3))
    with ThreadPoolExecutor(8) as pool:
        verdicts = list(pool.map(lambda index: verify(cached, make_candidate("a", index)), range(8)))
    assert judge.calls == ["a"]
    assert sum(verdict.usage is not None for verdict in verdicts) == 1
    assert cached.info() == (7, 1, 1)


async def test_identical_requests_in_tasks_share_one_call():
    cached = CachedVerifier(judge := Judge(delay=0.1))
    verdicts = await asyncio.gather(*(cached.averify(PROMPT, make_candidate("a", index)) for index in range(8)))
    assert judge.calls == ["a"]
    assert sum(verdict.usage is not None for verdict in verdicts) == 1


@pytest.mark.parametrize("path", ["sync", "async"])
def test_failures_are_not_cached(path):
    cached = CachedVerifier(judge := Judge(ConnectionError("down")))
    with pytest.raises(ConnectionError, match="down"):
        verify(cached, make_candidate("a"), path=path)
    assert verify(cached, make_candidate("a"), path=path).score == 0.5
    assert judge.calls == ["a", "a"]


def test_those_who_wait_in_threads_get_the_error_of_the_call():
    cached = CachedVerifier(judge := Judge(ConnectionError("down"), delay=0.3))
    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(verify, cached, make_candidate("a")) for _ in range(4)]
        assert [type(future.exception()) for future in futures] == [ConnectionError] * 4
    assert judge.calls == ["a"]


async def test_those_who_wait_in_tasks_get_the_error_of_the_call():
    cached = CachedVerifier(judge := Judge(ConnectionError("down"), delay=0.1))
    requests = [cached.averify(PROMPT, make_candidate("a")) for _ in range(4)]
    outcomes = await asyncio.gather(*requests, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ConnectionError] * 4
    assert judge.calls == ["a"]


async def test_where_the_caller_is_cancelled_one_who_waits_calls_anew():
    cached = CachedVerifier(judge := Judge(delay=0.2))
    tasks = [asyncio.create_task(cached.averify(PROMPT, make_candidate("a", index))) for index in range(4)]
    await asyncio.sleep(0.05)
    tasks[0].cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(outcomes[0], asyncio.CancelledError)
    assert [outcome.score for outcome in outcomes[1:]] == [0.5] * 3
    assert judge.calls == ["a"]


async def test_cancelling_one_who_waits_leaves_the_call_alone():
    cached = CachedVerifier(judge := Judge(delay=0.2))
    tasks = [asyncio.create_task(cached.averify(PROMPT, make_candidate("a", index))) for index in range(3)]
    await asyncio.sleep(0.05)
    tasks[1].cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [Verdict, asyncio.CancelledError, Verdict]
    assert judge.calls == ["a"]


def test_threads_and_loops_do_not_wait_for_each_other():
    cached = CachedVerifier(Judge(delay=0.2))
    with ThreadPoolExecutor(4) as pool:
        futures = [
            pool.submit(verify, cached, make_candidate("a"), path=path) for path in ("sync", "async", "sync", "async")
        ]
        assert [future.result(10).score for future in futures] == [0.5] * 4


@pytest.mark.parametrize("kind", ["file", "langchain"])
@pytest.mark.parametrize("path", ["sync", "async"])
def test_a_store_outlives_the_verifier(tmp_path, kind, path):
    cache = InMemoryCache()
    for expected in (1, 0):
        store = tmp_path / "verdicts.sqlite" if kind == "file" else cache
        cached = CachedVerifier(judge := Judge(), store=store, identity="judge-1")
        verdict = verify(cached, make_candidate("a"), path=path)
        assert (verdict.score, verdict.explanation, verdict.raw) == (0.5, "fine", {"text": "a"})
        assert (verdict.usage is not None) == (len(judge.calls) == 1) == bool(expected)
        assert cached.info() == (1 - expected, expected, 1)
        if kind == "file":
            cached._store.cache.close()


def test_another_identity_is_another_verifier(tmp_path):
    store = SQLiteStore(tmp_path / "verdicts.sqlite")
    for identity in ("judge-1", "judge-2"):
        cached = CachedVerifier(judge := Judge(), store=store, identity=identity)
        verify(cached, make_candidate("a"))
        assert len(judge.calls) == 1
    store.clear()
    verify(CachedVerifier(judge := Judge(), store=store, identity="judge-1"), make_candidate("a"))
    assert len(judge.calls) == 1
    store.close()


def test_a_store_needs_an_identity_unless_the_settings_are_all_there():
    with pytest.raises(SettingsError, match="give identity="):
        CachedVerifier(Judge(), store=InMemoryCache())
    with pytest.raises(SettingsError, match="give identity="):
        CachedVerifier(lambda prompt, candidate: 1.0, store=InMemoryCache())
    cache = InMemoryCache()
    assert verify(CachedVerifier(LengthCheck(exactly=1), store=cache), make_candidate("a b")).score == 0.5
    assert verify(CachedVerifier(LengthCheck(exactly=2), store=cache), make_candidate("a b")).score == 1.0


def judge_of(**settings):
    return LLMJudge(FakeListChatModel(responses=["x"]), method="text", **settings)


def answer(**fields):
    return create_model("Answer", **dict.fromkeys(fields, (int, ...)))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (JSONCheck(answer(x=1)), JSONCheck(answer(x=1, y=1))),
        (RegexCheck("a"), RegexCheck("b")),
        (EnsembleVerifier([JSONCheck(answer(x=1))]), EnsembleVerifier([JSONCheck(answer(x=1, y=1))])),
        (EnsembleVerifier([RegexCheck("a")]), EnsembleVerifier([RegexCheck("a")], combine="min")),
        (judge_of(rubric="strict"), judge_of(rubric="lenient")),
        (judge_of(criteria=["a"]), judge_of(criteria=["b"])),
        (judge_of(reference=lambda prompt: "1"), judge_of(reference=lambda prompt: "2")),
        (RewardModelVerifier("http://a:1", "m"), RewardModelVerifier("http://a:1", "n")),
    ],
)
def test_a_stored_verdict_does_not_outlive_what_it_depends_on(before, after):
    def identity(verifier):
        return CachedVerifier(verifier, store=InMemoryCache(), identity="v1")._store.identity

    assert identity(before) == identity(before)
    assert identity(before) != identity(after)


def test_a_class_of_the_same_name_is_another_schema():
    cache, candidate = InMemoryCache(), make_candidate('{"x": 1}')
    for model, score in ((answer(x=1), 1.0), (answer(x=1, y=1, z=1), 0.5)):
        check = JSONCheck(model)
        assert verify(CachedVerifier(check, store=cache), candidate).score == verify(check, candidate).score
        assert (verify(check, candidate).score == 1) == (score == 1)


def tool(content, status="success", call="1"):
    asked = AIMessage("", tool_calls=[{"name": "f", "args": {}, "id": "1"}, {"name": "f", "args": {}, "id": "2"}])
    return [HumanMessage("q"), asked, ToolMessage(content, tool_call_id=call, status=status)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (tool("x"), tool("x", status="error")),
        (tool("x"), tool("x", call="2")),
        ([ChatMessage("x", role="critic")], [ChatMessage("x", role="author")]),
        ([HumanMessage("x", name="Ann")], [HumanMessage("x", name="Bob")]),
        ([HumanMessage("x")], [SystemMessage("x")]),
    ],
)
def test_conversations_that_differ_are_told_apart(one, other):
    cached = CachedVerifier(judge := Judge())
    for messages in (one, other, one):
        cached.verify(ChatPromptValue(messages=messages), make_candidate("a"))
    assert len(judge.calls) == 2


def test_candidates_that_ended_differently_are_told_apart():
    cached = CachedVerifier(judge := Judge())
    for reason in ("stop", "length", "stop"):
        message = AIMessage("a", response_metadata={"finish_reason": reason})
        cached.verify(StringPromptValue(text="q"), Candidate(0, message, 0))
    assert len(judge.calls) == 2


def test_a_damaged_or_broken_store_costs_a_verification_and_fails_none(tmp_path, caplog):
    path = tmp_path / "verdicts.sqlite"
    cached = CachedVerifier(judge := Judge(), store=path, identity="judge", size=1)
    verify(cached, make_candidate("a"))
    cached._store.cache.close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE verdicts SET value = '{\"score\": 7}'")
    connection.close()
    again = CachedVerifier(judge, store=path, identity="judge", size=1)
    assert verify(again, make_candidate("a")).score == 0.5
    again.close()
    for file in tmp_path.glob("verdicts.sqlite*"):
        file.unlink()
    path.mkdir()  # what is no file cannot be opened again
    assert verify(again, make_candidate("b")).score == 0.5
    assert judge.calls == ["a", "a", "b"]
    assert "could not be read" in caplog.text
    assert "could not be written" in caplog.text


def test_a_raw_answer_without_a_json_form_is_not_stored(tmp_path):
    store = SQLiteStore(tmp_path / "verdicts.sqlite")
    odd = Verdict(0.25, raw=object())
    cached = CachedVerifier(lambda prompt, candidate: odd, store=store, identity="odd")
    assert verify(cached, make_candidate("a")) == odd
    fresh = CachedVerifier(lambda prompt, candidate: 1.0, store=store, identity="odd")
    assert verify(fresh, make_candidate("a")) == Verdict(0.25)
    store.close()


def test_what_is_no_store(tmp_path):
    (tmp_path / "text").write_text("no database, but a text of some length " * 50)
    for bad in (tmp_path / "text", tmp_path / "missing" / "file"):
        with pytest.raises(SettingsError, match="cannot be used as a store"):
            CachedVerifier(Judge(), store=bad, identity="x")
    for size in (0, 2.5, True):
        with pytest.raises(SettingsError, match="size"):
            CachedVerifier(Judge(), size=size)


@pytest.mark.parametrize("path", ["sync", "async"])
def test_in_a_search_equal_candidates_are_judged_once(path):
    judge = Judge(delay=0.05)
    runnable = OptScale(
        policy=ScriptedPolicy(texts=["a", "a", "b", "a"]), verifier=CachedVerifier(judge), max_samples=4, first_round=4
    )
    result = runnable.invoke("q") if path == "sync" else asyncio.run(runnable.ainvoke("q"))
    assert sorted(judge.calls) == ["a", "b"]
    assert len(result.scores) == 4
    assert result.usage["verifier"] == Usage(6, 2, 2)


def test_repr_and_name():
    cached = CachedVerifier(LengthCheck(exactly=1), store=InMemoryCache())
    assert cached.name == "cached LengthCheck"
    assert repr(cached).endswith("size=4096, store=InMemoryCache)")


class TestCached(VerifierConformance):
    def make_verifier(self):
        return CachedVerifier(RequiredWords(["Paris"]))

    def good_candidate(self):
        return make_candidate("Paris, France")

    def bad_candidate(self):
        return make_candidate("I do not know")


class TestStored(TestCached):
    def make_verifier(self):
        return CachedVerifier(RequiredWords(["Paris"]), store=InMemoryCache())


def test_closing_a_file_is_possible_and_not_final(tmp_path):
    with CachedVerifier(judge := Judge(), store=tmp_path / "v.sqlite", identity="judge", size=1) as cached:
        verify(cached, make_candidate("a"))
    cached.close()
    assert cached._store.cache._connection is None
    verify(cached, make_candidate("b"))
    verify(cached, make_candidate("a"))  # out of the file, which is open again
    assert judge.calls == ["a", "b"]
    cached.close()


def test_a_cache_that_was_given_stays_open(tmp_path):
    store = SQLiteStore(tmp_path / "v.sqlite")
    with CachedVerifier(Judge(), store=store, identity="judge") as cached:
        verify(cached, make_candidate("a"))
    assert store._connection is not None
    store.close()


def test_a_store_that_nobody_closes_is_closed_when_it_is_collected(tmp_path):
    cached = CachedVerifier(Judge(), store=tmp_path / "v.sqlite", identity="judge")
    connection = cached._store.cache._connection
    del cached
    gc.collect()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")
