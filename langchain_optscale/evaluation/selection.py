"""Selections of live searches, applied to recorded samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_optscale.answers import Selection, as_selection
from langchain_optscale.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_optscale.answers.selection import SelectionLike
    from langchain_optscale.evaluation.samples import Sample

__all__ = ["place_of", "replayable"]


def replayable(select: SelectionLike) -> Selection:
    """The selection of that name.

    Raises:
        SettingsError: The name is unknown, or it is a function: that needs the candidates themselves, and a recorded
            sample has none.

    Example:
        >>> replayable("weighted_vote")
        WeightedVote(exponent=1.0)
    """
    selection = as_selection(select)
    if not isinstance(selection, Selection):
        raise SettingsError(
            f"select must be a name or a Selection to be replayed, since samples have no messages; got {select!r}"
        )
    return selection


def place_of(select: SelectionLike, samples: Sequence[Sample]) -> int:
    """The place of the sample that a search would return.

    Args:
        select: A name of `answers.SELECTIONS`, or a `Selection`.
        samples: In drawing order, at least one.

    Raises:
        SettingsError: The selection is unknown, or a sample has no score and the selection needs it.

    Example:
        >>> from langchain_optscale.evaluation.pools import Sample
        >>> samples = [Sample(score=s, answer=a) for s, a in [(0.9, "3"), (0.5, "4"), (0.6, "4")]]
        >>> place_of("best", samples), place_of("vote", samples)
        (0, 2)
    """
    answers = [sample.answer for sample in samples]
    return replayable(select).position(answers, [sample.score for sample in samples])
