"""Record the pools under tests/data/pools from the embedded model: `python -m benchmarks.record_pools`.

80 writing tasks, scored by graded checks, and 100 small calculations, scored by the model's own confidence, with 64
candidates each. Takes about an hour on one core; run again, it goes on where it was stopped.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.recording import record_missing, short_completions
from benchmarks.tasks import arithmetic_tasks, writing_tasks
from langchain_optscale import ConfidenceVerifier, local
from langchain_optscale.answers import Compared, ExactText, WholeText
from langchain_optscale.evaluation.pools import Question

if TYPE_CHECKING:
    from langchain_optscale import Verifier
    from langchain_optscale.evaluation.pools import Sample

POOLS = Path(__file__).parents[1] / "tests" / "data" / "pools"
CANDIDATES = 64
EXAMPLES = "".join(
    f"Q: {question}\nA: {answer}\n"
    for question, answer in (
        ("3 + 4", 7),
        ("12 + 30", 42),
        ("2 * 5", 10),
        ("8 + 9", 17),
        ("6 * 3", 18),
        ("25 + 13", 38),
    )
)


def without_text(sample: Sample) -> Sample:
    """A sample whose text is its answer."""
    return replace(sample, score=round(sample.score or 0.0, 6), text=None)


def with_text(sample: Sample) -> Sample:
    """A sample as it was drawn."""
    return replace(sample, score=round(sample.score or 0.0, 6))


def main() -> None:
    """Record both pools."""
    POOLS.mkdir(parents=True, exist_ok=True)
    with local.serve(context=384, n_parallel=16) as server:
        sums: list[tuple[Question, Verifier]] = [
            (Question(task.id, f"Q: {task.question}\nA:", gold=task.answer), ConfidenceVerifier())
            for task in arithmetic_tasks()
        ]
        record_missing(
            POOLS / "arithmetic_x64.jsonl",
            short_completions(server),
            sums,
            candidates=CANDIDATES,
            shown=EXAMPLES.__add__,
            kept=without_text,
            extract=Compared(WholeText(), ExactText()),
            gold_check=str.__eq__,
        )
        writing = [(Question(task.id, task.prompt), task.verifier) for task in writing_tasks()]
        policy = server.policy(max_tokens=48)
        record_missing(POOLS / "writing_x64.jsonl", policy, writing, candidates=CANDIDATES, kept=with_text)


if __name__ == "__main__":
    main()
