"""Record what `optscale demo` replays, from the embedded model: `python -m benchmarks.record_demo`.

30 short questions with one right answer, scored by the model's own confidence, and 24 writing tasks, scored by graded
checks; 16 candidates each, with their texts. The questions were fixed before anything was drawn, and none was dropped
afterwards. Takes a few minutes on one core; run again, it goes on where it was stopped.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.recording import SEED_STEP, record_missing, short_completions
from benchmarks.tasks import writing_tasks
from langchain_optscale import ConfidenceVerifier, Verifier, local
from langchain_optscale.answers import Compared, NormalForm, WholeText, same_answer
from langchain_optscale.evaluation.pools import Question

if TYPE_CHECKING:
    from langchain_optscale.evaluation.pools import Sample

POOLS = Path(__file__).parents[1] / "langchain_optscale" / "cli" / "recorded"
CANDIDATES = 16
# Away from the seeds of the pools under tests/data.
FIRST_SEED = 500_000
EXAMPLES = "".join(
    f"Q: {question}\nA: {answer}\n"
    for question, answer in (
        ("What is the capital of Spain?", "Madrid"),
        ("How many legs does a dog have?", "4"),
        ("What is the opposite of up?", "down"),
        ("What colour is milk?", "white"),
        ("What do bees make?", "honey"),
        ("What is 2 + 1?", "3"),
    )
)
FACTS = (
    ("What is the capital of France?", "Paris"),
    ("What is the capital of Italy?", "Rome"),
    ("What is the capital of Germany?", "Berlin"),
    ("What is the capital of Japan?", "Tokyo"),
    ("What is the capital of Russia?", "Moscow"),
    ("What is the capital of Egypt?", "Cairo"),
    ("What is the capital of Canada?", "Ottawa"),
    ("What is the capital of Australia?", "Canberra"),
    ("What is the opposite of hot?", "cold"),
    ("What is the opposite of big?", "small"),
    ("What is the opposite of early?", "late"),
    ("What is the opposite of empty?", "full"),
    ("What is the opposite of always?", "never"),
    ("What colour is the grass?", "green"),
    ("What colour is the sky on a clear day?", "blue"),
    ("What colour is a ripe banana?", "yellow"),
    ("What colour is snow?", "white"),
    ("How many legs does a spider have?", "8"),
    ("How many days are in a week?", "7"),
    ("How many months are in a year?", "12"),
    ("How many minutes are in an hour?", "60"),
    ("How many wheels does a bicycle have?", "2"),
    ("What do cows drink?", "water"),
    ("Which planet is the largest?", "Jupiter"),
    ("Which day comes after Monday?", "Tuesday"),
    ("Which month comes after June?", "July"),
    ("What is 3 + 4?", "7"),
    ("What is 5 + 5?", "10"),
    ("What is 9 - 2?", "7"),
    ("What is 6 * 4?", "24"),
)
# Three topics of each kind of writing task, in turn.
WRITING = 24


def kept(sample: Sample) -> Sample:
    """A sample as the demo shows it."""
    return replace(sample, score=round(sample.score or 0.0, 4), text=(sample.text or "").strip())


def main() -> None:
    """Record both pools."""
    POOLS.mkdir(parents=True, exist_ok=True)
    with local.serve(context=384, n_parallel=16) as server:
        facts: list[tuple[Question, Verifier]] = [
            (Question(f"fact-{number}", question, gold=answer), ConfidenceVerifier())
            for number, (question, answer) in enumerate(FACTS, 1)
        ]
        record_missing(
            POOLS / "facts.jsonl",
            short_completions(server),
            facts,
            candidates=CANDIDATES,
            first_seed=FIRST_SEED,
            shown=lambda question: f"{EXAMPLES}Q: {question}\nA:",
            kept=kept,
            extract=Compared(WholeText(), NormalForm()),
            gold_check=same_answer,
        )
        tasks = writing_tasks()
        chosen = [tasks[10 * kind + (3 * kind + step) % 10] for kind in range(8) for step in range(3)]
        writing = [(Question(task.id, task.prompt), task.verifier) for task in chosen]
        record_missing(
            POOLS / "writing.jsonl",
            server.policy(max_tokens=48),
            writing,
            candidates=CANDIDATES,
            first_seed=FIRST_SEED + SEED_STEP * len(FACTS),
            kept=kept,
        )


if __name__ == "__main__":
    main()
