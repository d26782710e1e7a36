"""Searches behind agents leave rows: the tool's, and those of an agent's steps, but not of steps without a search."""

import pytest
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage

from langchain_optscale import OptScaleMiddleware, create_optscale_tool
from langchain_optscale.learning.store import ScoreStore
from tests.unit_tests.fakes import PlainPolicy, read_score

QUESTION = {"messages": [HumanMessage("How much?")]}


@pytest.fixture
def store(tmp_path):
    with ScoreStore(tmp_path / "s.db") as store:
        yield store


def test_the_tool_records_and_names_its_search(store):
    tool = create_optscale_tool(policy=PlainPolicy(texts=["0.2", "0.95"]), verifier=read_score, store=store)
    message = tool.invoke({"type": "tool_call", "id": "1", "name": tool.name, "args": {"question": "Why?"}})
    assert [row.id for row in store.rows()] == [message.artifact.search_id]


def test_the_middleware_opens_a_path_once(tmp_path):
    run_agent(str(tmp_path / "s.db"))
    with ScoreStore(tmp_path / "s.db") as store:
        assert len(store) == 1


def run_agent(store, when=None):
    settings = {} if when is None else {"when": when}
    middleware = OptScaleMiddleware(verifier=read_score, store=store, max_samples=4, target=0.9, **settings)
    model = PlainPolicy(texts=["0.2", "0.95", "0.3", "0.4"])
    return create_agent(model, tools=[], middleware=[middleware]).invoke(QUESTION)


def test_an_agents_step_is_recorded(store):
    message = run_agent(store)["messages"][-1]
    (row,) = store.rows()
    assert row.id == message.response_metadata["optscale"]["search_id"]
    assert row.policy.facts["class"] == "PlainPolicy"


def test_a_step_without_a_search_leaves_no_row(store):
    run_agent(store, "tool_calls")
    assert len(store) == 0


def test_of_a_step_that_is_searched_after_a_look_at_it_there_is_one_row(store):
    run_agent(store, "final_answers")
    assert len(store) == 1
