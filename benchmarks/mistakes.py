"""What mistakes cost: paid requests before the error, for eleven kinds of mistakes on four paths, over real HTTP.

Prints JSON: for each mistake and path the requests that the policy's server answered, and what the error says. A batch
has four questions at once. The promise is at most two requests.
"""

from __future__ import annotations

import asyncio
import json
import sys
import warnings
from collections.abc import Callable
from typing import Any, TypeAlias

from langchain_core.exceptions import OutputParserException
from langchain_core.runnables import RunnableLambda

from langchain_optscale import ChatOptScale, ConfidenceVerifier, LLMJudge, OptScale
from tests.integration_tests.scripted_server import Reply, scripted_server

Script: TypeAlias = Callable[[int, dict[str, Any]], Reply]

_MOST = 2
_QUESTIONS = 4
_ERROR = '{"error": {"message": "no", "type": "invalid_request_error", "code": null}}'
_SHOWN = 100


def _model(url: str, **settings: Any) -> Any:
    from langchain_openai import ChatOpenAI
    from pydantic import SecretStr

    return ChatOpenAI(base_url=url, model="some-model", api_key=SecretStr("not-a-key"), **settings)


def _answered(number: int, payload: dict[str, Any]) -> Reply:
    return Reply([f"answer {number}"] * (payload.get("n") or 1))


def _refused(status: int) -> Script:
    return lambda *_: Reply(status=status, body=_ERROR)


def _half(prompt: Any, candidate: Any) -> float:
    return 0.5


def _broken(prompt: Any, candidate: Any) -> float:
    return float(candidate["text"] != "")


def _out_of_range(prompt: Any, candidate: Any) -> float:
    return 8.0


async def _asynchronous(prompt: Any, candidate: Any) -> float:
    return 0.5


def _unfit(policy: Any) -> Any:
    """A policy that answers with neither text nor a message."""

    def count_words(message: Any) -> Any:
        return {len(message.text.split())}

    return policy | RunnableLambda(count_words)


def _always_unparsed(policy: Any) -> Any:
    """A chain whose parser rejects every answer."""

    def parse(message: Any) -> Any:
        raise OutputParserException("no JSON")

    return policy | RunnableLambda(parse)


_MISTAKES: dict[str, tuple[Script, dict[str, Any]]] = {
    "a rejected key (401)": (_refused(401), {}),
    "no access to the model (403)": (_refused(403), {}),
    "a wrong path or model (404)": (_refused(404), {}),
    "a bug in the verifier": (_answered, {"verifier": _broken}),
    "a score out of range": (_answered, {"verifier": _out_of_range}),
    "an async verifier": (_answered, {"verifier": _asynchronous}),
    "a judge that never grades": (_answered, {"judge": lambda *_: Reply(["no idea"])}),
    "a server without log-probabilities": (_answered, {"verifier": ConfidenceVerifier()}),
    "a policy that answers with a set": (_answered, {"around": _unfit}),
    "a parser that rejects every answer": (_answered, {"around": _always_unparsed}),
    "a misspelt setting": (_answered, {"settings": {"max_sample": 3}}),
}
_PATHS: dict[str, Callable[..., Any]] = {
    "invoke": lambda **settings: OptScale(**settings).invoke("q"),
    "ainvoke": lambda **settings: asyncio.run(OptScale(**settings).ainvoke("q")),
    "chat": lambda **settings: ChatOptScale(**settings).invoke("q"),
    "batch": lambda **settings: OptScale(**settings).batch([f"question {n}" for n in range(_QUESTIONS)]),
}


def cost(script: Script, about: dict[str, Any], run: Callable[..., Any]) -> tuple[int, str]:
    """Requests that the policy's server answered before the error, and the error; "" where there was none."""
    judge = about.get("judge", _answered)
    with scripted_server(script) as server, scripted_server(judge) as judging:
        policy = about.get("around", lambda policy: policy)(_model(server.base_url))
        verifier = about.get("verifier", _half)
        if "judge" in about:
            verifier = LLMJudge(_model(judging.base_url), method="text")
        try:
            run(policy=policy, verifier=verifier, **about.get("settings", {}))
        except Exception as error:  # noqa: BLE001 - whatever is raised is what is measured
            return len(server.requests), f"{type(error).__name__}: {str(error).splitlines()[0]}"
    return len(server.requests), ""


def main() -> int:
    """Print the table; 1 where a mistake costs more than it may, or raises no error."""
    warnings.simplefilter("ignore")
    rows = []
    for mistake, (script, about) in _MISTAKES.items():
        measured = {}
        for path, run in _PATHS.items():
            if path == "ainvoke" and about.get("verifier") is _asynchronous:
                continue  # there it is no mistake
            if path == "chat" and "around" in about:
                continue  # it takes a chat model, and says so
            measured[path] = cost(script, about, run)
        rows.append(
            {
                "mistake": mistake,
                "requests": {path: count for path, (count, _) in measured.items()},
                "error": measured["invoke"][1][:_SHOWN],
                "kept": all(count <= _MOST and said for count, said in measured.values()),
            }
        )
    print(json.dumps({"at_most": _MOST, "mistakes": rows}, indent=1))
    return 0 if all(row["kept"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
