"""What is recorded of a search's settings: fingerprints of policy and verifier, and the settings of the decision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from langchain_optscale.learning.rows import Fingerprint
from langchain_optscale.models.clients import models_in
from langchain_optscale.models.policy import policy_name, unwrap
from langchain_optscale.records.content import NoContentError, digest
from langchain_optscale.verifiers import LLMJudge

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["policy_fingerprint", "recorded_facts", "verifier_fingerprint"]

# What a model's answers depend on and no secret stands in, under the names that LangChain's models use.
_DRAWN_BY = ("temperature", "top_p", "top_k", "min_p", "max_tokens", "reasoning_effort")
_DIGITS = 16
_LONGEST = 300


class RecordedSettings(Protocol):
    """The settings of which something is recorded, as `SearchSettings` describes them."""

    policy: Any
    verifier: Any
    extract: Any
    stopping: Any
    price: Any
    select: Any
    round_size: int

    @property
    def model_fields_set(self) -> set[str]:
        """The settings that were given."""

    @property
    def cap(self) -> int:
        """The most candidates drawn for one question."""

    def prepared(self) -> Any:
        """What all searches with these settings share."""


def recorded_facts(
    settings: RecordedSettings, call_kwargs: Mapping[str, Any] | None = None
) -> tuple[Fingerprint, Fingerprint, dict[str, Any]]:
    """Policy, verifier, and the settings of the decision; computed once for all searches with the same arguments.

    Args:
        settings: What is searched with.
        call_kwargs: The caller's own arguments for the policy.
    """
    arguments = {name: value for name, value in (call_kwargs or {}).items() if name in {"model", *_DRAWN_BY}}
    known, key = settings.prepared().facts, tuple(map(repr, sorted(arguments.items())))
    if key not in known:
        verifier = verifier_fingerprint(settings.verifier, settings.extract)
        known[key] = policy_fingerprint(settings.policy, arguments), verifier, _of_decision(settings)
    return known[key]


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
    for name in _DRAWN_BY:
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


def _of_decision(settings: RecordedSettings) -> dict[str, Any]:
    """What the decisions depend on, JSON-ready; a rule, an estimator and a prior by their repr."""
    data: dict[str, Any] = {"max_samples": settings.cap, "round_size": settings.round_size}
    if settings.stopping is None:
        data |= {name: getattr(settings, name) for name in ("target", "confidence", "effort", "round_cost")}
        if isinstance(settings.price, int | float):
            data["price"] = settings.price
    else:
        targets = {getattr(part, "target", None) for part in settings.stopping.parts()} - {None}
        data |= {"stopping": repr(settings.stopping)[:_LONGEST], "target": targets.pop() if len(targets) == 1 else None}
    data["select"] = settings.select if isinstance(settings.select, str) else type(settings.select).__name__
    for name in ("estimator", "prior"):
        if (value := getattr(settings, name)) is not None:
            data[name] = type(value).__name__
    if "first_round" in settings.model_fields_set:
        data["first_round"] = settings.first_round
    return data
