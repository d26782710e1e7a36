"""Builds the record of a finished search: which candidate it returns, what it claims, cost and saved."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from langchain_optscale.answers import choose
from langchain_optscale.answers.selection import claim_about
from langchain_optscale.engine.failing import nothing_scored
from langchain_optscale.engine.result import OptScaleResult
from langchain_optscale.records.identical import copies, fingerprint
from langchain_optscale.records.savings import Explored, Saved
from langchain_optscale.records.usage import Usage
from langchain_optscale.stopping.exploration import Exploration, explored_stop

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_optscale.engine.settings import SearchSettings
    from langchain_optscale.records.candidates import Candidate, Failure, Verdict
    from langchain_optscale.records.comparisons import Ranking
    from langchain_optscale.stopping import Price
    from langchain_optscale.stopping.session import Session

__all__ = ["build_result", "independent"]


def build_result(
    settings: SearchSettings,
    session: Session,
    candidates: Mapping[int, Candidate],
    verdicts: Mapping[int, Verdict],
    failures: Mapping[int, Failure],
    duration_s: float,
    unreported_usage: Usage | None = None,
    *,
    seeded: bool = False,
    search_id: str | None = None,
    ranking: Ranking | None = None,
) -> OptScaleResult:
    """Choose the candidate to return and build the record of a finished search.

    Args:
        settings: What was searched with; `select` chooses.
        session: What decided.
        candidates: Everything that was drawn, by index.
        verdicts: Those that are scored.
        failures: Those that failed.
        duration_s: Seconds that the search took.
        unreported_usage: What verifications consumed beyond what their verdicts report.
        seeded: Whether each candidate was drawn with a seed of its own.
        search_id: The search's id in its store.
        ranking: What a tournament found, where it chooses.

    Raises:
        AllCandidatesFailed: No candidate has a score.
        SettingsError: `select` returned something that is not a scored candidate.
    """
    drawn = tuple(candidates[index] for index in sorted(candidates))
    usage = {
        "policy": Usage.total([candidate.usage for candidate in drawn]),
        "verifier": Usage.total([unreported_usage or Usage(), *(v.usage for v in verdicts.values() if v.usage)]),
    }
    if ranking is not None:
        usage["verifier"] += ranking.usage
    cost = _cost_of(settings.prepared().prices, usage)
    if not verdicts:
        raise nothing_scored(settings, session.decision.reason, drawn, failures, usage, cost)
    scores = {index: verdict.score for index, verdict in verdicts.items()}
    scored = independent([candidates[index] for index in verdicts], scores, seeded=seeded)
    best = choose(settings.prepared().selection, scored, scores) if ranking is None else ranking.best
    answers, place = [candidates[index].answer for index in verdicts], list(verdicts).index(best)
    decision = session.final_decision
    claim, probability = claim_about(decision, answers, list(scores.values()), place)
    certification = None
    certificate = settings.certificate
    if certificate is not None:
        certification = certificate.certify(answers, list(scores.values()), place)
        if certification.certified:
            claim, probability = "right", 1.0 - certification.delta
    return OptScaleResult(
        best=candidates[best],
        candidates=drawn,
        verdicts=verdicts,
        failures=failures,
        rounds=session.rounds,
        decision=decision,
        estimate=session.estimate,
        usage=usage,
        duration_s=duration_s,
        cost=cost,
        saved=_saved_by(session.max_samples, len(drawn), usage, cost),
        claim=claim,
        probability=probability,
        certification=certification,
        search_id=search_id,
        explored=_explored(settings, session, drawn, verdicts),
        ranking=ranking,
        drift=_drift(settings, session),
    )


def _drift(settings: SearchSettings, session: Session) -> str | None:
    """Why the search used nothing of what was learned; None for one that began with it, before the alarm."""
    learning = settings.learning
    if learning is None or (drift := learning.drift) is None:
        return None
    # Loaded where something was learned.
    from langchain_optscale.stopping.learned.fitted import FittedStopping
    from langchain_optscale.stopping.learned.improved import ImprovedStopping

    learned = (ImprovedStopping, FittedStopping) if settings.stopping is None else ImprovedStopping
    return None if any(isinstance(part, learned) for part in session.stopping.parts()) else drift


def _explored(
    settings: SearchSettings, session: Session, drawn: Sequence[Candidate], verdicts: Mapping[int, Verdict]
) -> Explored | None:
    """What the candidates beyond those consumed after whose outcome the search would have ended."""
    rounds = session.rounds
    if not isinstance(session.stopping, Exploration) or (stop := explored_stop(rounds)) is None:
        return None
    observed = [observation.index for one in rounds for observation in one.observations]
    within = set(observed[: stop[0]])
    beyond = [candidate for candidate in drawn if candidate.index not in within]
    checks = [verdicts[one.index].usage or Usage() for one in beyond if one.index in verdicts]
    usage = {"policy": Usage.total(one.usage for one in beyond), "verifier": Usage.total(checks)}
    tokens = Usage.total(usage.values()).total_tokens
    return Explored(stop[0], len(beyond), tokens, _cost_of(settings.prepared().prices, usage))


def _cost_of(prices: Mapping[str, Price], usage: Mapping[str, Usage]) -> float | None:
    """What a usage by role costs; None where the price of a role that consumed something is not known."""
    spent = {role: consumed for role, consumed in usage.items() if consumed != Usage()}
    if not prices or spent.keys() - prices.keys():
        return None
    return math.fsum(prices[role].of(consumed) for role, consumed in spent.items())


def _saved_by(cap: int, drawn: int, usage: Mapping[str, Usage], cost: float | None) -> Saved:
    """What a search that drew `drawn` of `cap` candidates saved against best-of-N at its cap; see `Saved`."""
    rest = max(0, cap - drawn)
    tokens = round(Usage.total(usage.values()).total_tokens / drawn * rest)
    return Saved(rest, cap, tokens, None if cost is None else cost / drawn * rest)


def independent(scored: list[Candidate], scores: Mapping[int, float], *, seeded: bool) -> list[Candidate]:
    """The candidates without copies, which would vote for one answer several times; of equals the best-scored."""
    if all(candidate.answer is None for candidate in scored):
        return scored
    marks = [fingerprint(candidate, seeded=seeded) for candidate in scored]
    copied = {mark for mark, is_copy in zip(marks, copies(marks), strict=True) if is_copy}
    best: dict[str | None, Candidate] = {}
    for candidate, mark in zip(scored, marks, strict=True):
        if mark in copied and (mark not in best or scores[candidate.index] > scores[best[mark].index]):
            best[mark] = candidate
    return [one for one, mark in zip(scored, marks, strict=True) if mark not in copied or best[mark] is one]
