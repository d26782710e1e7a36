"""A cache of verdicts: every distinct candidate is verified once."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from contextlib import contextmanager
from dataclasses import is_dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeAlias, cast
from uuid import uuid4

from langchain_core.caches import BaseCache

from langchain_optscale.errors import SettingsError
from langchain_optscale.records.candidates import Verdict
from langchain_optscale.records.content import NoContentError, digest
from langchain_optscale.records.forks import after_fork
from langchain_optscale.records.states import MESSAGES, state_to_json
from langchain_optscale.verifiers._memory import Memory
from langchain_optscale.verifiers.composite.members import Wrapper
from langchain_optscale.verifiers.composite.store import SQLiteStore, VerdictStore
from langchain_optscale.verifiers.offered_tools import offered_tools, tool_schemas
from langchain_optscale.verifiers.references import call_reference

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from langchain_core.messages import BaseMessage
    from langchain_core.prompt_values import PromptValue
    from langchain_core.runnables import RunnableConfig

    from langchain_optscale.answers import AnswerBook
    from langchain_optscale.records.candidates import Candidate
    from langchain_optscale.verifiers.adapters import VerifierLike
    from langchain_optscale.verifiers.base import Verifier

__all__ = ["CacheInfo", "CachedVerifier"]

_Place: TypeAlias = tuple[asyncio.AbstractEventLoop | None, str]
"""The event loop, None on the sync path, and the key: threads wait for threads, tasks for tasks of their loop."""
# Of a message's additional_kwargs: what stands in its fields as well.
_REPEATED = frozenset({"tool_calls", "function_call"})
_ENDS = ("finish_reason", "stop_reason", "done_reason", "incomplete_details")
_Call: TypeAlias = concurrent.futures.Future[Verdict]


class CacheInfo(NamedTuple):
    """Statistics of a cache.

    Attributes:
        hits: Verdicts from memory, from the store, or shared with an identical call under way.
        misses: Calls of the verifier.
        size: Verdicts in memory.
    """

    hits: int
    misses: int
    size: int


class CachedVerifier(Wrapper):
    """Caches the verdicts of a verifier.

    Two candidates are the same if the conversation, the content, the tool calls (except their ids), the extracted
    answer and the token log-probabilities are equal. Identical concurrent requests share one call: within one event
    loop, or among the threads of the sync path. Failures are not cached: the callers that waited get the error, the
    next request calls again. If the calling task is cancelled, one of those that wait calls again.

    A cached verdict has no `usage`. Close a file with `close`, or use the verifier as a context manager; otherwise it
    stays open as long as the verifier exists.

    Args:
        verifier: Anything that `as_verifier` accepts whose verdict depends on prompt and candidate alone.
        size: The largest number of verdicts in memory, at least 1; the least recently used is evicted.
        store: A persistent store: the path of an SQLite file, or any LangChain cache. None caches in memory only.
        identity: What the stored verdicts depend on besides the candidate and what is known of the verifier itself,
            such as a function's own version or that of the model behind a name. It may be omitted without a store, and
            for a verifier whose fields say everything, such as the checks.

    Raises:
        SettingsError: A setting is out of range, or the store needs an identity.

    Example:
        >>> from langchain_core.prompt_values import StringPromptValue
        >>> from langchain_optscale.verifiers.conformance import make_candidate
        >>> verifier = CachedVerifier(lambda prompt, candidate: 0.5)
        >>> verdicts = [verifier.verify(StringPromptValue(text="2 + 2?"), make_candidate("4", i)) for i in range(3)]
        >>> verifier.info()
        CacheInfo(hits=2, misses=1, size=1)
    """

    def __init__(
        self,
        verifier: VerifierLike,
        *,
        size: int = 4096,
        store: BaseCache | str | os.PathLike[str] | None = None,
        identity: str | None = None,
    ) -> None:
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise SettingsError(f"size must be a whole number of at least 1, got {size!r}")
        super().__init__(verifier)
        self.size = size
        self._store: VerdictStore | None = None
        if store is not None:
            known = _stored_identity(self.verifier, identity)
            self._store = VerdictStore(store if isinstance(store, BaseCache) else SQLiteStore(store), known)
        self._owns_store = self._store is not None and not isinstance(store, BaseCache)
        self.identity = identity
        self._memory: Memory[Verdict] = Memory(size)
        self._hits = self._misses = 0
        self._begin()
        after_fork(self, "_begin")

    def _begin(self) -> None:
        """What a forked child begins with as well: no call of the parent's threads ends in it."""
        self._lock = threading.Lock()
        self._calls: dict[_Place, _Call] = {}

    def __getstate__(self) -> dict[str, Any]:
        """In another process it begins with an empty memory, and opens the file of its store."""
        return {name: value for name, value in vars(self).items() if name not in ("_lock", "_calls")} | {
            "_hits": 0,
            "_misses": 0,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._begin()
        after_fork(self, "_begin")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file that `store` named; a later verification opens it again. A cache that was given stays open."""
        if self._owns_store and self._store is not None:
            cast("SQLiteStore", self._store.cache).close()

    @property
    def name(self) -> str:
        """The verifier's name, marked as cached."""
        return f"cached {self.verifier.name}"

    def __repr__(self) -> str:
        store = "" if self._store is None else f", store={type(self._store.cache).__name__}"
        return f"CachedVerifier({self.verifier!r}, size={self.size}{store})"

    def for_search(self, answers: AnswerBook) -> CachedVerifier:
        """The same cache for every search.

        Raises:
            SettingsError: The verifier's scores depend on the search, so they cannot be cached.
        """
        if self.verifier.for_search(answers) is not self.verifier:
            raise SettingsError(
                f"{self.verifier.name} compares the candidates of a search, so its scores cannot be cached: put "
                "CachedVerifier around its members that score each candidate alone"
            )
        return self

    def info(self) -> CacheInfo:
        """Statistics of the cache so far."""
        with self._lock:
            return CacheInfo(self._hits, self._misses, len(self._memory))

    def verify(self, prompt: PromptValue, candidate: Candidate, config: RunnableConfig | None = None) -> Verdict:
        """The cached verdict, or the verifier's.

        Raises:
            Exception: An error of the verifier.
        """
        place = (None, key := _key(prompt, candidate, config))
        while True:
            found, is_leader = self._find(place)
            if isinstance(found, Verdict):
                return found
            if is_leader:
                with self._leading(place, found):
                    stored = self._store.get(key) if self._store is not None else None
                    verdict = stored or self.verifier.verify(prompt, candidate, config)
                    self._record(key, verdict, hit=stored is not None)
                    if self._store is not None and stored is None:
                        self._store.put(key, verdict)
                found.set_result(verdict)
                return verdict
            try:
                return self._shared(found)
            except concurrent.futures.CancelledError:
                continue

    async def averify(self, prompt: PromptValue, candidate: Candidate, config: RunnableConfig | None = None) -> Verdict:
        """As `verify`, without blocking the event loop."""
        place = (asyncio.get_running_loop(), key := _key(prompt, candidate, config))
        while True:
            found, is_leader = self._find(place)
            if isinstance(found, Verdict):
                return found
            if is_leader:
                with self._leading(place, found):
                    stored = await self._store.aget(key) if self._store is not None else None
                    verdict = stored or await self.verifier.averify(prompt, candidate, config)
                    self._record(key, verdict, hit=stored is not None)
                    if self._store is not None and stored is None:
                        await self._store.aput(key, verdict)
                found.set_result(verdict)
                return verdict
            await _until_done(found)
            if not found.cancelled():
                return self._shared(found)

    def _find(self, place: _Place) -> tuple[Verdict | _Call, bool]:
        """The cached verdict or the call under way, and whether the caller is to make the call."""
        with self._lock:
            if (verdict := self._memory.get(place[1])) is not None:
                self._hits += 1
                return verdict, False
            is_leader = place not in self._calls
            return self._calls.setdefault(place, concurrent.futures.Future()), is_leader

    @contextmanager
    def _leading(self, place: _Place, call: _Call) -> Iterator[None]:
        """End the call: pass an error to those who wait; on a cancellation one of them calls anew."""
        try:
            yield
        except BaseException as error:
            self._end(place)
            if isinstance(error, Exception):
                call.set_exception(error)
            else:
                call.cancel()
            raise
        self._end(place)

    def _end(self, place: _Place) -> None:
        with self._lock:
            del self._calls[place]

    def _record(self, key: str, verdict: Verdict, *, hit: bool) -> None:
        with self._lock:
            self._hits += hit
            self._misses += not hit
        self._memory.put(key, replace(verdict, usage=None))

    def _shared(self, call: _Call) -> Verdict:
        verdict = call.result()
        with self._lock:
            self._hits += 1
        return replace(verdict, usage=None)


async def _until_done(call: _Call) -> None:
    """Wait for a call of this event loop; a cancellation here leaves it running."""
    done = asyncio.Event()
    call.add_done_callback(lambda _: done.set())
    await done.wait()


def _key(prompt: PromptValue, candidate: Candidate, config: RunnableConfig | None) -> str:
    """A digest of everything that a verdict depends on."""
    ids: dict[str, int] = {}
    try:
        return digest(
            {
                "prompt": [_plain(message, ids) for message in prompt.to_messages()],
                "tools": tool_schemas(tools) if (tools := offered_tools(prompt)) else None,
                "candidate": _plain(candidate.answer_message, ids),
                "answer": candidate.answer,
                **({} if candidate.state is None else {"state": _state(candidate, ids)}),
                "logprobs": candidate.message.response_metadata.get("logprobs"),
                # Only where there is one, so that what was stored before is still found.
                **({} if (reference := call_reference(config)) is None else {"reference": reference}),
            }
        )
    except (NoContentError, SettingsError):
        return uuid4().hex  # not comparable with any other, so it is verified by itself


def _state(candidate: Candidate, ids: dict[str, int]) -> dict[str, Any]:
    """What an agent ended in: its messages as in any conversation, and the rest as it is written in records."""
    rest = {name: value for name, value in candidate.state.items() if name != MESSAGES}
    return {"messages": [_plain(message, ids) for message in candidate.trajectory], "rest": state_to_json(rest)}


def _plain(message: BaseMessage, ids: dict[str, int]) -> dict[str, Any]:
    """What is said, by whom, and how it ended; calls are numbered in the order in which their ids occur."""
    given = (*getattr(message, "tool_calls", ()), *getattr(message, "invalid_tool_calls", ()))
    # The arguments of an invalid call are text, so it differs from a valid one.
    calls = [
        {"name": call["name"], "args": call["args"], "call": ids.setdefault(str(call.get("id")), len(ids))}
        for call in given
    ]
    answered = getattr(message, "tool_call_id", None)
    beside = {key: value for key, value in message.additional_kwargs.items() if key not in _REPEATED}
    return {
        "type": message.type,
        "role": getattr(message, "role", None),
        "name": message.name,
        "content": message.content,
        "tool_calls": calls,
        "answers": None if answered is None else ids.setdefault(str(answered), len(ids)),
        "status": getattr(message, "status", None),
        "ended": [message.response_metadata.get(name) for name in _ENDS],
        "beside": beside,
    }


def _stored_identity(verifier: Verifier, given: str | None) -> str:
    """What tells the stored verdicts of this verifier from those of others, and of itself before a change.

    Raises:
        SettingsError: Too little is known of the verifier, and no identity is given.
    """
    try:
        known = None if verifier.content is None else digest(verifier.content)
    except NoContentError:
        known = None
    if not given and (known is None or not is_dataclass(verifier)):
        raise SettingsError(
            f"a persistent store needs an identity: give identity=, a name for {verifier.name}'s model "
            "and rubric, and change it when they change"
        )
    return " ".join(filter(None, (given, known)))
