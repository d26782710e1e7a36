"""What a server serves: the model's name, its maximum length, and its task.

Name and length are in `/v1/models`. The task is found by small requests, since the routes of a pooling server depend on
the model, and the shape of the answer distinguishes outcome and process reward models.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from textwrap import shorten
from typing import TYPE_CHECKING, Any, Literal

import openai
from pydantic import SecretStr

from langchain_optscale.endpoints.vllm.replicas import Replicas
from langchain_optscale.endpoints.vllm.transport import replica_clients, timeout
from langchain_optscale.errors import EndpointError, SettingsError
from langchain_optscale.models.http_clients import given_client
from langchain_optscale.models.keys import NO_KEY, POLICY_KEY, VERIFIER_KEY, bearer_key
from langchain_optscale.records.causes import cause_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = [
    "POLICY_KEY",
    "STEP_MARK",
    "VERIFIER_KEY",
    "Served",
    "Task",
    "api_key_of",
    "choose",
    "complaint",
    "connect",
    "discover",
    "find_task",
    "models_at",
    "reaching",
]

Task = Literal["generate", "classify", "prm", "pooling", "score"]
"""A server's task: generating text, or one of the kinds of `vllm_verifier`."""

STEP_MARK = "<extra_0>"
"""Where Qwen2.5-Math-PRM scores a step."""

# The longest excerpt of a server's error message, in characters.
_LONGEST_MESSAGE = 300

_PROBE = [{"role": "user", "content": "What is 1 + 1?"}, {"role": "assistant", "content": f"2{STEP_MARK}"}]


@dataclass(frozen=True, slots=True)
class Served:
    """What a server serves.

    Attributes:
        model: The name by which requests ask for it.
        max_length: The most tokens of prompt and answer together; None where the server does not say.
        task: The server's task; None where it has no known one.

    Example:
        >>> Served("org/model", max_length=32768, task="generate").max_length
        32768
    """

    model: str
    max_length: int | None
    task: Task | None


def discover(
    base_url: str | Sequence[str],
    model: str | None = None,
    *,
    api_key: SecretStr | str | None = None,
    timeout_s: float = 30.0,
) -> Served:
    """Ask a server what it serves.

    Args:
        base_url: The server's URL, with or without `/v1`; of several, the first that answers is used.
        model: Which of its models, where it serves several.
        api_key: The key of its `--api-key`.
        timeout_s: The timeout of one request, in seconds.

    Raises:
        SettingsError: The server does not serve the model, or serves several and none was named.
        EndpointError: The server cannot be reached, rejects the key or fails.

    Example:
        >>> discover("http://localhost:8001/v1")  # doctest: +SKIP
        Served(model='Qwen/Qwen2.5-Math-PRM-7B', max_length=4096, task='prm')
    """
    client = connect(base_url, api_key, timeout_s)
    where = str(client.base_url).rstrip("/")
    with reaching(where):
        name, length = choose(models_at(client), model, where)
        return Served(name, length, find_task(client, name))


@contextlib.contextmanager
def reaching(where: str) -> Iterator[None]:
    """Turn errors of the SDK into an `EndpointError` that names the URL."""
    try:
        yield
    except openai.APIConnectionError as error:
        raise EndpointError(
            f"{where} cannot be reached ({cause_of(error) or error.__cause__ or error}): is the server running?"
        ) from error
    except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
        raise EndpointError(f"{where} rejects the key: pass the one of its --api-key as api_key") from error
    except openai.APIStatusError as error:
        raise EndpointError(f"{where} answers with {complaint(error)}") from error


def complaint(error: openai.APIStatusError) -> str:
    """The status and the server's own message, if there is one.

    vLLM reports errors of requests, keys and routes in three forms, a proxy perhaps in plain text; the SDK reads the
    first form only.
    """
    body: Any = error.body
    for key in ("error", "message", "detail"):
        body = body.get(key, body) if isinstance(body, dict) else body
    message = " ".join(body.split()) if isinstance(body, str) and not body.lstrip().startswith("<") else ""
    return f"status {error.status_code}" + (
        f": {shorten(message, _LONGEST_MESSAGE, placeholder=' …')}" if message else ""
    )


def connect(base_url: str | Sequence[str], api_key: SecretStr | str | None, timeout_s: float = 30.0) -> openai.OpenAI:
    """A client without retries, for one server or several equal ones."""
    replicas = Replicas(base_url)
    sync_client, _ = replica_clients(replicas)
    return given_client(
        openai.OpenAI,
        f"{replicas.roots[0]}/v1",
        api_key,
        timeout=timeout(timeout_s),
        http_client=sync_client,
    )


def api_key_of(api_key: SecretStr | str | None) -> SecretStr:
    """The key as a secret; a placeholder where there is none, so that the SDK does not read `OPENAI_API_KEY`.

    Raises:
        SettingsError: No HTTP header can carry the key.
    """
    return bearer_key(api_key) or SecretStr(NO_KEY)


def models_at(client: openai.OpenAI) -> dict[str, int | None]:
    """The models that a server lists, with their maximum lengths.

    Raises:
        SettingsError: The server is not OpenAI-compatible.
    """
    try:
        listed: Any = client.get("/models", cast_to=object)
    except ValueError:  # no JSON
        listed = None
    entries = listed.get("data") if isinstance(listed, dict) else None
    if not isinstance(entries, list) or not all(isinstance(one, dict) and "id" in one for one in entries):
        raise SettingsError(f"{client.base_url}models does not list models: is this an OpenAI-compatible server?")
    return {str(one["id"]): length if isinstance(length := one.get("max_model_len"), int) else None for one in entries}


def choose(models: dict[str, int | None], model: str | None, where: str) -> tuple[str, int | None]:
    """The named model, or the only one.

    Raises:
        SettingsError: There is no such model, or several and no name.
    """
    names = ", ".join(models) or "none"
    if model is None and len(models) != 1:
        raise SettingsError(f"{where} serves {len(models)} models ({names}): choose one with model=")
    name = next(iter(models)) if model is None else model
    if name not in models:
        raise SettingsError(f"{where} does not serve {name!r}; it serves: {names}")
    return name, models[name]


def find_task(client: openai.OpenAI, model: str) -> Task | None:
    """A model's task, found by minimal requests.

    Raises:
        openai.OpenAIError: The server cannot be reached, rejects the key, or fails.
    """
    shape = _pooled(_post(client, "/pooling", {"model": model, "messages": _PROBE}))
    if shape == "steps":
        return "prm"
    if shape is not None and _post(client, "/classify", {"model": model, "messages": _PROBE}) is not None:
        return "classify"
    if shape == "one":
        return "pooling"
    if _post(client, "/score", {"model": model, "text_1": "1 + 1", "text_2": "2"}) is not None:
        return "score"
    asked = {"model": model, "messages": _PROBE[:1], "max_tokens": 1}
    return "generate" if _post(client, "/v1/chat/completions", asked) is not None else None


def _post(client: openai.OpenAI, route: str, body: dict[str, Any]) -> Any:
    """The response of a route at the server's root; None where the route is missing or rejects the request."""
    root = str(client.base_url).rstrip("/").removesuffix("/v1")
    try:
        return client.post(f"{root}{route}", body=body, cast_to=object)
    except (openai.NotFoundError, openai.BadRequestError, openai.UnprocessableEntityError):
        return None
    except openai.APIStatusError as error:
        if error.status_code in {405, 501}:
            return None
        raise
    except ValueError:  # no JSON
        return None


def _pooled(answer: Any) -> Literal["one", "several", "steps"] | None:
    """The shape of a pooling response: one number, several, or a row of two for each step; None for any other."""
    try:
        pooled = answer["data"][0]["data"]
        if isinstance(pooled[0], list):
            return "steps" if all(len(row) == 2 for row in pooled) else None
    except (TypeError, LookupError):
        return None
    return "one" if len(pooled) == 1 else "several"
