"""The demonstration without a model: recorded candidates that ship with the package, through the real session."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Any

from langchain_optscale.cli.screen import in_short
from langchain_optscale.errors import SettingsError
from langchain_optscale.evaluation.catalogue import METHODS
from langchain_optscale.evaluation.pools import read_pool
from langchain_optscale.evaluation.replay import drawing_orders
from langchain_optscale.records.decisions import StopReason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_optscale.cli.screen import Screen
    from langchain_optscale.evaluation.methods import Outcome
    from langchain_optscale.evaluation.samples import Question

__all__ = ["KINDS", "Kind", "recorded_questions", "replay_demo"]

CONFIDENCE = 0.95
# On a terminal a candidate appears every so often, so that the searches can be watched.
_PACE_S = 0.015


@dataclass(frozen=True)
class Kind:
    """A recorded pool: its file in `cli/recorded`, what stands there, and the target of its searches."""

    name: str
    about: str
    target: float
    methods: tuple[str, ...]


KINDS = (
    Kind(
        "facts",
        "Questions with one right answer; candidates are scored by the model's own confidence.",
        0.9,
        ("optscale", "best-of-n", "self-consistency"),
    ),
    Kind(
        "writing",
        "Writing tasks; a program checks the constraints and scores how nearly they are met.",
        0.99,
        ("optscale", "best-of-n"),
    ),
)


def recorded_questions(kind: Kind, *, seed: int = 0, tasks: int | None = None) -> list[Question]:
    """The recorded questions of a kind.

    Args:
        kind: Which ones.
        seed: 0 keeps the order in which the candidates were drawn; another number gives another order of each.
        tasks: Only the first ones.
    """
    with as_file(files("langchain_optscale.cli") / "recorded" / f"{kind.name}.jsonl") as path:
        questions = list(read_pool(path))[:tasks]
    if not seed:
        return questions
    return [
        replace(question, samples=tuple(question.samples[place] for place in drawing_orders(question, 2, seed)[1]))
        for question in questions
    ]


def replay_demo(
    screen: Screen | None, *, max_samples: int = 16, seed: int = 0, tasks: int | None = None
) -> dict[str, Any]:
    """Replay the recorded questions under the default rule, best-of-N and majority, and show the bill.

    Requested candidates are billed, those too that were in progress when a search ended.

    Args:
        screen: Where to show it, None for nowhere.
        max_samples: The cap, and the number of candidates of the others, from 1 to 16.
        seed: Of the order of the candidates, see `recorded_questions`.
        tasks: Only the first questions of each kind.

    Returns:
        For each kind every search, and the bill of every method.

    Raises:
        SettingsError: More candidates are asked for than were recorded.
    """
    kinds = []
    for kind in KINDS:
        questions = recorded_questions(kind, seed=seed, tasks=tasks)
        recorded = min(len(question.samples) for question in questions)
        if max_samples > recorded:
            raise SettingsError(
                f"--max-samples must be at most the {recorded} candidates that are recorded of each question, "
                f"got {max_samples}"
            )
        if screen:
            screen.say()
            screen.say(f"{len(questions)} {kind.about[0].lower()}{kind.about[1:]}", bold=True)
        outcomes = {name: _run(name, kind, questions, max_samples) for name in kind.methods[1:]}
        ours = []
        method = METHODS["optscale"](kind.target, CONFIDENCE, max_samples)
        for question in questions:
            outcome = method.run(question, max_samples)
            ours.append(outcome)
            if screen:
                _show(screen, question, outcome, max_samples)
        bill = [_bill(name, questions, made) for name, made in {"optscale": ours, **outcomes}.items()]
        searches = [_row(question, outcome) for question, outcome in zip(questions, ours, strict=True)]
        kinds.append({"kind": kind.name, "target": kind.target, "searches": searches, "bill": bill})
        if screen:
            if any(outcome.stop_reason is StopReason.FUTILITY for outcome in ours):
                screen.say(
                    "Stopped for futility: by the scores so far, the target is not reachable within the cap, and one "
                    "more candidate would gain next to nothing. The best one is returned."
                )
            screen.say()
            _show_bill(screen, bill, max_samples)
    return {"max_samples": max_samples, "confidence": CONFIDENCE, "seed": seed, "kinds": kinds}


def _run(name: str, kind: Kind, questions: Sequence[Question], max_samples: int) -> list[Outcome]:
    method = METHODS[name](kind.target, CONFIDENCE, max_samples)
    return [method.run(question, max_samples) for question in questions]


def _show(screen: Screen, question: Question, outcome: Outcome, cap: int) -> None:
    if screen.live:
        for drawn in range(outcome.drawn + 1):
            screen.row(question.prompt, drawn, drawn, cap)
            time.sleep(_PACE_S)
    chosen = question.samples[outcome.chosen]
    if chosen.correct is None:
        what = f"{chosen.score:.2f}"
    else:
        what = f"{' '.join((chosen.text or '').split())} {screen.tick if chosen.correct else screen.cross}"
    screen.row(question.prompt, outcome.drawn, outcome.asked, cap, f"{what}: {in_short(outcome.stop_reason)}")


def _row(question: Question, outcome: Outcome) -> dict[str, Any]:
    chosen = question.samples[outcome.chosen]
    return {
        "id": question.id,
        "prompt": question.prompt,
        "text": chosen.text,
        "score": chosen.score,
        "correct": chosen.correct,
        "samples": outcome.asked,
        "verified": outcome.drawn,
        "stop_reason": outcome.stop_reason.name,
    }


def _bill(name: str, questions: Sequence[Question], outcomes: Sequence[Outcome]) -> dict[str, Any]:
    pairs = list(zip(questions, outcomes, strict=True))
    chosen = [question.samples[outcome.chosen] for question, outcome in pairs]
    labelled = all(sample.correct is not None for sample in chosen)
    values = [float(bool(sample.correct)) if labelled else sample.score or 0.0 for sample in chosen]
    return {
        "method": name,
        "measure": "accuracy" if labelled else "mean score",
        "quality": sum(values) / len(values),
        "samples": sum(outcome.asked for outcome in outcomes),
        "tokens": sum(
            sample.tokens or 0 for question, outcome in pairs for sample in question.samples[: outcome.asked]
        ),
    }


def _show_bill(screen: Screen, bill: Sequence[dict[str, Any]], cap: int) -> None:
    full = max(row["samples"] for row in bill)
    names = {"best-of-n": f"best-of-{cap}", "self-consistency": f"majority of {cap}"}
    labelled = bill[0]["measure"] == "accuracy"
    rows = [
        (
            names.get(row["method"], row["method"]),
            f"{row['quality']:.0%}" if labelled else f"{row['quality']:.3f}",
            f"{row['samples']:,}",
            f"{row['samples'] / full:.0%}",
            f"{row['tokens']:,}",
        )
        for row in bill
    ]
    screen.table(("", "right" if labelled else "score", "draws", "share", "tokens"), rows)
