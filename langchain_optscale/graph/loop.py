"""The steps that decide: begin a round, decide after it, ask a person, answer. None of them waits for anything."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from langgraph.errors import GraphRecursionError
from langgraph.types import Command, Overwrite

from langchain_optscale.errors import SettingsError
from langchain_optscale.graph.compact import short_candidate, short_round
from langchain_optscale.graph.context import changes_of, memorable
from langchain_optscale.graph.conversation import fingerprint
from langchain_optscale.graph.events import Events
from langchain_optscale.graph.replay import Replays, corrected, missing_in, result_of
from langchain_optscale.graph.review import ask_person, falls_short
from langchain_optscale.graph.state import candidates_in, merge_record, new_record
from langchain_optscale.graph.tasks import send
from langchain_optscale.models.policy import policy_name
from langchain_optscale.runnables.messages import answer_message

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.messages import AIMessage, BaseMessage
    from langchain_core.runnables import RunnableConfig
    from langgraph.runtime import Runtime
    from langgraph.types import Send

    from langchain_optscale.engine.result import OptScaleResult
    from langchain_optscale.engine.settings import SearchSettings
    from langchain_optscale.graph.context import Engine, Engines
    from langchain_optscale.graph.retries import Retries
    from langchain_optscale.stopping.session import Session

__all__ = ["Loop", "supersteps"]

# ask, draw, candidate, another candidate task where a verification failed, decide
_STEPS_OF_A_ROUND = 5
# What `decide` leaves in the record.
_DECIDED = ("decision", "estimate")


def supersteps(settings: SearchSettings) -> int:
    """The most supersteps that a search under these settings takes: every later round may be of one candidate."""
    session = settings.session()
    later = max(0, session.max_samples - session.first_round)
    # A server that takes fewer choices at once than a round has is asked for half as many, until it does.
    largest = min(max(session.first_round, session.round_size), settings.sampler().max_choices)
    smaller = max(0, largest.bit_length() - 2)
    return _STEPS_OF_A_ROUND * (1 + later) + smaller + 3


class Loop:
    """The deciding steps of one graph; each takes the state and says what to write and where to go.

    Args:
        engines: Settings by what a run changes.
        retries: How tasks are tried and timed.
        review: Whether a person is asked when a search ends below its target.
    """

    def __init__(self, engines: Engines, retries: Retries, *, review: bool) -> None:
        self._engines = engines
        self._retries = retries
        self._review = review
        self._replays = Replays()

    def takes_long(self, state: dict[str, Any], config: RunnableConfig, runtime: Runtime[Any]) -> bool:
        """Whether a step may have answers to compare, which may take seconds."""
        changes = changes_of({}, config, runtime, new=True)
        return changes.get("extract", self._engines.settings.extract) is not None

    def ask(
        self, state: dict[str, Any], config: RunnableConfig, runtime: Runtime[Any], *, waits: bool
    ) -> dict[str, Any]:
        """Begin the search if the question is new, and its next round unless one is not complete."""
        messages: Sequence[BaseMessage] = state.get("messages") or ()
        if not messages:
            raise SettingsError("messages is empty: give the conversation that is to be answered")
        if self._retries.timeout is not None and not waits:
            raise SettingsError("timeout= can only end what is awaited: run this graph by ainvoke or astream")
        record: dict[str, Any] = state.get("optscale") or {}
        new = not record or "best" in record or record["search"]["question"] != fingerprint(messages)
        changes = changes_of(record, config, runtime, new=new)
        engine = self._engines.get(changes)
        if self._review and (info := runtime.execution_info) is not None and info.thread_id is None:
            raise SettingsError("review=True needs a checkpointer, which keeps the search while a person thinks")
        update: dict[str, Any] = {}
        if new:
            engine.settings.sampler()  # an LLM cache may have been set since the graph was built
            plain, given = memorable(changes)
            record = new_record(
                {"id": uuid.uuid4().hex, "question": fingerprint(messages), "settings": plain, "given": given}
            )
        else:
            update |= _remember(record, config, runtime)
        session = self._replays.session(engine, record)
        if not missing_in(record) and not session.decision.stop:
            self._check_room(state, config, engine, record)
            session.ask()
            indexes = list(session.pending)
            number = session.round_of(indexes[0])
            update["rounds"] = [{"number": number, "indexes": indexes}]
            Events(runtime.stream_writer).round_started(number, indexes)
        # A search that begins replaces the one before it in the thread, whatever that was.
        return {"optscale": Overwrite(merge_record(record, [update])) if new else update}

    def dispatch(
        self, state: dict[str, Any], config: RunnableConfig, runtime: Runtime[Any], *, waits: bool
    ) -> str | list[Send]:
        """Where `ask` leads: a task for every candidate that is lacking, or on to `decide` where none is.

        Where the policy gives several choices in one request, a task for every request.
        """
        record = state["optscale"]
        indexes = missing_in(record)
        if not indexes:
            return "decide"
        engine = self._engines.get(changes_of(record, config, runtime))
        left_s = None
        # Only what is awaited can be ended when the time is up; threads are waited for, and the search ends then.
        if waits and engine.settings.rule().deadlines:
            session = self._replays.session(engine, record)
            deadline = session.next_deadline
            left_s = None if deadline is None else deadline - session.history.elapsed_s
        drawn = candidates_in(record)
        undrawn = [index for index in indexes if index not in drawn]
        requests = engine.sampler(record).requests(undrawn)
        ones = [index for index in indexes if index in drawn] + [one[0] for one in requests if len(one) == 1]
        return [
            *(send("draw", {"indexes": list(many)}, left_s) for many in requests if len(many) > 1),
            *(send("candidate", {"index": index}, left_s) for index in ones),
        ]

    def decide(
        self, state: dict[str, Any], config: RunnableConfig, runtime: Runtime[Any], *, waits: bool
    ) -> dict[str, Any]:
        """Tell the session what became of the round, once all of it is known; what follows says `route`."""
        record = state["optscale"]
        if missing_in(record):
            return {}
        engine = self._engines.get(changes_of(record, config, runtime))
        told = self._replays.told(engine, record)
        session = told.session
        events = Events(runtime.stream_writer)
        update: dict[str, Any] = {"decision": session.decision.to_dict(), **_remember(record, config, runtime)}
        if session.history.n:
            events.estimate(session.estimate, session.history.best)
            update["estimate"] = session.estimate.to_dict()
        if canonical := corrected(record, told):
            update["candidates"] = [short_candidate(entry) for entry in canonical]
        events.decision(session.decision)
        return {"optscale": update}

    def route(
        self, state: dict[str, Any], config: RunnableConfig, runtime: Runtime[Any], *, waits: bool
    ) -> str | list[str]:
        """Where `decide` leads: on, to the end, or nowhere while candidates of the round are still on their way.

        An edge that reads the state, so that a thread whose state was edited goes on from there.
        """
        record = state["optscale"]
        if missing_in(record):
            return []
        if not record["decision"]["stop"]:
            return "ask"
        return "review" if self._review else "answer"

    def review(
        self, state: dict[str, Any], config: RunnableConfig, runtime: Runtime[Any], *, waits: bool
    ) -> Command[Any]:
        """Ask a person, unless the target was reached, and go on with what they said."""
        record = state["optscale"]
        changes = changes_of(record, config, runtime)
        engine = self._engines.get(changes)
        session = self._replays.session(engine, record)
        if not falls_short(engine.settings, session):
            return Command(goto="answer")

        def changed(wish: Mapping[str, Any]) -> tuple[Engine, Session]:
            other = self._engines.get({**changes, **wish})
            return other, self._replays.session(other, record)

        def objection(wish: Mapping[str, Any]) -> str | None:
            try:
                other, session = changed(wish)
            except SettingsError as error:
                return str(error)
            if session.decision.stop and falls_short(other.settings, session):
                return f"with that the search would end all the same: {session.decision}"
            return None

        wish = ask_person(engine.settings, session, record, objection)
        if not wish:
            return Command(goto="answer")
        _, session = changed(wish)
        said = {"search": {"review": {**record["search"].get("review", {}), **wish}}}
        return Command(update={"optscale": said}, goto="answer" if session.decision.stop else "ask")

    def answer(
        self, state: dict[str, Any], config: RunnableConfig, runtime: Runtime[Any], *, waits: bool
    ) -> dict[str, Any]:
        """Choose, append the chosen message to the conversation, and complete the record."""
        record = state["optscale"]
        engine = self._engines.get(changes_of(record, config, runtime))
        told = self._replays.told(engine, record, keep=False)
        result = result_of(engine, record, told)
        Events(runtime.stream_writer).answer(result)
        # What was drawn, how it was scored and what was decided is in the record already.
        rest = replace(result, candidates=(), verdicts={}, failures={}).to_dict()
        known = {"candidates", "verdicts", "failures", *(name for name in _DECIDED if rest[name] == record.get(name))}
        update = {name: rest[name] for name in rest.keys() - known}
        update["rounds"] = [short_round(entry) for entry in update["rounds"]]
        return {"messages": [_message(result, engine, state["messages"])], "optscale": update}

    def _check_room(
        self, state: Mapping[str, Any], config: RunnableConfig, engine: Engine, record: Mapping[str, Any]
    ) -> None:
        by_n = engine.sampler(record).max_choices > 1
        # this step, candidate (after draw), decide, answer (after review)
        needed = 4 + by_n + self._review
        if state["remaining_steps"] < needed:
            enough = supersteps(engine.settings)
            raise GraphRecursionError(
                f"recursion_limit={config.get('recursion_limit')} leaves no room for round {len(record['rounds']) + 1} "
                f"of this search; pass config={{'recursion_limit': {enough}}}, which is enough for all "
                f"{engine.settings.session().max_samples} candidates. With a checkpointer, invoke(None, config) goes "
                "on from here"
            )


def _remember(record: Mapping[str, Any], config: RunnableConfig, runtime: Runtime[Any]) -> dict[str, Any]:
    """What this run changes, for the thread to remember; nothing where it knows that already."""
    plain, given = memorable(changes_of({}, config, runtime, new=True))
    search = record["search"]
    settings = {**search.get("settings", {}), **plain}
    names = sorted({*search.get("given", ()), *given})
    if settings == search.get("settings", {}) and names == search.get("given", []):
        return {}
    return {"search": {"settings": settings, "given": names}}


def _message(result: OptScaleResult, engine: Engine, messages: Sequence[BaseMessage]) -> AIMessage:
    """The chosen message, as `ChatOptScale` returns it."""
    message = answer_message(result, policy_name(engine.settings.policy))
    # add_messages would replace a message of the same id, which a careless server may give twice.
    if message.id in {other.id for other in messages}:
        message.id = None
    return message
