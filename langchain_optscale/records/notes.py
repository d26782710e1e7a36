"""What a reader should know about the candidates of a search, each as one sentence that says what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_optscale.records.endings import EndReason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_optscale.records.candidates import Candidate

__all__ = ["identical_note", "truncation_note"]


def truncation_note(candidates: Sequence[Candidate]) -> str | None:
    """How many candidates were cut off and what to do about it, as a sentence; None where none was.

    The candidates that were cut off say only that `max_tokens` is too small, and at which length they ended: the note
    names twice that length.
    """
    cut = [candidate for candidate in candidates if candidate.end_reason is EndReason.LENGTH]
    if not cut:
        return None
    longest = max(candidate.usage.output_tokens for candidate in cut)
    many = f"{len(cut)} of {len(candidates)} candidates {'was' if len(cut) == 1 else 'were'} cut off"
    if not longest:
        return f"{many} at the token limit: raise max_tokens"
    return f"{many} at the token limit, after {longest} tokens: set max_tokens to {2 * longest} or more"


def identical_note(candidates: Sequence[Candidate]) -> str | None:
    """How many candidates repeat an earlier one word for word, as a sentence; None where none does."""
    texts = [f"{candidate.reasoning or ''}\n{candidate.text}" for candidate in candidates]
    repeated = len(texts) - len(set(texts))
    if not repeated:
        return None
    return (
        f"{repeated} of {len(texts)} candidates {'repeats' if repeated == 1 else 'repeat'} an earlier one word for word"
    )
