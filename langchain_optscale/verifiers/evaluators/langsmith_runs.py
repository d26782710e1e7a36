"""Evaluators of LangSmith that judge a recorded run."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from langchain_optscale.errors import SettingsError
from langchain_optscale.verifiers.evaluators.case import Adapter, Case
from langchain_optscale.verifiers.evaluators.signatures import derives, parameters_of

if TYPE_CHECKING:
    from langsmith.schemas import Example, Run

__all__ = ["run_evaluator", "run_function"]

_PASSED = frozenset({"run", "example", "inputs", "outputs", "reference_outputs", "attachments"})


def run_evaluator(evaluator: Any) -> Adapter | None:
    """A `RunEvaluator`, such as what `@run_evaluator` makes of a function.

    Raises:
        SettingsError: It compares runs with one another.
    """
    if derives(evaluator, "langsmith", "DynamicComparisonRunEvaluator"):
        raise SettingsError("a comparison evaluator ranks several runs, and a verifier scores one candidate")
    if not derives(evaluator, "langsmith", "RunEvaluator"):
        return None

    def call(case: Case) -> Any:
        return evaluator.evaluate_run(*_recorded(case, evaluator))

    async def acall(case: Case) -> Any:
        return await evaluator.aevaluate_run(*_recorded(case, evaluator))

    names = (getattr(evaluator, name, None) for name in ("evaluation_name", "_name", "__name__"))
    name = next((name for name in names if isinstance(name, str) and name), type(evaluator).__name__)
    return Adapter(name, call, acall if _is_async(evaluator) else None)


def run_function(function: Any) -> Adapter | None:
    """A function that LangSmith would call: of `run` or `example`, and whatever else it passes by name."""
    names = parameters_of(function).keys()
    if not names & {"run", "example"} or not names <= _PASSED:
        return None
    from langsmith.evaluation import run_evaluator as decorated

    return run_evaluator(decorated(function))


def _is_async(evaluator: Any) -> bool:
    if hasattr(evaluator, "is_async"):
        return bool(evaluator.is_async)
    return all(base.__module__.partition(".")[0] != "langsmith" for base in _defining(evaluator, "aevaluate_run"))


def _defining(evaluator: Any, method: str) -> list[type]:
    return [base for base in type(evaluator).__mro__ if method in vars(base)][:1]


def _recorded(case: Case, evaluator: Any) -> tuple[Run, Example | None]:
    """The candidate as a run, and its reference as an example."""
    from langsmith.schemas import Example, Run

    inputs = case.own_inputs if case.own_inputs is not None else case.inputs_mapping
    outputs = case.own_outputs if case.own_outputs is not None else case.outputs_mapping
    now, number = datetime.now(UTC), uuid4()
    run = Run(
        id=number,
        trace_id=number,
        name="candidate",
        run_type="chain",
        start_time=now,
        end_time=now,
        inputs={getattr(evaluator, "input_key", "input"): case.question, **inputs},
        outputs={getattr(evaluator, "prediction_key", "output"): case.answer, **outputs},
    )
    if case.reference is None:
        return run, None
    reference = case.reference_mapping or {}
    if len(reference) == 1 and (key := getattr(evaluator, "answer_key", None)):
        reference = {key: next(iter(reference.values())), **reference}
    example = Example(id=uuid4(), dataset_id=uuid4(), created_at=now, inputs=run.inputs, outputs=reference)
    return run, example
