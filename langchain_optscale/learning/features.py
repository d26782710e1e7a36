"""What is read of a question's text: hashed word and character n-grams, or a model's embedding.

An n-gram's place is a hash of its characters, so that no vocabulary is stored and no text can be read back from a
fitted model directly. Words count alone and in pairs, characters in runs of 3 to 5 of the lower-case text. Beside them
stand a few marks of the text's form: how long it is, and how many digits and symbols it has, in steps of a factor of
about 1.5.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias
from zlib import crc32

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    QuestionFeatures: TypeAlias = tuple[NDArray[np.uint32], NDArray[np.float32]]

__all__ = ["DIMENSIONS", "WORDS", "hashed_features", "question_text"]

DIMENSIONS = 1 << 18
"""Places of hashed n-grams."""

WORDS = 1 << 17
"""Places below this one are words', the others characters'."""

_MOST_CHARACTERS = 20_000
_RUNS = (3, 4, 5)
_WORD = re.compile(r"\\?\w+|[^\w\s]")
_SPACES = re.compile(r"\s+")
# Odd 32-bit constants of multiplicative hashing (Knuth) and of MurmurHash3's finaliser.
_STEP = np.uint32(2654435761)
_MIX = (np.uint32(0x85EBCA6B), np.uint32(0xC2B2AE35))


def hashed_features(text: str) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
    """The hashed n-grams of a text.

    Args:
        text: Any text; beyond 20,000 characters it is not read.

    Returns:
        Their places, ascending and below `DIMENSIONS`, and for each 1 + log(how often it occurs).

    Example:
        >>> places, values = hashed_features("What is 2 + 2?")
        >>> len(places) == len(values), bool((places < DIMENSIONS).all()), round(float(values.max()), 2)
        (True, True, 1.69)
    """
    plain = _SPACES.sub(" ", text[:_MOST_CHARACTERS].lower()).strip()
    places = np.concatenate([_words(plain), *_characters(plain)])
    found, counts = np.unique(places, return_counts=True)
    return found.astype(np.uint32), (1.0 + np.log(counts)).astype(np.float32)


def question_text(prompt: Any) -> str:
    """The text by which a question is known: that of every message but the system's, one after the other.

    Args:
        prompt: A string, a LangChain prompt value, or a list of messages.

    Example:
        >>> from langchain_core.messages import HumanMessage, SystemMessage
        >>> question_text([SystemMessage("Be brief."), HumanMessage("What is 2 + 2?")])
        'What is 2 + 2?'
    """
    if isinstance(prompt, str):
        return prompt
    messages = prompt.to_messages() if hasattr(prompt, "to_messages") else prompt
    return "\n".join(str(message.text) for message in messages if message.type != "system")


def _words(text: str) -> NDArray[np.uint32]:
    """Places of the words, of pairs of neighbours, and of the marks of the text's form."""
    tokens = _WORD.findall(text)
    single = np.array([_hash(token) for token in tokens], dtype=np.uint32)
    pairs = single[:-1] * _STEP + single[1:]
    marks = np.array([_hash(mark) for mark in _marks(text, len(tokens))], dtype=np.uint32)
    return _mixed(np.concatenate([single, pairs, marks])) % np.uint32(WORDS)


def _characters(text: str) -> Iterable[NDArray[np.uint32]]:
    """Places of the runs of characters, for each length of run."""
    codes = np.frombuffer(f" {text} ".encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    for run in _RUNS:
        hashed = np.full(max(0, len(codes) - run + 1), run, dtype=np.uint32)
        for offset in range(run):
            hashed = hashed * _STEP + codes[offset : offset + len(hashed)]
        yield _mixed(hashed) % np.uint32(DIMENSIONS - WORDS) + np.uint32(WORDS)


def _marks(text: str, tokens: int) -> list[str]:
    counts = {
        "tokens": tokens,
        "digits": sum(map(str.isdigit, text)),
        "commands": text.count("\\"),
        "equals": text.count("="),
        "figures": text.count("[asy]"),
    }
    return [f"\x00{name} {round(2.5 * float(np.log1p(count)))}" for name, count in counts.items()]


@lru_cache(maxsize=1 << 16)
def _hash(token: str) -> int:
    return crc32(token.encode("utf-8", "surrogatepass"))


def _mixed(values: NDArray[np.uint32]) -> NDArray[np.uint32]:
    values = (values ^ (values >> np.uint32(16))) * _MIX[0]
    values = (values ^ (values >> np.uint32(13))) * _MIX[1]
    return values ^ (values >> np.uint32(16))
