"""A Ray dataset of questions becomes a dataset of answers."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

from langchain_optscale.distributed.journal import read_lines
from langchain_optscale.distributed.worker import Answering, Plan
from langchain_optscale.errors import MissingExtraError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from langchain_core.prompt_values import PromptValue

    from langchain_optscale.runnables.budget import Budget
    from langchain_optscale.runnables.optscale import OptScale

__all__ = ["check_ray", "default_block", "map_dataset"]

_CPUS_A_WORKER = 0.5
_LEAST_BLOCK, _BLOCK_A_REQUEST = 256, 32


def check_ray() -> None:
    """Check that Ray Data is installed.

    Raises:
        MissingExtraError: It is not.
    """
    if any(importlib.util.find_spec(name) is None for name in ("ray", "pyarrow")):
        raise MissingExtraError("The engine Ray", 'pip install "langchain-optscale[ray]"')


def map_dataset(
    dataset: Any,
    search: OptScale | Callable[[], OptScale],
    *,
    workers: int = 2,
    max_concurrency: int = 16,
    block: int | None = None,
    output: str | None = None,
    budget: Budget | None = None,
    asked: Mapping[str, Any] | None = None,
    prepare: Callable[[PromptValue], PromptValue] | None = None,
    give_up_after: int = 20,
) -> Any:
    """Answer every question of a dataset, on the workers of a Ray cluster.

    The search is sent to each worker as its settings: models are made there, with keys from the environment of the
    worker, as in `ray.init(runtime_env={"env_vars": ...})`. A row that is no question, and a question without an
    answer, becomes a row with an error. A worker that dies is replaced, and its block is done again; with `output`
    only what has no answer line yet is asked again, and only that is in the dataset. The dataset is lazy, as those of
    Ray Data are: nothing happens before it is consumed, as by `write_parquet`, `write_csv` or `iter_rows`.

    Args:
        dataset: A `ray.data.Dataset` with the column "prompt" (a text) or "messages", and "id" where questions have
            one; or with the single column "text", each a line of JSON lines.
        search: What to search with; or a function that makes it on each worker, where a model has a key of its own
            that no environment variable of its provider names.
        workers: Processes, at least 1, each with half a CPU of the cluster, since they mostly wait for endpoints.
            One CPU at least must be left for reading.
        max_concurrency: Requests under way at once over all workers, at least `workers`.
        block: Questions that a worker takes at once, at least 1. It takes the next ones when the last of them is
            answered, so a block should be many times the requests of a worker: by default 256, or 32 times these where
            that is more.
        output: A directory in which every worker writes answer lines, on a file system that all of them share. A run
            that finds answers there goes on: their questions are left out.
        budget: What all questions may consume together; every block gets the share of its questions. Each block is a
            window of its own, and what one leaves is not given to another.
        asked: What is stored beside each answer; a run with other values does not continue the directory.
        prepare: Makes the prompt of a question; it must be possible to pickle it.
        give_up_after: So many questions in a row without an answer, on one worker, end the run.

    Returns:
        A dataset with the columns `distributed.worker.COLUMNS`, in the order in which blocks are completed.

    Raises:
        MissingExtraError: Ray is not installed.
        SettingsError: A number is out of range, or the budget is too small.

    Example:
        >>> import ray  # doctest: +SKIP
        >>> questions = ray.data.from_items([{"id": "1", "prompt": "What is 2 + 2?"}])  # doctest: +SKIP
        >>> map_dataset(questions, search, output="answers").take_all()[0]["answer"]  # doctest: +SKIP
        '4'
    """
    check_ray()
    import ray

    block = default_block(workers, max_concurrency) if block is None else block
    for name, value in (("workers", workers), ("block", block), ("give_up_after", give_up_after)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise SettingsError(f"{name} must be a whole number of at least 1, got {value!r}")
    if max_concurrency < workers:
        raise SettingsError(f"max_concurrency ({max_concurrency}) must not be smaller than workers ({workers})")
    if budget is not None:
        spent, there = _spent(budget, output)
        budget = budget.less(spent, max(0, dataset.count() - there))
    _check_cpus(workers)
    plan = Plan(search, max_concurrency // workers, output, dict(asked or {}), prepare, budget, give_up_after)
    return dataset.map_batches(
        Answering,
        fn_constructor_args=(plan,),
        batch_size=block,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_cpus=_CPUS_A_WORKER,
    )


def default_block(workers: int, max_concurrency: int) -> int:
    """The questions that a worker takes at once: 256, or 32 times the requests of a worker where that is more.

    The requests of a worker stand idle while the last questions of a block end, so that a block of so many times the
    requests loses few per cent; `benchmarks.ray_blocks` measures it.

    Args:
        workers: Processes, at least 1.
        max_concurrency: Requests under way at once over all of them.

    Example:
        >>> default_block(2, 16), default_block(2, 64), default_block(64, 2048)
        (256, 1024, 1024)
    """
    return max(_LEAST_BLOCK, _BLOCK_A_REQUEST * max_concurrency // max(workers, 1))


def _check_cpus(workers: int) -> None:
    """Check that the workers leave a CPU for reading, without which they would wait for questions for ever.

    Raises:
        SettingsError: They leave none.
    """
    import ray

    if not ray.is_initialized():
        ray.init()
    cpus = ray.cluster_resources().get("CPU", 0.0)
    if cpus < 1.0 + workers * _CPUS_A_WORKER:
        raise SettingsError(
            f"{workers} workers leave no CPU for reading, since the cluster has {cpus:g} and a worker takes "
            f"{_CPUS_A_WORKER:g}; give fewer workers"
        )


def _spent(budget: Budget, output: str | None) -> tuple[float, int]:
    """What earlier runs have consumed for the answers in a directory, and how many these are."""
    lines = 0
    spent = 0.0
    for line in () if output is None else read_lines(output):
        lines += 1
        if budget.samples is not None:
            spent += line.get("drawn", 0)
        elif budget.tokens is not None:
            spent += sum(sum(usage.get(name, 0) for name in _TOKENS) for usage in line.get("usage", {}).values())
        elif "error" not in line:
            spent += _cost(line, output)
    return spent, lines


def _cost(line: Mapping[str, Any], output: str | None) -> float:
    cost = line.get("cost")
    if not isinstance(cost, int | float):
        raise SettingsError(
            f"{output}: the answer of question {line['id']!r} has no cost, so that what is left of the budget is not "
            "known; choose another directory"
        )
    return float(cost)


_TOKENS = ("input_tokens", "output_tokens")
