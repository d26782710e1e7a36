"""Metrics of deepeval, evaluators of pydantic_evals and scorers of autoevals."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import queue
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from typing import Any

from langchain_optscale.errors import InvalidScoreError, SettingsError
from langchain_optscale.records.usage import Usage
from langchain_optscale.verifiers.evaluators.case import Adapter, Case
from langchain_optscale.verifiers.evaluators.results import Metric, Told
from langchain_optscale.verifiers.evaluators.signatures import accepted, derives, package_of

__all__ = ["autoevals_scorer", "deepeval_metric", "pydantic_evaluator"]

_HALF = 0.5


def autoevals_scorer(scorer: Any) -> Adapter | None:
    """A `Scorer` of autoevals: output and expected as text, the question as `input`."""
    if not derives(scorer, "autoevals", "Scorer"):
        return None

    def arguments(case: Case) -> dict[str, Any]:
        output = _comparable(case) if case.own_outputs is None else case.own_outputs
        question = case.question if case.own_inputs is None else case.own_inputs
        return {"output": output, "expected": case.reference, "input": question}

    async def acall(case: Case) -> Any:
        return await scorer.eval_async(**arguments(case))

    defined = next(base for base in type(scorer).__mro__ if "_run_eval_async" in vars(base))
    is_native = defined.__name__ != "Scorer"
    # A scorer works with methods of the kind of its client alone.
    client = getattr(scorer, "client", None)
    client = getattr(client, "openai", client)
    calls_async = client is not None and package_of(client) == "openai" and type(client).__name__.startswith("Async")
    if client is not None:
        is_native = calls_async
    name = type(scorer).__name__
    return Adapter(
        name, acall if calls_async else lambda case: scorer.eval(**arguments(case)), acall if is_native else None
    )


def _comparable(case: Case) -> Any:
    """The answer in the form of the reference: as a number, a mapping or a list where that is one."""
    if isinstance(case.reference, bool) or not isinstance(case.reference, int | float):
        return _listed(case)
    text = case.candidate.answer or case.answer
    try:
        return float(text)
    except ValueError as error:
        raise InvalidScoreError(
            "the reference is a number, and the answer is none: set extract= to find the number in it"
        ) from error


def _listed(case: Case) -> Any:
    if isinstance(case.reference, list) and not isinstance(case.comparable, list):
        raise InvalidScoreError("the reference is a list, and the answer is no JSON list")
    return case.comparable


def pydantic_evaluator(evaluator: Any) -> Adapter | None:
    """An `Evaluator` of pydantic_evals; its context has question, answer, reference and the time of the draw."""
    if not derives(evaluator, "pydantic_evals", "Evaluator"):
        return None

    def call(case: Case) -> Any:
        return evaluator.evaluate(_context(case))

    async def acall(case: Case) -> Any:
        return await call(case)

    naming = getattr(evaluator, "get_default_evaluation_name", None)
    name = str(naming()) if callable(naming) else type(evaluator).__name__
    return Adapter(name, call, acall if inspect.iscoroutinefunction(evaluator.evaluate) else None)


def _context(case: Case) -> Any:
    kind = import_module("pydantic_evals.evaluators").EvaluatorContext
    parsed = case.candidate.parsed
    output = case.comparable if parsed is None else parsed
    known = {
        "name": None,
        "inputs": case.question if case.own_inputs is None else case.own_inputs,
        "metadata": None,
        "expected_output": _as_output(case.reference, parsed),
        "output": output if case.own_outputs is None else case.own_outputs,
        "duration": case.candidate.latency_s,
        "_span_tree": _no_spans(),
        "attributes": {},
        "metrics": {},
    }
    return kind(**{field.name: known[field.name] for field in dataclasses.fields(kind) if field.name in known})


def _as_output(reference: Any, parsed: Any) -> Any:
    """A mapping of a data set as a model of the structured answer's class, where it is one."""
    validate = getattr(type(parsed), "model_validate", None)
    if not isinstance(reference, Mapping) or not callable(validate):
        return reference
    with suppress(ValueError):
        return validate(reference)
    return reference


def _no_spans() -> Any:
    """What a context holds where no spans were recorded; evaluators that read them raise it."""
    errors = import_module("pydantic_evals.otel._errors")
    return errors.SpanTreeRecordingError("a verifier sees an answer and no spans of the task")


def deepeval_metric(metric: Any) -> Adapter | None:
    """A metric of deepeval, also one of conversations. A score of which less is better is turned round.

    A metric keeps the result of its last call, so concurrent calls have copies of their own.

    Raises:
        SettingsError: It compares several answers.
    """
    if derives(metric, "deepeval", "BaseArenaMetric"):
        raise SettingsError("an arena metric compares several answers, and a verifier scores one candidate")
    is_conversation = derives(metric, "deepeval", "BaseConversationalMetric")
    if not is_conversation and not derives(metric, "deepeval", "BaseMetric"):
        return None
    copies = _Copies(metric)
    name = str(getattr(metric, "__name__", type(metric).__name__))
    make = _conversation_case if is_conversation else _test_case
    turned = _less_is_better(metric)

    def call(case: Case) -> Any:
        own = copies.take()
        own.async_mode = False
        own.measure(make(case), **_quiet(own.measure))
        return copies.give_back(own, _told(own, name, turned=turned))

    async def acall(case: Case) -> Any:
        own = copies.take()
        await own.a_measure(make(case), **_quiet(own.a_measure))
        return copies.give_back(own, _told(own, name, turned=turned))

    return Adapter(name, call, acall)


class _Copies:
    """Copies of a metric, each for one call at a time; they are reused, since some prepare themselves by a request."""

    def __init__(self, metric: Any) -> None:
        self._metric = metric
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def take(self) -> Any:
        try:
            return self._idle.get_nowait()
        except queue.Empty:
            return copy.copy(self._metric)

    def give_back(self, own: Any, told: Told) -> Told:
        self._idle.put(own)
        return told


def _quiet(measure: Any) -> dict[str, Any]:
    return accepted(measure, _show_indicator=False, _log_metric_to_confident=False)


def _told(metric: Any, name: str, *, turned: bool) -> Told:
    if metric.score is None:
        raise InvalidScoreError(
            f"the metric {name} has no score: {getattr(metric, 'error', None) or 'no reason given'}"
        )
    score = float(metric.score)
    spent = [getattr(metric, field, None) for field in ("input_tokens", "output_tokens")]
    usage = Usage(int(spent[0] or 0), int(spent[1] or 0), 1) if any(spent) else None
    return Told(Metric(name, 1.0 - score if turned else score, metric.reason), usage)


def _less_is_better(metric: Any) -> bool:
    """Whether 0 passes and 1 fails, by the metric's own judgement."""
    probe = copy.copy(metric)
    probe.threshold, probe.error = _HALF, None

    def passes(score: float) -> bool:
        probe.score = score
        return bool(probe.is_successful())

    try:
        return passes(0.0) and not passes(1.0)
    except (AttributeError, TypeError, ValueError):
        return False  # it judges by more than its score


def _test_case(case: Case) -> Any:
    deepeval = import_module("deepeval.test_case")
    calls = [
        deepeval.ToolCall(name=name, input_parameters=arguments, output=result)
        for name, arguments, result in case.called_tools
    ]
    usage = case.candidate.usage
    fields = {
        "input": case.question,
        "actual_output": case.answer,
        "expected_output": case.reference_text,
        "tools_called": calls or None,
        "completion_time": case.candidate.latency_s or None,
        "input_token_count": usage.input_tokens or None,
        "output_token_count": usage.output_tokens or None,
    }
    # Such as the retrieval context, where a function of the user makes them.
    own = {**_named(case.own_inputs, "input"), **_named(case.own_outputs, "actual_output")}
    return deepeval.LLMTestCase(**{name: one for name, one in {**fields, **own}.items() if one is not None})


def _named(own: Any, field: str) -> dict[str, Any]:
    if own is None:
        return {}
    return dict(own) if isinstance(own, Mapping) else {field: own}


def _conversation_case(case: Case) -> Any:
    deepeval = import_module("deepeval.test_case")
    turns = [
        deepeval.Turn(role="user" if message.type == "human" else "assistant", content=str(message.text))
        for message in case.trajectory
        if message.type in ("human", "ai")
    ]
    outcome = case.reference_text
    named = "expected_outcome" in getattr(deepeval.ConversationalTestCase, "model_fields", {})
    return deepeval.ConversationalTestCase(turns=turns, **({"expected_outcome": outcome} if outcome and named else {}))
