"""A chat model for drawing candidates from vLLM."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from langchain_optscale.endpoints.vllm.discovery import POLICY_KEY, api_key_of, choose, connect, models_at, reaching
from langchain_optscale.endpoints.vllm.replicas import Replicas
from langchain_optscale.endpoints.vllm.transport import replica_clients, timeout
from langchain_optscale.errors import SettingsError
from langchain_optscale.models.http_clients import chat_model

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_openai import ChatOpenAI
    from pydantic import SecretStr

__all__ = ["vllm_policy"]

_TOP_LOGPROBS = 20


def vllm_policy(
    base_url: str | Sequence[str],
    model: str | None = None,
    *,
    api_key: SecretStr | str | None = None,
    temperature: float = 1.0,
    max_tokens: int | None = None,
    logprobs: bool | int = False,
    timeout_s: float = 600.0,
    extra_body: Mapping[str, Any] | None = None,
    **kwargs: Any,
) -> ChatOpenAI:
    """A chat model over one vLLM server, or over several that serve the same model.

    - A round is one request, whose `n` choices share the prompt's prefill (by vLLM's prefix caching, on by default).
    - The model does not retry: the search does, for transient errors only. Outside of a search, use LangChain's
      `.with_retry()`.
    - Of several servers the least busy one gets the request; where one fails, another takes over at once, and the
      failed one is tried again after a cooldown. See `Replicas`.
    - Choice i of a request with seed s is drawn with s + i. The search spaces the seeds of its requests accordingly;
      keep the seeds of your own requests at least `n` apart, or candidates repeat.
    - The environment's proxies are not used.

    Args:
        base_url: The server's URL, or several, with or without `/v1` at the end.
        model: The model's name. None asks the server now for the only one that it serves.
        api_key: The key of the server's `--api-key`; None reads `$OPTSCALE_POLICY_API_KEY`.
        temperature: Sampling temperature, above 0 where several candidates are drawn.
        max_tokens: The longest answer, in tokens; None allows the model's maximum length.
        logprobs: Whether answers have the log-probability of each token; a number from 1 to 20 adds as many
            alternatives.
        timeout_s: The timeout of one request, in seconds. A round of long answers on a busy server takes minutes.
        extra_body: vLLM's parameters beyond OpenAI's, such as `{"top_k": 20, "min_p": 0.05}` or
            `{"chat_template_kwargs": {"enable_thinking": False}}`. vLLM ignores names that it does not know.
        **kwargs: Further arguments of `ChatOpenAI`, which take precedence.

    Raises:
        SettingsError: A setting is out of range, or the server does not serve such a model.
        EndpointError: `model` is None and the server cannot be reached, or rejects the key.
        MissingExtraError: `langchain-openai` is not installed.

    Example:
        >>> policy = vllm_policy(["http://gpu-1:8000/v1", "http://gpu-2:8000/v1"], "Qwen/Qwen3-8B", max_tokens=2048)
        >>> policy.model_name, policy.max_retries
        ('Qwen/Qwen3-8B', 0)
    """
    if not 0 <= logprobs <= _TOP_LOGPROBS:
        raise SettingsError(f"logprobs must be True, False or a number up to {_TOP_LOGPROBS}, not {logprobs!r}")
    limits = timeout(timeout_s)
    replicas = Replicas(base_url)
    key = api_key_of(os.environ.get(POLICY_KEY) if api_key is None else api_key)
    if model is None:
        client = connect(replicas.roots, key)
        where = str(client.base_url).rstrip("/")
        with reaching(where):
            model, _ = choose(models_at(client), None, where)
    sync_client, async_client = replica_clients(replicas)
    settings: dict[str, Any] = {
        "base_url": f"{replicas.roots[0]}/v1",
        "api_key": key,
        "key_variable": POLICY_KEY,
        "model": model,
        "temperature": temperature,
        "max_tokens": max_tokens,
        "max_retries": 0,
        "timeout": limits,
        "stream_usage": True,
        "stream_chunk_timeout": timeout_s,
        "http_client": sync_client,
        "http_async_client": async_client,
    }
    if logprobs:
        settings["logprobs"] = True
        settings["top_logprobs"] = None if logprobs is True else int(logprobs)
    if extra_body:
        settings["extra_body"] = dict(extra_body)
    return chat_model(**{**settings, **kwargs})
