"""Many threads of one graph on one real PostgreSQL, and what is kept there."""

import asyncio
import random
import re

import pytest
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.types import Command
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from benchmarks.graph_checkpoints import on_postgres
from langchain_optscale import OptScaleResult, StopReason, create_optscale_graph
from langchain_optscale.stopping import MaxSamples, TargetReached
from tests.unit_tests.fakes import PlainPolicy
from tests.unit_tests.graph.searches import QUESTION, graph_of, result_in, thread

THREADS = 200


class Echo(PlainPolicy):
    """Answers with the number in the question, the candidate's own, and a score that depends on both."""

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        question, seed = int(re.search(r"\d+", messages[-1].text).group()), kwargs["seed"]
        source = random.Random(1000 * question + seed)
        await asyncio.sleep(source.random() / 50)
        answer = AIMessage(f"question {question} candidate {seed} score {source.random():.3f}")
        return ChatResult(generations=[ChatGeneration(message=answer)])


def score(prompt, candidate):
    return float(candidate.text.split()[-1])


@pytest.mark.timeout(300)
async def test_two_hundred_threads_at_once(postgres_url):
    graph = create_optscale_graph(
        policy=Echo(texts=[""]),
        verifier=score,
        stopping=TargetReached(0.97) | MaxSamples(12),
        first_round=3,
        round_size=4,
        seed=0,
    )
    options = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
    async with AsyncConnectionPool(postgres_url, max_size=20, kwargs=options, timeout=240) as pool:
        compiled = graph.compile(checkpointer=AsyncPostgresSaver(pool))

        async def one(number):
            config = {"configurable": {"thread_id": f"many-{number}"}}
            return await compiled.ainvoke({"messages": [("human", f"question {number}")]}, config)

        states = await asyncio.gather(*(one(number) for number in range(THREADS)))
        kept = await asyncio.gather(*(compiled.aget_state(thread(f"many-{number}")) for number in range(THREADS)))
    for number, (state, snapshot) in enumerate(zip(states, kept, strict=True)):
        assert snapshot.next == ()
        assert snapshot.values == state
        result = OptScaleResult.from_dict(state["optscale"])
        assert [message.type for message in state["messages"]] == ["human", "ai"]
        assert state["messages"][0].text == f"question {number}"
        for index, candidate in enumerate(result.candidates):
            source = random.Random(1000 * number + index)
            source.random()
            assert candidate.text == f"question {number} candidate {index} score {source.random():.3f}"
        assert result.score == max(verdict.score for verdict in result.verdicts.values())
        assert (result.score >= 0.97) == (result.stop_reason is StopReason.TARGET_REACHED)
    assert len({state["optscale"]["search"]["id"] for state in states}) == THREADS


SCORES = [0.2, 0.4, 0.3, 0.55, 0.5, 0.6, 0.1, 0.7, 0.65, 0.97]


def test_a_person_answers_another_process_than_the_one_that_asked(postgres_url):
    name = "review"
    with PostgresSaver.from_conn_string(postgres_url) as saver:
        saver.delete_thread(name)
        graph, _ = graph_of(SCORES, max_samples=5, review=True)
        assert graph.compile(checkpointer=saver).invoke(QUESTION, thread(name))["__interrupt__"]
    with PostgresSaver.from_conn_string(postgres_url) as saver:
        graph, model = graph_of(SCORES, max_samples=5, review=True)
        state = graph.compile(checkpointer=saver).invoke(Command(resume={"max_samples": 10}), thread(name))
    assert result_in(state).text == "0.97"
    assert sorted(request["seed"] for request in model.requests) == [5, 6, 7, 8, 9]


def test_time_travel(postgres_url):
    with PostgresSaver.from_conn_string(postgres_url) as saver:
        saver.delete_thread("travel")
        graph, model = graph_of(SCORES, round_size=3)
        compiled = graph.compile(checkpointer=saver)
        compiled.invoke(QUESTION, thread("travel"))
        drawn = len(model.requests)
        history = [one for one in compiled.get_state_history(thread("travel")) if one.next == ("decide",)]
        state = compiled.invoke(None, history[-2].config, context={"target": 0.5})
    assert result_in(state).text == "0.55"
    assert len(model.requests) == drawn


def test_what_a_thread_stores_is_linear(postgres_url):
    small = on_postgres(postgres_url, 4000, 32, "calls")
    large = on_postgres(postgres_url, 4000, 128, "calls")
    assert small["stored_to_messages"] <= 1.5
    assert large["stored_to_messages"] <= small["stored_to_messages"]
