"""Which of several equal servers takes the next request.

The least busy one that is well. A server that failed rests for a while, twice as long after each failure in a row; then
one request tries it again, and the others follow once it has answered. When all rest, the one that has rested longest
is asked all the same: nothing is refused here.

What is known of a server is known once in a process, whichever models, searches, threads and event loops use it.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from langchain_optscale.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

__all__ = ["Lease", "Replica", "ReplicaState", "Replicas", "server_root"]

_FIRST_REST_S = 1.0
_LONGEST_REST_S = 30.0


@dataclass(frozen=True, slots=True)
class ReplicaState:
    """One server at one moment.

    Attributes:
        url: The server's root.
        pending: Candidates, or other answers, that it was asked for and has not given yet.
        failures: Failures in a row; 0 where the server is well.
        rests_s: Seconds until it is tried again; 0 where that may be now.
    """

    url: str
    pending: int
    failures: int
    rests_s: float


class Replica:
    """What this process knows of one server; only `Replicas` changes it, under its lock."""

    __slots__ = ("__weakref__", "failed_at", "failures", "last_taken", "pending", "probed", "rests_until", "root")

    def __init__(self, root: str) -> None:
        self.root = root
        self.pending = 0
        self.failures = 0
        self.failed_at = float("-inf")
        self.rests_until = float("-inf")
        self.probed = False
        self.last_taken = 0


@dataclass(slots=True)
class Lease:
    """One request's hold on a replica; it ends once, however often it is told to."""

    replica: Replica
    weight: int
    began: float
    probe: bool
    ended: bool = False


_lock = threading.Lock()
_known: weakref.WeakValueDictionary[str, Replica] = weakref.WeakValueDictionary()
_takings = 0


class Replicas:
    """Servers that serve the same model, in any number.

    Args:
        urls: The URL of one server or of several, with or without `/v1` at their end.
        clock: Seconds that never go back.

    Raises:
        SettingsError: There is no URL, one occurs twice, or one is not a plain http or https URL.

    Example:
        >>> replicas = Replicas(["http://10.0.0.1:8000/v1", "http://10.0.0.2:8000/v1"])
        >>> first = replicas.take()
        >>> second = replicas.take()
        >>> first.replica.root, second.replica.root
        ('http://10.0.0.1:8000', 'http://10.0.0.2:8000')
        >>> replicas.fail(first)
        >>> replicas.release(second)
        >>> replicas.take().replica.root
        'http://10.0.0.2:8000'
    """

    def __init__(self, urls: str | Sequence[str], clock: Callable[[], float] = time.monotonic) -> None:
        # A URL from an environment variable that is not set is None, and is answered as any other that is no URL.
        several: Iterable[Any] = [urls] if isinstance(urls, str) or not isinstance(urls, Iterable) else urls
        roots = [server_root(url) for url in several]
        if not roots:
            raise SettingsError("base_url needs at least one URL")
        if len(set(roots)) < len(roots):
            raise SettingsError(f"each server must be named once, got {', '.join(roots)}")
        self._clock = clock
        with _lock:
            self._replicas = tuple(_known.setdefault(root, Replica(root)) for root in roots)

    def __len__(self) -> int:
        return len(self._replicas)

    def __repr__(self) -> str:
        return f"Replicas({list(self.roots)})"

    @property
    def roots(self) -> tuple[str, ...]:
        """The roots of the servers, in the order in which they were given."""
        return tuple(replica.root for replica in self._replicas)

    def states(self) -> list[ReplicaState]:
        """How the servers are at this moment."""
        now = self._clock()
        with _lock:
            return [
                ReplicaState(
                    one.root, one.pending, one.failures, max(0.0, one.rests_until - now) if one.failures else 0
                )
                for one in self._replicas
            ]

    def take(self, weight: int = 1, avoid: Collection[str] = ()) -> Lease:
        """Choose a server for a request, and count the request among its pending ones.

        Args:
            weight: How many answers the request asks for.
            avoid: Roots that this request has tried already; at least one must be left.

        Returns:
            The lease, to be ended by `fail` or `release`.
        """
        global _takings
        with _lock:
            now = self._clock()
            free = [replica for replica in self._replicas if replica.root not in avoid]
            due = [r for r in free if r.failures and now >= r.rests_until and not r.probed]
            well = [r for r in free if not r.failures]
            if due:
                chosen = min(due, key=lambda r: r.rests_until)
            elif well:
                chosen = min(well, key=lambda r: (r.pending, r.last_taken))
            else:
                chosen = min(free, key=lambda r: (r.rests_until, r.pending))
            _takings += 1
            chosen.last_taken = _takings
            chosen.pending += weight
            probe = chosen.failures > 0
            chosen.probed = chosen.probed or probe
            return Lease(chosen, weight, now, probe)

    def answered(self, lease: Lease) -> None:
        """The server has begun to answer: it is well, though the request is still pending."""
        with _lock:
            # An answer to what was asked before the failure says nothing of the time after it.
            if not lease.ended and lease.began >= lease.replica.failed_at:
                lease.replica.failures = 0

    def fail(self, lease: Lease, rest_s: float | None = None) -> None:
        """The server did not answer, or said that it cannot: it rests.

        Args:
            lease: What it was asked.
            rest_s: For how many seconds, where the server has said so.
        """
        with _lock:
            replica, now = lease.replica, self._clock()
            # All that was under way when a server died fails at once; that is one failure.
            if self._end(lease) and (lease.began >= replica.failed_at or not replica.failures):
                replica.failures += 1
                replica.failed_at = now
                own = _FIRST_REST_S * 2 ** min(replica.failures - 1, 10)
                replica.rests_until = now + min(own if rest_s is None else rest_s, _LONGEST_REST_S)

    def release(self, lease: Lease) -> None:
        """The request is over, answered or given up."""
        with _lock:
            self._end(lease)

    @staticmethod
    def _end(lease: Lease) -> bool:
        if lease.ended:
            return False
        lease.ended = True
        lease.replica.pending -= lease.weight
        if lease.probe:
            lease.replica.probed = False
        return True


def server_root(url: str) -> str:
    """The root of a server, from its URL with or without `/v1` at the end.

    Raises:
        SettingsError: It is not a plain http or https URL.

    Example:
        >>> server_root("http://localhost:8000/v1/")
        'http://localhost:8000'
    """
    if not isinstance(url, str):
        raise SettingsError(f"a server's URL must be a string, not {type(url).__name__}")
    parts = urlsplit(url.strip())
    if parts.username or parts.password:
        raise SettingsError("a server's URL must not carry a user or a password: pass the key as api_key")
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise SettingsError(f"a server's URL must be such as http://localhost:8000/v1, got {url!r}")
    try:
        parts.port  # noqa: B018 - it is parsed when it is asked for
    except ValueError as error:
        raise SettingsError(f"a server's URL must be such as http://localhost:8000/v1, got {url!r}") from error
    path = parts.path.rstrip("/").removesuffix("/v1")
    return urlunsplit((parts.scheme, parts.netloc.lower(), path, "", ""))
