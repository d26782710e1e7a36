"""When failures say that further candidates would fail in the same way."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_optscale.records.candidates import Failure

__all__ = ["is_recurrent"]


def is_recurrent(failure: Failure, failed: Mapping[int, Failure], round_indexes: Sequence[int]) -> bool:
    """Whether the search should end for it: it is certain to recur, or a whole round of several failed alike.

    One failure alone may be that candidate's fault.

    Args:
        failure: The last one.
        failed: Every failure by candidate index, the last one included.
        round_indexes: The candidates of its round.

    Example:
        >>> from langchain_optscale.records.candidates import Failure
        >>> is_recurrent(Failure("draw", "lost"), {0: Failure("draw", "lost")}, (0, 1))
        False
    """
    if failure.recurrence == "possible":
        return False
    alike = {one for one, other in failed.items() if other.recurrence != "possible" and other.resembles(failure)}
    whole_round = len(alike) > 1 and alike.issuperset(round_indexes)
    return failure.recurrence == "certain" or whole_round
