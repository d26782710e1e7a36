"""Adaptive best-of-N for LangChain and LangGraph.

Draw candidates from any chat model (the policy), score them with any judge, reward model or check (the verifier),
learn the distribution of the scores as they arrive, stop when no more are worth their price, return the best.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_optscale.agents import OptScaleMiddleware, create_optscale_tool
    from langchain_optscale.engine.result import OptScaleResult
    from langchain_optscale.engine.settings import SearchSettings
    from langchain_optscale.errors import OptScaleError, SettingsError
    from langchain_optscale.graph import create_optscale_graph, create_optscale_node
    from langchain_optscale.learning.learned_file import LearnedSettings
    from langchain_optscale.learning.learned_prior import LearnedPrior
    from langchain_optscale.learning.question_prior import QuestionPrior
    from langchain_optscale.learning.store import ScoreStore
    from langchain_optscale.models.travel import secrets_included
    from langchain_optscale.records.candidates import Candidate, Failure, Verdict
    from langchain_optscale.records.decisions import Decision, Estimate, StopReason
    from langchain_optscale.records.failures import AllCandidatesFailed
    from langchain_optscale.records.savings import Saved
    from langchain_optscale.records.usage import Usage
    from langchain_optscale.runnables.budget import Budget
    from langchain_optscale.runnables.chat_model import ChatOptScale
    from langchain_optscale.runnables.optscale import OptScale
    from langchain_optscale.stats.priors import FixedPrior
    from langchain_optscale.stopping import Certificate, Price, optscale, paper
    from langchain_optscale.stopping.session import Session
    from langchain_optscale.verifiers import (
        AgreementVerifier,
        CachedVerifier,
        ConfidenceVerifier,
        EnsembleVerifier,
        FallbackVerifier,
        GroupwiseJudge,
        LLMJudge,
        PairwiseJudge,
        RewardModelVerifier,
        StackedVerifier,
        TournamentSelection,
        Verifier,
    )

# Where each public name lives; imported when it is first asked for, so that importing the package stays cheap.
_HOMES = {
    "agents": ("OptScaleMiddleware", "create_optscale_tool"),
    "engine.result": ("OptScaleResult",),
    "engine.settings": ("SearchSettings",),
    "errors": ("OptScaleError", "SettingsError"),
    "graph": ("create_optscale_graph", "create_optscale_node"),
    "learning.learned_prior": ("LearnedPrior",),
    "learning.learned_file": ("LearnedSettings",),
    "learning.question_prior": ("QuestionPrior",),
    "learning.store": ("ScoreStore",),
    "records.failures": ("AllCandidatesFailed",),
    "records.savings": ("Saved",),
    "records.candidates": ("Candidate", "Failure", "Verdict"),
    "records.decisions": ("Decision", "Estimate", "StopReason"),
    "records.usage": ("Usage",),
    "runnables.budget": ("Budget",),
    "runnables.chat_model": ("ChatOptScale",),
    "runnables.optscale": ("OptScale",),
    "stats.priors": ("FixedPrior",),
    "stopping": ("Certificate", "Price", "optscale", "paper"),
    "stopping.session": ("Session",),
    "models.travel": ("secrets_included",),
    "verifiers": (
        "AgreementVerifier",
        "CachedVerifier",
        "ConfidenceVerifier",
        "EnsembleVerifier",
        "FallbackVerifier",
        "GroupwiseJudge",
        "LLMJudge",
        "PairwiseJudge",
        "RewardModelVerifier",
        "StackedVerifier",
        "TournamentSelection",
        "Verifier",
    ),
}
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}

__version__ = "0.1.0"

__all__ = [
    "AgreementVerifier",
    "AllCandidatesFailed",
    "Budget",
    "CachedVerifier",
    "Candidate",
    "Certificate",
    "ChatOptScale",
    "ConfidenceVerifier",
    "Decision",
    "EnsembleVerifier",
    "Estimate",
    "Failure",
    "FallbackVerifier",
    "FixedPrior",
    "GroupwiseJudge",
    "LLMJudge",
    "LearnedPrior",
    "LearnedSettings",
    "OptScale",
    "OptScaleError",
    "OptScaleMiddleware",
    "OptScaleResult",
    "PairwiseJudge",
    "Price",
    "QuestionPrior",
    "RewardModelVerifier",
    "Saved",
    "ScoreStore",
    "SearchSettings",
    "Session",
    "SettingsError",
    "StackedVerifier",
    "StopReason",
    "TournamentSelection",
    "Usage",
    "Verdict",
    "Verifier",
    "create_optscale_graph",
    "create_optscale_node",
    "create_optscale_tool",
    "optscale",
    "paper",
    "secrets_included",
]


# Modules that are part of the interface, under the names by which they are imported from here.
_MODULES = {"local": "endpoints.local", "vllm": "endpoints.vllm"}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"{__name__}.{_MODULES[name]}")
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from langchain_optscale.errors import MissingExtraError

    try:
        return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    except MissingExtraError as error:
        return _stand_in(name, error)


def _stand_in(name: str, missing: ImportError) -> type:
    """A class in place of one whose dependency is missing, so that `help` and `import *` work; using it raises."""

    def refuse(cls: type, *args: Any, **kwargs: Any) -> Any:
        raise missing

    return type(name, (), {"__new__": refuse, "__doc__": str(missing), "__module__": __name__})


def __dir__() -> list[str]:
    return sorted(__all__)
