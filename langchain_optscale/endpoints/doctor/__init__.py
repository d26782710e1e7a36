"""Checks of a policy's and a verifier's endpoint by requests like a search's; the command is `optscale doctor`."""

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

__all__ = ["Check", "Report", "diagnose"]


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
    """Examine servers one after another, and yield each check when it is done.

    Args:
        policy_urls: The policy's server, or several of the same model, with or without `/v1`.
        verifier_urls: The verifier's server, or several; likewise.
        policy_model: The policy's model; None takes the only one that is served.
        verifier_model: The verifier's model; likewise.
        verifier_kind: How the verifier gives scores, see `vllm_verifier`; "auto" asks the server.
        policy_key: The policy's key; it appears in no check.
        verifier_key: The verifier's key; likewise.
        timeout_s: The timeout of one request, in seconds.

    Raises:
        SettingsError: No URL is given, a URL is invalid or occurs twice, or a setting is out of range.

    Example:
        >>> for check in diagnose(["http://localhost:8000/v1"]):  # doctest: +SKIP
        ...     print(check.name, check.status, check.detail)
    """
    if not policy_urls and not verifier_urls:
        raise SettingsError("name a server to examine: --policy-url, --verifier-url or both")
    policies = [PolicyExamination(url, policy_model, policy_key, timeout_s) for url in _each(policy_urls)]
    verifiers = [
        VerifierExamination(url, verifier_model, verifier_key, timeout_s, kind=verifier_kind)
        for url in _each(verifier_urls)
    ]
    for named in (policies, verifiers):
        roots = [examination.root for examination in named]
        if repeated := sorted({root for root in roots if roots.count(root) > 1}):
            raise SettingsError(f"{repeated[0]} is given more than once: give each server once")
    return itertools.chain(_replicas(policies), _replicas(verifiers))


def _each(urls: str | Sequence[str]) -> Sequence[str]:
    return [urls] if isinstance(urls, str) else urls


def _replicas(examinations: Sequence[Examination]) -> Iterator[Check]:
    """The checks of servers that should serve the same model."""
    model = None
    for examination in examinations:
        examination.model = examination.model or model
        yield from examination.run()
        model = examination.model
