"""Record what `optscale demo` replays, from the embedded model: `python -m benchmarks.record_demo`.

30 short questions with one right answer, scored by the model's own confidence, and 24 writing tasks, scored by graded
checks; 16 candidates each, with their texts. The questions were fixed before anything was drawn, and none was dropped
afterwards. Takes a few minutes on one core; run again, it goes on where it was stopped.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.completions import CompletionPolicy
from benchmarks.tasks import writing_tasks
from langchain_optscale import ConfidenceVerifier, Verifier, local
from langchain_optscale.answers import Compared, NormalForm, WholeText, same_answer
from langchain_optscale.evaluation.pools import Question, read_pool
from langchain_optscale.evaluation.recording import record_pool
from langchain_optscale.evaluation.samples import question_to_json

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

POOLS = Path(__file__).parents[1] / "langchain_optscale" / "cli" / "recorded"
CANDIDATES = 16
# Far enough apart that no two questions share a seed, and away from those of the pools under tests/data.
FIRST_SEED, SEED_STEP = 500_000, 1000
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


def record(
    path: Path, policy: BaseChatModel, tasks: list[tuple[Question, Verifier]], *, first_seed: int, answers: bool
) -> None:
    """Append the questions that the file has not yet, one line each; `answers` of texts are compared with the gold."""
    done = {question.id for question in read_pool(path)} if path.exists() else set()
    for number, (question, verifier) in enumerate(tasks):
        if question.id in done:
            continue
        (recorded,) = record_pool(
            policy,
            verifier,
            [replace(question, prompt=f"{EXAMPLES}Q: {question.prompt}\nA:") if answers else question],
            CANDIDATES,
            seed=first_seed + SEED_STEP * number,
            extract=Compared(WholeText(), NormalForm()) if answers else None,
            gold_check=same_answer if answers else None,
            max_concurrency=2,
        )
        samples = tuple(
            replace(sample, score=round(sample.score or 0.0, 4), text=(sample.text or "").strip())
            for sample in recorded.samples
        )
        with path.open("ab") as file:
            file.write(question_to_json(replace(recorded, prompt=question.prompt, samples=samples)))


def main() -> None:
    """Record both pools."""
    POOLS.mkdir(parents=True, exist_ok=True)
    with local.serve(context=384, n_parallel=16) as server:
        completion = CompletionPolicy(
            base_url=server.base_url,
            model=server.model,
            max_tokens=6,
            stop=["\n"],
            metadata={"optscale_max_n": server.n_parallel},
        )
        facts: list[tuple[Question, Verifier]] = [
            (Question(f"fact-{number}", question, gold=answer), ConfidenceVerifier())
            for number, (question, answer) in enumerate(FACTS, 1)
        ]
        record(POOLS / "facts.jsonl", completion, facts, first_seed=FIRST_SEED, answers=True)
        tasks = writing_tasks()
        chosen = [tasks[10 * kind + (3 * kind + step) % 10] for kind in range(8) for step in range(3)]
        writing = [(Question(task.id, task.prompt), task.verifier) for task in chosen]
        first_seed = FIRST_SEED + SEED_STEP * len(FACTS)
        record(POOLS / "writing.jsonl", server.policy(max_tokens=48), writing, first_seed=first_seed, answers=False)


if __name__ == "__main__":
    main()
