"""Candidates that say the same word for word: which of them are copies rather than independent draws.

A server that caches, or that ignores the seed, answers every request with the same text. Such copies agree with each
other and prove nothing. Two independent draws may be equal as well where little is said: a text counts as a copy

- where it is long, since two draws of many words are never equal by chance;
- where it was drawn without a seed of its own, says more than a bare answer, and *all* candidates of the search are
  equal.

    >>> first, second = (text_fingerprint(text, seeded=False) for text in ("The answer is 7.", "It must be 8."))
    >>> copies([first, first, first]), copies([first, first, second])
    ([False, True, True], [False, False, False])
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, cast

from langchain_optscale.records.content import content_of
from langchain_optscale.records.tool_calls import render_calls

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.messages import AIMessage

    from langchain_optscale.records.candidates import Candidate

__all__ = ["content_key", "copies", "fingerprint", "identical_note", "text_fingerprint"]

# Words from which on two texts are not equal by chance, and up to which a text is no more than an answer.
_LONG = 40
_BARE = 2
_ALWAYS, _IF_ALL = "L", "S"


def content_key(candidate: Candidate) -> str:
    """Equal for candidates that a verifier cannot tell apart: by text, other content and tool calls."""
    message = candidate.message
    other = message.content if isinstance(message.content, list) and message.text != candidate.answer_text else None
    return json.dumps([candidate.text, content_of(other, strict=False)], sort_keys=True)


def fingerprint(candidate: Candidate, *, seeded: bool) -> str | None:
    """As `text_fingerprint`, of all that the policy wrote, its reasoning and an agent's steps included."""
    written = [cast("AIMessage", one) for one in candidate.trajectory if one.type == "ai"]
    steps = "".join(f"{one.text}\n{render_calls(one)}\n" for one in written)
    return text_fingerprint(f"{steps}{candidate.reasoning or ''}\n{candidate.text}", seeded=seeded)


def text_fingerprint(text: str, *, seeded: bool) -> str | None:
    """What tells whether a candidate is a copy of another, to be given to `copies`.

    Args:
        text: All that the policy wrote, its reasoning included.
        seeded: Whether each candidate was drawn with a seed of its own.

    Returns:
        A short string, equal for equal texts; None for a text that may be equal to another by chance.
    """
    words = len(text.split())
    if words < _LONG and (seeded or words <= _BARE):
        return None
    digest = hashlib.blake2b(text.strip().encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    return f"{_ALWAYS if words >= _LONG else _IF_ALL}{digest}"


def copies(fingerprints: Sequence[str | None]) -> list[bool]:
    """Which candidates are copies of an earlier one, by the fingerprints of all candidates of a search in order."""
    all_equal = len(set(fingerprints)) == 1
    seen: set[str] = set()
    found = []
    for one in fingerprints:
        found.append(one is not None and one in seen and (all_equal or one.startswith(_ALWAYS)))
        if one is not None:
            seen.add(one)
    return found


def identical_note(candidates: Sequence[Candidate]) -> str | None:
    """How many candidates repeat an earlier one word for word, as a sentence; None where none does."""
    texts = [f"{candidate.reasoning or ''}\n{candidate.text}" for candidate in candidates]
    repeated = len(texts) - len(set(texts))
    if not repeated:
        return None
    return (
        f"{repeated} of {len(texts)} candidates {'repeats' if repeated == 1 else 'repeat'} an earlier one word for word"
    )
