"""Questions for pools of our own: writing tasks with graded checks, and arithmetic with one right answer."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from langchain_optscale.verifiers import EnsembleVerifier, LengthCheck, RegexCheck, RequiredWords

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_optscale import Verifier

__all__ = ["ArithmeticTask", "WritingTask", "arithmetic_tasks", "writing_tasks"]

TOPICS = ("sea", "river", "cat", "moon", "garden", "winter", "bread", "train", "music", "mountain")


@dataclass(frozen=True)
class WritingTask:
    """A writing task whose constraints a program can check; 1.0 where all of them hold."""

    id: str
    prompt: str
    verifier: Verifier


@dataclass(frozen=True)
class ArithmeticTask:
    """A small calculation, asked after a few worked examples."""

    id: str
    question: str
    answer: str


def _words(topic: str, count: int) -> tuple[str, Verifier]:
    prompt = f"Write one sentence about the {topic} with exactly {count} words."
    return prompt, EnsembleVerifier([LengthCheck(exactly=count), RequiredWords([topic])])


def _short(topic: str, count: int) -> tuple[str, Verifier]:
    prompt = f"Write one sentence of at most {count} words that contains the word '{topic}'."
    return prompt, EnsembleVerifier([LengthCheck(at_most=count), RequiredWords([topic])])


def _items(topic: str, count: int) -> tuple[str, Verifier]:
    prompt = f"Name exactly {count} things that make you think of the {topic}, separated by commas."
    return prompt, EnsembleVerifier([LengthCheck(exactly=count, unit="items"), LengthCheck(at_most=4 * count)])


def _sentences(topic: str, count: int) -> tuple[str, Verifier]:
    prompt = f"Write about the {topic} in exactly {count} sentences."
    return prompt, EnsembleVerifier([LengthCheck(exactly=count, unit="sentences"), RequiredWords([topic])])


def _question(topic: str, count: int) -> tuple[str, Verifier]:
    prompt = f"Ask one question about the {topic} in at most {count} words."
    checks = [LengthCheck(at_most=count), RequiredWords([topic]), RegexCheck(r"\?\s*$")]
    return prompt, EnsembleVerifier(checks)


def _title(topic: str, count: int) -> tuple[str, Verifier]:
    prompt = f"Write a title of at most {count} words for a story about the {topic}, without quotation marks."
    checks = [LengthCheck(at_most=count), RequiredWords([topic]), RegexCheck(r'^[^"“”]*$')]
    return prompt, EnsembleVerifier(checks)


def _range(topic: str, count: int) -> tuple[str, Verifier]:
    prompt = f"Describe the {topic} in {count} to {count + 6} words, without the word 'beautiful'."
    checks = [LengthCheck(at_least=count, at_most=count + 6), RequiredWords([topic], forbidden=["beautiful"])]
    return prompt, EnsembleVerifier(checks)


def _pair(topic: str, count: int) -> tuple[str, Verifier]:
    prompt = f"Write one sentence of at most {count} words with the words '{topic}', 'old' and 'light'."
    return prompt, EnsembleVerifier([LengthCheck(at_most=count), RequiredWords([topic, "old", "light"])])


_KINDS: dict[str, tuple[Callable[[str, int], tuple[str, Verifier]], tuple[int, ...]]] = {
    "words": (_words, (7, 9, 11, 13, 15)),
    "short": (_short, (8, 10, 12, 14, 16)),
    "items": (_items, (2, 3, 4, 5, 6)),
    "sentences": (_sentences, (1, 2, 3)),
    "question": (_question, (8, 10, 12)),
    "title": (_title, (4, 6, 8)),
    "range": (_range, (10, 16, 22)),
    "pair": (_pair, (14, 18, 24)),
}


def writing_tasks() -> list[WritingTask]:
    """80 tasks: eight kinds of constraint, ten topics each, the numbers in them varied."""
    tasks = []
    for kind, (make, counts) in _KINDS.items():
        for position, topic in enumerate(TOPICS):
            prompt, verifier = make(topic, counts[position % len(counts)])
            tasks.append(WritingTask(f"{kind}-{topic}", prompt, verifier))
    return tasks


def arithmetic_tasks(count: int = 100, *, seed: int = 0) -> list[ArithmeticTask]:
    """Distinct sums of one- and two-digit numbers and products of one-digit numbers, in a fixed random order."""
    generator = random.Random(seed)
    small = [(f"{a} + {b}", a + b) for a in range(1, 10) for b in range(1, 10)]
    large = [(f"{a} + {b}", a + b) for a in range(10, 100) for b in range(10, 100)]
    products = [(f"{a} * {b}", a * b) for a in range(2, 10) for b in range(2, 10)]
    third = count // 3
    chosen = [
        *generator.sample(small, third),
        *generator.sample(large, count - 2 * third),
        *generator.sample(products, third),
    ]
    generator.shuffle(chosen)
    return [ArithmeticTask(f"arithmetic-{i}", question, str(answer)) for i, (question, answer) in enumerate(chosen)]
