"""Reward models and judges of reward-hub."""

from __future__ import annotations

from typing import Any

from langchain_optscale.errors import InvalidScoreError, SettingsError
from langchain_optscale.verifiers.coercion import kind, number_of
from langchain_optscale.verifiers.evaluators.case import Adapter, Case
from langchain_optscale.verifiers.evaluators.results import Metric
from langchain_optscale.verifiers.evaluators.signatures import accepted, derives, parameters_of

__all__ = ["reward_hub_model"]

# The grades of its pointwise judge.
_HIGHEST = 10.0


def reward_hub_model(model: Any) -> Adapter | None:
    """An outcome or a process reward model, or a pointwise judge, whose grades of 0 to 10 are divided by 10.

    Raises:
        SettingsError: It is a groupwise judge.
    """
    if derives(model, "reward_hub", "GroupwiseJudgeModel"):
        raise SettingsError("a groupwise judge ranks several answers, and a verifier scores one candidate")
    if not derives(model, "reward_hub", "AbstractOutcomeRewardModel", "AbstractProcessRewardModel"):
        return None
    highest = _HIGHEST if derives(model, "reward_hub", "PointwiseJudgeModel") else 1.0
    name = type(model).__name__

    def call(case: Case) -> Any:
        return model.score(**_arguments(model.score, case))

    async def acall(case: Case) -> Any:
        return await model.ascore(**_arguments(model.ascore, case))

    is_native = any("ascore" in vars(base) and "Abstract" not in base.__name__ for base in type(model).__mro__)
    return Adapter(name, call, acall if is_native else None, lambda result: _metric(result, name, highest))


def _arguments(score: Any, case: Case) -> dict[str, Any]:
    names = parameters_of(score)
    if "messages" in names:
        return {"messages": case.openai_messages, **accepted(score, return_judge_reasoning=True)}
    return {"question": case.question, "responses": [case.answer]}


def _metric(result: Any, name: str, highest: float) -> Metric:
    reasons = getattr(result, "reasonings", None) or [None]
    scores = getattr(result, "scores", result)
    score = scores[0] if isinstance(scores, list) and len(scores) == 1 else scores
    number = number_of(getattr(score, "score", score))
    if number is None:
        raise InvalidScoreError(f"the reward model {name} returned {kind(score)} instead of a score")
    return Metric(name, number / highest, reasons[0])
