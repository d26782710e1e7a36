"""The command `optscale`: parse, call, print.

Exit status 0 when the work was done, 1 when it failed, 2 for bad input, 130 when interrupted. Errors are one sentence
on standard error. With --json, standard output carries one JSON document and nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from langchain_optscale.errors import MissingExtraError, OptScaleError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from langchain_core.runnables import Runnable

    from langchain_optscale.verifiers import Verifier

__all__ = ["main"]

_KEY = "OPTSCALE_POLICY_API_KEY"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: The arguments after the program's name; None takes those of the process.

    Returns:
        The exit status.
    """
    arguments = _parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except SettingsError as error:
        return _complain(error, 2)
    except OptScaleError as error:
        return _complain(error, 1)
    except KeyboardInterrupt:
        return _complain("interrupted", 130)
    except BrokenPipeError:
        # Whoever read our output has left; the interpreter must not try to flush it again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


def _complain(error: object, status: int) -> int:
    sentence = " ".join(str(error).split())
    sys.stderr.write(f"optscale: {sentence}\n")
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="optscale", description="Adaptive best-of-N: draw candidates until the computed optimal N."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_demo(commands)
    _add_ask(commands)
    return parser


def _command(commands: Any, name: str, run: Any, about: str, example: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=about,
        description=about,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument("--json", action="store_true", help="print one JSON document on standard output")
    parser.add_argument("--max-samples", type=int, default=16, metavar="N", help="the most candidates (default 16)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first candidate (default 0)")
    return parser


def _add_demo(commands: Any) -> None:
    about = "Answer writing tasks with the embedded model, and compare with fixed best-of-N in the same run."
    parser = _command(commands, "demo", _demo, about, "optscale demo --max-samples 8")
    parser.add_argument("--tasks", type=int, metavar="N", help="only the first N tasks")


def _add_ask(commands: Any) -> None:
    about = "Answer one question with the embedded model, or with any OpenAI-compatible endpoint."
    example = 'optscale ask "Name three rivers, separated by commas." --items 3 --max-words 6'
    parser = _command(commands, "ask", _ask, about, example)
    parser.add_argument("question")
    policy = parser.add_argument_group("policy (without a URL: the embedded model)")
    policy.add_argument("--policy-url", metavar="URL", help=f"such as http://localhost:8000/v1; key from ${_KEY}")
    policy.add_argument("--policy-model", metavar="NAME", help="the model's name at that URL")
    policy.add_argument("--temperature", type=float, default=1.0, help="default 1.0")
    policy.add_argument("--max-tokens", type=int, default=128, metavar="N", help="longest answer (default 128)")
    checks = parser.add_argument_group("checks, averaged to a score (without any: the policy's own confidence)")
    checks.add_argument("--words", type=int, metavar="N", help="exactly N words")
    checks.add_argument("--max-words", type=int, metavar="N", help="at most N words")
    checks.add_argument("--items", type=int, metavar="N", help="exactly N comma-separated items")
    checks.add_argument("--contains", action="append", metavar="WORD", help="this word occurs (may be repeated)")
    checks.add_argument("--regex", metavar="PATTERN", help="this pattern matches")
    checks.add_argument("--number", type=float, metavar="X", help="the last number is X")
    search = parser.add_argument_group("search")
    search.add_argument("--target", type=float, default=0.99, help="score in [0, 1] to reach (default 0.99)")
    search.add_argument("--confidence", type=float, default=0.95, help="in (0, 1) (default 0.95)")
    search.add_argument("--token-budget", type=int, metavar="N", help="stop after N tokens")
    search.add_argument("--deadline", type=float, metavar="SECONDS", help="stop after this time")


def _demo(arguments: argparse.Namespace) -> None:
    from langchain_optscale import local
    from langchain_optscale.demo import TASKS, run_demo
    from langchain_optscale.progress import console

    if arguments.max_samples < 1 or (arguments.tasks is not None and arguments.tasks < 1):
        raise SettingsError("--max-samples and --tasks must be at least 1")
    out = console(stderr=arguments.json)
    out.print("Starting the embedded model (SmolLM2-135M-Instruct) on this machine ...")
    with local.serve(context=512) as server:
        rows = run_demo(
            server.policy(max_tokens=48),
            out,
            max_samples=arguments.max_samples,
            seed=arguments.seed,
            tasks=TASKS[: arguments.tasks],
        )
    if arguments.json:
        _print_json(rows)


def _ask(arguments: argparse.Namespace) -> None:
    from langchain_optscale.progress import one_line
    from langchain_optscale.runnable import OptScale

    with _policy(arguments) as policy:
        search = OptScale(
            policy=policy,
            verifier=_verifier(arguments),
            target=arguments.target,
            confidence=arguments.confidence,
            max_samples=arguments.max_samples,
            token_budget=arguments.token_budget,
            deadline_s=arguments.deadline,
            seed=arguments.seed,
        )
        with _table(arguments) as callbacks:
            # Of the two paths, the one whose requests an interrupt can close.
            result = asyncio.run(search.ainvoke(arguments.question, {"callbacks": callbacks}))
    if arguments.json:
        _print_json({"answer": result.text, **result.summary(), "record": result.to_dict()})
    else:
        sys.stdout.write(f"{result.text}\n")
        sys.stderr.write(f"{one_line(result)}\n")


@contextlib.contextmanager
def _policy(arguments: argparse.Namespace) -> Iterator[Runnable[Any, Any]]:
    """The chat model to ask; the embedded one is served for as long as it is needed."""
    settings: dict[str, Any] = {"temperature": arguments.temperature, "max_tokens": arguments.max_tokens}
    if arguments.policy_url is None:
        if arguments.policy_model is not None:
            raise SettingsError("--policy-model needs --policy-url; the embedded model has no other name")
        from langchain_optscale import local

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
    # A key is sent only where the user named it for this purpose: --policy-url may be anybody's server.
    key = SecretStr(os.environ.get(_KEY, "not-needed"))
    yield ChatOpenAI(
        base_url=arguments.policy_url, model=arguments.policy_model, api_key=key, max_retries=0, **settings
    )


def _verifier(arguments: argparse.Namespace) -> Verifier:
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
def _table(arguments: argparse.Namespace) -> Iterator[list[Any]]:
    """A live table on standard error, where somebody watches it and it can be drawn."""
    if arguments.json or not sys.stderr.isatty():
        yield []
        return
    from langchain_optscale.progress import SearchTable, console

    try:
        out = console(stderr=True)
    except MissingExtraError:
        yield []
        return
    with SearchTable(arguments.question, out) as table:
        yield [table]


def _print_json(document: Any) -> None:
    sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
