"""Recorded searches as a pool, so that stored traffic can be replayed, and rules fitted to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_optscale.errors import InvalidRecordError
from langchain_optscale.evaluation.pools import Pool, Question, Sample

if TYPE_CHECKING:
    from collections.abc import Iterable

    from langchain_optscale.learning.rows import SearchRow

__all__ = ["pool_of_rows"]


def pool_of_rows(rows: Iterable[SearchRow], name: str = "store") -> Pool:
    """A pool with one question a search, whose samples are its scored candidates in the order of arrival.

    Answers are the names of their classes, "a0" for the first. Where a search is labelled as right, the candidates with
    the returned answer are right and those with another answer wrong; where it is labelled as wrong, only those with
    the returned answer are known to be wrong. Texts are there where the store kept them.

    Args:
        rows: The searches; those without a score are left out.
        name: Of the pool.

    Raises:
        InvalidRecordError: No search has a score.
    """
    questions = tuple(_question(row) for row in rows if row.scored)
    if not questions:
        raise InvalidRecordError("none of these searches has a score, so that there is no pool to write")
    return Pool(questions, name)


def _question(row: SearchRow) -> Question:
    places = [place for place, score in enumerate(row.scores) if score is not None]
    samples = tuple(
        Sample(
            score=row.scores[place],
            correct=_is_correct(row, place),
            tokens=row.output_tokens[place] if row.output_tokens else None,
            answer=None if (answer := row.answers[place]) is None else f"a{answer}",
            text=None if row.texts is None else row.texts[place],
        )
        for place in places
    )
    return Question(row.id, row.prompt or "", samples)


def _is_correct(row: SearchRow, place: int) -> bool | None:
    """What the label of the returned answer says of a candidate; None where it says nothing."""
    if row.label is None or row.label.correct is None or row.chosen is None:
        return None
    returned, answer = row.answers[row.chosen], row.answers[place]
    if place == row.chosen or (returned is not None and answer == returned):
        return row.label.correct
    return False if row.label.correct and returned is not None and answer is not None else None
