"""How many questions a learned stopping rule needs: simulated pools with known truth, from 25 to 400 questions.

Three kinds of task, named after what tells right from wrong: votes alone (scores hardly help), a verifier with atoms
at 1, and a hard task whose wrong answers seldom agree. A rule is compared with the untrained default on fresh questions
in two ways: fitted for the default's own price of 0.01 a candidate, by accuracy less that price; and fitted for the
mean number of samples that the default spends, by accuracy (what is spent more or less by chance counts 0.01 each).
Without labels a price is in units of agreement, not of accuracy, so that the second way alone is meaningful.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from langchain_optscale.errors import SettingsError
from langchain_optscale.evaluation.learning import learned_method
from langchain_optscale.evaluation.methods import SessionMethod
from langchain_optscale.evaluation.pools import Pool, Question, Sample
from langchain_optscale.evaluation.replay import replay
from langchain_optscale.stopping import FittedStopping, optscale

__all__ = ["KINDS", "SIZES", "Kind", "learning_curve", "simulated"]

SIZES = (25, 50, 100, 200, 400)
REPEATS = 4
TESTED = 400
PRICE = 0.01
_ANSWERS = 30


@dataclass(frozen=True)
class Kind:
    """A kind of task.

    Attributes:
        easy: First parameter of the Beta law of the share of right candidates.
        hard: Second parameter.
        spread: Concentration of the Dirichlet law of wrong answers: the smaller, the more they agree.
        low: Mean score of a wrong candidate.
        gap: How much higher a right one scores.
        noise: Standard deviation of a score.
        atom: Scores above it become 1.
        cap: Candidates of a question.
    """

    easy: float
    hard: float
    spread: float
    low: float
    gap: float
    noise: float
    atom: float
    cap: int


KINDS = {
    "votes": Kind(easy=0.8, hard=1.0, spread=0.15, low=0.6, gap=0.06, noise=0.12, atom=1.0, cap=16),
    "verifier": Kind(easy=3.0, hard=0.7, spread=0.3, low=0.5, gap=0.3, noise=0.25, atom=0.75, cap=5),
    "hard": Kind(easy=0.4, hard=1.1, spread=1.0, low=0.3, gap=0.15, noise=0.12, atom=1.0, cap=16),
}


def simulated(kind: str, questions: int, seed: int) -> Pool:
    """A pool of that kind, answers and correctness known."""
    law = KINDS[kind]
    generator = np.random.default_rng([seed, sorted(KINDS).index(kind)])
    made = []
    for place in range(questions):
        chance = generator.beta(law.easy, law.hard)
        wrong = generator.dirichlet([law.spread] * _ANSWERS)
        offset = 0.05 * generator.normal()
        right = generator.uniform(size=law.cap) < chance
        wrongs = generator.choice(_ANSWERS, size=law.cap, p=wrong)
        scores = np.clip(law.low + offset + law.gap * right + law.noise * generator.normal(size=law.cap), 0.0, 1.0)
        scores[scores > law.atom] = 1.0
        samples = tuple(
            Sample(score=round(score, 4), correct=bool(is_right), answer="right" if is_right else f"wrong {which}")
            for score, is_right, which in zip(scores.tolist(), right, wrongs, strict=True)
        )
        made.append(Question(f"{kind}-{seed}-{place}", "?", samples))
    return Pool(tuple(made), kind)


def learning_curve(kind: str, labels: str, sizes: tuple[int, ...] = SIZES, repeats: int = REPEATS) -> dict[str, Any]:
    """What a rule fitted to so many questions gains over the untrained default, and how surely.

    Returns:
        "kind", "labels", "default" (its "accuracy" and "samples"), and "rows" with "questions" and, under "price" and
        "samples", the two ways: "accuracy", "samples", "gain" in points, "standard_error" over the repeats, and
        "refused", the share of refused fits, where the default stands in. "price" is None without labels.
    """
    tested = simulated(kind, TESTED, seed=10_000)
    cap = KINDS[kind].cap
    default = SessionMethod(optscale(max_samples=cap), "optscale", round_size=1, select="posterior")
    untrained = _measured(tested, default)
    rows = []
    for size in sizes:
        pools = [simulated(kind, size, seed=1000 * size + repeat) for repeat in range(repeats)]
        by_price = _gains(pools, tested, untrained, labels, price=PRICE) if labels == "gold" else None
        by_samples = _gains(pools, tested, untrained, labels, samples=untrained[1])
        rows.append({"questions": size, "price": by_price, "samples": by_samples})
    return {
        "kind": kind,
        "labels": labels,
        "default": {"accuracy": untrained[0], "samples": untrained[1]},
        "rows": rows,
    }


def _gains(
    pools: list[Pool], tested: Pool, untrained: tuple[float, float], labels: str, **goal: float
) -> dict[str, float]:
    found, refused = [], 0
    for repeat, pool in enumerate(pools):
        try:
            rule = FittedStopping.fit(pool, labels=labels, seed=repeat, **goal)  # type: ignore[arg-type]
        except SettingsError:
            refused += 1
            found.append(untrained)
            continue
        found.append(_measured(tested, learned_method(rule)))
    gains = 100.0 * np.array([_net(one) - _net(untrained) for one in found])
    return {
        "accuracy": float(np.mean([one[0] for one in found])),
        "samples": float(np.mean([one[1] for one in found])),
        "gain": float(gains.mean()),
        "standard_error": float(gains.std(ddof=1) / math.sqrt(len(pools))),
        "refused": refused / len(pools),
    }


def _measured(pool: Pool, method: SessionMethod) -> tuple[float, float]:
    runs = replay(pool, [method], permutations=1, bootstrap=1).runs[0]
    return float(runs["accuracy"].mean()), float(runs["samples"].mean())


def _net(measured: tuple[float, float]) -> float:
    return measured[0] - PRICE * measured[1]
