"""From the record in the state to the `Session` that decides, and to the result.

A session is not stored: it follows from the rounds and what became of their candidates. It is told of them round by
round, and within a round in the order of indexes, whatever order they finished in, so that a resumed search decides
as an uninterrupted one. A session that this process still has is told only what is new.
"""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_optscale.answers import AnswerBook
from langchain_optscale.engine.result import build_result
from langchain_optscale.graph.state import candidates_in, failures_in, seconds_in, verdicts_in
from langchain_optscale.records.types import Candidate, Failure, Usage, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_optscale.engine.result import OptScaleResult
    from langchain_optscale.graph.context import Engine
    from langchain_optscale.stopping.session import Session

__all__ = ["Replays", "Told", "corrected", "missing_in", "result_of"]

_SESSIONS_KEPT = 256


@dataclass(frozen=True, slots=True)
class _Fact:
    """What a session is told of one candidate: what its request consumed, and what came of it."""

    index: int
    outcome: Verdict | Failure
    drawn: Usage
    elapsed_s: float


@dataclass(slots=True)
class Told:
    """A session, with the answers of the candidates that it was told of.

    Attributes:
        engine: The settings that it decides under.
        session: Decides.
        answers: Read in the order of telling, so that equal answers are the same string whatever came first.
        facts: What it was told.
    """

    engine: Engine
    session: Session
    answers: AnswerBook
    facts: list[_Fact]

    def tell(self, fact: _Fact, candidate: Mapping[str, Any] | None) -> None:
        """Tell the session what became of a candidate, and what that has consumed."""
        if fact.drawn.total_tokens:
            self.session.spend({"policy": fact.drawn})
        usage = fact.outcome.usage if isinstance(fact.outcome, Verdict) else None
        self.session.tell(
            fact.index,
            fact.outcome,
            answer=self._read(candidate),
            usage={"verifier": usage} if usage else None,
            elapsed_s=fact.elapsed_s,
        )

    def _read(self, entry: Mapping[str, Any] | None) -> str | None:
        if entry is None or self.answers.extract is None:
            return None
        candidate = Candidate.from_dict(entry)
        # Where the extractor raises, the candidate has failed for it.
        with contextlib.suppress(Exception):
            return self.answers.read(candidate.index, candidate.text, candidate.message)
        return None


class Replays:
    """The sessions of the searches that are under way, as far as this process knows them.

    Only a shortcut: a session that is not here is told everything from the record, and decides the same.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Told] = OrderedDict()
        self._lock = threading.Lock()

    def session(self, engine: Engine, record: Mapping[str, Any], *, keep: bool = True) -> Session:
        """The session after everything in the record, see `told`."""
        return self.told(engine, record, keep=keep).session

    def told(self, engine: Engine, record: Mapping[str, Any], *, keep: bool = True) -> Told:
        """Session and answers after everything in the record; of the last round only if all of it is told.

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
            kept = Told(engine, engine.settings.session(), AnswerBook(engine.settings.extract), [])
        session, told = kept.session, len(kept.facts)
        drawn = candidates_in(record)
        for position, entry in enumerate(record["rounds"]):
            if position >= len(session.rounds):
                session.adopt(sizes[position])
            while told < len(facts) and facts[told].index in entry["indexes"]:
                kept.tell(facts[told], drawn.get(facts[told].index))
                told += 1
        kept.facts = facts
        if keep:
            with self._lock:
                self._kept[name] = kept
                while len(self._kept) > _SESSIONS_KEPT:
                    self._kept.popitem(last=False)
        return kept


def missing_in(record: Mapping[str, Any]) -> list[int]:
    """Candidates of the last round that are neither scored nor failed, ascending; empty before the first round."""
    if not record.get("rounds"):
        return []
    known = {pair[0] for name in ("verdicts", "failures") for pair in record.get(name, ())}
    return [index for index in record["rounds"][-1]["indexes"] if index not in known]


def corrected(record: Mapping[str, Any], told: Told) -> list[dict[str, Any]]:
    """Candidates of the record whose answer is the same as an earlier one's and was read as another string.

    The tasks of a round do not know of each other's answers.
    """
    answers = told.answers.answers
    return [
        {**entry, "answer": answers[entry["index"]]}
        for entry in record.get("candidates", ())
        if entry["index"] in answers and answers[entry["index"]] != entry["answer"]
    ]


def result_of(engine: Engine, record: Mapping[str, Any], told: Told) -> OptScaleResult:
    """The result of a search that is over.

    Raises:
        AllCandidatesFailed: No candidate has a score.
        SettingsError: `select` returned something that is not a scored candidate.
    """
    entries = candidates_in(record) | {entry["index"]: entry for entry in corrected(record, told)}
    drawn = {index: Candidate.from_dict(entry) for index, entry in entries.items()}
    verdicts, failures, session = verdicts_in(record), failures_in(record), told.session
    return build_result(engine.settings, session, drawn, verdicts, failures, session.history.elapsed_s)


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
        spent = _by_request(entry["indexes"], drawn)
        for index in entry["indexes"]:
            outcome = verdicts.get(index) or failures[index]
            facts.append(_Fact(index, outcome, spent[index], began + seconds.get(index, 0.0)))
        began = max((fact.elapsed_s for fact in facts), default=0.0)
    return facts


def _by_request(indexes: Sequence[int], drawn: Mapping[int, Mapping[str, Any]]) -> dict[int, Usage]:
    """What was drawn in one request has been spent with its first choice, at which the request itself is counted."""
    spent = dict.fromkeys(indexes, Usage())
    first = None
    for index in indexes:
        usage = Usage(**drawn[index]["usage"]) if index in drawn else Usage()
        if first is None or usage.requests or index not in drawn:
            first = index
        spent[first] += usage
    return spent


def _leads_to(kept: Told, facts: list[_Fact], sizes: list[int]) -> bool:
    """Whether the session that was kept has heard the beginning of these facts, and nothing else."""
    rounds = [len(one.indexes) for one in kept.session.rounds]
    return rounds == sizes[: len(rounds)] and kept.facts == facts[: len(kept.facts)]
