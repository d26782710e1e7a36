"""A user's own instructions for a judge, with the places where the material goes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from langchain_optscale.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Template"]

# What users call the three parts: in openevals, in LangChain's examples, and here.
_PART_OF = {
    **dict.fromkeys(("inputs", "input", "request", "question", "prompt"), "request"),
    **dict.fromkeys(("outputs", "output", "answer", "candidate", "response"), "answer"),
    **dict.fromkeys(("reference_outputs", "reference"), "reference"),
}
_PLACE = re.compile(r"\{\{?(" + "|".join(_PART_OF) + r")\}\}?")


@dataclass(frozen=True)
class Template:
    """A prompt with places such as `{inputs}` and `{outputs}`; other braces are text.

    Attributes:
        text: The prompt.

    Raises:
        SettingsError: It is no text, or empty.
    """

    text: str

    def __post_init__(self) -> None:
        if not isinstance(self.text, str) or not self.text.strip():
            raise SettingsError("prompt must be the judge's instructions as text, with {inputs} and {outputs} in it")

    def filled(self, parts: Mapping[str, str]) -> str:
        """The prompt with fenced material in its places, and after it the material that it does not mention.

        What is filled in is not read again, so that the material cannot name places.

        Args:
            parts: Fenced text under "request", "answer" and, where there is one, "reference", in this order.
        """
        mentioned = {_PART_OF[place[1]] for place in _PLACE.finditer(self.text)}
        body = _PLACE.sub(lambda place: parts.get(_PART_OF[place[1]], "(none)"), self.text)
        return "\n\n".join([body, *(text for part, text in parts.items() if part not in mentioned)])
