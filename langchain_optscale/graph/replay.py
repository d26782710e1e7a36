"""The `Session` and the result that follow from the record in the state.

A session is not stored. Outcomes are passed to it round by round, and within a round in the order of indexes, whatever
order they finished in, so that a resumed search decides as an uninterrupted one. A session that this process still has
is passed only the new ones.
"""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from dataclasses import dataclass
from operator import is_not
from typing import TYPE_CHECKING, Any

from langchain_optscale.answers import AnswerBook
from langchain_optscale.engine.completion import build_result
from langchain_optscale.engine.recording import explores
from langchain_optscale.errors import InvalidRecordError
from langchain_optscale.graph.process_memory import spent_by
from langchain_optscale.graph.state import candidates_in, failures_in, stored_prior, verdicts_in
from langchain_optscale.records.candidates import Candidate, Failure, Verdict
from langchain_optscale.records.forks import after_fork
from langchain_optscale.records.identical import fingerprint
from langchain_optscale.records.stored import Fields, read_pairs, reading
from langchain_optscale.records.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from langchain_optscale.engine.result import OptScaleResult
    from langchain_optscale.graph.context import RunSettings
    from langchain_optscale.graph.process_memory import Causes
    from langchain_optscale.graph.state import Reader
    from langchain_optscale.records.comparisons import Ranking
    from langchain_optscale.stopping.session import Session

__all__ = ["ReplayedSession", "SessionCache", "corrected", "drawn_in", "missing_in", "result_of"]

_CACHE_SIZE = 256
_SOURCES = ("rounds", "candidates", "verdicts", "failures", "seconds")


@dataclass(frozen=True, slots=True)
class _Outcome:
    """One candidate's outcome, and the usage of its draw."""

    index: int
    outcome: Verdict | Failure
    drawn: Usage
    elapsed_s: float


@dataclass(slots=True)
class ReplayedSession:
    """A session and what was passed to it.

    Attributes:
        run: The settings that it decides under.
        session: The session.
        answers: Read in the order of indexes, so that equal answers are the same string whatever came first.
        outcomes: What was passed to the session.
        source: The lists of the record from which they were read.
    """

    run: RunSettings
    session: Session
    answers: AnswerBook
    outcomes: list[_Outcome]
    source: tuple[Any, ...] = ()

    def record(self, outcome: _Outcome, candidate: Mapping[str, Any] | None) -> None:
        """Pass a candidate's outcome and usage to the session."""
        if outcome.drawn.total_tokens:
            self.session.spend({"policy": outcome.drawn})
        usage = outcome.outcome.usage if isinstance(outcome.outcome, Verdict) else None
        # What is no complete answer has a failure of its draw, and votes for nothing.
        complete = isinstance(outcome.outcome, Verdict) or outcome.outcome.stage == "verify"
        answer, mark = self._read(candidate) if complete else (None, None)
        self.session.tell(
            outcome.index,
            outcome.outcome,
            answer=answer,
            usage={"verifier": usage} if usage else None,
            elapsed_s=outcome.elapsed_s,
            fingerprint=mark if answer is not None else None,
        )

    def _read(self, entry: Mapping[str, Any] | None) -> tuple[str | None, str | None]:
        """A candidate's answer and its fingerprint."""
        if entry is None or self.answers.extract is None:
            return None, None
        candidate = Candidate.from_dict(entry)
        mark = fingerprint(candidate, seeded=self.run.seeded)
        # A candidate whose extractor raises has a failure in the record.
        with contextlib.suppress(Exception):
            text, message = candidate.answer_text, candidate.answer_message
            return self.answers.read(candidate.index, text, message, mark, candidate.state), mark
        return None, mark


class SessionCache:
    """The sessions of running searches; one that is not here is rebuilt from the record, and decides the same."""

    def __init__(self) -> None:
        self._begin()
        after_fork(self, "_begin")

    def _begin(self) -> None:
        self._kept: OrderedDict[str, ReplayedSession] = OrderedDict()
        self._lock = threading.Lock()

    def replay(self, run: RunSettings, record: Mapping[str, Any], *, keep: bool = True) -> ReplayedSession:
        """The session after all complete rounds of the record.

        Args:
            run: The settings to decide under.
            record: The search so far.
            keep: Whether the search continues, so that its session is needed again.
        """
        name = record["search"]["id"]
        source = tuple(record.get(part) for part in _SOURCES)
        # Taken out while in use: two runs of the same thread at once each have their own session.
        with self._lock:
            kept = self._kept.pop(name, None)
        # Merging an update into the record replaces each list that it changes.
        if kept is None or kept.run is not run or any(map(is_not, kept.source, source)):
            kept = self._continued(kept, run, record)
            kept.source = source
        if keep:
            with self._lock:
                self._kept[name] = kept
                while len(self._kept) > _CACHE_SIZE:
                    self._kept.popitem(last=False)
        return kept

    def _continued(self, kept: ReplayedSession | None, run: RunSettings, record: Mapping[str, Any]) -> ReplayedSession:
        """The session, passed what it does not know yet; a new one where it was passed something else."""
        outcomes = _outcomes(record, run.reader(record["search"]["id"]))
        sizes = [len(entry["indexes"]) for entry in record["rounds"]]
        if kept is None or kept.run is not run or not _is_prefix(kept, outcomes, sizes):
            answers = AnswerBook(run.settings.extract, spent_by(record["search"]["id"]))
            kept = ReplayedSession(run, _new_session(run, record), answers, [])
        session, recorded = kept.session, len(kept.outcomes)
        drawn = candidates_in(record)
        for position, entry in enumerate(record["rounds"]):
            if position >= len(session.rounds):
                session.adopt(sizes[position])
            while recorded < len(outcomes) and outcomes[recorded].index in entry["indexes"]:
                kept.record(outcomes[recorded], drawn.get(outcomes[recorded].index))
                recorded += 1
        kept.outcomes = outcomes
        return kept


def _new_session(run: RunSettings, record: Mapping[str, Any]) -> Session:
    """The session of a search; whether it explores follows from its id, so that a resumed one goes on as it began."""
    settings = run.settings
    explore = settings.store is not None and explores(record["search"]["id"], settings.explore)
    return settings.session(stored_prior(record) if settings.prepared().has_question_prior else None, explore=explore)


def missing_in(record: Mapping[str, Any]) -> list[int]:
    """Candidates of the last round that are neither scored nor failed, ascending; empty before the first round."""
    if not record.get("rounds"):
        return []
    with reading("the search in this thread"):
        known = {pair[0] for name in ("verdicts", "failures") for pair in record.get(name, ())}
    return [index for index in record["rounds"][-1]["indexes"] if index not in known]


def corrected(record: Mapping[str, Any], replay: ReplayedSession) -> list[dict[str, Any]]:
    """The candidates whose answer equals an earlier one's and is another string in the record.

    The tasks of a round do not see each other's answers.
    """
    answers = replay.answers.answers
    return [
        {**entry, "answer": answers[index]}
        for index, entry in candidates_in(record).items()
        if index in answers and answers[index] != entry.get("answer")
    ]


def drawn_in(record: Mapping[str, Any], replay: ReplayedSession) -> dict[int, Candidate]:
    """The candidates by index, equal answers as the same string."""
    entries = candidates_in(record) | {entry["index"]: entry for entry in corrected(record, replay)}
    read = replay.run.reader(record["search"]["id"]).once(Candidate.from_dict)
    return {index: read(entry) for index, entry in entries.items()}


def result_of(
    record: Mapping[str, Any], replay: ReplayedSession, causes: Causes, ranking: Ranking | None = None
) -> OptScaleResult:
    """The result of a finished search.

    Args:
        record: The search.
        replay: Its session.
        causes: The exceptions behind its failures, for the error of a search without a score.
        ranking: What a tournament found, where it chooses.

    Raises:
        AllCandidatesFailed: No candidate has a score.
        SettingsError: `select` returned something that is not a scored candidate.
    """
    drawn, session = drawn_in(record, replay), replay.session
    once = replay.run.reader(record["search"]["id"]).once
    failures = causes.of(record["search"]["id"], failures_in(record, once(Failure.from_dict)))
    verdicts = verdicts_in(record, once(Verdict.from_dict))
    if unknown := sorted(verdicts.keys() - drawn.keys()):
        raise InvalidRecordError(
            f"the search in this thread has a verdict for candidate {unknown[0]}, but no candidate"
        )
    elapsed_s, seeded = session.history.elapsed_s, replay.run.seeded
    settings, name = replay.run.settings, record["search"]["id"]
    search_id = None if settings.store is None else name
    made_of = (settings, session, drawn, verdicts, failures, elapsed_s)
    return build_result(*made_of, seeded=seeded, search_id=search_id, ranking=ranking)


def _outcomes(record: Mapping[str, Any], reader: Reader) -> list[_Outcome]:
    """The outcomes of all complete rounds, in order.

    Time is that of the search itself: a round takes as long as its slowest candidate. A search that waited for a
    review or for a crashed process has not used up its deadline.
    """
    drawn = candidates_in(record)
    verdicts = verdicts_in(record, reader.once(Verdict.from_dict))
    failures = failures_in(record, reader.once(Failure.from_dict))
    seconds = read_pairs(Fields(record, "the search in this thread"), "seconds", _seconds, ())
    outcomes: list[_Outcome] = []
    began = 0.0
    complete = record["rounds"][:-1] if missing_in(record) else record["rounds"]
    for entry in complete:
        spent = _by_request(entry["indexes"], drawn, reader.once(_usage_of))
        for index in entry["indexes"]:
            outcome = verdicts.get(index) or failures.get(index)
            if outcome is None:
                raise InvalidRecordError(f"candidate {index} of the search in this thread has no outcome")
            outcomes.append(_Outcome(index, outcome, spent[index], began + seconds.get(index, 0.0)))
        began = max((outcome.elapsed_s for outcome in outcomes), default=0.0)
    return outcomes


def _seconds(value: object) -> float:
    return Fields({"seconds": value}, "a candidate").real("seconds")


def _usage_of(candidate: Mapping[str, Any]) -> Usage:
    return Usage.from_dict(candidate.get("usage"))


def _by_request(
    indexes: Sequence[int], drawn: Mapping[int, Mapping[str, Any]], usage_of: Callable[[Mapping[str, Any]], Usage]
) -> dict[int, Usage]:
    """The usage of each request, at its first choice, which also counts the request itself."""
    spent = dict.fromkeys(indexes, Usage())
    first = None
    for index in indexes:
        usage = usage_of(drawn[index]) if index in drawn else Usage()
        if first is None or usage.requests or index not in drawn:
            first = index
        spent[first] += usage
    return spent


def _is_prefix(kept: ReplayedSession, outcomes: list[_Outcome], sizes: list[int]) -> bool:
    """Whether the session was passed the beginning of these outcomes, and nothing else."""
    rounds = [len(one.indexes) for one in kept.session.rounds]
    return rounds == sizes[: len(rounds)] and kept.outcomes == outcomes[: len(kept.outcomes)]
