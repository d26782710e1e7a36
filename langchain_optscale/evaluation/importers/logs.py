"""Shared by the importers: required fields, and which named value becomes which field."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from langchain_optscale.answers import AnswerBook, WholeText, as_extractor
from langchain_optscale.errors import InvalidRecordError, SettingsError
from langchain_optscale.evaluation.pools import Pool, Question, Sample
from langchain_optscale.records.stored import is_number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from langchain_optscale.answers.base import ExtractorLike

__all__ = ["Collected", "field_of", "gold_of", "keep_value"]

_GRADES = {"C": True, "P": False, "I": False, "N": False}
_REQUIRED: Any = object()


class Collected:
    """Samples with their named values, before the values are assigned to fields.

    Args:
        extract: Finds the answers in the texts; None takes those of the log.
    """

    def __init__(self, extract: ExtractorLike | None = None) -> None:
        self._extract = as_extractor(extract)
        self._questions: dict[str, Question] = {}
        self._samples: dict[str, list[tuple[Sample, Mapping[str, Any], str]]] = defaultdict(list)

    def add(self, question: Question, sample: Sample, values: Mapping[str, Any], place: str) -> None:
        """Take one sample of a question; `place` names the file and line for messages."""
        known = self._questions.setdefault(question.id, question)
        if known.prompt != question.prompt:
            raise InvalidRecordError(
                f"{place}: {question.id} is another question than the {question.id} before; import different tasks "
                "one by one and join them by Pool.merge(..., prefix=True)"
            )
        self._samples[question.id].append((sample, values, place))

    def pool(self, name: str, kind: str, correct: str | None, score: str | None, *, judged: bool = False) -> Pool:
        """The pool, once it is clear which value says what is right and which is the score."""
        if not self._questions:
            raise InvalidRecordError(f"{name}: the log has no samples")
        columns: dict[str, list[Any]] = defaultdict(list)
        for _, values, _ in self._everything():
            for column, value in values.items():
                columns[column].append(value)
        yes_or_no = [column for column, values in columns.items() if all(_grade(value) is not None for value in values)]
        numeric = [
            column
            for column, values in columns.items()
            if all(_is_number(value) for value in values) and column not in yes_or_no
        ]
        for asked in (correct, score):
            if asked is not None and asked not in columns:
                raise SettingsError(f"the log has no {kind} {asked!r}; it has {', '.join(columns) or 'none'}")
        if not judged:
            correct = _chosen("correct", correct, [c for c in yes_or_no if c != score], kind)
        score = _chosen("score", score, [column for column in numeric if column != correct], kind)
        target = "score"
        if score is not None and any(not 0 <= float(value) <= 1 for value in columns[score] if _is_number(value)):
            target = "logit"
        return Pool(
            tuple(
                replace(
                    question,
                    samples=self._answered(_judge(*item, correct, score, target) for item in self._samples[id_]),
                )
                for id_, question in self._questions.items()
            ),
            name,
        )

    def _answered(self, samples: Iterator[Sample]) -> tuple[Sample, ...]:
        """The samples of one question, with their answers in canonical form."""
        book = AnswerBook(WholeText() if self._extract is None else self._extract)
        return tuple(
            replace(sample, answer=book.read(place, (sample.answer if self._extract is None else sample.text) or ""))
            for place, sample in enumerate(samples)
        )

    def _everything(self) -> Iterator[tuple[Sample, Mapping[str, Any], str]]:
        return (item for items in self._samples.values() for item in items)


def _judge(
    sample: Sample, values: Mapping[str, Any], place: str, correct: str | None, score: str | None, target: str
) -> Sample:
    changes: dict[str, Any] = {}
    if correct is not None and correct in values:
        changes["correct"] = _grade(values[correct])
        if changes["correct"] is None:
            raise InvalidRecordError(f"{place}: {correct} is not yes or no: {values[correct]!r}")
    if score is not None and score in values:
        if not _is_number(values[score]):
            raise InvalidRecordError(f"{place}: {score} is not a finite number: {values[score]!r}")
        changes[target] = float(values[score])
    return replace(sample, **changes)


def _chosen(what: str, asked: str | None, found: Sequence[str], kind: str) -> str | None:
    if asked is None and len(found) > 1:
        raise SettingsError(f"several {kind}s could be {what!r}: {', '.join(found)}; choose one by {what}=")
    return asked if asked is not None else next(iter(found), None)


def _grade(value: Any) -> bool | None:
    if isinstance(value, str):
        return _GRADES.get(value)
    return bool(value) if isinstance(value, int | float) and value in (0, 1) else None


def _is_number(value: Any) -> bool:
    # A metric of true and false may be chosen as the score.
    return isinstance(value, bool) or (is_number(value) and math.isfinite(value))


def field_of(entry: Any, key: str, types: Any, place: str, default: Any = _REQUIRED) -> Any:
    """A field of the wanted type; null counts as missing."""
    if not isinstance(entry, dict):
        raise InvalidRecordError(f"{place}: must be an object with {key}, got {type(entry).__name__}")
    value = entry.get(key)
    if value is None and default is not _REQUIRED:
        return default
    if not isinstance(value, types):
        wanted = getattr(types, "__name__", types)
        raise InvalidRecordError(f"{place}: {key} must be {wanted}, got {type(value).__name__}")
    return value


def keep_value(values: dict[str, Any], name: str, value: Any) -> None:
    """Keep a value unless it is missing; Inspect writes nan for not scored."""
    if value is not None and value != "" and value == value:
        values[name] = value


def gold_of(entry: dict[str, Any], place: str) -> str | None:
    """The target; the first of several that are all accepted."""
    target = field_of(entry, "target", str | int | float | list, place, None)
    if isinstance(target, list):
        target = next(iter(target), None)
    return None if target is None else str(target)
