"""What a search promises about the candidate that it returns."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_optscale.records.decisions import Decision

__all__ = ["CLAIMS", "claim_about"]

CLAIMS = ("stable", "target reached", "target out of reach", "not sure")
"""What can be claimed without labels; a certificate adds "right"."""


def claim_about(
    decision: Decision, answers: Sequence[str | None], scores: Sequence[float], place: int
) -> tuple[str, float | None]:
    """The claim of a decision, and its probability, as it holds for the candidate that is returned.

    A claim of stability speaks of the answer that the rule found leading, and is withdrawn where a selection returns
    another one; "target reached" speaks of the returned candidate's score.

    Args:
        decision: What ended the search.
        answers: The canonical answer of each scored candidate, in order of arrival.
        scores: As many.
        place: The place of the returned candidate among them.

    Example:
        >>> from langchain_optscale.records.decisions import Decision
        >>> stable = Decision(True, figures={"leader": 0}, claim="stable", probability=0.97)
        >>> claim_about(stable, ["4", "5"], [0.6, 0.9], 0), claim_about(stable, ["4", "5"], [0.6, 0.9], 1)
        (('stable', 0.97), ('not sure', None))
    """
    leader = decision.figures.get("leader")
    if leader is not None and answers[int(leader)] != answers[place]:
        return "not sure", None
    target = decision.figures.get("target")
    if decision.claim == "target reached" and target is not None and scores[place] < target:
        return "not sure", None
    return decision.claim, decision.probability
