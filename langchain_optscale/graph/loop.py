"""The nodes and edges without I/O: begin a round, decide after it, request a review, answer."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from langgraph.errors import GraphRecursionError
from langgraph.types import Command, Overwrite

from langchain_optscale.engine.priors import find_prior, is_slow, prior_form
from langchain_optscale.engine.recording import Recording
from langchain_optscale.errors import SettingsError
from langchain_optscale.graph.compact import short_candidate, short_round
from langchain_optscale.graph.comparing import comparing_in, most_supersteps
from langchain_optscale.graph.context import changes_now, storable
from langchain_optscale.graph.conversation import fingerprint
from langchain_optscale.graph.events import Events
from langchain_optscale.graph.replay import SessionCache, corrected, missing_in, result_of
from langchain_optscale.graph.review import missed_target, request_review
from langchain_optscale.graph.state import candidates_in, merge_record, new_record, record_in
from langchain_optscale.graph.tasks import send
from langchain_optscale.models.policy import policy_name
from langchain_optscale.records.decisions import Decision
from langchain_optscale.records.failures import AllCandidatesFailed
from langchain_optscale.runnables.messages import answer_message

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.messages import AIMessage, BaseMessage
    from langchain_core.runnables import RunnableConfig
    from langgraph.runtime import Runtime
    from langgraph.types import Send

    from langchain_optscale.engine.result import OptScaleResult
    from langchain_optscale.engine.settings import SearchSettings
    from langchain_optscale.graph.context import RunSettings, SettingsCache
    from langchain_optscale.graph.replay import ReplayedSession
    from langchain_optscale.graph.retries import Retries

__all__ = ["Loop", "supersteps"]

# ask, draw, candidate, a second candidate task where a verification failed, decide
_STEPS_OF_A_ROUND = 5
# Written by `decide`.
_DECIDED = ("decision", "estimate")


def supersteps(settings: SearchSettings) -> int:
    """The most supersteps that a search under these settings takes: every later round may be of one candidate."""
    session = settings.session()
    later = max(0, session.max_samples - session.first_round)
    # A server that rejects a request for several choices is asked for half as many each time.
    largest = min(max(session.first_round, session.round_size), settings.sampler().max_choices)
    smaller = max(0, largest.bit_length() - 2)
    tournament = settings.tournament()
    compared = 0 if tournament is None else most_supersteps(tournament.budget)
    return _STEPS_OF_A_ROUND * (1 + later) + smaller + 3 + compared


class Loop:
    """The nodes and edges of one graph that compute the next step from the state.

    Args:
        settings: The checked settings of runs.
        retries: Attempts and timeouts of tasks.
        review: Whether a search that ends below its target is reviewed.
    """

    def __init__(self, settings: SettingsCache, retries: Retries, *, review: bool) -> None:
        self._settings = settings
        self._retries = retries
        self._review = review
        self._sessions = SessionCache()
        # A graph that was built without a tournament has no node for one.
        self._after = "answer" if settings.settings.tournament() is None else "choose"

    def is_slow(self, state: dict[str, Any], config: RunnableConfig, runtime: Runtime[Any]) -> bool:
        """Whether a step may compare answers, which may take seconds."""
        return changes_now(config, runtime).get("extract", self._settings.settings.extract) is not None

    def may_begin_slowly(self, state: dict[str, Any], config: RunnableConfig, runtime: Runtime[Any]) -> bool:
        """Whether the first step may take seconds: it compares answers, or asks a function for the question's prior."""
        changes = self._settings.changes_of({}, config, runtime, new=True)
        return self.is_slow(state, config, runtime) or is_slow(self._settings.get(changes).settings)

    def _run(self, record: Mapping[str, Any], config: RunnableConfig, runtime: Runtime[Any]) -> RunSettings:
        return self._settings.get(self._settings.changes_of(record, config, runtime), record)

    def ask(
        self, state: dict[str, Any], config: RunnableConfig, runtime: Runtime[Any], *, is_async: bool
    ) -> dict[str, Any]:
        """Begin a search where the question is new, and a round where none is incomplete."""
        messages: Sequence[BaseMessage] = state.get("messages") or ()
        if not messages:
            raise SettingsError("messages is empty; give the conversation to answer")
        if self._retries.timeout is not None and not is_async:
            raise SettingsError("timeout= needs the async path; run this graph by ainvoke or astream")
        record: dict[str, Any] = record_in(state) if state.get("optscale") else {}
        new = not record or "best" in record or record["search"]["question"] != fingerprint(messages)
        changes = self._settings.changes_of(record, config, runtime, new=new)
        run = self._settings.get(changes, None if new else record)
        if self._review and (info := runtime.execution_info) is not None and info.thread_id is None:
            raise SettingsError("review=True needs a checkpointer; compile the graph with one and pass a thread_id")
        update: dict[str, Any] = {}
        if new:
            if not is_async:
                run.settings.verifier.check_sync()
            run.settings.sampler()  # checks again: an LLM cache may have been set since the graph was built
            plain, given = storable(changes)
            record = new_record(
                {"id": uuid.uuid4().hex, "question": fingerprint(messages), "settings": plain, "given": given}
            )
        else:
            update |= _settings_update(record, config, runtime)
        if run.settings.prepared().has_question_prior and "prior" not in record["search"]:
            # Asked once a search: a resumed run has the same.
            prior = prior_form(find_prior(run.settings, run.prompt(messages)))
            update["search"] = {**update.get("search", {}), "prior": prior}
            record = merge_record(record, [{"search": {"prior": prior}}])
        session = self._sessions.replay(run, record).session
        if not missing_in(record) and not session.decision.stop:
            self._check_recursion_limit(state, config, run, record)
            session.ask()
            indexes = list(session.pending)
            number = session.round_of(indexes[0])
            update["rounds"] = [{"number": number, "indexes": indexes}]
            Events(runtime.stream_writer).round_started(number, indexes)
        # A new search replaces the thread's previous record.
        return {"optscale": Overwrite(merge_record(record, [update])) if new else update}

    def dispatch(
        self, state: dict[str, Any], config: RunnableConfig, runtime: Runtime[Any], *, is_async: bool
    ) -> str | list[Send]:
        """The edge after `ask`: tasks for the missing candidates or their requests, or `decide`."""
        record = record_in(state)
        indexes = missing_in(record)
        if not indexes:
            return "decide"
        run = self._run(record, config, runtime)
        left_s = None
        # A thread cannot be cancelled at the deadline: on the sync path the search ends after the round.
        if is_async and run.settings.rule().deadlines:
            session = self._sessions.replay(run, record).session
            deadline = session.next_deadline
            left_s = None if deadline is None else deadline - session.history.elapsed_s
        drawn = candidates_in(record)
        undrawn = [index for index in indexes if index not in drawn]
        requests = run.sampler(record).requests(undrawn)
        ones = [index for index in indexes if index in drawn] + [one[0] for one in requests if len(one) == 1]
        return [
            *(send("draw", {"indexes": list(many)}, left_s) for many in requests if len(many) > 1),
            *(send("candidate", {"index": index}, left_s) for index in ones),
        ]

    def decide(
        self, state: dict[str, Any], config: RunnableConfig, runtime: Runtime[Any], *, is_async: bool
    ) -> dict[str, Any]:
        """Pass a complete round to the session, and write its estimate and decision."""
        record = record_in(state)
        if missing_in(record):
            return {}
        replay = self._sessions.replay(self._run(record, config, runtime), record)
        session = replay.session
        events = Events(runtime.stream_writer)
        update: dict[str, Any] = {"decision": session.decision.to_dict(), **_settings_update(record, config, runtime)}
        if session.history.n:
            events.estimate(session.estimate, session.history.best)
            update["estimate"] = session.estimate.to_dict()
        if canonical := corrected(record, replay):
            update["candidates"] = [short_candidate(entry) for entry in canonical]
        events.decision(session.decision)
        return {"optscale": update}

    def route(
        self, state: dict[str, Any], config: RunnableConfig, runtime: Runtime[Any], *, is_async: bool
    ) -> str | list[str]:
        """The edge after `decide`: nowhere while the round is incomplete.

        It reads the state, so that a thread whose state was edited continues from there.
        """
        record = record_in(state)
        if missing_in(record):
            return []
        if not Decision.from_dict(record.get("decision", {})).stop:
            return "ask"
        return "review" if self._review else self._after

    def choose(
        self, state: dict[str, Any], config: RunnableConfig, runtime: Runtime[Any], *, is_async: bool
    ) -> dict[str, Any]:
        """Where comparisons come together; what is compared next follows from the record alone."""
        return {}

    def pair(
        self, state: dict[str, Any], config: RunnableConfig, runtime: Runtime[Any], *, is_async: bool
    ) -> str | list[Send]:
        """The edge after `choose`: tasks for the missing comparisons, or `answer`."""
        record = record_in(state)
        comparing = comparing_in(record, self._sessions.replay(self._run(record, config, runtime), record))
        if comparing is None or not comparing[1]:
            return "answer"
        return [send("compare", {"number": job.number, "order": list(job.order)}, None) for job in comparing[1]]

    def review(
        self, state: dict[str, Any], config: RunnableConfig, runtime: Runtime[Any], *, is_async: bool
    ) -> Command[Any]:
        """Request a review, unless the target was reached, and continue with the changed settings."""
        record = record_in(state)
        changes = self._settings.changes_of(record, config, runtime)
        replay = self._sessions.replay(self._settings.get(changes, record), record)
        if not missed_target(replay.run.settings, replay.session):
            return Command(goto=self._after)

        def changed(review: Mapping[str, Any]) -> ReplayedSession:
            so_far = {"search": {"review": {**record["search"].get("review", {}), **review}}}
            return self._sessions.replay(self._settings.get({**changes, **review}, so_far), record)

        def objection(review: Mapping[str, Any]) -> str | None:
            try:
                other = changed(review)
            except SettingsError as error:
                return str(error)
            if other.session.decision.stop and missed_target(other.run.settings, other.session):
                return f"with these settings the search would end at once: {other.session.decision}"
            return None

        review = request_review(replay.run.settings, replay.session, record, objection)
        if not review:
            return Command(goto=self._after)
        update = {"search": {"review": {**record["search"].get("review", {}), **review}}}
        return Command(
            update={"optscale": update}, goto=self._after if changed(review).session.decision.stop else "ask"
        )

    def answer(
        self, state: dict[str, Any], config: RunnableConfig, runtime: Runtime[Any], *, is_async: bool
    ) -> dict[str, Any]:
        """Choose, append the chosen message to the conversation, and complete the record."""
        record = record_in(state)
        run = self._run(record, config, runtime)
        replay = self._sessions.replay(run, record, keep=False)
        recording = None
        if run.settings.store is not None:
            recording = Recording(run.settings, run.prompt(state["messages"]), record["search"]["id"])
        try:
            comparing = comparing_in(record, replay)
            result = result_of(record, replay, self._settings.causes, comparing and comparing[0].ranking)
            run.discard_reader(record["search"]["id"])
        except AllCandidatesFailed as error:
            if recording is not None:
                recording.failed(replay.session, error)
            raise
        if recording is not None:
            recording.finished(replay.session, result)
        Events(runtime.stream_writer).answer(result)
        # The record has the candidates, their outcomes and the decision already.
        rest = replace(result, candidates=(), verdicts={}, failures={}).to_dict()
        known = {"candidates", "verdicts", "failures", *(name for name in _DECIDED if rest[name] == record.get(name))}
        update = {name: rest[name] for name in rest.keys() - known}
        update["rounds"] = [short_round(entry) for entry in update["rounds"]]
        return {"messages": [_message(result, run, state["messages"])], "optscale": update}

    def _check_recursion_limit(
        self, state: Mapping[str, Any], config: RunnableConfig, run: RunSettings, record: Mapping[str, Any]
    ) -> None:
        by_n = run.sampler(record).max_choices > 1
        # this step, candidate (after draw), decide, answer (after review)
        tournament = run.settings.tournament()
        needed = 4 + by_n + self._review + (0 if tournament is None else most_supersteps(tournament.budget))
        if state["remaining_steps"] < needed:
            enough = supersteps(run.settings)
            raise GraphRecursionError(
                f"recursion_limit={config.get('recursion_limit')} is too small for round {len(record['rounds']) + 1} "
                f"of this search; pass config={{'recursion_limit': {enough}}}, which is enough for all "
                f"{run.settings.session().max_samples} candidates. With a checkpointer, invoke(None, config) resumes "
                "the search"
            )


def _settings_update(record: Mapping[str, Any], config: RunnableConfig, runtime: Runtime[Any]) -> dict[str, Any]:
    """The update with this run's changed settings; empty where the thread has them already."""
    plain, given = storable(changes_now(config, runtime))
    search = record["search"]
    settings = {**search.get("settings", {}), **plain}
    names = sorted({*search.get("given", ()), *given})
    if settings == search.get("settings", {}) and names == search.get("given", []):
        return {}
    return {"search": {"settings": settings, "given": names}}


def _message(result: OptScaleResult, run: RunSettings, messages: Sequence[BaseMessage]) -> AIMessage:
    """The chosen message, as `ChatOptScale` returns it."""
    message = answer_message(result, policy_name(run.settings.policy))
    # add_messages would replace a message of the same id, and some servers repeat ids.
    if message.id in {other.id for other in messages}:
        message.id = None
    return message
