"""What pictures, cards and tables say of a search: N* beside the cap, and why it ended."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from langchain_optscale.records.decisions import StopReason

if TYPE_CHECKING:
    from langchain_optscale.records.decisions import Decision

__all__ = ["beyond_in_words", "bound_in_words", "cap_of", "is_beyond", "reason_in_words"]


def cap_of(decision: Decision) -> int | None:
    """The most candidates that the search may draw, None where the decision does not say."""
    cap = decision.figures.get("max_samples")
    return None if cap is None or not math.isfinite(cap) else int(cap)


def beyond_in_words(decision: Decision) -> str:
    """What a bound above the cap means: where candidates have a price, N* is what would be worth drawing."""
    if decision.optimal_n is not None and "price" in decision.figures:
        return "more than the cap would be worth drawing, by the scores so far"
    return "the target is not reachable within the cap with the set confidence, by the scores so far"


def is_beyond(decision: Decision) -> bool:
    """Whether N* is above the cap, or no number of candidates reaches the target by the estimate."""
    cap = cap_of(decision)
    if decision.optimal_n is None:
        return "target" in decision.figures
    return cap is not None and decision.optimal_n > cap


def bound_in_words(decision: Decision) -> str:
    """N* as a number, as above the cap, or empty where no bound was computed.

    Example:
        >>> from langchain_optscale import Decision
        >>> bound_in_words(Decision(optimal_n=7, figures={"max_samples": 16}))
        '7'
        >>> bound_in_words(Decision(optimal_n=None, figures={"max_samples": 16, "target": 0.9}))
        '>16'
    """
    if is_beyond(decision):
        cap = cap_of(decision)
        return "" if cap is None else f">{cap}"
    return "" if decision.optimal_n is None else f"{decision.optimal_n:,}"


def reason_in_words(decision: Decision) -> str:
    """Why the search ended; for futility with the chance that was left.

    Example:
        >>> from langchain_optscale import Decision, StopReason
        >>> reason_in_words(Decision(True, StopReason.FUTILITY, figures={"chance": 0.002, "target": 0.9}))[-23:]
        ' (chance of 0.9: 0.2 %)'
    """
    if decision.reason is None:
        return ""
    sentence, figures = decision.reason.value, decision.figures
    if decision.reason is StopReason.FUTILITY and "chance" in figures and "target" in figures:
        chance = figures["chance"]
        words = "below 0.1 %" if chance < 0.001 else f"{100 * chance:.1f} %"
        sentence += f" (chance of {figures['target']:g}: {words})"
    return sentence
