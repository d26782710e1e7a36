"""Load balancing: which of several equal servers gets the next request.

The least busy healthy one. A failed server gets no requests during a cooldown, which doubles with each failure in a
row; then one request probes it, and the others follow once it has answered. When all cool down, the one whose cooldown
ends first is used: no request is refused here.

The state of a server is shared by all models, searches, threads and event loops of the process.
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
from langchain_optscale.records.forks import after_fork

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

__all__ = ["Lease", "Replica", "ReplicaState", "Replicas", "server_root"]

_FIRST_COOLDOWN_S = 1.0
_LONGEST_COOLDOWN_S = 30.0


@dataclass(frozen=True, slots=True)
class ReplicaState:
    """The state of one server.

    Attributes:
        url: The server's root.
        pending: Answers (choices of all requests) that it has not returned yet.
        failures: Failures in a row; 0 where the server is healthy.
        cooldown_s: Seconds until it is tried again; 0 where that may be now.

    Example:
        >>> from langchain_optscale.endpoints.vllm import Replicas
        >>> Replicas(["http://127.0.0.1:8000"]).states()
        [ReplicaState(url='http://127.0.0.1:8000', pending=0, failures=0, cooldown_s=0)]
    """

    url: str
    pending: int
    failures: int
    cooldown_s: float


class Replica:
    """The mutable state of one server; only `Replicas` changes it, under the module's lock."""

    __slots__ = ("__weakref__", "cooldown_until", "failed_at", "failures", "last_taken", "pending", "probed", "root")

    def __init__(self, root: str) -> None:
        self.root = root
        self.pending = 0
        self.failures = 0
        self.failed_at = float("-inf")
        self.cooldown_until = float("-inf")
        self.probed = False
        self.last_taken = 0


@dataclass(slots=True)
class Lease:
    """One request's hold on a replica; ending it again does nothing."""

    replica: Replica
    weight: int
    began: float
    probe: bool
    ended: bool = False


_lock = threading.Lock()
_known: weakref.WeakValueDictionary[str, Replica] = weakref.WeakValueDictionary()
_takings = 0


def _after_fork() -> None:
    """Nothing of what the parent asked for is pending in the child."""
    global _lock
    _lock = threading.Lock()
    for replica in list(_known.values()):
        replica.pending = 0
        replica.probed = False


after_fork(_after_fork)


class Replicas:
    """Servers of the same model.

    Args:
        urls: The URL of one server or of several, with or without `/v1` at the end.
        clock: A monotonic clock in seconds.

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
        # An unset environment variable gives None, which is reported as any other wrong URL.
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

    def __reduce__(self) -> Any:
        return Replicas, (self.roots,)

    def __repr__(self) -> str:
        return f"Replicas({list(self.roots)})"

    @property
    def roots(self) -> tuple[str, ...]:
        """The roots of the servers, in the given order."""
        return tuple(replica.root for replica in self._replicas)

    def states(self) -> list[ReplicaState]:
        """The current states of the servers."""
        now = self._clock()
        with _lock:
            return [
                ReplicaState(
                    one.root, one.pending, one.failures, max(0.0, one.cooldown_until - now) if one.failures else 0
                )
                for one in self._replicas
            ]

    def take(self, weight: int = 1, avoid: Collection[str] = ()) -> Lease:
        """Choose a server for a request; end the lease by `fail` or `release`.

        Args:
            weight: How many answers the request asks for.
            avoid: Roots that this request has tried; at least one must be left.
        """
        global _takings
        with _lock:
            now = self._clock()
            free = [replica for replica in self._replicas if replica.root not in avoid]
            due = [r for r in free if r.failures and now >= r.cooldown_until and not r.probed]
            healthy = [r for r in free if not r.failures]
            if due:
                chosen = min(due, key=lambda r: r.cooldown_until)
            elif healthy:
                chosen = min(healthy, key=lambda r: (r.pending, r.last_taken))
            else:
                chosen = min(free, key=lambda r: (r.cooldown_until, r.pending))
            _takings += 1
            chosen.last_taken = _takings
            chosen.pending += weight
            probe = chosen.failures > 0
            chosen.probed = chosen.probed or probe
            return Lease(chosen, weight, now, probe)

    def answered(self, lease: Lease) -> None:
        """Mark the server as healthy, since it has begun to answer; the request is still pending."""
        with _lock:
            # An answer to a request from before the failure does not show that the server has recovered.
            if not lease.ended and lease.began >= lease.replica.failed_at:
                lease.replica.failures = 0

    def fail(self, lease: Lease, cooldown_s: float | None = None) -> None:
        """End the lease and start a cooldown: the server did not answer, or refused.

        Args:
            lease: The failed request's lease.
            cooldown_s: The cooldown that the server asks for, in seconds.
        """
        with _lock:
            replica, now = lease.replica, self._clock()
            # Requests that fail together, since their server died, count as one failure.
            if self._end(lease) and (lease.began >= replica.failed_at or not replica.failures):
                replica.failures += 1
                replica.failed_at = now
                own = _FIRST_COOLDOWN_S * 2 ** min(replica.failures - 1, 10)
                replica.cooldown_until = now + min(own if cooldown_s is None else cooldown_s, _LONGEST_COOLDOWN_S)

    def release(self, lease: Lease) -> None:
        """End the lease of a request that was answered or cancelled."""
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
    try:
        parts.port  # noqa: B018 - parsed when read
        valid = parts.scheme in {"http", "https"} and parts.hostname and not parts.query and not parts.fragment
    except ValueError:
        valid = False
    if not valid:
        raise SettingsError(f"a server's URL must be such as http://localhost:8000/v1, got {url!r}")
    path = parts.path.rstrip("/").removesuffix("/v1")
    return urlunsplit((parts.scheme, parts.netloc.lower(), path, "", ""))
