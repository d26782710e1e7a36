"""From the record in the state to the `Session` that decides, and to the result.

A session is not stored: it follows from the rounds and what became of their candidates. It is told of them round by
round, and within a round in the order of indexes, whatever order they finished in, so that a resumed search decides
as an uninterrupted one. A session that this process still has is told only what is new.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from langchain_optscale.graph.state import candidates_in, failures_in, seconds_in, verdicts_in
from langchain_optscale.records import Candidate, Failure, Verdict
from langchain_optscale.search import Search

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.prompt_values import PromptValue

    from langchain_optscale.graph.context import Engine
    from langchain_optscale.results import OptScaleResult
    from langchain_optscale.session import Session

__all__ = ["Replays", "missing_in", "result_of"]

_SESSIONS_KEPT = 256


@dataclass(frozen=True, slots=True)
class _Fact:
    """One call of `Session.tell`."""

    index: int
    outcome: Verdict | Failure
    answer: str | None
    tokens: int
    elapsed_s: float


@dataclass(slots=True)
class _Kept:
    engine: Engine
    session: Session
    facts: list[_Fact]


class Replays:
    """The sessions of the searches that are under way, as far as this process knows them.

    Only a shortcut: a session that is not here is told everything from the record, and decides the same.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._lock = threading.Lock()

    def session(self, engine: Engine, record: Mapping[str, Any], *, keep: bool = True) -> Session:
        """The session after everything in the record; of the last round only if all of it is told.

        Args:
            engine: The settings to decide under.
            record: The search so far.
            keep: Whether the search goes on, so that its session is of use again.
        """
        name = record["search"]["id"]
        facts = _facts(record)
        sizes = [len(entry["indexes"]) for entry in record["rounds"]]
        # Taken out while in use: should a thread be run twice at once, each run has a session of its own.
        with self._lock:
            kept = self._kept.pop(name, None)
        if kept is None or kept.engine is not engine or not _leads_to(kept, facts, sizes):
            kept = _Kept(engine, engine.settings.session(), [])
        session, told = kept.session, len(kept.facts)
        for position, entry in enumerate(record["rounds"]):
            if position >= len(session.rounds):
                session.adopt(sizes[position])
            while told < len(facts) and facts[told].index in entry["indexes"]:
                fact = facts[told]
                session.tell(fact.index, fact.outcome, answer=fact.answer, tokens=fact.tokens, elapsed_s=fact.elapsed_s)
                told += 1
        kept.facts = facts
        if keep:
            with self._lock:
                self._kept[name] = kept
                while len(self._kept) > _SESSIONS_KEPT:
                    self._kept.popitem(last=False)
        return session


def missing_in(record: Mapping[str, Any]) -> list[int]:
    """Candidates of the last round that are neither scored nor failed, ascending; empty before the first round."""
    if not record.get("rounds"):
        return []
    known = {pair[0] for name in ("verdicts", "failures") for pair in record.get(name, ())}
    return [index for index in record["rounds"][-1]["indexes"] if index not in known]


def result_of(engine: Engine, prompt: PromptValue, record: Mapping[str, Any], session: Session) -> OptScaleResult:
    """The result of a search that is over.

    Raises:
        AllCandidatesFailed: No candidate has a score.
        SettingsError: `select` returned something that is not a scored candidate.
    """
    drawn = {index: Candidate.from_dict(entry) for index, entry in candidates_in(record).items()}
    search = Search.told(engine.settings, prompt, session, drawn, verdicts_in(record), failures_in(record))
    return replace(search.result(), duration_s=session.history.elapsed_s)


def _facts(record: Mapping[str, Any]) -> list[_Fact]:
    """What the session is to be told, in order. The last round counts only when nothing of it is missing.

    Time is that of the search itself: a round takes as long as the longest of its candidates. So a search that waited
    for a person or for a crashed process to come back has not spent its deadline.
    """
    drawn, verdicts, failures, seconds = (
        candidates_in(record),
        verdicts_in(record),
        failures_in(record),
        seconds_in(record),
    )
    facts: list[_Fact] = []
    began = 0.0
    complete = record["rounds"][:-1] if missing_in(record) else record["rounds"]
    for entry in complete:
        for index in entry["indexes"]:
            outcome = verdicts.get(index) or failures[index]
            candidate = drawn.get(index)
            tokens = candidate["usage"]["input_tokens"] + candidate["usage"]["output_tokens"] if candidate else 0
            if isinstance(outcome, Verdict) and outcome.usage:
                tokens += outcome.usage.total_tokens
            answer = candidate["answer"] if candidate else None
            facts.append(_Fact(index, outcome, answer, tokens, began + seconds.get(index, 0.0)))
        began = max((fact.elapsed_s for fact in facts), default=0.0)
    return facts


def _leads_to(kept: _Kept, facts: list[_Fact], sizes: list[int]) -> bool:
    """Whether the session that was kept has heard the beginning of these facts, and nothing else."""
    rounds = [len(one.indexes) for one in kept.session.rounds]
    return rounds == sizes[: len(rounds)] and kept.facts == facts[: len(kept.facts)]
