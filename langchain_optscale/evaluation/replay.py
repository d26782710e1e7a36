"""Replay: what methods would have drawn, spent and returned on recorded candidates.

    report = replay(read_pool("math.jsonl"), [BestOfN(), SessionMethod(optscale(0.9), "optscale")])
    print(report.table())

Samples of one question are exchangeable, so each question is replayed in several orders, the same for all methods.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from langchain_optscale.errors import SettingsError
from langchain_optscale.evaluation.metrics import FIGURES, Report, Runs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from langchain_optscale.evaluation.methods import Method, Outcome
    from langchain_optscale.evaluation.pools import Pool
    from langchain_optscale.evaluation.samples import Question, Sample

__all__ = ["drawing_orders", "fits", "replay"]


def replay(
    pool: Pool,
    methods: Sequence[Method],
    *,
    permutations: int = 8,
    seed: int = 0,
    max_samples: int | None = None,
    target: float | None = None,
    bootstrap: int = 1000,
    on_question: Callable[[int, int], None] | None = None,
) -> Report:
    """Replay recorded candidates through methods.

    Args:
        pool: The recorded candidates.
        methods: What to compare.
        permutations: Orders for each question, at least 1; the first is the recorded one.
        seed: Of the orders and of the bootstrap, at least 0. A question's orders depend on it and the question alone.
        max_samples: The most samples that a method may draw; None takes the pool's cap. Where a question has more
            samples than that, they take part in the permutations.
        target: The score that counts as reached for methods without a target of their own.
        bootstrap: Resamples of the questions for the intervals, at least 1.
        on_question: Called with the number of questions done and of all questions.

    Returns:
        The report. Its accuracy is that of the returned sample, or its score where the pool does not say what is right.

    Raises:
        SettingsError: There is nothing to replay, a number is out of range, the pool lacks what a method needs, or a
            method answers with an outcome that cannot be.

    Example:
        >>> from langchain_optscale.evaluation.baselines import BestOfN, ThresholdStopping
        >>> from langchain_optscale.evaluation.pools import Pool, Question, Sample
        >>> samples = tuple(Sample(score=s, correct=s > 0.5) for s in (0.1, 0.6, 0.9))
        >>> report = replay(Pool((Question("a", "?", samples),)), [BestOfN(), ThresholdStopping(0.5)], permutations=1)
        >>> [(row["method"], row["accuracy"], row["samples"]) for row in report.to_dict()]
        [('best-of-n', 1.0, 3.0), ('threshold', 1.0, 2.0)]
    """
    cap = pool.cap if max_samples is None else max_samples
    if not len(pool) or not methods:
        raise SettingsError("a replay needs a pool with questions and at least one method")
    if not 1 <= cap <= pool.cap:
        raise SettingsError(f"max_samples must be from 1 to {pool.cap}, the fewest samples of a question, got {cap}")
    if permutations < 1 or bootstrap < 1:
        raise SettingsError(f"permutations and bootstrap must be at least 1, got {permutations} and {bootstrap}")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise SettingsError(f"seed must be a whole number of at least 0, got {seed!r}")
    for method in methods:
        if missing := _missing(method, pool):
            raise SettingsError(
                f"{method.name} needs {' and '.join(missing)}; not every sample of {pool.name!r} has them"
            )
    labelled = pool.has_correct
    if not labelled and not pool.has_scores:
        raise SettingsError(f"pool {pool.name!r} neither says which samples are right nor scores them")
    values = np.zeros((len(methods), len(pool), len(FIGURES)))
    for place, question in enumerate(pool):
        for order in drawing_orders(question, permutations, seed):
            ordered = replace(question, samples=tuple([question.samples[index] for index in order]))
            for method, figures in zip(methods, values[:, place], strict=True):
                outcome = method.run(ordered, cap)
                if not 0 <= outcome.chosen < outcome.drawn <= outcome.asked <= cap:
                    raise SettingsError(f"{method.name} answered with an outcome that cannot be: {outcome}")
                figures += _figures(outcome, ordered.samples, target, labelled=labelled)
        if on_question is not None:
            on_question(place + 1, len(pool))
    values /= permutations
    return Report(
        pool=pool.name,
        questions=tuple(question.id for question in pool),
        measure="accuracy" if labelled else "mean score",
        max_samples=cap,
        permutations=permutations,
        runs=tuple(
            Runs(method.name, method.settings, figures) for method, figures in zip(methods, values, strict=True)
        ),
        bootstrap=bootstrap,
        seed=seed,
    )


def fits(method: Method, pool: Pool) -> bool:
    """Whether the pool has all that the method reads of the samples.

    Example:
        >>> from langchain_optscale.evaluation.baselines import BestOfN, SelfConsistency
        >>> from langchain_optscale.evaluation.pools import Pool, Question, Sample
        >>> pool = Pool((Question("a", "2 + 2?", (Sample(score=0.9),)),))
        >>> fits(BestOfN(), pool), fits(SelfConsistency(), pool)
        (True, False)
    """
    return not _missing(method, pool)


def drawing_orders(question: Question, permutations: int, seed: int) -> NDArray[np.int64]:
    """The orders in which a question's samples are drawn, the same for every method and within every pool.

    Args:
        question: Its id and the number of its samples matter.
        permutations: How many orders, at least 1.
        seed: Another seed gives other orders.

    Returns:
        Shape (permutations, samples), each row a permutation; the first is the recorded order.

    Example:
        >>> from langchain_optscale.evaluation.pools import Question, Sample
        >>> drawing_orders(Question("a", "2 + 2?", (Sample(), Sample(), Sample())), 1, seed=0).tolist()
        [[0, 1, 2]]
    """
    orders = np.tile(np.arange(len(question.samples)), (permutations, 1))
    digest = hashlib.sha256(question.id.encode("utf-8", "backslashreplace")).digest()
    generator = np.random.default_rng([seed, int.from_bytes(digest[:8], "big")])
    orders[1:] = generator.permuted(orders[1:], axis=1)
    return orders


def _missing(method: Method, pool: Pool) -> list[str]:
    known = {"scores": pool.has_scores, "answers": pool.has_answers, "correct": pool.has_correct}
    return sorted(need for need in method.needs if not known[need])


def _figures(outcome: Outcome, samples: Sequence[Sample], target: float | None, *, labelled: bool) -> tuple[float, ...]:
    """One search in the columns of `FIGURES`, nan where a figure is unknown."""
    drawn, chosen = samples[: outcome.drawn], samples[outcome.chosen]
    tokens = sum([math.nan if sample.tokens is None else sample.tokens for sample in drawn])
    reached = outcome.reached
    scores = [sample.score for sample in drawn if sample.score is not None]
    if reached is None and target is not None and len(scores) == len(drawn):
        reached = max(scores) >= target
    value = float(bool(chosen.correct)) if labelled else chosen.score
    return (
        math.nan if value is None else value,
        outcome.drawn,
        outcome.asked,
        tokens,
        outcome.rounds,
        math.nan if reached is None else reached,
        outcome.kept is not None,
        outcome.kept is True,
    )
