"""The command `demo`: recorded candidates by default; with a model, the embedded one or the user's own, on request."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from langchain_optscale.cli.options import add_command, add_policy, open_policy, print_json
from langchain_optscale.cli.screen import Screen
from langchain_optscale.errors import SettingsError

if TYPE_CHECKING:
    import argparse

__all__ = ["add_demo"]

_SMALL, _LARGE = 64, 1024


def add_demo(commands: Any) -> None:
    """Add the command `demo`."""
    about = (
        "Watch searches stop, and compare the bill with best-of-N and majority: on recorded candidates, with no model "
        "and no network; with --live on the embedded model; with --policy or --policy-url on your own."
    )
    parser = add_command(commands, "demo", _demo, about, "optscale demo --policy openai:gpt-5-mini")
    parser.add_argument("--live", action="store_true", help="draw from the embedded model, for a minute at most")
    parser.add_argument("--max-samples", type=int, default=16, metavar="N", help="the most candidates (default 16)")
    parser.add_argument("--seed", type=int, default=0, help="another order of the candidates, or seed of the first")
    parser.add_argument("--tasks", type=int, metavar="N", help="only the first N questions (of each kind)")
    add_policy(parser)
    parser.set_defaults(max_tokens=None)


def _demo(arguments: argparse.Namespace) -> None:
    for name, least in (("max_samples", 1), ("tasks", 1), ("seed", 0)):
        if (given := getattr(arguments, name)) is not None and given < least:
            raise SettingsError(f"--{name.replace('_', '-')} must be at least {least}, got {given}")
    screen = None if arguments.json else Screen(sys.stdout)
    own = arguments.policy is not None or arguments.policy_url is not None or arguments.policy_model is not None
    document = _live(arguments, screen, own=own) if arguments.live or own else _replay(arguments, screen)
    if arguments.json:
        print_json(document)


def _replay(arguments: argparse.Namespace, screen: Screen | None) -> dict[str, Any]:
    from langchain_optscale.cli.demo_replay import replay_demo

    if screen:
        screen.say(
            f"Each row is a search of at most {arguments.max_samples} candidates: {screen.full} verified, "
            f"{screen.open} in progress when the search stopped (paid all the same), {screen.empty} saved. They were "
            "recorded from SmolLM2-135M and ship with this package; nothing is sent anywhere."
        )
    document = replay_demo(screen, max_samples=arguments.max_samples, seed=arguments.seed, tasks=arguments.tasks)
    if screen:
        screen.say()
        screen.say("The same on your own model, for a few hundred tokens:")
        screen.command("optscale demo --policy openai:gpt-5-mini")
        screen.say("or --policy-url http://localhost:8000/v1 --policy-model NAME; --live takes the embedded model.")
    return document


def _live(arguments: argparse.Namespace, screen: Screen | None, *, own: bool) -> dict[str, Any]:
    from langchain_optscale.cli.demo_live import TASKS, live_demo

    if arguments.max_tokens is None:
        arguments.max_tokens = _LARGE if own else _SMALL
    if screen and not own:
        screen.say("Starting the embedded model (SmolLM2-135M-Instruct) on this machine ...")
    with open_policy(arguments) as policy:
        return live_demo(
            policy,
            screen,
            max_samples=arguments.max_samples,
            seed=arguments.seed,
            tasks=TASKS[: arguments.tasks],
        )
