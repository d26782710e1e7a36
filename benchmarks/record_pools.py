"""Record the pools under tests/data/pools from the embedded model: `python -m benchmarks.record_pools`.

80 writing tasks, scored by graded checks, and 100 small calculations, scored by the model's own confidence, with 64
candidates each. Takes about an hour on one core; run again, it goes on where it was stopped.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.completions import CompletionPolicy
from benchmarks.tasks import arithmetic_tasks, writing_tasks
from langchain_optscale import ConfidenceVerifier, local
from langchain_optscale.answers import Compared, ExactText, WholeText
from langchain_optscale.evaluation.pools import Question, read_pool
from langchain_optscale.evaluation.recording import record_pool
from langchain_optscale.evaluation.samples import question_to_json

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from langchain_optscale import Verifier

POOLS = Path(__file__).parents[1] / "tests" / "data" / "pools"
CANDIDATES = 64
# Far enough apart that no two questions share a seed.
SEED_STEP = 1000
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


def record(
    path: Path, policy: BaseChatModel, tasks: list[tuple[Question, Verifier]], *, shots: str = "", answers: bool
) -> None:
    """Append the questions that the file has not yet, one line each.

    Args:
        path: The pool's file.
        policy: What draws.
        tasks: Questions with their verifiers.
        shots: Worked examples, put before each prompt and not kept with it.
        answers: Whether the text is an answer to be compared with the gold one; it is then not kept as a text.
    """
    done = {question.id for question in read_pool(path)} if path.exists() else set()
    extract = Compared(WholeText(), ExactText()) if answers else None
    for number, (question, verifier) in enumerate(tasks):
        if question.id in done:
            continue
        (recorded,) = record_pool(
            policy,
            verifier,
            [replace(question, prompt=shots + question.prompt)],
            CANDIDATES,
            seed=SEED_STEP * number,
            extract=extract,
            gold_check=str.__eq__ if answers else None,
            max_concurrency=2,
        )
        samples = tuple(
            replace(sample, score=round(sample.score or 0.0, 6), text=None if answers else sample.text)
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
        sums: list[tuple[Question, Verifier]] = [
            (Question(task.id, f"Q: {task.question}\nA:", gold=task.answer), ConfidenceVerifier())
            for task in arithmetic_tasks()
        ]
        record(POOLS / "arithmetic_x64.jsonl", completion, sums, shots=EXAMPLES, answers=True)
        writing = [(Question(task.id, task.prompt), task.verifier) for task in writing_tasks()]
        record(POOLS / "writing_x64.jsonl", server.policy(max_tokens=48), writing, answers=False)


if __name__ == "__main__":
    main()
