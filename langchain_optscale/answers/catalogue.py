"""Extractors by name, and what makes an extractor of whatever was given."""

from __future__ import annotations

from langchain_optscale.answers.base import Extractor, ExtractorLike, FirstOf, FunctionAnswer
from langchain_optscale.answers.extraction import BoxedAnswer, ChoiceLetter, LastNumber, WholeText
from langchain_optscale.answers.structured import ToolCallAnswer
from langchain_optscale.errors import SettingsError

__all__ = ["EXTRACTORS", "as_extractor"]

EXTRACTORS: dict[str, Extractor] = {
    "boxed": BoxedAnswer(),
    "number": LastNumber(),
    "choice": ChoiceLetter(),
    "math": FirstOf(BoxedAnswer(), LastNumber()),
    "text": WholeText(),
    "tool_call": ToolCallAnswer(),
}
"""What the names stand for: "math" is a box or else the last number, "text" the whole text."""


def as_extractor(value: ExtractorLike | None) -> Extractor | None:
    """Make an extractor of whatever can serve as one.

    Args:
        value: An `Extractor` (returned as it is), a name of `EXTRACTORS`, a function `(text)` or `(text, message)` that
            answers with a string or None, or None (returned as it is).

    Raises:
        SettingsError: It is none of them.

    Example:
        >>> as_extractor("boxed"), as_extractor(BoxedAnswer())
        (BoxedAnswer(), BoxedAnswer())
    """
    if value is None or isinstance(value, Extractor):
        return value
    if isinstance(value, str):
        if value not in EXTRACTORS:
            raise SettingsError(f"extract: unknown extractor {value!r}; known are {', '.join(EXTRACTORS)}")
        return EXTRACTORS[value]
    return FunctionAnswer(value)
