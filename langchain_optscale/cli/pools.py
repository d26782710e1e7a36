"""Commands about recorded candidates: record a pool, replay methods on it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from langchain_optscale.cli.options import (
    add_checks,
    add_command,
    add_policy,
    counter,
    open_policy,
    print_json,
    verifier_of,
    write_text,
)
from langchain_optscale.cli.screen import terminal_width
from langchain_optscale.errors import SettingsError

if TYPE_CHECKING:
    import argparse

    from langchain_optscale.evaluation.metrics import Report

__all__ = ["add_record", "add_replay"]


def add_record(commands: Any) -> None:
    """Add the command `record`."""
    about = "Record candidates and their scores for many questions; run again, it resumes."
    example = "optscale record questions.jsonl -o pool.jsonl -n 16 --max-words 12 --contains river"
    parser = add_command(commands, "record", _record, about, example)
    parser.add_argument("questions", help='JSON lines: {"prompt": ..., "id"?: ..., "gold"?: ...}, or strings')
    parser.add_argument("-o", "--output", required=True, metavar="POOL", help="the pool's file; continued if it exists")
    parser.add_argument("-n", type=int, default=16, metavar="N", help="candidates for each question (default 16)")
    parser.add_argument(
        "--gold",
        choices=("contains", "number"),
        help="right is what contains the gold answer, or whose last number is the gold answer's",
    )
    parser.add_argument(
        "--extract",
        choices=("boxed", "choice", "math", "number", "text"),
        help="how answers are found, for votes; the gold answer is then compared with the answer alone",
    )
    parser.add_argument("--seed", type=int, help="candidate i of every question is drawn with this seed + i")
    parser.add_argument("--max-concurrency", type=int, default=8, metavar="N", help="requests at once (default 8)")
    add_policy(parser)
    add_checks(parser)


def add_replay(commands: Any) -> None:
    """Add the command `replay`."""
    about = "Replay stopping rules and baselines on recorded candidates: what each would draw and return."
    parser = add_command(commands, "replay", _replay, about, "optscale replay pool.jsonl --target 0.95 --plot out.png")
    parser.add_argument("pools", nargs="+", metavar="POOL", help="files with one JSON line a question")
    parser.add_argument("--methods", metavar="A,B", help="which ones; by default all that the pool has data for")
    parser.add_argument(
        "--target", type=float, help="score that is good enough (default: 0.9 for methods that need one)"
    )
    parser.add_argument("--confidence", type=float, default=0.95, help="in (0, 1) (default 0.95)")
    parser.add_argument(
        "--prior", metavar="FILE", help="adds paper-trained and optscale-prior, with what train-prior wrote"
    )
    parser.add_argument("--max-samples", type=int, metavar="N", help="the cap; by default the fewest samples recorded")
    parser.add_argument("--permutations", type=int, default=8, metavar="N", help="orders a question (default 8)")
    parser.add_argument("--seed", type=int, default=0, help="of orders and intervals (default 0)")
    parser.add_argument("--plot", metavar="FILE", help="draw accuracy against samples, a panel for each pool")


def _record(arguments: argparse.Namespace) -> None:
    from langchain_optscale.evaluation.recording import arecord_pool, read_questions

    questions = read_questions(arguments.questions)
    if arguments.gold and not any(question.gold for question in questions):
        raise SettingsError(f'--gold needs gold answers, and no line of {arguments.questions} has a "gold"')
    with open_policy(arguments) as policy, counter(arguments) as show:
        recording = arecord_pool(
            policy,
            verifier_of(arguments, policy),
            questions,
            arguments.n,
            path=arguments.output,
            extract=arguments.extract,
            gold_check=_GOLD_CHECKS.get(arguments.gold),
            seed=arguments.seed,
            max_concurrency=arguments.max_concurrency,
            progress=None if show is None else lambda progress: show(progress.done, progress.total),
        )
        # Async, so that an interrupt cancels the open requests.
        pool = asyncio.run(recording)
    if arguments.json:
        print_json(pool.describe())
    else:
        write_text(f"{len(pool)} questions in {arguments.output}\n")


def _contains(answer: str, gold: str) -> bool:
    return gold.casefold() in answer.casefold()


def _same_number(answer: str, gold: str) -> bool:
    from langchain_optscale.verifiers.checks.text import last_number

    number = last_number(answer)
    return number is not None and number == last_number(gold)


_GOLD_CHECKS = {"contains": _contains, "number": _same_number}


def _replay(arguments: argparse.Namespace) -> None:
    from langchain_optscale.evaluation.catalogue import catalogue
    from langchain_optscale.evaluation.pools import read_pool
    from langchain_optscale.evaluation.replay import replay

    if arguments.plot:
        from langchain_optscale.evaluation.plots import check_picture, plot_reports, save_picture

        check_picture(arguments.plot)
    prior = None
    if arguments.prior is not None:
        from langchain_optscale.learning.learned_prior import LearnedPrior

        prior = LearnedPrior.load(arguments.prior)
    names = None if arguments.methods is None else [name.strip() for name in arguments.methods.split(",")]
    reports = []
    # All are read before the first is replayed, so that a bad line is reported at once.
    for pool in [read_pool(path).scored() for path in arguments.pools]:
        methods = catalogue(
            pool,
            target=arguments.target,
            confidence=arguments.confidence,
            names=names,
            max_samples=arguments.max_samples,
            prior=prior,
        )
        with counter(arguments) as show:
            report = replay(
                pool,
                methods,
                permutations=arguments.permutations,
                seed=arguments.seed,
                max_samples=arguments.max_samples,
                target=arguments.target,
                on_question=show,
            )
        reports.append(report)
    _print_reports(reports, as_json=arguments.json)
    if arguments.plot:
        save_picture(plot_reports(reports), arguments.plot)


def _print_reports(reports: list[Report], *, as_json: bool) -> None:
    if as_json:
        print_json([{"pool": report.pool, **row} for report in reports for row in report.to_dict()])
    else:
        width = terminal_width()
        write_text("\n\n".join(report.table(width) for report in reports) + "\n")
