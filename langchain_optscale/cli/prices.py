"""What the models of a command cost: options, and where a budget of cost needs them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_optscale.errors import SettingsError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from langchain_optscale.runnables.optscale import OptScale

__all__ = ["add_prices", "check_prices", "priced"]


def add_prices(group: Any) -> None:
    """Options that name the prices of policy and judge."""
    for role in ("policy", "judge"):
        group.add_argument(
            f"--{role}-prices",
            nargs=2,
            type=float,
            metavar=("INPUT", "OUTPUT"),
            help=f"money for a million tokens of the {role} (default: as in its LangChain profile, if that has prices)",
        )


def priced(model: Any, prices: Sequence[float] | None) -> Any:
    """The chat model with these prices in its profile, where searches look for them; itself without any.

    Raises:
        SettingsError: A price is negative or not finite.
    """
    if prices is None:
        return model
    from langchain_optscale.stopping import Price

    price = Price(*prices)
    cost = {"input": price.input, "output": price.output}
    # A copy, since a model checks the fields of its profile where it is made, and prices are none of LangChain's.
    return model.model_copy(update={"profile": {**(model.profile or {}), "cost": cost}})


def check_prices(arguments: argparse.Namespace, search: OptScale) -> None:
    """Check that all that a budget of cost counts has a price.

    Raises:
        SettingsError: A price is missing.
    """
    known = search.prepared().prices
    if "policy" not in known:
        raise SettingsError("--budget cost=X needs the prices of the policy: give --policy-prices INPUT OUTPUT")
    if arguments.judge is not None and "verifier" not in known:
        raise SettingsError("--budget cost=X needs the prices of the judge: give --judge-prices INPUT OUTPUT")
