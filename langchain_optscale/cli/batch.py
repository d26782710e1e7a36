"""The command `batch`: answer a file of questions; run again, it resumes."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import sys
import time
from typing import TYPE_CHECKING, Any

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
from langchain_optscale.cli.prices import check_prices
from langchain_optscale.errors import IncompleteBatch, MissingExtraError, SettingsError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from langchain_core.prompt_values import PromptValue

    from langchain_optscale.cli.batch_file import Answers, Questions
    from langchain_optscale.engine.result import OptScaleResult
    from langchain_optscale.records.failures import AllCandidatesFailed
    from langchain_optscale.runnables.budget import Budget
    from langchain_optscale.runnables.optscale import OptScale

__all__ = ["add_batch"]


def add_batch(commands: Any) -> None:
    """Add the command `batch`."""
    about = "Answer every question of a file; run again after an interruption, it resumes."
    example = "optscale batch questions.jsonl -o answers.jsonl --max-words 12 --contains river --max-concurrency 32"
    parser = add_command(commands, "batch", _batch, about, example)
    parser.add_argument("questions", help='JSON lines: strings, {"prompt": ..., "id"?: ...} or {"messages": [...]}')
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="answers, a line each; continued")
    parser.add_argument("--record", action="store_true", help="keep the whole record of every search, not its figures")
    parser.add_argument("--retry-failed", action="store_true", help="ask questions that failed earlier once more")
    parser.add_argument("--max-concurrency", type=int, default=16, metavar="N", help="requests at once (default 16)")
    parser.add_argument(
        "--give-up-after",
        type=int,
        default=20,
        metavar="N",
        help="stop when N questions in a row have failed (default 20); they are asked again in the next run",
    )
    parser.add_argument(
        "--budget",
        metavar="UNIT=N",
        help="samples=N, tokens=N or cost=X for all questions together, which go where they help most",
    )
    parser.add_argument(
        "--window", type=int, metavar="N", help="questions that share a part of the budget (256), or Ray's block"
    )
    engine = parser.add_argument_group("engine")
    engine.add_argument("--engine", choices=["local", "ray"], default="local", help="where to search (default local)")
    engine.add_argument("--address", metavar="ADDRESS", help="of a running Ray cluster; by default one of its own")
    engine.add_argument("--workers", type=int, metavar="N", help="processes on the Ray cluster (default 2)")
    add_instruction(parser)
    add_policy(parser)
    add_checks(parser)
    search = add_search(parser)
    search.add_argument("--candidate-timeout", type=float, metavar="SECONDS", help="longest time for one request")


def _batch(arguments: argparse.Namespace) -> None:
    from langchain_optscale.cli.batch_file import Answers, Questions
    from langchain_optscale.models.policy import policy_name
    from langchain_optscale.runnables.optscale import OptScale

    _check(arguments)
    budget = _budget(arguments)
    # Workers read the questions themselves.
    questions = Questions(arguments.questions) if arguments.engine == "local" else None
    began = time.perf_counter()
    with open_policy(arguments) as policy:
        settings = search_settings(arguments, policy)
        search = OptScale(policy=policy, candidate_timeout_s=arguments.candidate_timeout, **settings)
        if budget is not None and budget.unit == "cost":
            check_prices(arguments, search)
        asked = {
            **{name: settings[name] for name in ("target", "confidence", "max_samples", "seed")},
            **({} if settings["effort"] == "medium" else {"effort": settings["effort"]}),
            **({} if arguments.system is None else {"system": arguments.system}),
            **({} if settings["prior"] is None else {"prior": _digest(search.prior)}),
            "policy": policy_name(policy),
            "verifier": search.verifier.name,
        }
        if questions is None:
            _on_ray(arguments, asked, budget, began)
            return
        with Answers(arguments.output, asked, retry_failed=arguments.retry_failed) as answers:
            earlier = len(answers)
            missing = questions.count - earlier
            left = None if budget is None else budget.less(_spent(budget, answers.summary()), missing)
            kept = _resumable(lambda: f"{len(answers)} of {questions.count}")
            with _bar(arguments, questions.count) as advance, kept:
                # Async, so that an interrupt cancels the open requests.
                asyncio.run(_answer(search, questions, answers, arguments, advance, left))
            figures = {
                **answers.summary(),
                "answered_now": len(answers) - earlier,
                "duration_s": time.perf_counter() - began,
            }
    _report(arguments, figures, budget)


def _check(arguments: argparse.Namespace) -> None:
    """Check what can be checked before anything is opened.

    Raises:
        SettingsError: An option is out of range, or has no effect beside the others.
    """
    for name in ("max_concurrency", "give_up_after", "window", "workers"):
        if (given := getattr(arguments, name)) is not None and given < 1:
            raise SettingsError(f"--{name.replace('_', '-')} must be at least 1, got {given}")
    if os.path.realpath(arguments.questions) == os.path.realpath(arguments.output):
        raise SettingsError("-o names the file of questions; choose another file for the answers")
    if arguments.engine == "ray":
        if arguments.record or arguments.retry_failed:
            raise SettingsError("--engine ray keeps no whole records and asks no failed question again: leave both out")
        return
    for name in ("address", "workers"):
        if getattr(arguments, name) is not None:
            raise SettingsError(f"--{name} is for --engine ray: give that too, or leave it out")
    if arguments.window is not None and arguments.budget is None:
        raise SettingsError("--window needs --budget, which the questions of a window share")


@contextlib.contextmanager
def _resumable(kept: Callable[[], str]) -> Iterator[None]:
    """Say what an interrupted run has kept."""
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"interrupted; {kept()} questions are kept; run the same command again to resume"
        ) from None


def _on_ray(arguments: argparse.Namespace, asked: dict[str, Any], budget: Budget | None, began: float) -> None:
    """Search on a Ray cluster; the output is a directory, in which each worker writes a file."""
    from langchain_optscale.cli.batch_ray import answer_on_ray, kept_on_ray

    with _bar(arguments, 0) as advance, _resumable(lambda: str(kept_on_ray(arguments.output))):
        figures = answer_on_ray(arguments, asked, budget, advance)
    _report(arguments, {**figures, "duration_s": time.perf_counter() - began}, budget)


def _report(arguments: argparse.Namespace, figures: dict[str, Any], budget: Budget | None) -> None:
    if budget is not None:
        figures["budget"] = {"unit": budget.unit, "amount": budget.amount, "spent": _spent(budget, figures)}
    if arguments.json:
        print_json(figures)
    else:
        write_text(_sentence(figures) + "\n")
    if figures["failed"]:
        raise IncompleteBatch(
            f"{figures['failed']} of {figures['questions']} questions have no answer; "
            f"--retry-failed asks them again, and their lines in {arguments.output} say why"
        )


async def _answer(
    search: OptScale,
    questions: Questions,
    answers: Answers,
    arguments: argparse.Namespace,
    advance: Callable[[int, int], None],
    budget: Budget | None = None,
) -> None:
    """Ask every question without an answer line; each outcome is on disk before the next question starts."""
    from langchain_optscale.cli.short_answers import instructed
    from langchain_optscale.records.failures import AllCandidatesFailed

    in_progress: dict[int, str] = {}
    failed_in_a_row: list[tuple[str, AllCandidatesFailed]] = []

    def missing() -> Iterator[PromptValue]:
        number = 0
        for id_, prompt in questions:
            if id_ not in answers:
                in_progress[number] = id_
                number += 1
                yield instructed(arguments, prompt, is_checked=is_checked(arguments))

    async def keep(id_: str, outcome: OptScaleResult | AllCandidatesFailed) -> None:
        await asyncio.to_thread(answers.keep, id_, outcome, record=arguments.record)
        advance(len(answers), answers.failed)

    advance(len(answers), answers.failed)
    completed = search.abatch_as_completed(
        missing(), {"max_concurrency": arguments.max_concurrency}, return_exceptions=True, budget=budget
    )
    async with contextlib.aclosing(completed):
        async for index, outcome in completed:
            id_ = in_progress.pop(index)
            if isinstance(outcome, AllCandidatesFailed):
                # Written once another question succeeds: until then the endpoint may be at fault.
                failed_in_a_row.append((id_, outcome))
                if len(failed_in_a_row) >= arguments.give_up_after:
                    raise IncompleteBatch(
                        f"{len(failed_in_a_row)} questions in a row failed, the last because {outcome}; "
                        f"{len(answers)} of {questions.count} are kept; run the same command again to resume"
                    )
            elif isinstance(outcome, Exception):
                raise outcome
            else:
                for failed in failed_in_a_row:
                    await keep(*failed)
                failed_in_a_row.clear()
                await keep(id_, outcome)
    for failed in failed_in_a_row:
        await keep(*failed)


def _budget(arguments: argparse.Namespace) -> Budget | None:
    """The budget of `--budget`; None without one.

    Raises:
        SettingsError: It is none.
    """
    from langchain_optscale.runnables.budget import Budget

    if arguments.budget is None:
        return None
    unit, _, amount = arguments.budget.partition("=")
    convert = {"samples": int, "tokens": int, "cost": float}.get(unit)
    try:
        # int() and float() read more than numbers in decimal digits, such as 1_000 and nan.
        value = convert(amount) if convert and amount.isascii() and "_" not in amount else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value <= 0:
        raise SettingsError(
            "--budget must be samples=N or tokens=N with a whole number N of at least 1, or cost=X with X above 0, "
            f"got {arguments.budget!r}"
        )
    given: dict[str, Any] = {unit: value}
    return Budget(**given, window=256 if arguments.window is None else arguments.window)


def _spent(budget: Budget, figures: dict[str, Any]) -> float:
    """What of the budget was consumed for the answers that are there.

    Raises:
        SettingsError: That is not known.
    """
    if not figures["answered"]:
        return 0.0
    spent: float | None = figures["candidates" if budget.unit == "samples" else budget.unit]
    if spent is None:
        raise SettingsError(
            f"{figures['output']} has answers without a cost, so that what is left of the budget is not known; choose "
            "another output"
        )
    return spent


def _digest(prior: Any) -> str:
    """What tells whether a file of answers was made with the same prior."""
    import hashlib  # takes longer to load than this module

    return hashlib.sha256(repr(prior).encode()).hexdigest()[:16]


def _sentence(figures: dict[str, Any]) -> str:
    answered = figures["answered"]
    words = f"{figures['questions']} questions in {figures['output']}: {answered} answered, {figures['failed']} failed"
    if answered:
        words += (
            f"; mean score {figures['mean_score']:.3f}, {figures['candidates'] / answered:.1f} candidates and "
            f"{figures['tokens'] / answered:.0f} tokens a question"
        )
    if answered and figures["saved_tokens"]:
        whole = figures["tokens"] + figures["saved_tokens"]
        words += f", {figures['saved_tokens'] / whole:.0%} of the tokens of best-of-N saved, at the mean of those drawn"
    if figures["cost"] is not None:
        words += f"; cost {figures['cost']:.4g}"
    if (budget := figures.get("budget")) is not None:
        unit = "" if budget["unit"] == "cost" else f" {budget['unit']}"
        words += f"; {budget['spent']:,.10g} of the budget of {budget['amount']:,.10g}{unit} spent"
    if figures["answered_now"]:
        words += f"; {figures['answered_now']} of them now, in {figures['duration_s']:.1f} s"
    return words


@contextlib.contextmanager
def _bar(arguments: argparse.Namespace, total: int) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on standard error, if that is a terminal and rich is installed."""
    progress: Any = None
    if not arguments.json and sys.stderr.isatty():
        with contextlib.suppress(MissingExtraError):
            from langchain_optscale.cli.progress import batch_bar

            progress = batch_bar()
    if progress is None:
        yield lambda done, failed: None
        return
    with progress:
        task = None

        def advance(done: int, failed: int) -> None:
            nonlocal task
            if task is None:
                # Answers of earlier runs count as done, but not towards the rate.
                task = progress.add_task("", total=total, completed=done, failed=failed)
            progress.update(task, completed=done, failed=failed)

        yield advance
