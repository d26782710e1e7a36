"""`optscale batch --engine ray`: the questions of a file, answered on the workers of a Ray cluster."""

from __future__ import annotations

import atexit
from collections import Counter
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_optscale.cli.options import is_checked, open_policy, search_settings
from langchain_optscale.cli.short_answers import instructed
from langchain_optscale.distributed import map_dataset
from langchain_optscale.distributed.dataset import check_ray
from langchain_optscale.distributed.journal import read_lines
from langchain_optscale.errors import SettingsError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from langchain_optscale.runnables.budget import Budget
    from langchain_optscale.runnables.optscale import OptScale

__all__ = ["answer_on_ray", "kept_on_ray"]

_READERS = {".jsonl": "read_text", ".json": "read_text", ".parquet": "read_parquet", ".csv": "read_csv"}


def answer_on_ray(
    arguments: argparse.Namespace,
    asked: dict[str, Any],
    budget: Budget | None,
    advance: Callable[[int, int], None],
) -> dict[str, Any]:
    """Answer a file of questions, or a directory of such files; the figures of all answers that are there then.

    Raises:
        MissingExtraError: Ray is not installed.
        SettingsError: The questions have an unknown format, or a setting does not fit.
    """
    check_ray()
    import ray

    begun_here = not ray.is_initialized()
    if begun_here:
        ray.init(address=arguments.address, include_dashboard=False, log_to_driver=False)
    try:
        dataset = map_dataset(
            _read(arguments.questions),
            partial(_made, arguments),
            workers=2 if arguments.workers is None else arguments.workers,
            max_concurrency=arguments.max_concurrency,
            block=arguments.window,
            # Workers run in directories of their own.
            output=str(Path(arguments.output).absolute()),
            budget=budget,
            asked=asked,
            prepare=partial(
                _instructed, arguments.system, arguments.policy, arguments.policy_url, is_checked(arguments)
            ),
            give_up_after=arguments.give_up_after,
        )
        done = failed = 0
        for row in dataset.iter_rows():
            done += 1
            failed += row["error"] is not None
            advance(done, failed)
        return {**_figures(arguments.output), "answered_now": done}
    finally:
        if begun_here:
            ray.shutdown()


def kept_on_ray(output: str) -> int:
    """How many questions have a line in a directory of answers."""
    return sum(1 for _ in read_lines(output))


# What a worker has opened, such as an embedded model, ends with its process.
_opened = ExitStack()
atexit.register(_opened.close)


def _made(arguments: argparse.Namespace) -> OptScale:
    """The search of the options, made on a worker: keys come from the environment there."""
    from langchain_optscale.runnables.optscale import OptScale

    policy = _opened.enter_context(open_policy(arguments))
    settings = search_settings(arguments, policy)
    return OptScale(policy=policy, candidate_timeout_s=arguments.candidate_timeout, **settings)


def _instructed(system: str | None, policy: str | None, policy_url: str | None, checked: bool, prompt: Any) -> Any:
    """The prompt with the instruction that the options ask for; the options hold no key."""
    from argparse import Namespace

    return instructed(Namespace(system=system, policy=policy, policy_url=policy_url), prompt, is_checked=checked)


def _read(questions: str) -> Any:
    import ray

    path = Path(questions)
    if not path.exists():
        raise SettingsError(f"{questions} cannot be read: there is no such file or directory")
    inside = sorted(path.iterdir()) if path.is_dir() else [path]
    kinds = {one.suffix for one in inside}
    if len(kinds) != 1 or (kind := kinds.pop()) not in _READERS:
        raise SettingsError(
            f"{questions} must be one file of {', '.join(_READERS)}, or a directory of one kind of these"
        )
    return getattr(ray.data, _READERS[kind])([str(one.absolute()) for one in inside])


def _figures(output: str) -> dict[str, Any]:
    """Totals of all answers in a directory, as `optscale batch` reports them of a file."""
    reasons: Counter[str] = Counter()
    answered = failed = candidates = tokens = saved = 0
    scores, cost = 0.0, 0.0
    has_cost = True
    for line in read_lines(output):
        if "error" in line:
            failed += 1
            continue
        answered += 1
        scores += line["score"]
        candidates += line["drawn"]
        tokens += sum(one.get("input_tokens", 0) + one.get("output_tokens", 0) for one in line["usage"].values())
        saved += (line.get("saved") or {}).get("tokens", 0)
        has_cost = has_cost and line.get("cost") is not None
        cost += line.get("cost") or 0.0
        reasons[line["stop_reason"]] += 1
    return {
        "output": output,
        "questions": answered + failed,
        "answered": answered,
        "failed": failed,
        "mean_score": scores / answered if answered else None,
        "candidates": candidates,
        "tokens": tokens,
        "saved_tokens": saved,
        "cost": cost if answered and has_cost else None,
        "stop_reasons": dict(reasons.most_common()),
    }
