"""Criteria and few-shot examples of a judge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from langchain_optscale.errors import SettingsError
from langchain_optscale.verifiers.coercion import is_finite

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_optscale.verifiers.llm_judge.scale import Scale

__all__ = ["GENERAL", "OVERALL", "Criterion", "JudgeExample", "as_criteria", "as_example"]

OVERALL = "overall"
"""The name of the default criterion."""

GENERAL = "the answer does what the request asks for: correct, complete and to the point"
"""Its description."""


@dataclass(frozen=True)
class Criterion:
    """One criterion of a judge.

    Attributes:
        name: Its name in verdicts.
        description: Completes "Judge whether ...", such as "every figure is taken from the report".
        weight: Its weight in the score, a positive finite number.

    Raises:
        SettingsError: The name or the description is empty, or the weight out of range.

    Example:
        >>> Criterion("sources", "every figure is taken from the report", weight=2.0)
        Criterion(name='sources', description='every figure is taken from the report', weight=2.0)
    """

    name: str
    description: str
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not self.name.strip() or not self.description.strip():
            raise SettingsError("a criterion needs a name and a description")
        if not is_finite(self.weight) or self.weight <= 0:
            raise SettingsError(f"the weight of criterion {self.name!r} must be positive, got {self.weight!r}")


@dataclass(frozen=True)
class JudgeExample:
    """A few-shot example of a grading.

    Attributes:
        request: The request.
        answer: The answer.
        grade: The grade on the judge's scale: a whole number, or "yes" or "no".
        explanation: The reasons.

    Example:
        >>> JudgeExample("What is 2 + 2?", "It is 5.", grade=0, explanation="2 + 2 is 4.")
        JudgeExample(request='What is 2 + 2?', answer='It is 5.', grade=0, explanation='2 + 2 is 4.')
    """

    request: str
    answer: str
    grade: int | str
    explanation: str = ""


def as_criteria(given: Sequence[Criterion | str] | Mapping[str, float] | None) -> tuple[Criterion, ...]:
    """Convert criteria, descriptions, or descriptions with weights.

    Raises:
        SettingsError: There is none, a name occurs twice, or a weight is out of range.
    """
    if given is None:
        return (Criterion(OVERALL, GENERAL),)
    if isinstance(given, str):
        raise SettingsError("criteria must be a list, not a string: put the description into a list")
    if isinstance(given, Mapping):
        criteria = tuple(Criterion(text, text, weight) for text, weight in given.items())
    else:
        criteria = tuple(one if isinstance(one, Criterion) else Criterion(one, one) for one in given)
    names = [criterion.name for criterion in criteria]
    if not names or len(set(names)) < len(names):
        raise SettingsError(f"a judge needs at least one criterion, each with a name of its own, got {names}")
    return criteria


def as_example(example: JudgeExample, scale: Scale) -> tuple[str, str, str, str]:
    """An example's request, answer, grade as text, and explanation.

    Raises:
        SettingsError: The grade is not on the scale.
    """
    if str(example.grade) not in scale.grades:
        raise SettingsError(f"an example's grade must be on the scale {scale}, got {example.grade!r}")
    return example.request, example.answer, str(example.grade), example.explanation
