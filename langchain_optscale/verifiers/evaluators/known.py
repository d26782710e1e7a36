"""Which evaluators are recognised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_optscale.errors import SettingsError
from langchain_optscale.verifiers.evaluators.functions import (
    keyword_evaluator,
    refuse_two_texts,
    scorer_function,
    string_evaluator,
)
from langchain_optscale.verifiers.evaluators.inspect_scorers import inspect_scorer
from langchain_optscale.verifiers.evaluators.langsmith_runs import run_evaluator, run_function
from langchain_optscale.verifiers.evaluators.metrics import autoevals_scorer, deepeval_metric, pydantic_evaluator
from langchain_optscale.verifiers.evaluators.reward_hub import reward_hub_model
from langchain_optscale.verifiers.evaluators.signatures import package_of

if TYPE_CHECKING:
    from langchain_optscale.verifiers.evaluators.case import Adapter

__all__ = ["find_adapter"]

_OBJECTS = (
    run_evaluator,
    autoevals_scorer,
    pydantic_evaluator,
    deepeval_metric,
    reward_hub_model,
    string_evaluator,
)
_FUNCTIONS = (inspect_scorer, run_function, keyword_evaluator, scorer_function)
# Packages of evaluators whose other objects must not be called with a prompt and a candidate.
_PACKAGES = frozenset(
    {
        "agentevals",
        "autoevals",
        "deepeval",
        "evaluate",
        "inspect_ai",
        "openevals",
        "pydantic_evals",
        "ragas",
        "reward_hub",
    }
)


def find_adapter(evaluator: Any) -> Adapter | None:
    """How to call an evaluator; None where it is none that is known, as for a function (prompt, candidate).

    Raises:
        SettingsError: It is an evaluator that cannot score one candidate.
    """
    kinds = _OBJECTS if not callable(evaluator) else (*_OBJECTS, *_FUNCTIONS)
    adapter = next((found for kind in kinds if (found := kind(evaluator)) is not None), None)
    if adapter is None and package_of(evaluator) in _PACKAGES:
        raise SettingsError(
            f"{type(evaluator).__name__} of {package_of(evaluator)} is not a known evaluator of single answers: "
            "wrap it in a function (prompt, candidate) that returns a score in [0, 1]"
        )
    if adapter is None and callable(evaluator):
        refuse_two_texts(evaluator)
    return adapter
