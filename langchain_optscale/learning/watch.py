"""What was learned, in use: which part a search gets, what steps back on an alarm, and learning in the background.

A `Watch` belongs to a file of learned settings, or, with `learn="auto"`, to a store: all searches of the process that
name the same one share it. It is told of every search that is recorded, and never slows or breaks one.
"""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING, Any

from langchain_optscale.errors import InvalidRecordError, OptScaleError, SettingsError
from langchain_optscale.learning.drift import DriftMonitor, figures_of
from langchain_optscale.learning.learned_file import LearnedSettings
from langchain_optscale.learning.refit import learn
from langchain_optscale.records.forks import after_fork
from langchain_optscale.stopping.learned.fitted import FittedStopping

if TYPE_CHECKING:
    from langchain_optscale.learning.drift import Alarm
    from langchain_optscale.learning.learned_file import LearnedPair
    from langchain_optscale.learning.rows import SearchRow
    from langchain_optscale.learning.store import ScoreStore

__all__ = ["EVERY", "Watch", "open_settings", "watch_of"]

_logger = logging.getLogger(__name__)

EVERY = 50
"""With `learn="auto"`: after so many recorded searches of this process it is learned, and anew whenever their number
has grown by a third and at least as many."""

_GROWTH = 4 / 3


class Watch:
    """What was learned, as the searches of this process use it.

    Args:
        learned: What to begin with; None for nothing yet.
        store: With `learn="auto"`: what is learned from, every `every` recorded searches, in a background thread.
        path: Where what is learned is kept; None keeps it in memory.
        every: How many searches.

    Attributes:
        learned: What is in use now; None where nothing has been learned yet.
        alarms: By pair of policy and verifier, why its part is not used any more.
    """

    def __init__(
        self,
        learned: LearnedSettings | None = None,
        store: ScoreStore | None = None,
        path: str | None = None,
        every: int = EVERY,
    ) -> None:
        self.learned = learned
        self.alarms: dict[tuple[str, str], Alarm] = {}
        self._store, self._path, self._every = store, path, every
        self._monitors: dict[tuple[str, str], DriftMonitor] = {}
        self._since: dict[tuple[str, str], float] = {}
        self._new: set[tuple[str, str]] = set()
        self._count, self._next = 0, every
        self._lock = threading.Lock()
        self._learning: threading.Thread | None = None
        after_fork(self)

    def _after_fork(self) -> None:
        self._lock, self._learning = threading.Lock(), None

    def part(self, pair: tuple[str, str]) -> tuple[LearnedPair, str] | None:
        """What a search of this pair uses, and the version of the settings; None for the untrained default.

        A pair that was not learned from begins with what is known of all pairs, and the log says so.
        """
        learned = self.learned
        if learned is None or pair in self.alarms:
            return None
        part, own = learned.part(pair)
        if not own and pair not in self._new:
            self._new.add(pair)
            _logger.warning(
                "nothing was learned yet for this policy with this verifier (%s with %s): its searches begin with what "
                "is known of all others together",
                *pair,
            )
        return part, learned.version

    def observe(self, row: SearchRow) -> None:
        """Take a finished search; never raises, and takes some microseconds."""
        try:
            self._observe(row)
        except Exception:
            _logger.exception("a search could not be compared with what was learned")

    def _observe(self, row: SearchRow) -> None:
        pair, learned = row.pair, self.learned
        with self._lock:
            self._count += 1
            due = self._store is not None and self._count >= self._next
            if due:
                self._next = max(self._count + self._every, int(_GROWTH * self._count))
            if learned is not None and pair in learned.pairs and pair not in self.alarms:
                monitor = self._monitors.setdefault(pair, DriftMonitor(learned.pairs[pair].expected))
                if (alarm := monitor.observe(figures_of(row))) is not None:
                    self._raise(pair, alarm, row.time)
        if due:
            self._learn_behind()

    def _raise(self, pair: tuple[str, str], alarm: Alarm, time: float) -> None:
        """Step back to the untrained default for this pair."""
        self.alarms[pair] = alarm
        self._since[pair] = time
        _logger.warning("drift: %s (policy %s, verifier %s)", alarm, *pair)
        if self._store is not None:
            store, data = self._store, {**alarm.to_dict(), "policy": pair[0], "verifier": pair[1]}
            threading.Thread(target=_add_event, args=(store, "drift", data), daemon=True).start()

    # --- learning in the background ---

    def _learn_behind(self) -> None:
        """Begin to learn in a daemon thread, unless one is at it."""
        with self._lock:
            if self._learning is not None and self._learning.is_alive():
                return
            self._learning = threading.Thread(target=self._learn_quietly, name="optscale-learn", daemon=True)
            self._learning.start()

    def _learn_quietly(self) -> None:
        try:
            self.learn()
        except OptScaleError as error:
            _logger.warning("nothing could be learned: %s", error)
        except Exception:
            _logger.exception("nothing could be learned")

    def wait(self, timeout_s: float = 60.0) -> bool:
        """Wait until what is being learned is in use; False where that takes longer."""
        thread = self._learning
        if thread is None:
            return True
        thread.join(timeout_s)
        return not thread.is_alive()

    def learn(self) -> LearnedSettings:
        """Learn from the store, now; what was learned is in use afterwards.

        Of a pair with an alarm only the searches after it count, and what was learned before is dropped.

        Raises:
            SettingsError: There is no store, or it has no search with a score.
        """
        if self._store is None:
            raise SettingsError("learning needs a store: give store=")
        since, former = dict(self._since), self.learned
        rows = [row for row in self._store.rows() if row.time > since.get(row.pair, -1.0)]
        if former is not None and since:
            kept = {pair: part for pair, part in former.pairs.items() if pair not in since}
            former = LearnedSettings(kept, former.population, former.time)
        learned = learn(rows, former)
        if self._path is not None:
            learned.save(self._path)
        with self._lock:
            self.learned = learned
            self._monitors.clear()
            self.alarms = {pair: alarm for pair, alarm in self.alarms.items() if pair not in learned.pairs}
        _add_event(self._store, "learned", {"version": learned.version, "pairs": len(learned.pairs)})
        return learned


def open_settings(path: str | os.PathLike[str] | LearnedSettings) -> LearnedSettings | FittedStopping:
    """Read a file that `optscale learn` or `optscale calibrate` wrote; learned settings stay as they are.

    Raises:
        SettingsError: It is neither, or cannot be read.
    """
    if isinstance(path, LearnedSettings):
        return path
    try:
        return LearnedSettings.load(path)
    except InvalidRecordError as first:
        try:
            return FittedStopping.load(path)
        except InvalidRecordError as second:
            wrong = second if "format" in str(first) else first
            raise SettingsError(f"settings: {wrong}") from wrong


_watches: dict[Any, Watch] = {}
_known = threading.Lock()


def _forget() -> None:
    global _known
    _known = threading.Lock()


after_fork(_forget)


def watch_of(settings: Any, store: ScoreStore | None, *, auto: bool) -> Watch | None:
    """The watch that all searches with these settings share; None where nothing is learned.

    Args:
        settings: What `settings=` gave: a path, or learned settings; None without.
        store: What `store=` gave.
        auto: Whether to learn in the background.

    Raises:
        SettingsError: There is no store to learn from, or the file cannot be read.
    """
    if auto and store is None:
        raise SettingsError('learn="auto" needs store=, which it learns from')
    if settings is None and not auto:
        return None
    given = settings if isinstance(settings, LearnedSettings) else None
    key: Any = id(given) if given is not None else _file_key(settings)
    if auto and store is not None:
        key = (key, store.address)
    with _known:
        if key not in _watches:
            _watches[key] = _new_watch(given, settings, store if auto else None)
        return _watches[key]


def _new_watch(given: LearnedSettings | None, path: Any, store: ScoreStore | None) -> Watch:
    kept = None if store is None else _beside(store)
    if given is None and path is not None:
        opened = open_settings(path)
        given = opened if isinstance(opened, LearnedSettings) else None
    if given is None and kept is not None and os.path.exists(kept):  # noqa: PTH110 - a name
        given = LearnedSettings.load(kept)
    return Watch(given, store, kept)


def _file_key(path: Any) -> Any:
    """A file by its name and content's age; None for none."""
    if path is None:
        return None
    try:
        stat = os.stat(path)  # noqa: PTH116 - a name
    except OSError:
        return os.fspath(path)
    return os.path.abspath(path), stat.st_mtime_ns, stat.st_size  # noqa: PTH100 - a name


def _beside(store: ScoreStore) -> str | None:
    """Where what is learned from an SQLite file is kept; None for another database: in memory."""
    return None if "://" in store.address else f"{store.address}.learned.npz"


def _add_event(store: ScoreStore, kind: str, data: dict[str, Any]) -> None:
    try:
        store.add_event(kind, data)
    except OptScaleError as error:
        _logger.warning("the store could not record that %s: %s", kind, error)
