"""The end of a search: from what became of its candidates to the result."""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import TYPE_CHECKING

from langchain_optscale.answers import choose
from langchain_optscale.errors import AllCandidatesFailed
from langchain_optscale.records import Usage
from langchain_optscale.results import OptScaleResult
from langchain_optscale.stopping.answer_rules import selection_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_optscale.records import Candidate, Failure, Verdict
    from langchain_optscale.session import Session
    from langchain_optscale.settings import SearchSettings

__all__ = ["conclude"]


def conclude(
    settings: SearchSettings,
    session: Session,
    candidates: Mapping[int, Candidate],
    verdicts: Mapping[int, Verdict],
    failures: Mapping[int, Failure],
    duration_s: float,
    unsaid: Usage | None = None,
) -> OptScaleResult:
    """Choose a candidate and make the record of the search.

    Args:
        settings: What was searched with; `select` chooses.
        session: What decided.
        candidates: Everything that was drawn, by index.
        verdicts: Those that are scored.
        failures: Those that failed.
        duration_s: Seconds that the search took.
        unsaid: What verifications consumed beyond what their verdicts say.

    Raises:
        AllCandidatesFailed: No candidate has a score.
        SettingsError: `select` returned something that is not a scored candidate.
    """
    drawn = tuple(candidates[index] for index in sorted(candidates))
    if not verdicts:
        raise AllCandidatesFailed(failures, session.decision.reason, list(drawn))
    scores = {index: verdict.score for index, verdict in verdicts.items()}
    best = choose(selection_for(settings.select, settings.stopping), [candidates[index] for index in verdicts], scores)
    return OptScaleResult(
        best=candidates[best],
        candidates=drawn,
        verdicts=verdicts,
        failures=failures,
        rounds=session.rounds,
        decision=session.decision,
        estimate=session.estimate,
        usage={
            "policy": reduce(add, (candidate.usage for candidate in drawn), Usage()),
            "verifier": reduce(add, (v.usage for v in verdicts.values() if v.usage), unsaid or Usage()),
        },
        duration_s=duration_s,
    )
