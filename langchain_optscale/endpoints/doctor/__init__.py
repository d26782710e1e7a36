"""Examine a policy's and a verifier's endpoint as a search would use them; the command is `optscale doctor`."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from langchain_optscale.endpoints.doctor.policy import PolicyExamination
from langchain_optscale.endpoints.doctor.report import Check, Examination, Report
from langchain_optscale.endpoints.doctor.verifier import VerifierExamination
from langchain_optscale.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pydantic import SecretStr

    from langchain_optscale.endpoints.vllm.verifier import Kind

__all__ = ["Check", "Report", "diagnose", "examine"]


def diagnose(
    policy_urls: str | Sequence[str] = (),
    verifier_urls: str | Sequence[str] = (),
    *,
    policy_model: str | None = None,
    verifier_model: str | None = None,
    verifier_kind: Kind = "auto",
    policy_key: SecretStr | str | None = None,
    verifier_key: SecretStr | str | None = None,
    timeout_s: float = 60.0,
) -> Iterator[Check]:
    """Examine servers one after another, and tell each check when it is made.

    Args:
        policy_urls: The server that draws candidates, or several, with or without `/v1`; all must serve the model that
            the first does.
        verifier_urls: The server that scores them, or several; likewise.
        policy_model: The policy's name; None takes the only one that is served.
        verifier_model: The verifier's name; likewise.
        verifier_kind: How scores are asked for, see `vllm_verifier`; "auto" finds out.
        policy_key: The policy's key; it appears in no check.
        verifier_key: The verifier's key; likewise.
        timeout_s: How long one answer may take, in seconds.

    Returns:
        The checks, as they are made.

    Raises:
        SettingsError: There is nothing to examine, a URL is none or occurs twice, or a setting is out of range.

    Example:
        >>> for check in diagnose(["http://localhost:8000/v1"]):  # doctest: +SKIP
        ...     print(check.name, check.status, check.detail)
    """
    if not policy_urls and not verifier_urls:
        raise SettingsError("name a server to examine: --policy-url, --verifier-url or both")
    policies = [PolicyExamination(url, policy_model, policy_key, timeout_s) for url in _each(policy_urls)]
    verifiers = [
        VerifierExamination(url, verifier_model, verifier_kind, verifier_key, timeout_s) for url in _each(verifier_urls)
    ]
    for named in (policies, verifiers):
        if len({examination.root for examination in named}) < len(named):
            raise SettingsError("name each server once")
    return itertools.chain(_replicas(policies), _replicas(verifiers))


def _each(urls: str | Sequence[str]) -> Sequence[str]:
    return [urls] if isinstance(urls, str) else urls


def _replicas(examinations: Sequence[Examination]) -> Iterator[Check]:
    """Examine servers that should serve the same model."""
    model = None
    for examination in examinations:
        examination.model = examination.model or model
        yield from examination.run()
        model = examination.model


def examine(
    policy_urls: str | Sequence[str] = (), verifier_urls: str | Sequence[str] = (), **settings: object
) -> Report:
    """As `diagnose`, when it is done.

    Args:
        policy_urls: The server that draws candidates, or several.
        verifier_urls: The server that scores them, or several.
        **settings: As for `diagnose`.

    Returns:
        The report; `healthy` where a search can work with these servers.
    """
    return Report(tuple(diagnose(policy_urls, verifier_urls, **settings)))  # type: ignore[arg-type]
