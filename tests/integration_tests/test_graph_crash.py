"""A process that runs the graph is killed by `kill -9` in the middle of a round, and another one goes on.

Policy and judge are a server of their own, which counts what it is asked for.
"""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import uuid

import pytest
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.types import Overwrite

from langchain_optscale import OptScaleResult
from tests.integration_tests.scripted_server import Reply, scripted_server

SCORES = [0.31, 0.42, 0.5, 0.38, 0.61, 0.55, 0.47, 0.93, 0.52, 0.6, 0.2, 0.3, 0.1, 0.7, 0.65, 0.4]
# Round 1 is candidates 2 to 9. These of them are held by the server until the process is dead.
HELD = {5, 6, 7, 8, 9}
SCORED = {0, 1, 2, 3, 4}


class Models:
    """Policy and judge: candidate i is drawn with seed i, says so, and scores `SCORES[i]`."""

    def __init__(self, hold):
        self.hold = hold
        self.drawn = []
        self.judged = []
        self._lock = threading.Lock()

    def __call__(self, number, payload):
        if payload["model"] == "judge":
            index = int(re.search(r"\d+", payload["messages"][0]["content"]).group())
            with self._lock:
                self.judged.append(index)
            return Reply([str(SCORES[index])], delay_s=60.0 if self.hold == "judge" and index in HELD else 0.0)
        indexes = range(payload["seed"], payload["seed"] + (payload.get("n") or 1))
        with self._lock:
            self.drawn.extend(indexes)
        held = self.hold == "policy" and HELD & set(indexes)
        return Reply([f"candidate {index}" for index in indexes], delay_s=60.0 if held else 0.0)


def child(server, store, thread, how, path, fanout, durability):
    command = [sys.executable, "-W", "error::UserWarning", "-m", "tests.integration_tests.graph_child"]
    arguments = [server.base_url, store, thread, how, path, fanout, durability]
    environment = {**os.environ, "LANGGRAPH_STRICT_MSGPACK": "true", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(  # noqa: S603 - our own command
        [*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def to_the_end(process):
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "unregistered" not in err, err
    lines = [json.loads(line) for line in out.splitlines()]
    return lines[:-1], lines[-1]["state"]


def stored_verdicts(store, thread):
    """Candidates whose verdict is in the database as the finished write of a task of the newest checkpoint there.

    With `durability="async"` checkpoints reach the disk supersteps after they were taken. Until they do, the newest
    one may be that of the search's beginning, on which the first `ask` wrote an `Overwrite` of the whole record.
    """
    saver_type = PostgresSaver if store.startswith("postgresql") else SqliteSaver
    with saver_type.from_conn_string(store) as saver:
        found = saver.get_tuple({"configurable": {"thread_id": thread}})
    writes = [value for _, channel, value in found.pending_writes if channel == "optscale"] if found else []
    plain = [write.value if isinstance(write, Overwrite) else write for write in writes]
    return {index for write in plain for index, _ in write.get("verdicts", ())}


def comparable(state):
    """A state without what differs from run to run: identifiers and durations."""
    text = json.dumps(state)
    text = re.sub(r'"(id|latency_s|duration_s)": ("[^"]*"|[\d.e-]+|null)', r'"\1": 0', text)
    data = json.loads(text)
    data["optscale"].pop("seconds")
    return data


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """By fanout, the state at the end of a run that was not killed."""
    states = {}
    for fanout, _ in CASES:
        store = str(tmp_path_factory.mktemp("whole") / "t.sqlite")
        with scripted_server(Models(None)) as server:
            _, state = to_the_end(child(server, store, "t", "begin", "sync", fanout, "sync"))
        states[fanout] = comparable(state)
    return states


CASES = [("calls", "policy"), ("n", "judge")]


@pytest.mark.parametrize("store_kind", ["sqlite", "postgres"])
@pytest.mark.parametrize("path", ["sync", "async"])
@pytest.mark.parametrize(("fanout", "hold"), CASES)
def test_killed_in_the_middle_of_a_round(store_kind, path, fanout, hold, tmp_path, request, uninterrupted):
    store = str(tmp_path / "t.sqlite") if store_kind == "sqlite" else request.getfixturevalue("postgres_url")
    durability = "sync" if fanout == "calls" else "async"
    thread = str(uuid.uuid4())
    models = Models(hold)
    with scripted_server(models) as server:
        doomed = child(server, store, thread, "begin", path, fanout, durability)
        try:
            verdicts = set()
            for line in doomed.stdout:
                event = json.loads(line)
                verdicts |= {event["index"]} if event["type"] == "verdict" else set()
                if verdicts == SCORED:
                    break
            # What a task gave is on its way to the disk when the task ends; what is there counts as scored. The rest
            # is in flight: its requests have reached the server.
            deadline = time.monotonic() + 30
            asked = models.judged if hold == "judge" else models.drawn
            while stored_verdicts(store, thread) != SCORED - {0, 1} or not set(asked) >= HELD:
                assert time.monotonic() < deadline
                time.sleep(0.02)
        finally:
            os.kill(doomed.pid, signal.SIGKILL)
            _, complaint = doomed.communicate()
        assert doomed.returncode == -signal.SIGKILL, complaint
        before_drawn, before_judged = list(models.drawn), list(models.judged)
        models.hold = None

        events, state = to_the_end(child(server, store, thread, "resume", path, fanout, durability))
        again_drawn, again_judged = models.drawn[len(before_drawn) :], models.judged[len(before_judged) :]

    assert sorted(before_judged) == sorted(SCORED | (HELD if hold == "judge" else set()))
    # No candidate that was scored is drawn or judged again; with several choices in one request nothing is.
    assert sorted(again_drawn) == (sorted(HELD) if fanout == "calls" else [])
    assert sorted(again_judged) == sorted(HELD)
    assert {event["index"] for event in events if event["type"] == "verdict"} == HELD
    result = OptScaleResult.from_dict(state["optscale"])
    assert result.text == "candidate 7"
    assert sorted(result.verdicts) == list(range(10))
    assert comparable(state) == uninterrupted[fanout]
    assert "sk-secret" not in json.dumps(state)


def test_nothing_in_a_database_is_a_pickle(tmp_path):
    store = str(tmp_path / "t.sqlite")
    with scripted_server(Models(None)) as server:
        to_the_end(child(server, store, "t", "begin", "sync", "calls", "sync"))
    with SqliteSaver.from_conn_string(store) as saver:
        kinds = {kind for (kind,) in saver.conn.execute("select type from writes union select type from checkpoints")}
        stored = b"".join(row[0] for row in saver.conn.execute("select value from writes"))
    assert kinds <= {"msgpack", "null", "empty"}
    assert b"sk-secret" not in stored
    assert b"candidate 7" in stored
