"""What several commands share: options, the policy and verifier that they name, and output."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from langchain_optscale.errors import MissingExtraError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from langchain_core.runnables import Runnable

    from langchain_optscale.verifiers import Verifier

__all__ = [
    "add_checks",
    "add_command",
    "add_policy",
    "add_search",
    "counter",
    "open_policy",
    "print_json",
    "search_settings",
    "verifier_of",
]

_KEY = "OPTSCALE_POLICY_API_KEY"
_BAR = 30


def add_command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], None], about: str, example: str
) -> argparse.ArgumentParser:
    """A command with `--json`, whose help ends with an example."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=about,
        description=about,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument("--json", action="store_true", help="print one JSON document on standard output")
    return parser


def add_policy(parser: argparse.ArgumentParser) -> None:
    """Options that name the policy."""
    policy = parser.add_argument_group("policy (without a URL: the embedded model)")
    policy.add_argument("--policy-url", metavar="URL", help=f"such as http://localhost:8000/v1; key from ${_KEY}")
    policy.add_argument("--policy-model", metavar="NAME", help="the model's name at that URL")
    policy.add_argument("--temperature", type=float, default=1.0, help="default 1.0")
    policy.add_argument("--max-tokens", type=int, default=128, metavar="N", help="longest answer (default 128)")


def add_checks(parser: argparse.ArgumentParser) -> None:
    """Options that name the verifier."""
    checks = parser.add_argument_group("checks, averaged to a score (without any: the policy's own confidence)")
    checks.add_argument("--words", type=int, metavar="N", help="exactly N words")
    checks.add_argument("--max-words", type=int, metavar="N", help="at most N words")
    checks.add_argument("--items", type=int, metavar="N", help="exactly N comma-separated items")
    checks.add_argument("--contains", action="append", metavar="WORD", help="this word occurs (may be repeated)")
    checks.add_argument("--regex", metavar="PATTERN", help="this pattern matches")
    checks.add_argument("--number", type=float, metavar="X", help="the last number is X")


def add_search(parser: argparse.ArgumentParser) -> Any:
    """Options that say how to search; returns their group."""
    search = parser.add_argument_group("search")
    search.add_argument("--max-samples", type=int, default=16, metavar="N", help="the most candidates (default 16)")
    search.add_argument("--seed", type=int, default=0, help="seed of the first candidate (default 0)")
    search.add_argument("--target", type=float, help="score in [0, 1] that is good enough (default: look for the best)")
    search.add_argument("--effort", choices=["low", "medium", "high"], default="medium", help="default medium")
    search.add_argument(
        "--price", type=float, metavar="X", help="what a candidate must be worth, in place of an effort"
    )
    search.add_argument(
        "--round-cost", type=float, default=2.0, metavar="N", help="candidates a round costs (default 2)"
    )
    search.add_argument("--confidence", type=float, default=0.95, help="in (0, 1) (default 0.95)")
    search.add_argument("--token-budget", type=int, metavar="N", help="stop after N tokens")
    search.add_argument("--deadline", type=float, metavar="SECONDS", help="stop after this time")
    return search


def search_settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """The options of `add_search` and `add_checks` as settings of a search."""
    return {
        "verifier": verifier_of(arguments),
        "target": arguments.target,
        "confidence": arguments.confidence,
        "effort": arguments.effort,
        "price": arguments.price,
        "round_cost": arguments.round_cost,
        "max_samples": arguments.max_samples,
        "token_budget": arguments.token_budget,
        "deadline_s": arguments.deadline,
        "seed": arguments.seed,
    }


@contextlib.contextmanager
def open_policy(arguments: argparse.Namespace) -> Iterator[Runnable[Any, Any]]:
    """The chat model that the options name; the embedded one is served for as long as it is needed."""
    settings: dict[str, Any] = {"temperature": arguments.temperature, "max_tokens": arguments.max_tokens}
    if arguments.policy_url is None:
        if arguments.policy_model is not None:
            raise SettingsError("--policy-model needs --policy-url; the embedded model has no other name")
        from langchain_optscale.endpoints import local

        with local.serve() as server:
            yield server.policy(**settings)
        return
    if arguments.policy_model is None:
        raise SettingsError("--policy-url needs --policy-model, the name of the model at that URL")
    try:
        from langchain_openai import ChatOpenAI
        from pydantic import SecretStr
    except ImportError as error:
        raise MissingExtraError("An OpenAI-compatible endpoint", 'pip install "langchain-optscale[openai]"') from error
    # Only the key that the user named for this purpose is sent: --policy-url may be any server.
    key = SecretStr(os.environ.get(_KEY, "not-needed"))
    yield ChatOpenAI(
        base_url=arguments.policy_url, model=arguments.policy_model, api_key=key, max_retries=0, **settings
    )


def verifier_of(arguments: argparse.Namespace) -> Verifier:
    """The checks that the options name, or the policy's own confidence."""
    from langchain_optscale.verifiers import (
        ConfidenceVerifier,
        EnsembleVerifier,
        LengthCheck,
        NumberCheck,
        RegexCheck,
        RequiredWords,
    )

    checks: list[Verifier] = []
    if arguments.words is not None:
        checks.append(LengthCheck(exactly=arguments.words))
    if arguments.max_words is not None:
        checks.append(LengthCheck(at_most=arguments.max_words))
    if arguments.items is not None:
        checks.append(LengthCheck(exactly=arguments.items, unit="items"))
    if arguments.contains:
        checks.append(RequiredWords(arguments.contains))
    if arguments.regex is not None:
        checks.append(RegexCheck(arguments.regex))
    if arguments.number is not None:
        checks.append(NumberCheck(arguments.number))
    return EnsembleVerifier(checks) if checks else ConfidenceVerifier()


@contextlib.contextmanager
def counter(arguments: argparse.Namespace, unit: str = "questions") -> Iterator[Callable[[int, int], None] | None]:
    """A function that shows the numbers done and in total, or None if standard error is no terminal."""
    if arguments.json or not sys.stderr.isatty():
        yield None
        return
    open_line = False

    def show(done: int, total: int) -> None:
        nonlocal open_line
        open_line = done < total
        full = _BAR * done // total
        bar = "#" * full + "." * (_BAR - full)
        sys.stderr.write(f"\r[{bar}] {done} of {total} {unit}" + ("" if open_line else "\n"))
        sys.stderr.flush()

    try:
        yield show
    finally:
        # The next message, such as an error, starts on its own line.
        if open_line:
            sys.stderr.write("\n")


def print_json(document: Any) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2) + "\n")
