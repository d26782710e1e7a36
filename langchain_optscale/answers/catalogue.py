"""The named extractors, such as "boxed"; importing this module registers them."""

from __future__ import annotations

from langchain_optscale.answers.base import EXTRACTORS, FirstOf
from langchain_optscale.answers.extraction import BoxedAnswer, ChoiceLetter, LastNumber, WholeText
from langchain_optscale.answers.stated import StatedAnswer
from langchain_optscale.answers.structured import ToolCallAnswer

__all__ = ["EXTRACTORS"]

EXTRACTORS |= {
    "boxed": BoxedAnswer(),
    "number": FirstOf(StatedAnswer(number=True), LastNumber()),
    "choice": ChoiceLetter(),
    "math": FirstOf(BoxedAnswer(), StatedAnswer(), LastNumber()),
    "text": WholeText(),
    "tool_call": ToolCallAnswer(),
}
