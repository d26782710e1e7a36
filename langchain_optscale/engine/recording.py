"""What a search leaves in the store of `store=`, and whether it explores for the sake of later ones."""

from __future__ import annotations

import hashlib
import logging
import math
import time
import uuid
from typing import TYPE_CHECKING, Any

from langchain_optscale.answers import choose
from langchain_optscale.answers.selection import claim_about
from langchain_optscale.engine.fingerprints import DRAWN_BY, policy_fingerprint, verifier_fingerprint
from langchain_optscale.errors import printable
from langchain_optscale.learning.features import question_text
from langchain_optscale.learning.rows import FITTED, SearchRow, answer_classes
from langchain_optscale.records.usage import Usage
from langchain_optscale.stopping.exploration import explored_stop

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from langchain_core.prompt_values import PromptValue

    from langchain_optscale.engine.result import OptScaleResult
    from langchain_optscale.engine.settings import SearchSettings
    from langchain_optscale.learning.rows import Fingerprint
    from langchain_optscale.records.candidates import Candidate
    from langchain_optscale.records.failures import AllCandidatesFailed
    from langchain_optscale.stopping.session import Session

__all__ = ["Recording", "explores"]

_logger = logging.getLogger(__name__)
_BITS = 64
_LONGEST = 300


def explores(search_id: str, share: float) -> bool:
    """Whether a search goes on to its cap for later ones to learn from; told by its id, so that a resumed one knows.

    Args:
        search_id: Its id.
        share: Of all searches, in [0, 1].
    """
    place = int.from_bytes(hashlib.sha256(search_id.encode()).digest()[: _BITS // 8], "big")
    return place < math.ldexp(share, _BITS)


class Recording:
    """What one search leaves in its store.

    Args:
        settings: What is searched with; they have a store.
        prompt: The conversation that is answered.
        search_id: Its id; None makes one.
        call_kwargs: The caller's own arguments for the policy.

    Attributes:
        search_id: Its id in the store.
        explores: Whether it goes on to the cap.
    """

    def __init__(
        self,
        settings: SearchSettings,
        prompt: PromptValue,
        search_id: str | None = None,
        call_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        self.search_id = search_id or uuid.uuid4().hex
        self.explores = explores(self.search_id, settings.explore)
        self._settings = settings
        self._prompt = prompt
        self._call_kwargs = call_kwargs

    def finished(self, session: Session, result: OptScaleResult) -> None:
        """Record a search that returned an answer; it never raises."""
        self._safely(lambda: self._finished(session, result))

    def failed(self, session: Session, error: AllCandidatesFailed) -> None:
        """Record a search without a score; it never raises."""
        self._safely(lambda: self._failed(session, error))

    def _safely(self, record: Callable[[], None]) -> None:
        """A search that has been paid for is not lost because something about it cannot be recorded."""
        try:
            record()
        except Exception as error:  # noqa: BLE001 - such as an error of a verifier's own property
            _logger.warning(
                "search %s could not be recorded: %s: %s", self.search_id, type(error).__name__, printable(str(error))
            )

    def _finished(self, session: Session, result: OptScaleResult) -> None:
        order = [observation.index for one in session.rounds for observation in one.observations]
        outcome = {
            "chosen": order.index(result.best.index),
            "reason": result.stop_reason.name,
            "claim": result.claim,
            "probability": result.probability,
            "certified": result.certified,
            "figures": _numbers(result.decision.figures),
            "seconds": result.duration_s,
            "cost": result.cost,
            **self._stopped(session, result, order),
        }
        scores = {index: verdict.score for index, verdict in result.verdicts.items()}
        self._record(order, result.candidates, scores, result.usage, session, outcome)

    def _failed(self, session: Session, error: AllCandidatesFailed) -> None:
        order = [observation.index for one in session.rounds for observation in one.observations]
        reason = "FAILURES" if error.reason is None else error.reason.name
        outcome = {"chosen": None, "reason": reason, "seconds": session.history.elapsed_s, "cost": error.cost}
        self._record(order, error.candidates, {}, error.usage, session, outcome)

    def _record(
        self,
        order: Sequence[int],
        candidates: Sequence[Candidate],
        scores: Mapping[int, float],
        usage: Mapping[str, Usage],
        session: Session,
        outcome: Mapping[str, Any],
    ) -> None:
        store, known = self._settings.store, {candidate.index: candidate for candidate in candidates}
        policy, verifier, settings = _facts_of(self._settings, self._call_kwargs)
        drawn = [known.get(index) for index in order]
        learning = self._settings.learning
        if learning is not None and self._settings.stopping is None and _by_fitted_rule(session):
            settings = {**settings, "learned_rule": FITTED}
        row = SearchRow(
            id=self.search_id,
            time=time.time(),
            policy=policy,
            verifier=verifier,
            scores=tuple(scores.get(index) for index in order),
            answers=answer_classes([one.answer if one and one.index in scores else None for one in drawn]),
            drawn=max(len(candidates), len(order)),
            cap=session.max_samples,
            rounds=len(session.rounds),
            settings=settings,
            learned=None if learning is None else learning.version,
            policy_tokens=usage.get("policy", Usage()).total_tokens,
            verifier_tokens=usage.get("verifier", Usage()).total_tokens,
            output_tokens=tuple((one.usage.output_tokens or None) if one else None for one in drawn),
            texts=tuple(None if one is None else one.text for one in drawn) if store.keep_text else None,
            **outcome,
        )
        store.record(row, question_text(self._prompt))
        if learning is not None and learning.watch is not None:
            learning.watch.observe(row)

    def _stopped(self, session: Session, result: OptScaleResult, order: Sequence[int]) -> dict[str, Any]:
        """Of a search that explored, what it would have claimed and returned where it would have ended."""
        if not self.explores:
            return {}
        stop = explored_stop(session.rounds)
        if stop is None:
            return {"explored": True, "stopped_at": len(order), "stopped_choice": order.index(result.best.index)}
        count, decision = stop
        indexes = [index for index in order[:count] if index in result.verdicts]
        scores = {index: result.verdicts[index].score for index in indexes}
        candidates = {candidate.index: candidate for candidate in result.candidates}
        drawn = [candidates[index] for index in indexes]
        best = choose(self._settings.prepared().selection, drawn, scores)
        claim, probability = claim_about(
            decision, [one.answer for one in drawn], list(scores.values()), indexes.index(best)
        )
        return {
            "explored": True,
            "stopped_at": count,
            "stopped_choice": order.index(best),
            "reason": (decision.reason or result.stop_reason).name,
            "figures": _numbers(decision.figures),
            **({} if result.certified else {"claim": claim, "probability": probability}),
        }


def _by_fitted_rule(session: Session) -> bool:
    """Whether a rule that was learned from explored searches decides."""
    return any(type(part).__name__ == FITTED for part in session.stopping.parts())


def _numbers(figures: Mapping[str, float]) -> dict[str, float]:
    """The finite figures, since JSON has no others."""
    return {name: float(value) for name, value in figures.items() if math.isfinite(value)}


def _facts_of(
    settings: SearchSettings, call_kwargs: Mapping[str, Any] | None = None
) -> tuple[Fingerprint, Fingerprint, dict[str, Any]]:
    """Policy, verifier, and the settings of the decision; computed once for all searches with the same arguments.

    Args:
        settings: What is searched with.
        call_kwargs: The caller's own arguments for the policy.
    """
    arguments = {name: value for name, value in (call_kwargs or {}).items() if name in {"model", *DRAWN_BY}}
    known, key = settings.prepared().facts, tuple(map(repr, sorted(arguments.items())))
    if key not in known:
        verifier = verifier_fingerprint(settings.verifier, settings.extract)
        known[key] = policy_fingerprint(settings.policy, arguments), verifier, _of_decision(settings)
    return known[key]


def _of_decision(settings: SearchSettings) -> dict[str, Any]:
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
