"""Fingerprints of policy and verifier: what scores depend on, and no secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_optscale.learning.rows import Fingerprint
from langchain_optscale.models.clients import models_in
from langchain_optscale.models.policy import policy_name, unwrap
from langchain_optscale.records.content import NoContentError, digest
from langchain_optscale.verifiers import LLMJudge

if TYPE_CHECKING:
    from collections.abc import Mapping


__all__ = ["DRAWN_BY", "policy_fingerprint", "verifier_fingerprint"]

DRAWN_BY = ("temperature", "top_p", "top_k", "min_p", "max_tokens", "reasoning_effort")
"""What a model's answers depend on and no secret stands in, under the names that LangChain's models use."""

_DIGITS = 16


def policy_fingerprint(policy: Any, call_kwargs: Mapping[str, Any] | None = None) -> Fingerprint:
    """The class and the name of a policy's model, and how it draws.

    Args:
        policy: The policy.
        call_kwargs: The caller's own arguments for it.
    """
    model, bound, _ = unwrap(policy)
    arguments = {**bound, **(call_kwargs or {})}
    facts: dict[str, Any] = {
        "class": type(policy if model is None else model).__name__,
        "model": str(arguments.get("model") or policy_name(policy)),
    }
    for name in DRAWN_BY:
        value = arguments.get(name, getattr(model, name, None))
        if isinstance(value, int | float | str) and not isinstance(value, bool):
            facts[name] = value
    return Fingerprint(facts)


def verifier_fingerprint(verifier: Any, extract: Any = None) -> Fingerprint:
    """The class of a verifier, its model, a digest of all that its verdicts depend on, and what finds the answers."""
    facts: dict[str, Any] = {"class": type(verifier).__name__, "name": verifier.name}
    asked = verifier.model if isinstance(verifier, LLMJudge) else getattr(verifier, "runnable", None)
    if asked is not None:
        facts["model"] = policy_name(asked)
        temperatures = {getattr(model, "temperature", None) for model in models_in(asked)}
        if len(temperatures) == 1 and isinstance(temperature := temperatures.pop(), int | float):
            facts["temperature"] = temperature
    content = verifier.content
    if content is None:
        content = getattr(verifier, "function", None)
    facts |= _known_digest("content", content if content is not None or asked is None else verifier.name)
    if extract is not None:
        facts |= {"extract": type(extract).__name__, **_known_digest("extract_content", extract)}
    return Fingerprint(facts)


def _known_digest(name: str, value: Any) -> dict[str, str]:
    """The digest of a value's content; nothing where it has none, as a function that holds a connection."""
    try:
        return {} if value is None else {name: digest(value)[:_DIGITS]}
    except NoContentError:
        return {}
