"""Functions that take what they evaluate by name: openevals, agentevals, LangSmith, Braintrust and LangChain's own."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from langchain_optscale.errors import SettingsError
from langchain_optscale.verifiers.evaluators.case import Adapter, Case
from langchain_optscale.verifiers.evaluators.signatures import function_name, is_async, parameters_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["keyword_evaluator", "refuse_two_texts", "scorer_function", "string_evaluator"]

_BY_POSITION = frozenset({inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL})
# The second parameter of functions that compare two texts; none of them names a candidate.
_REFERENCES = frozenset(
    {
        "correct_answer",
        "example",
        "expected",
        "expected_output",
        "gold",
        "ground_truth",
        "label",
        "labels",
        "reference",
        "reference_outputs",
        "references",
        "target",
        "y_pred",
        "y_true",
    }
)
_PARTS: dict[str, Callable[[Case, str], Any]] = {
    "inputs": lambda case, form: case.own_inputs if case.own_inputs is not None else _inputs(case, form),
    "outputs": lambda case, form: case.own_outputs if case.own_outputs is not None else _outputs(case, form),
    "reference_outputs": lambda case, form: _reference(case, form),
    "attachments": lambda case, form: None,
}
# Braintrust's names for the same.
_SCORER_PARTS = {"input": "inputs", "output": "outputs", "expected": "reference_outputs"}


def keyword_evaluator(function: Any) -> Adapter | None:
    """A function with the parameter `outputs`, and perhaps `inputs` and `reference_outputs`, as openevals has them.

    The annotation of a parameter decides whether it gets the text, the messages (agentevals) or a mapping (LangSmith).

    Returns:
        None for any other function.

    Raises:
        SettingsError: It evaluates a whole experiment, or takes its arguments by position.
    """
    parameters = parameters_of(function)
    _refuse_experiments(function, parameters)
    if "outputs" not in parameters:
        return None
    if any(one.kind in _BY_POSITION for one in parameters.values()):
        raise SettingsError(
            f"the evaluator {function_name(function)} takes arguments by position, and evaluators are called by name: "
            "wrap it, such as lambda inputs, outputs: evaluator(inputs, outputs)"
        )
    return _adapter(function, {name: name for name in _PARTS if name in parameters}, parameters)


def scorer_function(function: Any) -> Adapter | None:
    """A function with the parameters `output` and `expected`, and perhaps `input`, as Braintrust calls them."""
    parameters = parameters_of(function)
    if not {"output", "expected"} <= parameters.keys() or any(one.kind in _BY_POSITION for one in parameters.values()):
        return None
    parts = {name: part for name, part in _SCORER_PARTS.items() if name in parameters}
    return _adapter(function, parts, parameters)


def string_evaluator(evaluator: Any) -> Adapter | None:
    """An evaluator of LangChain, with `evaluate_strings`.

    Raises:
        SettingsError: It measures a distance, of which less is better.
    """
    if not callable(getattr(type(evaluator), "evaluate_strings", None)):  # a mock has every attribute
        return None
    name = type(evaluator).__name__
    if "Distance" in name:
        raise SettingsError(
            f"the evaluator {name} measures a distance, of which less is better, and a score must rise with quality: "
            "wrap it as lambda prompt, candidate: 1 - distance"
        )

    def arguments(case: Case) -> dict[str, Any]:
        return {"prediction": case.answer, "reference": case.reference_text, "input": case.question}

    async def acall(case: Case) -> Any:
        return await evaluator.aevaluate_strings(**arguments(case))

    return Adapter(
        name,
        lambda case: evaluator.evaluate_strings(**arguments(case)),
        acall,
        needs_reference=bool(getattr(evaluator, "requires_reference", False)),
    )


def refuse_two_texts(function: Any) -> None:
    """Refuse a function of two texts, which would otherwise be called with a prompt and a candidate.

    Raises:
        SettingsError: Its first two parameters are named like a text and its reference.
    """
    names = list(parameters_of(function))[:2]
    if len(names) == 2 and _REFERENCES.intersection(names):
        name = function_name(function)
        raise SettingsError(
            f"the function {name}({', '.join(names)}) compares a text with a reference, and a verifier is called with "
            f"the prompt and the candidate: wrap it, such as lambda prompt, candidate: {name}(candidate.text, 'Paris')"
        )


def _refuse_experiments(function: Any, parameters: Mapping[str, inspect.Parameter]) -> None:
    """Refuse LangSmith's evaluators of whole experiments, which take all rows or the answers of several systems."""
    lists = [name for name in ("outputs", "reference_outputs") if name in parameters and _is_list(parameters[name])]
    if lists or {"runs", "examples"}.intersection(list(parameters)[:2]):
        raise SettingsError(
            f"the evaluator {function_name(function)} takes lists, as evaluators of whole experiments do, and a "
            "verifier scores one candidate; annotate a list of messages as list[BaseMessage]"
        )


def _is_list(parameter: inspect.Parameter) -> bool:
    """Whether a parameter takes a list that is not said to be one of messages."""
    text = _annotation(parameter).lower()
    return text.startswith(("list", "sequence")) and "message" not in text


def _adapter(function: Any, parts: Mapping[str, str], parameters: Mapping[str, inspect.Parameter]) -> Adapter:
    forms = {name: _form(parameters[name]) for name in parts}
    optional = {name for name, one in parameters.items() if one.default is not one.empty or one.kind is one.VAR_KEYWORD}
    if unknown := [name for name in parameters if name not in parts and name not in optional]:
        raise SettingsError(
            f"the evaluator {function_name(function)} needs {', '.join(unknown)}, which no candidate has: bind it by "
            "functools.partial"
        )

    def call(case: Case) -> Any:
        values = {name: _PARTS[part](case, forms[name]) for name, part in parts.items()}
        # What is bound by functools.partial has a default; only a reference of ours replaces it.
        return function(**{name: one for name, one in values.items() if one is not None or name not in optional})

    needs = any(part == "reference_outputs" and name not in optional for name, part in parts.items())
    if is_async(function):

        async def acall(case: Case) -> Any:
            return await call(case)

        return Adapter(_name(function), call, acall, needs_reference=needs)
    return Adapter(_name(function), call, needs_reference=needs)


def _name(function: Any) -> str:
    """The function's name; of one that `create_...` makes, the key of its feedback or what it makes."""
    name = function_name(function)
    maker, inside, _ = getattr(function, "__qualname__", "").partition(".<locals>")
    if inspect.isfunction(function) and inside and (name.startswith("_") or maker.startswith("create_")):
        return str(inspect.getclosurevars(function).nonlocals.get("feedback_key", maker.removeprefix("create_")))
    return name


def _form(parameter: inspect.Parameter) -> str:
    """Whether a parameter takes "messages", a "mapping", "text" or "any" of them, by its annotation."""
    text = _annotation(parameter)
    if text in ("", "Any"):
        return "any"
    if "Trajectory" in text:
        return "graph"
    if "Message" in text:
        return "messages"
    is_mapping = text.lower().removeprefix("optional[").startswith(("dict", "mapping"))
    return "mapping" if is_mapping else "text"


def _annotation(parameter: inspect.Parameter) -> str:
    """The annotation as it is written, "" where there is none."""
    annotation = parameter.annotation
    if annotation is inspect.Parameter.empty:
        return ""
    if isinstance(annotation, type) and not hasattr(annotation, "__args__"):
        return annotation.__name__
    return str(annotation).replace("typing.", "").replace("collections.abc.", "")


def _reference(case: Case, form: str) -> Any:
    if form == "messages" and isinstance(case.reference, str):
        raise SettingsError(
            "this evaluator compares conversations, and the reference is text: give the messages of one, such as "
            '[{"role": "user", "content": ...}, {"role": "assistant", "content": ...}]'
        )
    return case.reference_mapping if form == "mapping" else case.reference


def _inputs(case: Case, form: str) -> Any:
    if form == "mapping":
        return case.inputs_mapping
    return case.conversation if form == "messages" else case.question


def _outputs(case: Case, form: str) -> Any:
    if form == "graph":
        raise SettingsError(
            "this evaluator compares trajectories of a graph, which a candidate's messages are not: give "
            "EvaluatorVerifier(evaluator, outputs=...), a function of prompt and candidate that returns one"
        )
    if form == "mapping":
        return case.outputs_mapping
    if form == "messages":
        return case.trajectory
    return case.comparable if form == "any" else case.answer
