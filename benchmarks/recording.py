"""Recording a pool from the embedded model, question by question: what is recorded already is not drawn again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from benchmarks.completions import CompletionPolicy
from langchain_optscale.evaluation.pools import read_pool
from langchain_optscale.evaluation.recording import record_pool
from langchain_optscale.evaluation.samples import question_to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from langchain_core.language_models import BaseChatModel

    from langchain_optscale import Verifier
    from langchain_optscale.endpoints.local import LocalServer
    from langchain_optscale.evaluation.pools import Question, Sample

__all__ = ["SEED_STEP", "record_missing", "short_completions"]

SEED_STEP = 1000
"""How far the seeds of two questions lie apart, so that none is shared."""


def short_completions(server: LocalServer) -> CompletionPolicy:
    """The embedded model as one that completes a line."""
    return CompletionPolicy(
        base_url=server.base_url,
        model=server.model,
        max_tokens=6,
        stop=["\n"],
        metadata={"optscale_max_n": server.n_parallel},
    )


def record_missing(
    path: Path,
    policy: BaseChatModel,
    tasks: Sequence[tuple[Question, Verifier]],
    *,
    candidates: int,
    first_seed: int = 0,
    shown: Callable[[str], str] = str,
    kept: Callable[[Sample], Sample],
    **settings: Any,
) -> None:
    """Append the questions that the file has not yet, one line each.

    Args:
        path: The pool's file.
        policy: What draws.
        tasks: Questions with their verifiers.
        candidates: How many are drawn for each.
        first_seed: The seed of the first question.
        shown: Makes the prompt that is sent of the one that is kept.
        kept: What is kept of a sample.
        **settings: Further ones of `record_pool`.
    """
    done = {question.id for question in read_pool(path)} if path.exists() else set()
    for number, (question, verifier) in enumerate(tasks):
        if question.id in done:
            continue
        (recorded,) = record_pool(
            policy,
            verifier,
            [replace(question, prompt=shown(question.prompt))],
            candidates,
            seed=first_seed + SEED_STEP * number,
            max_concurrency=2,
            **settings,
        )
        samples = tuple(map(kept, recorded.samples))
        with path.open("ab") as file:
            file.write(question_to_json(replace(recorded, prompt=question.prompt, samples=samples)))
