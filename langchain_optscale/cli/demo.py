"""The demonstration: real writing tasks, a real small model, graded checks, and the price of fixed best-of-N."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_optscale.cli.progress import SearchTable, one_line
from langchain_optscale.errors import printable
from langchain_optscale.runnables.optscale import OptScale
from langchain_optscale.stopping import MaxSamples
from langchain_optscale.verifiers import EnsembleVerifier, LengthCheck, RegexCheck, RequiredWords, Verifier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.runnables import Runnable
    from rich.console import Console

    from langchain_optscale.engine.result import OptScaleResult

__all__ = ["TASKS", "Task", "run_demo"]

# Of graded checks only a full score will do: a near miss, one word too many, comes close to 1.
TARGET = 0.99
CONFIDENCE = 0.9
ROUND = 4


@dataclass(frozen=True)
class Task:
    """A writing task whose constraints a program can check."""

    prompt: str
    verifier: Verifier


TASKS = (
    Task(
        "Write one sentence about the sea with exactly 9 words.",
        EnsembleVerifier([LengthCheck(exactly=9), RequiredWords(["sea"])]),
    ),
    Task(
        "Name exactly four things in a kitchen, separated by commas.",
        EnsembleVerifier([LengthCheck(exactly=4, unit="items"), LengthCheck(at_most=12)]),
    ),
    Task(
        "Write one sentence of at most 12 words that contains the word 'river'.",
        EnsembleVerifier([LengthCheck(at_most=12), RequiredWords(["river"])]),
    ),
    Task(
        "Describe a cat in exactly two sentences.",
        EnsembleVerifier([LengthCheck(exactly=2, unit="sentences"), RequiredWords(["cat"])]),
    ),
    Task(
        "Ask one question about the moon in at most 10 words.",
        EnsembleVerifier([LengthCheck(at_most=10), RequiredWords(["moon"]), RegexCheck(r"\?\s*$")]),
    ),
    Task(
        "Write a weather report in at most 20 words. Mention rain and wind.",
        EnsembleVerifier([LengthCheck(at_most=20), RequiredWords(["rain", "wind"])]),
    ),
)


def run_demo(
    policy: Runnable[Any, Any],
    out: Console,
    *,
    max_samples: int = 16,
    seed: int = 0,
    tasks: Sequence[Task] = TASKS,
) -> list[dict[str, Any]]:
    """Answer every task twice, adaptively and with a fixed number of candidates, and compare.

    Both draw with the same seeds, so that the adaptive search sees the first candidates of the fixed one.

    Args:
        policy: The chat model that writes.
        out: Where to show it.
        max_samples: The cap of the adaptive search, and the number of candidates of the fixed one.
        seed: Seed of the first candidate.
        tasks: What to write.

    Returns:
        One row a task: the prompt, and for both searches the best answer, its score, candidates and tokens; for the
        adaptive one also the reason why it stopped.
    """
    rows = []
    for task in tasks:
        common: dict[str, Any] = {
            "policy": policy,
            "verifier": task.verifier,
            "seed": seed,
            "max_samples": max_samples,
        }
        adaptive = OptScale(
            **common,
            target=TARGET,
            confidence=CONFIDENCE,
            first_round=min(ROUND, max_samples),
            round_size=ROUND,
        )
        fixed = OptScale(**common, stopping=MaxSamples(max_samples), first_round=max_samples, round_size=max_samples)
        with SearchTable(task.prompt, out) as table:
            ours = adaptive.invoke(task.prompt, {"callbacks": [table]})
        out.print(f"  [bold]→[/] {_quoted(ours)}\n    {one_line(ours)}\n")
        theirs = fixed.invoke(task.prompt)
        rows.append({"prompt": task.prompt, "optscale": _row(ours), "best_of_n": _row(theirs)})
    out.print(_comparison(rows, max_samples))
    return rows


def _quoted(result: OptScaleResult) -> str:
    from rich.markup import escape

    return escape(printable(" ".join(result.text.split())))


def _row(result: OptScaleResult) -> dict[str, Any]:
    return {
        "answer": result.text,
        "score": result.score,
        "samples": len(result.candidates),
        "tokens": result.total_usage.total_tokens,
        "seconds": result.duration_s,
        "stop_reason": result.stop_reason.name,
    }


def _comparison(rows: Sequence[dict[str, Any]], max_samples: int) -> Any:
    from rich.table import Table

    table = Table(title=f"OptScale against best-of-{max_samples}, same seeds, same run", title_justify="left")
    table.add_column("task", max_width=46)
    for name in ("score", "samples", "tokens"):
        table.add_column(f"{name}\nours / fixed", justify="right")
    totals = {
        name: [sum(row[side][name] for row in rows) for side in ("optscale", "best_of_n")]
        for name in ("score", "samples", "tokens")
    }
    for row in rows:
        ours, fixed = row["optscale"], row["best_of_n"]
        table.add_row(
            row["prompt"],
            f"{ours['score']:.2f} / {fixed['score']:.2f}",
            f"{ours['samples']} / {fixed['samples']}",
            f"{ours['tokens']} / {fixed['tokens']}",
        )
    table.add_section()
    score, samples, tokens = totals["score"], totals["samples"], totals["tokens"]
    table.add_row(
        "mean score, total samples and tokens",
        f"{score[0] / len(rows):.2f} / {score[1] / len(rows):.2f}",
        f"{samples[0]} / {samples[1]} ({samples[0] / samples[1]:.0%})",
        f"{tokens[0]} / {tokens[1]} ({tokens[0] / tokens[1]:.0%})",
        style="bold",
    )
    return table
