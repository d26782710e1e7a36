"""The stopping rule that a search's settings describe, and what must hold between these settings."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any, Protocol

from langchain_optscale.engine.prices import known_prices
from langchain_optscale.errors import SettingsError
from langchain_optscale.stopping import (
    CostBudget,
    Deadline,
    MaxFailures,
    MaxSamples,
    Objective,
    Rule,
    TokenBudget,
    prices_by_role,
)
from langchain_optscale.stopping.labelled import search_form

if TYPE_CHECKING:
    from langchain_optscale.learning.learned_file import LearnedPair
    from langchain_optscale.stopping.objective import Effort

__all__ = ["build_rule", "check_rule_settings", "counts_usage"]


class RuleSettings(Protocol):
    """What the rule depends on: `SearchSettings`."""

    policy: Any
    verifier: Any
    target: float | None
    confidence: float
    effort: Effort
    round_cost: float
    first_round: int
    stopping: Rule | None
    extract: Any
    select: Any
    certify: Any
    max_failures: Any
    token_budget: int | None
    cost_budget: float | None
    price: Any
    deadline_s: float | None
    limits: dict[str, float] | None

    @property
    def model_fields_set(self) -> set[str]:
        """The settings that were given."""

    @property
    def cap(self) -> int:
        """The most candidates drawn for one question."""


def build_rule(settings: RuleSettings, learned: LearnedPair | None = None) -> Rule:
    """The stopping rule, `stopping` or the default one, with the budgets that are set beside it.

    Args:
        settings: That say what it is.
        learned: What was learned for this policy with this verifier: its rules take the place of the default where
            answers are looked for without a target.

    Raises:
        SettingsError: A cost budget is set and no price is known.
    """
    rules = [settings.stopping or _default_rule(settings)]
    if learned is not None and settings.stopping is None and settings.target is None and settings.extract is not None:
        rules = [_learned_rule(settings, rules[0], learned)]
    if isinstance(settings.max_failures, int):
        rules.append(MaxFailures(settings.max_failures))
    if settings.token_budget is not None:
        rules.append(TokenBudget(settings.token_budget))
    if settings.cost_budget is not None:
        prices = known_prices(settings.price, settings.policy, settings.verifier)
        if not prices:
            raise SettingsError("cost_budget needs prices: give price=Price(input=..., output=...) as well")
        rules.append(CostBudget(settings.cost_budget, prices))
    if settings.deadline_s is not None:
        rules.append(Deadline(settings.deadline_s))
    return reduce(or_, rules)


def counts_usage(settings: RuleSettings) -> bool:
    """Whether a budget of tokens or money ends the search, so that usage must be known."""
    if settings.token_budget is not None or settings.cost_budget is not None:
        return True
    return settings.stopping is not None and any(
        isinstance(part, TokenBudget | CostBudget) for part in settings.stopping.parts()
    )


def check_rule_settings(settings: RuleSettings) -> None:
    """Check what must hold between the settings of the rule.

    Raises:
        SettingsError: One contradicts another.
    """
    given, cap = settings.model_fields_set, settings.cap
    if "first_round" in given and settings.first_round > cap:
        raise SettingsError(f"first_round ({settings.first_round}) must not be larger than max_samples ({cap})")
    unpriced = {"price"} if isinstance(settings.price, int | float) else set()
    useless = sorted(given & {"target", "confidence", "effort", "round_cost", *unpriced})
    if settings.stopping is not None and useless:
        raise SettingsError(
            f"{' and '.join(useless)} belong to the default rule and would be ignored with stopping=; "
            "put them into the rule"
        )
    if settings.certify is not None:
        rule = settings.stopping or _default_rule(settings)
        settings.certify.check(search_form(rule, cap, settings.select, answered=settings.extract is not None))
    worth = _objective_price(settings)
    if settings.price is not None and worth is None:
        prices_by_role(settings.price)
    if (
        settings.cost_budget is not None
        and worth is not None
        and not known_prices(worth, settings.policy, settings.verifier)
    ):
        raise SettingsError(
            f"cost_budget needs the prices of the models, and price={worth:g} is what a candidate must be worth: give "
            f"price=Price(...) with stopping=optscale(price={worth:g}), or models whose profiles have prices"
        )
    if settings.limits is not None and cap > (most := settings.limits.get("max_samples", math.inf)):
        raise SettingsError(f"the rule's cap of {cap} candidates is above limits['max_samples']={most}")


def _default_rule(settings: RuleSettings) -> Rule:
    cap = settings.cap
    rule = Objective(
        settings.target,
        settings.confidence,
        settings.effort,
        _objective_price(settings),
        settings.round_cost,
        answers=settings.extract is not None,
        least=min(settings.first_round, cap) if "first_round" in settings.model_fields_set else 1,
    )
    return rule | MaxSamples(cap)


def _objective_price(settings: RuleSettings) -> float | None:
    """What a candidate must be worth, where `price` is a number and not the models' price in money."""
    price = settings.price
    return float(price) if isinstance(price, int | float) and not isinstance(price, bool) else None


def _learned_rule(settings: RuleSettings, default: Rule, learned: LearnedPair) -> Rule:
    """The default with what was learned about it; as it is where that was learned from another default."""
    improved, fitted, rule = learned.stopping, learned.fitted, default
    if improved is not None and _objective(default) == _objective(improved.base):
        rule = replace(improved, base=default)
    if fitted is None or _objective(default) != _objective(fitted.fallback):
        return rule
    # It was fitted for this cap, and values the candidate that is returned.
    if settings.cap != fitted.max_samples or settings.select != fitted.select:
        return rule
    return replace(fitted, fallback=rule)


def _objective(rule: Rule) -> Objective | None:
    return next((part for part in rule.parts() if isinstance(part, Objective)), None)
