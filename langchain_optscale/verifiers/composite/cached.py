"""Every candidate judged once."""

from __future__ import annotations

import asyncio
import concurrent.futures
import hashlib
import json
import threading
from collections import OrderedDict
from dataclasses import is_dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_core.caches import BaseCache

from langchain_optscale.errors import SettingsError
from langchain_optscale.models.clients import endpoint_of
from langchain_optscale.verifiers.adapters import VerifierLike, as_verifier
from langchain_optscale.verifiers.base import Verifier
from langchain_optscale.verifiers.composite.store import SQLiteStore, VerdictStore
from langchain_optscale.verifiers.offered_tools import offered_tools

if TYPE_CHECKING:
    import os
    from collections.abc import Hashable, Mapping

    from langchain_core.messages import BaseMessage
    from langchain_core.prompt_values import PromptValue
    from langchain_core.runnables import RunnableConfig

    from langchain_optscale.answers import AnswerBook
    from langchain_optscale.records.types import Candidate, Verdict

__all__ = ["CacheInfo", "CachedVerifier"]


class CacheInfo(NamedTuple):
    """How a cache has served so far.

    Attributes:
        hits: Verifications answered from memory, from the store, or together with an identical one under way.
        misses: Verifications that the verifier was asked for.
        size: Verdicts in memory.
    """

    hits: int
    misses: int
    size: int


class CachedVerifier(Verifier):
    """Asks a verifier once for every different candidate, and remembers what it said.

    Two candidates are the same where the conversation, the text and other content, the tool calls (their ids aside),
    the extracted answer and the token log-probabilities are. Identical requests under way at the same time share one
    call: within one event loop, or among the threads of the sync path. Failures are not remembered: those who waited
    for the call get its error, the next request asks again. Where the one who called is cancelled, one of those who
    wait calls anew.

    A verdict from the cache has no `usage`, since it cost nothing; everything else is as it was given.

    Args:
        verifier: Anything that `as_verifier` accepts, as long as its verdict depends on prompt and candidate alone.
        size: Verdicts kept in memory, at least 1; the least recently used goes first.
        store: Where verdicts are kept beyond this process: the path of an SQLite file, or any LangChain cache. None
            keeps them in memory only.
        identity: Names what the stored verdicts depend on beside the candidate: the judging model, its rubric, its
            version. Give another one whenever that changes. It may be left out without a store, and for a verifier
            whose settings are all in its `repr`, such as the checks.

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
        self.verifier = as_verifier(verifier)
        self.size = size
        self._store: VerdictStore | None = None
        if store is not None:
            identity = identity or _identity_of(self.verifier)
            if identity is None:
                raise SettingsError(
                    f"a store outlives the process: give identity=, a name for {self.verifier.name}'s model and "
                    "rubric, and change it when they change"
                )
            self._store = VerdictStore(store if isinstance(store, BaseCache) else SQLiteStore(store), identity)
        self.identity = identity
        self._lock = threading.Lock()
        self._known: OrderedDict[str, Verdict] = OrderedDict()
        self._in_threads: dict[str, concurrent.futures.Future[Verdict]] = {}
        self._in_tasks: dict[tuple[asyncio.AbstractEventLoop, str], asyncio.Future[Verdict]] = {}
        self._hits = self._misses = 0

    @property
    def name(self) -> str:
        """The verifier's name, marked as cached."""
        return f"cached {self.verifier.name}"

    @property
    def endpoint(self) -> Hashable:
        """What a `verifier_limit` counts by: the verifier's endpoint."""
        return endpoint_of(self.verifier)

    @property
    def policy_kwargs(self) -> Mapping[str, Any]:
        """What the verifier needs."""
        return self.verifier.policy_kwargs

    def __repr__(self) -> str:
        store = "" if self._store is None else f", store={type(self._store.cache).__name__}"
        return f"CachedVerifier({self.verifier!r}, size={self.size}{store})"

    def for_search(self, answers: AnswerBook) -> CachedVerifier:
        """The same cache for every search.

        Raises:
            SettingsError: The verifier's scores depend on the search, so that there is nothing to remember.
        """
        if self.verifier.for_search(answers) is not self.verifier:
            raise SettingsError(
                f"{self.verifier.name} looks at the other candidates of a search, so its scores cannot be cached; put "
                "the CachedVerifier around those of its parts that look at one candidate alone"
            )
        return self

    def info(self) -> CacheInfo:
        """How the cache has served so far."""
        with self._lock:
            return CacheInfo(self._hits, self._misses, len(self._known))

    def verify(self, prompt: PromptValue, candidate: Candidate, config: RunnableConfig | None = None) -> Verdict:
        """The remembered verdict, or the verifier's.

        Raises:
            Exception: What the verifier raises.
        """
        key = _key(prompt, candidate)
        while True:
            with self._lock:
                if (known := self._recall(key)) is not None:
                    return known
                if leads := key not in self._in_threads:
                    self._in_threads[key] = concurrent.futures.Future()
                call = self._in_threads[key]
            if leads:
                return self._lead(key, call, prompt, candidate, config)
            try:
                return self._shared(call.result())
            except concurrent.futures.CancelledError:
                continue  # the one who called gave up; see who calls now

    async def averify(self, prompt: PromptValue, candidate: Candidate, config: RunnableConfig | None = None) -> Verdict:
        """As `verify`, without blocking the event loop."""
        key = _key(prompt, candidate)
        loop = asyncio.get_running_loop()
        place = (loop, key)
        while True:
            with self._lock:
                if (known := self._recall(key)) is not None:
                    return known
                if leads := place not in self._in_tasks:
                    self._in_tasks[place] = loop.create_future()
                call = self._in_tasks[place]
            if leads:
                return await self._alead(place, call, prompt, candidate, config)
            # Waiting on it directly would hand this task's own cancellation on to the call.
            await asyncio.wait([call])
            if not call.cancelled():
                return self._shared(call.result())

    def _lead(
        self,
        key: str,
        call: concurrent.futures.Future[Verdict],
        prompt: PromptValue,
        candidate: Candidate,
        config: RunnableConfig | None,
    ) -> Verdict:
        try:
            stored = self._store.get(key) if self._store is not None else None
            verdict = stored or self.verifier.verify(prompt, candidate, config)
            self._remember(key, verdict, asked=stored is None)
            if self._store is not None and stored is None:
                self._store.put(key, verdict)
        except BaseException as error:
            self._end(self._in_threads, key)
            if isinstance(error, Exception):
                call.set_exception(error)
            else:
                call.cancel()
            raise
        self._end(self._in_threads, key)
        call.set_result(verdict)
        return verdict

    async def _alead(
        self,
        place: tuple[asyncio.AbstractEventLoop, str],
        call: asyncio.Future[Verdict],
        prompt: PromptValue,
        candidate: Candidate,
        config: RunnableConfig | None,
    ) -> Verdict:
        key = place[1]
        try:
            stored = await self._store.aget(key) if self._store is not None else None
            verdict = stored or await self.verifier.averify(prompt, candidate, config)
            self._remember(key, verdict, asked=stored is None)
            if self._store is not None and stored is None:
                await self._store.aput(key, verdict)
        except BaseException as error:
            self._end(self._in_tasks, place)
            if isinstance(error, Exception):
                call.set_exception(error)
                call.exception()  # seen here, so that asyncio does not report it where nobody waits
            else:
                call.cancel()
            raise
        self._end(self._in_tasks, place)
        call.set_result(verdict)
        return verdict

    def _recall(self, key: str) -> Verdict | None:
        verdict = self._known.get(key)
        if verdict is not None:
            self._known.move_to_end(key)
            self._hits += 1
        return verdict

    def _remember(self, key: str, verdict: Verdict, *, asked: bool) -> None:
        with self._lock:
            self._misses += asked
            self._hits += not asked
            self._known[key] = replace(verdict, usage=None)
            while len(self._known) > self.size:
                self._known.popitem(last=False)

    def _shared(self, verdict: Verdict) -> Verdict:
        with self._lock:
            self._hits += 1
        return replace(verdict, usage=None)

    def _end(self, under_way: dict[Any, Any], key: Any) -> None:
        with self._lock:
            del under_way[key]


def _key(prompt: PromptValue, candidate: Candidate) -> str:
    """What a verdict depends on, as one digest."""
    content = {
        "prompt": [_plain(message) for message in prompt.to_messages()],
        **({"tools": tools} if (tools := offered_tools(prompt)) else {}),
        "candidate": _plain(candidate.message),
        "answer": candidate.answer,
        "logprobs": candidate.message.response_metadata.get("logprobs"),
    }
    # What has no JSON form is told apart by its repr: at worst the same candidate is judged twice.
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=repr).encode()).hexdigest()


def _plain(message: BaseMessage) -> dict[str, Any]:
    given = (*getattr(message, "tool_calls", ()), *getattr(message, "invalid_tool_calls", ()))
    # The arguments of an invalid call are text, so that it is told from a valid one.
    calls = [{"name": call["name"], "args": call["args"]} for call in given]
    return {"type": message.type, "name": message.name, "content": message.content, "tool_calls": calls}


def _identity_of(verifier: Verifier) -> str | None:
    """The verifier's settings, where its repr has all of them: it is a dataclass of plain values."""
    if not is_dataclass(verifier) or type(verifier).__repr__ is object.__repr__ or " at 0x" in repr(verifier):
        return None
    # A class of this package is named without its module, which may change.
    home = type(verifier).__module__
    home = home.partition(".")[0] if home.startswith("langchain_optscale.") else home
    return f"{home}.{type(verifier).__qualname__}: {verifier!r}"
