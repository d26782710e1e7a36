"""What a thread stores: everything once, in about the messages' own bytes, and enough to go on from."""

import copy
import sqlite3

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.types import Overwrite

from benchmarks.graph_checkpoints import on_sqlite
from tests.unit_tests.fakes import PlainPolicy, ScriptedPolicy
from tests.unit_tests.graph.searches import QUESTION, graph_of, result_in, thread

SCORES = [0.21, 0.42, 0.33, 0.54, 0.55, 0.16, 0.77, 0.68, 0.59, 0.97]


@pytest.fixture
def database(tmp_path):
    path = str(tmp_path / "threads.sqlite")
    with SqliteSaver.from_conn_string(path) as saver:
        yield saver, path


def stored(path):
    with sqlite3.connect(path) as connection:
        rows = connection.execute("select checkpoint from checkpoints union all select value from writes").fetchall()
    connection.close()
    return b"".join(row[0] for row in rows if row[0])


@pytest.mark.parametrize("policy", [PlainPolicy, ScriptedPolicy])
def test_every_message_is_stored_once_however_many_rounds_there_are(database, policy):
    saver, path = database
    graph, _ = graph_of([f"{score} by candidate" for score in SCORES], policy=policy, verifier=read_first, round_size=2)
    state = graph.compile(checkpointer=saver).invoke({"messages": [("human", "A long question")]}, thread())
    kept = stored(path)
    assert len(state["optscale"]["rounds"]) == 5
    for score in SCORES[:-1]:
        assert kept.count(f"{score} by candidate".encode()) == 1
    # The chosen one also as the answer; the question also as the input that it came with.
    assert kept.count(b"0.97 by candidate") == 2
    assert kept.count(b"A long question") == 2


def read_first(prompt, candidate):
    return float(candidate.text.split()[0])


def test_a_conversation_is_not_stored_again_with_every_round_and_turn(database):
    saver, path = database
    graph, _ = graph_of(SCORES, max_samples=6, round_size=2)
    compiled = graph.compile(checkpointer=saver)
    turns = 12
    for turn in range(turns):
        state = compiled.invoke({"messages": [("human", f"turn {turn} said")]}, thread())
    assert [message.text for message in state["messages"][::2]] == [f"turn {turn} said" for turn in range(turns)]
    assert compiled.get_state(thread()).values["messages"] == state["messages"]
    # Once as the input, once as its write, and again only where the whole conversation is written down.
    assert stored(path).count(b"turn 0 said") <= 2 + 2 * turns // 10


@pytest.mark.parametrize(("fanout", "length", "times"), [("calls", 2000, 1.4), ("n", 2000, 1.45), ("calls", 1250, 1.5)])
def test_a_search_stores_little_more_than_its_messages(fanout, length, times):
    _, figures = on_sqlite(length, 32, fanout)
    assert figures["stored_to_messages"] <= times


def test_what_is_stored_grows_no_faster_than_the_candidates():
    small, large = (on_sqlite(500, count, "calls")[1]["stored_bytes"] for count in (32, 128))
    assert large <= 4 * small


class Stalled(InMemorySaver):
    """A database that takes in what tasks write, but whose checkpoints come to a halt after some."""

    def __init__(self, takes):
        super().__init__()
        self.left = takes
        self.crashed = None

    def put(self, config, checkpoint, metadata, new_versions):
        if self.left == 0 and self.crashed is None:
            self.crashed = copy.copy(self)
            self.crashed.storage = copy.deepcopy(self.storage)
            self.crashed.blobs = copy.deepcopy(self.blobs)
            self.crashed.left = -1
        self.left -= 1
        return super().put(config, checkpoint, metadata, new_versions)


@pytest.mark.parametrize("takes", range(1, 12))
def test_a_process_that_dies_before_its_checkpoints_are_written_loses_only_those(takes):
    """Under `durability="async"` LangGraph does not wait for checkpoints: later tasks may run before one is stored."""
    saver = Stalled(takes)
    graph, model = graph_of(SCORES, round_size=3)
    whole = graph.compile(checkpointer=saver).invoke(QUESTION, thread())
    drawn = len(model.requests)
    crashed = saver.crashed
    newest = crashed.get_tuple(thread())
    begins = [write for _, channel, write in newest.pending_writes if channel == "optscale"]
    assert isinstance(begins[0] if begins else None, Overwrite) == (newest.metadata["step"] == 0)
    kept = {
        candidate["index"]
        for candidate in graph.compile(checkpointer=crashed)
        .get_state(thread())
        .values.get("optscale", {})
        .get("candidates", [])
    }
    state = graph.compile(checkpointer=crashed).invoke(None, thread())
    again = sorted(request["seed"] for request in model.requests[drawn:])
    assert not kept & set(again)
    assert result_in(state).to_dict()["rounds"] == result_in(whole).to_dict()["rounds"]
    assert [one.text for one in result_in(state).candidates] == [one.text for one in result_in(whole).candidates]
