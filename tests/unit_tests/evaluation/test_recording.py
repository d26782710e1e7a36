"""Recording without a network: what is kept, what is resumed, what is refused."""

import asyncio
import json
from datetime import date

import pytest
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.runnables import RunnableLambda

from langchain_optscale.errors import InvalidRecordError, SettingsError
from langchain_optscale.evaluation.pools import Pool, Question, read_pool, write_pool
from langchain_optscale.evaluation.recording import (
    IncompletePool,
    Progress,
    arecord_pool,
    read_questions,
    record_pool,
)
from tests.unit_tests.fakes import PlainPolicy, ScriptedPolicy, read_score

QUESTIONS = (Question("a", "first?", gold="0.2"), Question("b", "second?", gold="0.9"), Question("c", "third?"))


def both(test):
    """The sync and the async way, which must not differ."""

    def sync(*arguments, **settings):
        return record_pool(*arguments, **settings)

    def asynchronous(*arguments, **settings):
        return asyncio.run(arecord_pool(*arguments, **settings))

    return pytest.mark.parametrize("record", [sync, asynchronous], ids=["sync", "async"])(test)


def policy(**settings):
    return ScriptedPolicy(texts=["0.2", "0.9", "0.5", "0.7"], **settings)


def equal(answer, gold):
    return answer == gold


@both
def test_everything_is_recorded(record, tmp_path):
    model, path, seen = policy(), tmp_path / "my.pool.jsonl", []
    settings = {"extract": lambda text: None if text == "0.5" else text, "gold_check": equal, "seed": 0}
    pool = record(model, read_score, QUESTIONS, 3, path=path, progress=seen.append, **settings)
    assert [question.id for question in pool] == ["a", "b", "c"]
    assert [sample.score for sample in pool.questions[0].samples] == [0.2, 0.9, 0.5]
    assert [sample.text for sample in pool.questions[1].samples] == ["0.2", "0.9", "0.5"]
    assert [sample.answer for sample in pool.questions[1].samples] == ["0.2", "0.9", None]
    assert [[sample.correct for sample in question.samples] for question in pool] == [
        [True, False, False],
        [False, True, False],
        [None, None, None],
    ]
    assert [sample.tokens for sample in pool.samples] == [5] * 9
    assert pool.name == "my.pool"
    assert {question.id: question for question in read_pool(path)} == {question.id: question for question in pool}
    assert [request["n"] for request in model.requests] == [3, 3, 3]  # one request a question
    assert [progress.done for progress in seen] == [1, 2, 3]
    assert Progress(done=3, total=3, id=seen[2].id, samples=3, failed=0, tokens=25) == seen[2]


@both
def test_a_second_call_draws_what_is_missing(record, tmp_path):
    model, path = policy(), tmp_path / "pool.jsonl"
    record(model, read_score, QUESTIONS[:2], 2, path=path)
    before = path.read_bytes()
    pool = record(model, read_score, QUESTIONS, 2, path=path)
    assert len(model.requests) == 3
    assert [question.id for question in pool] == ["a", "b", "c"]
    assert path.read_bytes().startswith(before)
    assert record(model, read_score, QUESTIONS, 2, path=path) == pool
    assert len(model.requests) == 3


@pytest.mark.parametrize("cut", [1, 8, 9, 40, -2])
def test_a_half_written_line_is_cut_off_and_redone(tmp_path, cut):
    model, path = policy(), tmp_path / "pool.jsonl"
    record_pool(model, read_score, QUESTIONS, 2, path=path, max_concurrency=1)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2]) + lines[2][:cut])
    pool = record_pool(model, read_score, QUESTIONS, 2, path=path, max_concurrency=1)
    assert path.read_bytes().splitlines(keepends=True) == lines
    assert len(model.requests) == 4
    assert read_pool(path) == pool


def test_a_line_that_lacks_only_its_end_is_kept(tmp_path):
    model, path = policy(), tmp_path / "pool.jsonl"
    record_pool(model, read_score, QUESTIONS, 2, path=path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    record_pool(model, read_score, QUESTIONS, 2, path=path)
    assert path.read_bytes() == whole
    assert len(model.requests) == 3


@pytest.mark.parametrize("content", ["no JSON\n", "no JSON", '{"id": "a"\n{"id": ', '{"question": ', "7\n", "{}\n"])
def test_a_file_of_something_else_is_left_alone(tmp_path, content):
    path = tmp_path / "pool.jsonl"
    path.write_text(content)
    with pytest.raises(InvalidRecordError, match="line 1"):
        record_pool(policy(), read_score, QUESTIONS, 2, path=path)
    assert path.read_text() == content


def test_a_recording_with_other_settings_is_left_alone(tmp_path):
    path = tmp_path / "pool.jsonl"
    pool = record_pool(policy(), read_score, QUESTIONS, 2, path=path)
    before = path.read_bytes()
    with pytest.raises(SettingsError, match="line 1: recorded with n 2, not 3; choose another file"):
        record_pool(policy(), read_score, QUESTIONS, 3, path=path)
    with pytest.raises(SettingsError, match="recorded with seed None, not 7"):
        record_pool(policy(), read_score, QUESTIONS, 2, path=path, seed=7)
    with pytest.raises(SettingsError, match="recorded with policy 'ScriptedPolicy', not 'PlainPolicy'"):
        record_pool(PlainPolicy(texts=["0.1"]), read_score, QUESTIONS, 2, path=path)
    with pytest.raises(SettingsError, match="recorded with verifier"):
        record_pool(policy(), lambda prompt, candidate: 0.5, QUESTIONS, 2, path=path)
    with pytest.raises(SettingsError, match="question 'a' was recorded with another prompt"):
        record_pool(policy(), read_score, [Question("a", "changed?")], 2, path=path)
    assert path.read_bytes() == before
    path.write_bytes(before + before)
    with pytest.raises(InvalidRecordError, match=r"line 4: id '.' is already used on an earlier line"):
        record_pool(policy(), read_score, QUESTIONS, 2, path=path)
    write_pool(pool, path)
    with pytest.raises(SettingsError, match="was not made by record_pool"):
        record_pool(policy(), read_score, QUESTIONS, 2, path=path)


@both
def test_failures_are_counted_and_reported(record, tmp_path):
    path, seen = tmp_path / "pool.jsonl", []

    def verify(prompt, candidate):
        if prompt.to_string() == "second?" or candidate.text == "0.9":
            raise ValueError("no idea")
        return float(candidate.text)

    with pytest.raises(IncompletePool, match="every candidate failed of question 'b'") as caught:
        record(policy(), verify, QUESTIONS, 2, path=path, progress=seen.append, max_concurrency=1)
    assert list(caught.value.failures) == ["b"]
    assert "no idea" in str(caught.value)
    assert [question.id for question in caught.value.pool] == ["a", "c"]
    assert [len(question.samples) for question in caught.value.pool] == [1, 1]
    assert [(progress.id, progress.samples, progress.failed) for progress in seen] == [
        ("a", 1, 1),
        ("b", 0, 2),
        ("c", 1, 1),
    ]
    assert [json.loads(line)["recorded"]["failed"] for line in path.read_text().splitlines()] == [1, 1]
    model = policy()
    with pytest.raises(IncompletePool):
        record(model, verify, QUESTIONS, 2, path=path)
    assert len(model.requests) == 1  # the one that failed is asked again, the others are not


@both
def test_a_check_that_fails_says_where(record, tmp_path):
    def check(answer, gold):
        raise KeyError(gold)

    path = tmp_path / "pool.jsonl"
    with pytest.raises(KeyError) as caught:
        record(policy(), read_score, QUESTIONS[:1], 2, gold_check=check, path=path)
    assert caught.value.__notes__ == ["while the candidates of question 'a' were checked"]
    assert path.read_text() == ""


@pytest.mark.parametrize(("questions", "limit"), [(1, 3), (2, 4), (6, 3), (6, 1)])
def test_no_more_requests_at_once_than_allowed(questions, limit):
    running, most = 0, 0

    async def verify(candidate):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1
        return 0.5

    asked = [f"question {i}" for i in range(questions)]
    pool = asyncio.run(arecord_pool(policy(), RunnableLambda(verify), asked, 4, max_concurrency=limit))
    assert len(pool) == questions
    assert most == limit


def test_cancelling_closes_what_is_under_way(tmp_path):
    model = PlainPolicy(texts=["0.5"], delays={0: 30.0})

    async def cancelled():
        task = asyncio.create_task(arecord_pool(model, read_score, QUESTIONS, 1, path=tmp_path / "pool.jsonl"))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert model.cancelled == [0, 0, 0]


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"n": 0}, "max_samples must be a whole number of at least 1"),
        ({"max_concurrency": 0}, "max_concurrency must be"),
        ({"questions": []}, "there are no questions"),
        ({"questions": ["x", "x"]}, "1 questions occur several times"),
        ({"policy": policy(temperature=0.0)}, "temperature is 0"),
        ({"path": "pool.jsonl.gz"}, r"cannot append to a .gz file"),
        ({"path": "no/where.jsonl"}, "cannot be continued: No such file"),
    ],
)
def test_what_cannot_be_recorded(tmp_path, settings, complaint):
    settings = {"policy": policy(), "verifier": read_score, "questions": QUESTIONS, "n": 2, **settings}
    if "path" in settings:
        settings["path"] = tmp_path / settings["path"]
    with pytest.raises(SettingsError, match=complaint):
        record_pool(**settings)


def test_read_questions(tmp_path):
    path = tmp_path / "questions.jsonl"
    path.write_text(
        '"What?"\n{"prompt": "What?", "id": "x", "gold": "4", "samples": [{"score": 1}]}\n{"prompt": "Why?"}'
    )
    first, second, third = read_questions(path)
    assert (first.prompt, len(first.id)) == ("What?", 16)
    assert second == Question("x", "What?", gold="4")
    assert third.id != first.id
    for content, complaint in [
        ("{}", "line 1: prompt missing"),
        ('{"prompt": 7}', "line 1: prompt must be a string, got 7"),
        ('{"prompt": "What?", "gold": 4}', "line 1: gold must be a string, got 4"),
        ('"What?"\n\n"What?"', "line 3: the question or the id of line 1 is repeated"),
        (
            '{"prompt": "What?", "id": "x"}\n{"prompt": "Why?", "id": "x"}',
            "line 2: the question or the id of line 1 is repeated",
        ),
        ("7", "line 1: a question must be"),
        ("", "no questions"),
    ]:
        path.write_text(content)
        with pytest.raises(InvalidRecordError, match=complaint):
            read_questions(path)


@both
def test_a_check_sees_the_answer_as_it_was_found(record):
    """Its canonical form has other letters, so that a plain comparison with the gold answer would never hold."""
    model = PlainPolicy(texts=["It is Rome.", "It is Oslo.", "I cannot say."])
    questions = [Question("a", "Capital of Italy?", gold="Rome")]

    def city(text):
        return text.split()[-1].rstrip(".") if "It is" in text else None

    pool = record(model, lambda prompt, candidate: 0.5, questions, 3, extract=city, gold_check=equal, max_concurrency=1)
    assert [(sample.answer, sample.correct) for sample in pool.samples] == [
        ("rome", True),
        ("oslo", False),
        (None, False),
    ]


def run_of_an_agent(prompt):
    messages = prompt.to_messages()
    call = {"name": "add", "args": {"a": 2, "b": 2}, "id": "1", "type": "tool_call"}
    steps = [AIMessage("", tool_calls=[call]), ToolMessage("4", tool_call_id="1"), AIMessage("0.9")]
    return {"messages": [*messages, *steps], "files": {"sum.py": "2 + 2"}, "at": date(2026, 1, 2)}


@both
def test_runs_of_an_agent_keep_their_state_in_pools(record, tmp_path):
    path = tmp_path / "runs.jsonl"
    recorded = record(RunnableLambda(run_of_an_agent), read_score, QUESTIONS, 2, path=path)
    write_pool(read_pool(path), tmp_path / "again.jsonl.gz")
    merged = Pool.merge(read_pool(tmp_path / "again.jsonl.gz"), name="runs").with_scores(lambda sample: 0.5)
    continued = record(RunnableLambda(run_of_an_agent), read_score, QUESTIONS, 2, path=path)
    for pool in (recorded, read_pool(path), merged, continued):
        for sample in pool.samples:
            assert [message.type for message in sample.trajectory] == ["human", "ai", "tool", "ai"]
            assert sample.trajectory[1].tool_calls[0]["args"] == {"a": 2, "b": 2}
            assert (sample.state["files"], sample.state["at"]) == ({"sum.py": "2 + 2"}, "2026-01-02")
    plain = record(policy(), read_score, QUESTIONS, 1)
    assert {(sample.state, sample.trajectory) for sample in plain.samples} == {(None, ())}


def test_a_state_that_is_none_is_refused(tmp_path):
    path = tmp_path / "pool.jsonl"
    path.write_text('{"id": "a", "prompt": "?", "samples": [{"text": "4", "state": [1]}]}')
    with pytest.raises(InvalidRecordError, match="state must be an object, got list"):
        read_pool(path)
    broken = '{"optscale_message": {"type": "no such", "data": {}}}'
    path.write_text(f'{{"id": "a", "prompt": "?", "samples": [{{"text": "4", "state": {{"messages": [{broken}]}}}}]}}')
    (sample,) = read_pool(path).samples
    with pytest.raises(InvalidRecordError, match="messages of a recorded state cannot be read"):
        _ = sample.trajectory
