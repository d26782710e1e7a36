"""Adaptive best-of-N for LangChain and LangGraph.

Draw candidates from any chat model (the policy), score them with any judge, reward model or check (the verifier),
learn the distribution of the scores as they arrive, stop at the computed optimal N, return the best.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_optscale.chat_model import ChatOptScale
    from langchain_optscale.errors import AllCandidatesFailed, OptScaleError, SettingsError
    from langchain_optscale.priors import FixedPrior
    from langchain_optscale.records import Candidate, Decision, Estimate, Failure, StopReason, Usage, Verdict
    from langchain_optscale.results import OptScaleResult
    from langchain_optscale.runnable import OptScale
    from langchain_optscale.session import Session
    from langchain_optscale.stopping import optscale, paper
    from langchain_optscale.verifiers import (
        ConfidenceVerifier,
        EnsembleVerifier,
        LLMJudge,
        RewardModelVerifier,
        Verifier,
    )

# Where each public name lives; imported when it is first asked for, so that importing the package stays cheap.
_HOMES = {
    "chat_model": ("ChatOptScale",),
    "errors": ("AllCandidatesFailed", "OptScaleError", "SettingsError"),
    "priors": ("FixedPrior",),
    "records": ("Candidate", "Decision", "Estimate", "Failure", "StopReason", "Usage", "Verdict"),
    "results": ("OptScaleResult",),
    "runnable": ("OptScale",),
    "session": ("Session",),
    "stopping": ("optscale", "paper"),
    "verifiers": ("ConfidenceVerifier", "EnsembleVerifier", "LLMJudge", "RewardModelVerifier", "Verifier"),
}
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}

__version__ = "0.1.0"

__all__ = [
    "AllCandidatesFailed",
    "Candidate",
    "ChatOptScale",
    "ConfidenceVerifier",
    "Decision",
    "EnsembleVerifier",
    "Estimate",
    "Failure",
    "FixedPrior",
    "LLMJudge",
    "OptScale",
    "OptScaleError",
    "OptScaleResult",
    "RewardModelVerifier",
    "Session",
    "SettingsError",
    "StopReason",
    "Usage",
    "Verdict",
    "Verifier",
    "optscale",
    "paper",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
