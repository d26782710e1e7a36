"""A verifier on vLLM: a judge, an outcome reward model or a process reward model."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal, get_args

from langchain_optscale.endpoints.vllm.discovery import VERIFIER_KEY, api_key_of, discover
from langchain_optscale.endpoints.vllm.policy import vllm_policy
from langchain_optscale.endpoints.vllm.replicas import Replicas
from langchain_optscale.endpoints.vllm.transport import replica_clients
from langchain_optscale.errors import SettingsError
from langchain_optscale.verifiers import LLMJudge, RewardModelVerifier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import SecretStr

    from langchain_optscale.verifiers import Verifier

__all__ = ["Kind", "vllm_verifier"]

Kind = Literal["auto", "judge", "classify", "pooling", "score", "prm"]
"""How a server gives scores: `judge` by a chat; an outcome reward model by `classify`, `pooling` or `score`; a process
reward model by `prm`. `auto` asks the server."""


def vllm_verifier(
    base_url: str | Sequence[str],
    model: str | None = None,
    *,
    kind: Kind = "auto",
    api_key: SecretStr | str | None = None,
    timeout_s: float = 120.0,
    max_tokens: int = 1024,
    **kwargs: Any,
) -> Verifier:
    """An `LLMJudge` or a `RewardModelVerifier` over one vLLM server, or over several that serve the same model.

    Replicas, retries and proxies are as for `vllm_policy`.

    Args:
        base_url: The server's URL, or several, with or without `/v1` at the end.
        model: The model's name. None asks the server now for the only one that it serves.
        kind: How the server gives scores. "auto" asks the server now.
        api_key: The key of the server's `--api-key`; None reads `$OPTSCALE_VERIFIER_API_KEY`.
        timeout_s: The timeout of one verification, in seconds.
        max_tokens: The longest reply of a judge, in tokens; a reasoning judge needs more. A reply that is cut off is a
            failure.
        **kwargs: Further arguments of `LLMJudge` for a judge, of `RewardModelVerifier` for a reward model.

    Raises:
        SettingsError: The kind is unknown, or the server serves no such model or nothing that gives scores.
        EndpointError: The server had to be asked, and cannot be reached or rejects the key.

    Example:
        >>> vllm_verifier("http://localhost:8001/v1")  # doctest: +SKIP
        RewardModelVerifier(base_url='http://localhost:8001', model='Qwen/Qwen2.5-Math-PRM-7B', kind='prm')
    """
    if kind not in get_args(Kind):
        raise SettingsError(f"kind must be one of {', '.join(get_args(Kind))}, not {kind!r}")
    replicas = Replicas(base_url)
    key = api_key_of(os.environ.get(VERIFIER_KEY) if api_key is None else api_key)
    if model is None or kind == "auto":
        served = discover(replicas.roots, model, api_key=key)
        model = served.model
        if kind == "auto":
            kind = _kind_for(served.task, replicas)
    if kind == "judge":
        judge = vllm_policy(
            replicas.roots,
            model,
            api_key=key,
            temperature=0.0,
            max_tokens=max_tokens,
            timeout_s=timeout_s,
            key_variable=VERIFIER_KEY,
        )
        return LLMJudge(judge, **kwargs)
    sync_client, async_client = replica_clients(replicas)
    settings: dict[str, Any] = {
        "kind": kind,
        "api_key": key,
        "timeout_s": timeout_s,
        "http_client": sync_client,
        "http_async_client": async_client,
    }
    return RewardModelVerifier(replicas.roots[0], model, **{**settings, **kwargs})


def _kind_for(task: str | None, replicas: Replicas) -> Kind:
    if task is None:
        raise SettingsError(
            f"{replicas.roots[0]} serves nothing that gives scores; serve a reward model with --runner pooling"
        )
    return "judge" if task == "generate" else task  # type: ignore[return-value]
