"""What evaluators return, as one verdict."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_optscale.errors import InvalidScoreError, SettingsError
from langchain_optscale.records.candidates import Verdict
from langchain_optscale.verifiers.coercion import REASONS, kind, number_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_optscale.records.usage import Usage

__all__ = ["Metric", "Told", "choose", "read_results"]

_NAMES = ("key", "name", "evaluator_name")
_SCORES = ("score", "value")
_REASONS = (*REASONS, "rationale")


@dataclass(frozen=True)
class Metric:
    """One named score of an evaluator.

    Attributes:
        name: Its name, "" where the evaluator gives none.
        score: Its value as a number; booleans are 0 and 1. None where it has none, as a label has.
        comment: The evaluator's reason, or None.
        returned: What was returned in place of a score.
    """

    name: str
    score: float | None
    comment: str | None = None
    returned: str = "no score"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {"name": self.name, "score": self.score, "comment": self.comment}


@dataclass(frozen=True)
class Told:
    """A result with what the evaluator says about its own model calls.

    Attributes:
        result: The result.
        usage: What it consumed, or None.
    """

    result: Any
    usage: Usage | None = None


def read_results(result: Any) -> list[Metric]:
    """The metrics of a result.

    Args:
        result: A number or a bool; a mapping or an object with `score` (or `value`) and perhaps `key` or `name` and
            `comment`, `reason`, `reasoning`, `explanation` or `rationale`; a mapping of names to such values; a list of
            results; or a mapping with a list under "results".

    Raises:
        InvalidScoreError: It is none of them.
    """
    return list(_metrics(result, ""))


def _metrics(result: Any, name: str) -> Iterator[Metric]:
    number = number_of(result)
    if number is not None:
        yield Metric(name, number)
    elif isinstance(result, Mapping):
        yield from _of_mapping(result, name)
    elif isinstance(result, Sequence) and not isinstance(result, str | bytes):
        for one in result:
            yield from _metrics(one, name)
    elif name and (result is None or isinstance(result, str)):
        yield Metric(name, None, returned=f"{kind(result)} instead of a score")
    elif any(hasattr(result, field) for field in _SCORES):
        yield _single(lambda field: getattr(result, field, None), name)
    elif hasattr(result, "results"):
        yield from _metrics(result.results, name)
    else:
        raise InvalidScoreError(f"an evaluator must return a score, a bool or named metrics, not {kind(result)}")


def _of_mapping(result: Mapping[Any, Any], name: str) -> Iterator[Metric]:
    if "results" in result and not any(field in result for field in _SCORES):
        yield from _metrics(result["results"], name)
    elif any(field in result for field in _SCORES):
        yield _single(result.get, name)
    else:
        for key, one in result.items():
            if key not in _REASONS:
                yield from _metrics(one, str(key))


def _single(get: Callable[[str], Any], name: str) -> Metric:
    name = next((str(found) for field in _NAMES if (found := get(field))), name)
    notes = get("metadata")
    noted: Mapping[str, Any] = notes if isinstance(notes, Mapping) else {}
    reasons = [read(field) for read in (get, noted.get) for field in _REASONS]
    comment = next((str(found) for found in reasons if found is not None), None)
    values = [get(field) for field in _SCORES]
    number = next((found for value in values if (found := number_of(value)) is not None), None)
    label = next((value for value in values if value is not None), None)
    return Metric(name, number, comment, "no score" if label is None else f"{kind(label)} instead of a score")


def choose(
    metrics: Sequence[Metric],
    evaluator: str,
    *,
    metric: str | None = None,
    weights: Mapping[str, float] | None = None,
    rescale: Callable[[float], float] | None = None,
    usage: Usage | None = None,
) -> Verdict:
    """The verdict of one metric, or of several by their weights.

    Args:
        metrics: What the evaluator returned.
        evaluator: Its name.
        metric: The name of the metric that is the score.
        weights: The weights of the metrics whose mean is the score, all above 0.
        rescale: Maps each score to [0, 1].
        usage: What the evaluator's models consumed.

    Raises:
        SettingsError: Several metrics were returned, and none is chosen.
        InvalidScoreError: A metric is missing, or a score is not in [0, 1].
    """
    scored = {one.name: one for one in metrics if one.score is not None}
    if not scored:
        raise InvalidScoreError(f"the evaluator {evaluator} returned {_instead(metrics)}")
    if weights is None and metric is None and len(metrics) > 1:
        raise SettingsError(
            f"the evaluator {evaluator} returned {len(metrics)} metrics, {_listed(scored)}: choose one by "
            "EvaluatorVerifier(evaluator, metric=...), or weigh them by weights={...}"
        )
    shares = weights or {metric if metric is not None else metrics[0].name: 1.0}
    for name in shares:
        if sum(one.name == name for one in metrics) != 1 or name not in scored:
            raise InvalidScoreError(
                f"the evaluator {evaluator} did not return exactly one score {name!r}; it returned {_listed(scored)}"
            )
    chosen = [scored[name] for name in shares]
    scores = [_in_range(one, evaluator, rescale) for one in chosen]
    total = math.fsum(shares.values())
    mean = math.fsum(weight * score for weight, score in zip(shares.values(), scores, strict=True)) / total
    return Verdict(
        min(max(mean, min(scores)), max(scores)),
        _explained(chosen),
        usage,
        {"evaluator": evaluator, "metrics": [one.to_dict() for one in metrics]},
    )


def _in_range(metric: Metric, evaluator: str, rescale: Callable[[float], float] | None) -> float:
    value = 0.0 if metric.score is None else metric.score
    score = value if rescale is None else float(rescale(value))
    if not 0.0 <= score <= 1.0:
        advice = (
            "rescale must return a number in [0, 1]"
            if rescale is not None
            else "give EvaluatorVerifier(evaluator, rescale=...), such as Logistic() for logits or lambda x: x / 10"
        )
        raise InvalidScoreError(f"the evaluator {evaluator} scored {score:g}, which is not in [0, 1]: {advice}")
    return score


def _instead(metrics: Sequence[Metric]) -> str:
    if not metrics:
        return "no result, as some do without a reference"
    first = metrics[0]
    return f"{first.returned}{f': {first.comment}' if first.comment else ''}"


def _explained(chosen: Sequence[Metric]) -> str | None:
    if len(chosen) == 1:
        return chosen[0].comment
    return "; ".join(f"{one.name} {one.score or 0.0:.2f}{f': {one.comment}' if one.comment else ''}" for one in chosen)


def _listed(names: Any) -> str:
    return ", ".join(repr(name) for name in names)
