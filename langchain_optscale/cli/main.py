"""The command `optscale`: parse, call, print.

Exit status 0 when the work was done, 1 when it failed, 2 for bad input, 130 when interrupted. An error is one sentence
on standard error, and below it a line with the address where it is explained. With --json, standard output carries one
JSON document and nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import os
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from langchain_optscale import __version__
from langchain_optscale.cli.batch import add_batch
from langchain_optscale.cli.calibrate import add_calibrate
from langchain_optscale.cli.demo import add_demo
from langchain_optscale.cli.doctor import add_doctor
from langchain_optscale.cli.learn import add_learn
from langchain_optscale.cli.options import (
    add_checks,
    add_command,
    add_instruction,
    add_policy,
    add_search,
    is_checked,
    open_policy,
    print_json,
    search_settings,
    write_text,
)
from langchain_optscale.cli.pools import add_record, add_replay
from langchain_optscale.cli.priors import add_train_prior
from langchain_optscale.cli.report import add_report
from langchain_optscale.cli.store import add_store
from langchain_optscale.errors import (
    InvalidRecordError,
    MissingExtraError,
    MissingLogprobsError,
    OptScaleError,
    SettingsError,
    printable,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: The arguments after the program's name; None takes those of the process.

    Returns:
        The exit status.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            # A terminal of another encoding shows an escape for what it lacks: a paid answer is never lost.
            stream.reconfigure(errors="backslashreplace")
    arguments = _parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except (SettingsError, InvalidRecordError) as error:
        return _report(error, 2, error.help_line)
    except OptScaleError as error:
        return _report(f"{error}{_advice(error)}", 1, error.help_line)
    except KeyboardInterrupt as error:
        return _report(str(error) or "interrupted", 130)
    except BrokenPipeError:
        # The reader of our output has closed it; the interpreter must not flush it again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


def _advice(error: OptScaleError) -> str:
    """What an option of the command does about an error; empty where its own message says enough."""
    from langchain_optscale.records.failures import AllCandidatesFailed

    if isinstance(error, AllCandidatesFailed) and any(
        isinstance(failure.cause, MissingLogprobsError) for failure in error.failures.values()
    ):
        return "; for this command: give a check, such as --max-words 5, or --judge policy"
    return ""


def _report(error: object, status: int, help_line: str | None = None) -> int:
    sentence = " ".join(str(error).split())
    write_text("".join(f"{line}\n" for line in (f"optscale: {sentence}", help_line) if line), stream=sys.stderr)
    return status


class _Parser(argparse.ArgumentParser):
    """Reports errors in one sentence, as the commands do; its subparsers are of its class."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, printable(f"optscale: {message}; see {self.prog} --help\n"))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="optscale", description="Adaptive best-of-N: draw candidates until no more are worth their price."
    )
    parser.add_argument("--version", action="version", version=f"langchain-optscale {__version__}")
    parser.set_defaults(run=lambda _: parser.print_help())
    commands = parser.add_subparsers(metavar="COMMAND")
    add_demo(commands)
    _add_ask(commands)
    add_batch(commands)
    add_record(commands)
    add_replay(commands)
    add_calibrate(commands)
    add_train_prior(commands)
    add_store(commands)
    add_learn(commands)
    add_report(commands)
    add_doctor(commands)
    return parser


def _add_ask(commands: Any) -> None:
    about = "Answer one question with the embedded model, a provider's model, or any OpenAI-compatible endpoint."
    example = 'optscale ask "Name three rivers, separated by commas." --items 3 --max-words 6'
    parser = add_command(commands, "ask", _ask, about, example)
    parser.add_argument("question", nargs="?", help='"-", or none in a pipe, reads it from standard input')
    add_instruction(parser)
    add_policy(parser)
    add_checks(parser)
    add_search(parser)


def _ask(arguments: argparse.Namespace) -> None:
    from langchain_optscale.cli.progress import one_line
    from langchain_optscale.cli.short_answers import instructed
    from langchain_optscale.runnables.optscale import OptScale

    arguments.question = _question(arguments.question)
    with open_policy(arguments) as policy:
        search = OptScale(policy=policy, **search_settings(arguments, policy))
        with _table(arguments) as callbacks:
            # Async, so that an interrupt cancels the open requests.
            prompt = instructed(arguments, arguments.question, is_checked=is_checked(arguments))
            result = asyncio.run(search.ainvoke(prompt, {"callbacks": callbacks}))
    if arguments.json:
        print_json({"answer": result.text, **result.summary(), "record": result.to_dict()})
    else:
        write_text(f"{result.text}\n")
        write_text(f"{one_line(result)}\n", stream=sys.stderr)


def _question(given: str | None) -> str:
    """The question as an argument or, for "-" and in a pipe, on standard input.

    Raises:
        SettingsError: There is none, or it is empty: nothing is drawn for it.
    """
    if given is None and sys.stdin.isatty():
        raise SettingsError('ask needs a question, such as optscale ask "Name a river."; "-" reads it from a pipe')
    question = sys.stdin.read() if given is None or given == "-" else given
    if not question.strip():
        raise SettingsError("the question is empty: nothing was asked, and nothing was paid")
    return question


@contextlib.contextmanager
def _table(arguments: argparse.Namespace) -> Iterator[list[Any]]:
    """A live table on standard error, if that is a terminal and rich is installed."""
    if arguments.json or not sys.stderr.isatty():
        yield []
        return
    from langchain_optscale.cli.progress import SearchTable, console

    try:
        out = console(stderr=True)
    except MissingExtraError:
        yield []
        return
    with SearchTable(arguments.question, out) as table:
        yield [table]


if __name__ == "__main__":
    sys.exit(main())
