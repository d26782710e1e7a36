"""The demonstration with a model: writing tasks that a small one can reach, and one that it can hardly reach."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import BaseCallbackHandler

from langchain_optscale.cli.screen import in_short
from langchain_optscale.records.decisions import StopReason
from langchain_optscale.runnables.optscale import OptScale
from langchain_optscale.verifiers import EnsembleVerifier, LengthCheck, RequiredWords, Verifier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.runnables import Runnable

    from langchain_optscale.cli.screen import Screen
    from langchain_optscale.engine.result import OptScaleResult

__all__ = ["TASKS", "Task", "live_demo"]

# Of graded checks only a full score will do: a near miss, one word too many, comes close to 1.
TARGET = 0.99
CONFIDENCE = 0.95
# The whole takes a minute at most: no search is begun after this, and none goes on after it.
SECONDS = 50.0


@dataclass(frozen=True)
class Task:
    """A writing task whose constraints a program can check."""

    prompt: str
    verifier: Verifier


TASKS = (
    Task(
        "Write one sentence of at most 12 words that contains the word 'cat'.",
        EnsembleVerifier([LengthCheck(at_most=12), RequiredWords(["cat"])]),
    ),
    Task(
        "Write one sentence of at most 16 words that contains the word 'mountain'.",
        EnsembleVerifier([LengthCheck(at_most=16), RequiredWords(["mountain"])]),
    ),
    Task(
        "Describe the river in 16 to 22 words, without the word 'beautiful'.",
        EnsembleVerifier([LengthCheck(at_least=16, at_most=22), RequiredWords(["river"], forbidden=["beautiful"])]),
    ),
    Task(
        "Write one sentence of at most 18 words with the words 'winter', 'old' and 'light'.",
        EnsembleVerifier([LengthCheck(at_most=18), RequiredWords(["winter", "old", "light"])]),
    ),
    Task(
        "Write one sentence about the sea with exactly 7 words.",
        EnsembleVerifier([LengthCheck(exactly=7), RequiredWords(["sea"])]),
    ),
)


def live_demo(
    policy: Runnable[Any, Any],
    screen: Screen | None,
    *,
    max_samples: int = 16,
    seed: int = 0,
    tasks: Sequence[Task] = TASKS,
    seconds: float = SECONDS,
) -> dict[str, Any]:
    """Search an answer to every task with a model.

    Args:
        policy: The chat model that writes.
        screen: Where to show it, None for nowhere.
        max_samples: The cap of each search.
        seed: Seed of the first candidate.
        tasks: What to write.
        seconds: The most time for all tasks; those for which none is left are not begun.

    Returns:
        One row a task that was begun, the totals, and what best-of-N at the cap would have drawn.
    """
    rows: list[dict[str, Any]] = []
    began = time.monotonic()
    for task in tasks:
        left = seconds - (time.monotonic() - began)
        if left <= 0:
            if screen:
                screen.say(f"The time is up: {len(tasks) - len(rows)} of {len(tasks)} tasks were not begun.")
            break
        search = OptScale(
            policy=policy,
            verifier=task.verifier,
            target=TARGET,
            confidence=CONFIDENCE,
            max_samples=max_samples,
            seed=seed,
            deadline_s=left,
        )
        watch = _Watch(task.prompt, max_samples, screen)
        result = search.invoke(task.prompt, {"callbacks": [watch]})
        rows.append(_row(task.prompt, result, watch.asked))
        if screen:
            _show(screen, task.prompt, result, watch.asked, max_samples)
    samples = sum(row["samples"] for row in rows)
    tokens = sum(row["tokens"] for row in rows)
    # Best-of-N was not drawn: it would take this many candidates, of about as many tokens each.
    bill = {"samples": samples, "tokens": tokens, "best_of_n_samples": max_samples * len(rows)}
    if screen:
        _show_bill(screen, rows, bill, max_samples)
    return {"max_samples": max_samples, "seed": seed, "searches": rows, "bill": bill}


class _Watch(BaseCallbackHandler):
    """Fills a row of the screen as verdicts arrive."""

    run_inline = True  # LangChain then calls it in the order of the events

    def __init__(self, label: str, cap: int, screen: Screen | None) -> None:
        self.asked = self.done = 0
        self._label, self._cap, self._screen = label, cap, screen
        self._lock = threading.Lock()

    def on_custom_event(self, name: str, data: Any, **kwargs: Any) -> None:
        """Count what was requested and what came of it."""
        with self._lock:
            if name == "optscale:round":
                self.asked += len(data["indexes"])
            elif name in {"optscale:verdict", "optscale:failure"}:
                self.done += 1
            else:
                return
            if self._screen:
                self._screen.row(self._label, self.done, self.asked, self._cap)


def _row(prompt: str, result: OptScaleResult, asked: int) -> dict[str, Any]:
    return {
        "prompt": prompt,
        "text": result.text,
        "score": result.score,
        "samples": asked,
        "verified": len(result.verdicts),
        "tokens": result.total_usage.total_tokens,
        "seconds": result.duration_s,
        "stop_reason": result.stop_reason.name,
    }


def _show(screen: Screen, prompt: str, result: OptScaleResult, asked: int, cap: int) -> None:
    note = f"{result.score:.2f}: {in_short(result.stop_reason)}"
    screen.row(prompt, min(asked, len(result.verdicts) + len(result.failures)), asked, cap, note)
    screen.say(f"{screen.arrow} {result.text}", indent=2)
    if result.stop_reason is StopReason.FUTILITY:
        screen.say(
            f"Stopped for futility: by the scores so far, {TARGET:g} is not reachable within the cap of {cap} with "
            f"this model, and the next candidate would gain next to nothing. The best one has {result.score:.2f}.",
            indent=2,
        )
    elif result.score < TARGET:
        screen.say(f"The target of {TARGET:g} was not reached: {result.stop_reason.value}.", indent=2)


def _show_bill(screen: Screen, rows: Sequence[dict[str, Any]], bill: dict[str, int], cap: int) -> None:
    screen.say()
    if not rows:
        return
    reached = sum(row["score"] >= TARGET for row in rows)
    screen.say(
        f"{reached} of {len(rows)} tasks met in full, with {bill['samples']} candidates and {bill['tokens']:,} tokens. "
        f"Best-of-{cap} would draw {bill['best_of_n_samples']} candidates for the same tasks (not drawn here): "
        f"{1 - bill['samples'] / bill['best_of_n_samples']:.0%} saved.",
        bold=True,
    )
