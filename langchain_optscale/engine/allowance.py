"""How a search draws where others share its budget: it asks for each candidate, and waits until it is granted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from langchain_optscale.records.decisions import StopReason

if TYPE_CHECKING:
    from langchain_optscale.stopping.session import Session

__all__ = ["Allowance", "Turns"]


class Allowance(Protocol):
    """What a search may draw of a budget that it shares; `runnables.budget` gives it out."""

    def begin(self, session: Session) -> None:
        """The session from whose history the consumption of this search is read."""

    def wait(self) -> None:
        """The search could use a further candidate; `granted` will tell, after a wake-up of the driver."""

    def granted(self) -> int | None:
        """Candidates to draw now, 0 to end the search; None while nothing is decided."""


class Turns:
    """Asks a session for rounds as the allowance grants them.

    Args:
        allowance: Of this search.
        session: Its rule may end the search at any time; how many candidates it would draw is not asked.
    """

    def __init__(self, allowance: Allowance, session: Session) -> None:
        self._allowance, self._session = allowance, session
        self._waits = False
        self._granted = 0
        allowance.begin(session)

    def ask(self) -> int:
        """Begin a round if one is granted, else ask for it; returns its size, 0 for none."""
        session = self._session
        if self._waits or session.pending or session.decision.stop:
            return 0
        history = session.history
        if history.n and not self._granted:
            self._waits = True
            self._allowance.wait()
            return 0
        # The first candidate needs no grant, nor does another one while all have failed and the rule goes on.
        count = min(self._granted or 1, session.max_samples - history.drawn)
        self._granted = 0
        if count > 0:
            session.adopt(count)
        return count

    def resume(self) -> None:
        """Take what has been granted meanwhile; a search that is granted nothing ends."""
        if not self._waits or (granted := self._allowance.granted()) is None:
            return
        self._waits, self._granted = False, granted
        if not granted:
            self._session.end(StopReason.BATCH_BUDGET)
