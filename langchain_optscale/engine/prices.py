"""What the models of a search cost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from langchain_optscale.models.clients import models_in
from langchain_optscale.stopping import Price, prices_by_role
from langchain_optscale.verifiers import LLMJudge, RunnableVerifier
from langchain_optscale.verifiers.composite.members import Composite, Wrapper

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_core.language_models import BaseChatModel

__all__ = ["known_prices"]


def known_prices(price: Any, policy: Any, verifier: Any) -> dict[str, Price]:
    """The price by role: as a setting gives it, else as the profiles of the models say.

    A role is left out where nothing is known of it, or where its models have different prices.

    Args:
        price: One `Price`, or prices by role, of which one that is left out costs nothing; None, or a number, which is
            what a candidate must be worth, takes the profiles.
        policy: The policy.
        verifier: The verifier.
    """
    if price is not None and not isinstance(price, int | float):
        given = prices_by_role(price)
        return {role: given.get(role, Price()) for role in ("policy", "verifier")}
    found = {"policy": _profile_price(policy), "verifier": _profile_price(verifier)}
    return {role: one for role, one in found.items() if one is not None}


def _profile_price(thing: Any) -> Price | None:
    """The price in the profile of a role's models, in US dollars, in the form of models.dev.

    LangChain's profiles are made of that data; the ones that its packages ship leave prices out so far.
    """
    prices = {_read(model.profile) for model in _models_behind(thing)}
    return prices.pop() if len(prices) == 1 else None


def _models_behind(thing: Any) -> Iterator[BaseChatModel]:
    """The chat models of a policy or verifier, those of a verifier's members included."""
    if isinstance(thing, Composite):
        for member in thing.verifiers:
            yield from _models_behind(member)
    elif isinstance(thing, Wrapper):
        yield from _models_behind(thing.verifier)
    elif isinstance(thing, LLMJudge):
        yield from models_in(thing.model)
    else:
        yield from models_in(thing.runnable if isinstance(thing, RunnableVerifier) else thing)


def _read(profile: Any) -> Price | None:
    cost = profile.get("cost") if isinstance(profile, Mapping) else None
    if not isinstance(cost, Mapping):
        return None
    numbers = [cost.get("input"), cost.get("output")]
    if not all(isinstance(one, int | float) and not isinstance(one, bool) and 0 <= one < math.inf for one in numbers):
        return None
    return Price(float(cost["input"]), float(cost["output"]))
