"""deepagents with Claude: the prompt cache stays on for every candidate, against a server that keeps what it got."""

import asyncio
import http.server
import json
import threading
from contextlib import contextmanager

import pytest

deepagents = pytest.importorskip("deepagents", reason="deepagents is not installed")
anthropic = pytest.importorskip("langchain_anthropic", reason="langchain-anthropic is not installed")

from langchain_optscale import OptScale, OptScaleMiddleware  # noqa: E402
from langchain_optscale.stopping import MaxSamples  # noqa: E402

FIXED = {"stopping": MaxSamples(2), "max_samples": 2, "first_round": 2}
ANSWER = {
    "id": "m",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5",
    "content": [{"type": "text", "text": "hi"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 3, "output_tokens": 2},
}


@contextmanager
def claude():
    """A model, and the bodies of its requests."""
    bodies = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            bodies.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            out = json.dumps(ANSWER).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(out)))
            self.end_headers()
            self.wfile.write(out)

        def log_message(self, *args):
            """Nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield (
            anthropic.ChatAnthropic(
                model="claude-sonnet-4-5",
                api_key="k",
                temperature=0.8,
                base_url=f"http://127.0.0.1:{server.server_port}",
            ),
            bodies,
        )
    finally:
        server.shutdown()
        server.server_close()


def run(agent, path):
    question = {"messages": [("human", "q")]}
    return agent.invoke(question) if path == "sync" else asyncio.run(agent.ainvoke(question))


def shape(body):
    """Where a body asks for the cache: at the top, in the system prompt, in the tools."""
    return {
        "top": body.get("cache_control"),
        "system": [block.get("cache_control") for block in body["system"]],
        "tools": [tool.get("cache_control") for tool in body["tools"]],
    }


@pytest.mark.parametrize("path", ["sync", "async"])
def test_every_candidate_asks_for_the_prompt_cache(path):
    with claude() as (model, bodies):
        run(deepagents.create_deep_agent(model=model), path)
        (without,) = map(shape, bodies)
        bodies.clear()
        ours = OptScaleMiddleware(verifier=lambda prompt, candidate: 0.5, **FIXED)
        out = run(deepagents.create_deep_agent(model=model, middleware=[ours]), path)
    assert without["top"] is not None
    assert [shape(body) for body in bodies] == [without, without]
    assert out["messages"][-1].response_metadata["optscale"]["n"] == 2


@pytest.mark.parametrize("path", ["sync", "async"])
def test_a_deep_agent_is_a_policy(path):
    with claude() as (model, bodies):
        search = OptScale(
            policy=deepagents.create_deep_agent(model=model),
            verifier=lambda prompt, candidate: len(candidate.trajectory) / 4,
            **FIXED,
        )
        result = search.invoke("q") if path == "sync" else asyncio.run(search.ainvoke("q"))
    assert all(body.get("cache_control") for body in bodies)
    assert (len(bodies), result.text, result.score) == (2, "hi", 0.5)
    assert result.total_usage.to_dict() == {"input_tokens": 6, "output_tokens": 4, "requests": 2}
