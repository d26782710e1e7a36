"""The prompt of a judge that compares; answers are fenced as in `llm_judge.prompt`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage

from langchain_optscale.records.content import digest
from langchain_optscale.verifiers.comparison.letters import letters_for
from langchain_optscale.verifiers.llm_judge.fence import fenced, new_code
from langchain_optscale.verifiers.llm_judge.prompt import (
    DATA,
    HOW,
    WITHOUT_FORM,
    Material,
    Method,
    Sheet,
    exact_parts,
    material,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.prompt_values import PromptValue

    from langchain_optscale.records.candidates import Candidate
    from langchain_optscale.verifiers.comparison.letters import Letters

__all__ = ["ComparisonSheet", "Lineup", "lineup", "sheet_for"]


@dataclass(frozen=True)
class Lineup(Material):
    """The request, and the answers to it in the order in which they are shown.

    Attributes:
        answers: What each candidate says and calls; `answer` and `exact` of the whole are empty.
    """

    answers: tuple[Material, ...] = field(default=(), kw_only=True)

    @property
    def key(self) -> str:
        """A hash of everything that is shown."""
        return digest([self.digest, [answer.digest for answer in self.answers]])


@dataclass(frozen=True)
class ComparisonSheet(Sheet):
    """The parts of the prompt that all comparisons of one number of answers share; the scale has their letters."""

    def messages(
        self, criterion: str, method: Method, shown: Material, code: str, *, is_trial: bool = False
    ) -> list[BaseMessage]:
        """The conversation that asks for one comparison."""
        letters = cast("Letters", self.scale)
        count = len(letters.names)
        instructions = [
            f"You compare {count} answers to the same request and say which is best. Be strict and fair: length, style "
            "and confidence count for nothing by themselves, and neither does the order in which the answers stand.",
            f"Judge of which answer it is most true that {criterion}.",
            *([f"Rubric:\n{self.rubric}"] if self.rubric else []),
            f"The grade is {letters.spoken}.",
            DATA,
            HOW[method],
            *([WITHOUT_FORM] if is_trial and method == "structured" else []),
        ]
        question = self._question(cast("Lineup", shown), method, code)
        return [SystemMessage("\n\n".join(instructions)), HumanMessage(question)]

    def fresh_code(self, shown: Material) -> str:
        """A code that does not occur in the material."""
        every = [shown, *cast("Lineup", shown).answers]
        parts = [part for one in every for part in (*one.request, *one.answer, *one.exact)]
        return new_code([text for _, text in parts] + [shown.reference or ""])

    def _question(self, shown: Lineup, method: Method, code: str) -> str:  # type: ignore[override]  # always a lineup
        parts = [fenced(label, text, code) for label, text in shown.request]
        if shown.reference is not None:
            parts.append(fenced("REFERENCE ANSWER, KNOWN TO BE RIGHT", shown.reference, code))
        for name, answer in zip(cast("Letters", self.scale).names, shown.answers, strict=True):
            named = _named(answer, name)
            parts += [fenced(label, text, code, self.max_chars) for label, text in named.answer]
            parts += exact_parts(named, code, self.max_chars, f"Answer {name}")
        if method == "labels":
            return "\n\n".join([*parts, "Compare the answers now."])
        ask = f"The code is {code}. Compare the answers now"
        parts.append(f"{ask}." if method == "structured" else f"{ask}; the line with the grade begins GRADE-{code}:")
        return "\n\n".join(parts)


def lineup(prompt: PromptValue, candidates: Sequence[Candidate], reference: str | None) -> Lineup:
    """The request and the candidates' answers, in this order; images are mentioned."""
    shown = [material(prompt, candidate, None, attach_images=False) for candidate in candidates]
    answers = tuple(replace(one, request=()) for one in shown)
    return Lineup(shown[0].request, (), reference, (), answers=answers)


def sheet_for(count: int, rubric: str | None, max_chars: int) -> ComparisonSheet:
    """The sheet for so many answers."""
    return ComparisonSheet(letters_for(count), rubric, (), max_chars)


def _named(answer: Material, name: str) -> Material:
    def named(parts: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
        return tuple((label.replace("ANSWER", f"ANSWER {name}", 1), text) for label, text in parts)

    return replace(answer, answer=named(answer.answer), exact=named(answer.exact))
