"""What a trace says about a search; flat, since that is what LangSmith filters by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_optscale.engine.result import OptScaleResult
    from langchain_optscale.engine.settings import SearchSettings

__all__ = ["result_metadata", "settings_metadata"]


def settings_metadata(settings: SearchSettings) -> dict[str, Any]:
    """What a trace says about a search when it begins."""
    metadata = {
        "optscale_target": None if settings.stopping is not None else settings.target,
        "optscale_confidence": None if settings.stopping is not None else settings.confidence,
        "optscale_effort": None if settings.stopping is not None else settings.effort,
        "optscale_max_samples": settings.session().max_samples,
        "optscale_stopping": repr(settings.rule()),
        "optscale_verifier": settings.verifier.name,
        "optscale_token_budget": settings.token_budget,
        "optscale_deadline_s": settings.deadline_s,
        "optscale_seed": settings.seed,
    }
    return {key: value for key, value in metadata.items() if value is not None}


def result_metadata(result: OptScaleResult) -> dict[str, Any]:
    """What a trace says about a search when it has ended."""
    metadata = {
        "optscale_n": len(result.verdicts),
        "optscale_drawn": len(result.candidates),
        "optscale_failed": len(result.failures),
        "optscale_score": result.score,
        "optscale_best": result.best.index,
        "optscale_optimal_n": result.optimal_n,
        "optscale_claim": result.claim,
        "optscale_probability": result.probability,
        "optscale_mu": result.estimate.mu,
        "optscale_sigma": result.estimate.sigma,
        "optscale_stop_reason": result.stop_reason.name,
        "optscale_cost": result.cost,
    }
    if result.certified is not None:
        metadata["optscale_certified"] = result.certified
    return metadata
