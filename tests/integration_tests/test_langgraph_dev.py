"""`langgraph.json` as LangGraph's own tools read it: loaded in the way of its command line, and served by it."""

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from langgraph.pregel import Pregel

from tests.integration_tests.scripted_server import Reply, scripted_server

ROOT = Path(__file__).parents[2]
pytest.importorskip("langchain_openai")


def graphs():
    for name, place in json.loads((ROOT / "langgraph.json").read_text())["graphs"].items():
        path, _, variable = place.partition(":")
        yield name, ROOT / path, variable


@pytest.mark.parametrize(("name", "path", "variable"), list(graphs()))
def test_loads_as_the_command_line_loads_it(name, path, variable):
    spec = importlib.util.spec_from_file_location(f"loaded_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    graph = getattr(module, variable)
    assert isinstance(graph, Pregel)
    assert {"ask", "candidate", "decide", "review", "answer"} <= set(graph.get_graph().nodes)
    assert graph.get_input_jsonschema()
    assert graph.get_context_jsonschema()


def call(base, path, **payload):
    request = urllib.request.Request(  # noqa: S310 - our own server
        base + path, json.dumps(payload).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        return json.loads(answer.read())


def wait_for(url, process, seconds=90):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert process.poll() is None, "langgraph dev has ended"
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
    raise TimeoutError(url)


# Plain JSON, as whoever may call the server can send it: each would build something, name a file or lift a budget.
FORBIDDEN = [
    {"verifier": {"optscale": "RegexCheck", "pattern": "UNSAFE"}},
    {"extract": {"optscale": "RegexAnswer", "pattern": "(a+)+$"}},
    {"extract": "choice"},
    {"stopping": {"rule": "MaxSamples", "n": 1000}},
    {"estimator": {"optscale": "Posterior"}},
    {"prior": {"optscale": "FixedPrior", "mean": 0.9, "std": 0.1}},
    {"select": {"optscale": "WeightedVote", "exponent": 2.0}},
    {"max_samples": 9},
    {"policy": "openai:gpt-5-mini"},
    {"verifier": "openai:gpt-5-mini"},
]


def refused(base, run, **payload):
    """What the server says of a run that it does not finish."""
    try:
        state = call(base, run, assistant_id="optscale", **payload)
    except urllib.error.HTTPError as error:
        return error.read().decode()
    assert "optscale" not in state, payload
    return json.dumps(state)


@pytest.mark.timeout(240)
def test_langgraph_dev_serves_it(tmp_path):
    """The real server: a run that ends below its target asks a person, whose answer the next run goes on with."""
    command = shutil.which("langgraph", path=str(Path(sys.executable).parent))
    if command is None or importlib.util.find_spec("langgraph_api") is None:
        pytest.skip("langgraph dev is not installed: pip install --group studio")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    answers = ["Too short? Or not.", "The sea is wide."]
    # The server keeps files beside its configuration.
    (tmp_path / "langgraph.json").write_text(
        json.dumps({"dependencies": ["."], "graphs": {"optscale": f"{ROOT}/examples/optscale_graph.py:graph"}})
    )
    with (
        scripted_server(lambda number, payload: Reply([answers[number > 0]] * (payload.get("n") or 1))) as models,
        (tmp_path / "log").open("w") as log,
    ):
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "OPTSCALE_POLICY_URL": models.base_url,
            "OPTSCALE_POLICY_MODEL": "m",
            "LANGSMITH_TRACING": "false",
        }
        arguments = ["dev", "--no-browser", "--no-reload", "--host", "127.0.0.1", "--port", str(port)]
        server = subprocess.Popen(  # noqa: S603 - our own command
            [command, *arguments], cwd=tmp_path, env=environment, stdout=log, stderr=log
        )
        try:
            base = f"http://127.0.0.1:{port}"
            wait_for(f"{base}/ok", server)
            thread = call(base, "/threads")["thread_id"]
            question = {"messages": [{"role": "human", "content": "Tell me of the sea."}]}
            run = f"/threads/{thread}/runs/wait"
            state = call(base, run, assistant_id="optscale", input=question, context={"max_samples": 1})
            assert state["__interrupt__"][0]["value"]["reason"] == "MAX_SAMPLES"
            state = call(base, run, assistant_id="optscale", command={"resume": {"max_samples": 3}})
            assert state["messages"][-1]["content"] == "The sea is wide."
            assert state["optscale"]["decision"]["reason"] == "TARGET_REACHED"
            for changes in FORBIDDEN:
                own = f"/threads/{call(base, '/threads')['thread_id']}/runs/wait"
                name = next(iter(changes))
                said = refused(base, own, input=question, context=changes)
                assert "SettingsError" in said, (name, said)  # the server tells its caller no more
                if name not in ("policy", "verifier"):  # which the config changes for nobody
                    said = refused(base, own, input=question, config={"configurable": changes})
                    assert "SettingsError" in said, (name, said)
        finally:
            server.terminate()
            server.wait(timeout=30)
    assert "Blocking" not in (tmp_path / "log").read_text()
