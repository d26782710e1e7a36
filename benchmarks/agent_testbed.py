"""How often an agent succeeds, and with how many tokens: bare, with fixed best-of-8 a step, and with OptScale.

    python -m benchmarks.agent_testbed --episodes 500 --seed 2

The agents are LangChain's own (`create_agent`), the policy an OpenAI-compatible server on loopback with known error
probabilities, see `agent_world`. Prints one JSON document. "policy_tokens" is what the server counted: with
`--fanout calls` each candidate is a request with a prompt of its own, as at providers without `n`; with `--fanout n` a
round is one request whose prompt is counted once. "policy_tokens_by_calls" is the former for the same candidates,
independent of the fan-out. The settings were chosen with seed 1.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import sys
import threading
import time
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import sqrt
from typing import TYPE_CHECKING, Any

from langchain.agents import create_agent
from langchain_core.messages import AIMessage
from langchain_openai import ChatOpenAI

from benchmarks.agent_world import Call, Desk, Step, case_of, grade, write_step
from langchain_optscale import OptScaleMiddleware
from langchain_optscale.stopping import MaxSamples

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from langchain_core.prompt_values import PromptValue

    from langchain_optscale.records.candidates import Candidate

__all__ = ["Spent", "compare", "policy_server"]

_SYSTEM = (
    "You work at a help desk. Solve the customer's case with the tools, one call at a time, and do nothing that was "
    "not asked for. When everything is done, answer."
)
_NUMBER = re.compile(r"Case (\d+) of")
_CHARACTERS_PER_TOKEN = 4
METHODS = ("bare", "best_of_8", "optscale")


@dataclass
class Spent:
    """What a policy was asked for.

    Attributes:
        requests: Requests.
        candidates: Choices in all of them.
        prompt_tokens: Tokens of the prompts, once a request.
        generated_tokens: Tokens of all choices.
        prompt_tokens_by_calls: Tokens of the prompts, once a choice.
    """

    requests: int = 0
    candidates: int = 0
    prompt_tokens: int = 0
    generated_tokens: int = 0
    prompt_tokens_by_calls: int = 0


@dataclass
class PolicyServer:
    """A running policy: its address and usage."""

    base_url: str
    spent: Spent


@contextlib.contextmanager
def policy_server(seed: int) -> Iterator[PolicyServer]:
    """Serve the erring policy until the context ends; choice j of a request with seed s is candidate s + j."""
    counting = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            payload = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            first, count = payload.get("seed") or 0, payload.get("n") or 1
            case, calls = _read(payload["messages"])
            steps = [write_step(case, calls, first + number, seed) for number in range(count)]
            messages = [_written(step, f"call_{len(calls)}_{first + number}") for number, step in enumerate(steps)]
            prompt = _tokens([payload["messages"], payload.get("tools")])
            generated = sum(_tokens(message) for message in messages)
            with counting:
                spent = server.spent
                spent.requests += 1
                spent.candidates += count
                spent.prompt_tokens += prompt
                spent.generated_tokens += generated
                spent.prompt_tokens_by_calls += prompt * count
            usage = {"prompt_tokens": prompt, "completion_tokens": generated, "total_tokens": prompt + generated}
            choices = [
                {
                    "index": number,
                    "finish_reason": "tool_calls" if message.get("tool_calls") else "stop",
                    "message": {"role": "assistant", **message},
                }
                for number, message in enumerate(messages)
            ]
            about = {"id": "chatcmpl-1", "object": "chat.completion", "created": 0, "model": payload["model"]}
            body = json.dumps({**about, "choices": choices, "usage": usage}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    server = PolicyServer(f"http://127.0.0.1:{http.server_address[1]}/v1", Spent())
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


def _read(messages: Sequence[dict[str, Any]]) -> tuple[Any, list[Call]]:
    """The case that a conversation is about, and the calls that were made in it."""
    request = next(message["content"] for message in messages if message["role"] == "user")
    found = _NUMBER.search(request)
    if found is None:
        raise ValueError(f"not a case: {request!r}")
    calls = [
        Call(call["function"]["name"], json.loads(call["function"]["arguments"]))
        for message in messages
        for call in message.get("tool_calls") or []
    ]
    return case_of(int(found[1])), calls


def _written(step: Step, ident: str) -> dict[str, Any]:
    if step.call is None:
        return {"content": step.thought}
    function = {"name": step.call.tool, "arguments": json.dumps(dict(step.call.arguments), ensure_ascii=False)}
    return {"content": step.thought, "tool_calls": [{"id": ident, "type": "function", "function": function}]}


def _tokens(value: Any) -> int:
    return max(1, len(json.dumps(value, ensure_ascii=False)) // _CHARACTERS_PER_TOKEN)


def grader(seed: int) -> Callable[[PromptValue, Candidate], float]:
    """The graded verifier of the test bed."""

    def score(prompt: PromptValue, candidate: Candidate) -> float:
        messages = prompt.to_messages()
        found = _NUMBER.search(next(str(message.content) for message in messages if message.type == "human"))
        made = [call for message in messages if isinstance(message, AIMessage) for call in message.tool_calls]
        said = candidate.message
        own = [Call(call["name"], call["args"]) for call in said.tool_calls]
        step = Step(str(said.text), own[0] if own else None)
        calls = [Call(call["name"], call["args"]) for call in made]
        return grade(case_of(int(found[1]) if found else -1), calls, step, candidate.index, seed)

    return score


def middleware_of(method: str, seed: int, fanout: str) -> list[Any]:
    """The middleware that makes an agent of a method."""
    if method == "bare":
        return []
    if method == "best_of_8":
        return [OptScaleMiddleware(verifier=grader(seed), stopping=MaxSamples(8), first_round=8, fanout=fanout)]
    # A step whose first candidate is good costs one candidate, any other two more, since a prompt is long.
    return [OptScaleMiddleware(verifier=grader(seed), target=0.85, first_round=1, round_size=2, fanout=fanout)]


def run(method: str, episodes: int, seed: int, fanout: str = "n") -> dict[str, Any]:
    """Let one kind of agent work through the cases.

    Returns:
        Figures, and under "solved" for each case whether it was.
    """
    began = time.perf_counter()
    solved: list[bool] = []
    with policy_server(seed) as server:
        model = ChatOpenAI(model="clerk-1", base_url=server.base_url, api_key="test", temperature=1.0, seed=0)  # type: ignore[arg-type]
        for number in range(episodes):
            desk = Desk(case_of(number + episodes * seed))
            middleware = middleware_of(method, seed, fanout)
            agent = create_agent(model, desk.tools(), system_prompt=_SYSTEM, middleware=middleware)
            # One request at a time, so that nothing depends on which of two answers comes first.
            request: Any = {"messages": [{"role": "user", "content": desk.case.request}]}
            final = agent.invoke(request, {"max_concurrency": 1})
            solved.append(desk.solved(str(final["messages"][-1].text)))
        spent = server.spent
    rate = sum(solved) / episodes
    return {
        "success": rate,
        "standard_error": sqrt(rate * (1 - rate) / episodes),
        "policy_tokens": spent.prompt_tokens + spent.generated_tokens,
        "policy_tokens_by_calls": spent.prompt_tokens_by_calls + spent.generated_tokens,
        **asdict(spent),
        "seconds": time.perf_counter() - began,
        "solved": solved,
    }


def compare(episodes: int, seed: int, fanout: str = "n") -> dict[str, Any]:
    """All methods on the same cases, with the same candidates and the same scores."""
    methods = {method: run(method, episodes, seed, fanout) for method in METHODS}
    ours, fixed = methods["optscale"], methods["best_of_8"]
    pairs = list(zip(ours.pop("solved"), fixed.pop("solved"), strict=True))
    methods["bare"].pop("solved")
    return {
        "episodes": episodes,
        "seed": seed,
        "fanout": fanout,
        "methods": methods,
        "optscale_against_best_of_8": {
            "success": ours["success"] - fixed["success"],
            "only_optscale_solved": sum(a and not b for a, b in pairs),
            "only_best_of_8_solved": sum(b and not a for a, b in pairs),
            **{
                f"share_of_{name}": ours[name] / fixed[name]
                for name in ("policy_tokens", "policy_tokens_by_calls", "generated_tokens", "candidates", "requests")
            },
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Success and tokens of agents on the help desk.")
    parser.add_argument("--episodes", type=int, default=500)
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--fanout", choices=("calls", "n"), default="calls")
    arguments = parser.parse_args()
    json.dump(compare(arguments.episodes, arguments.seed, arguments.fanout), sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
