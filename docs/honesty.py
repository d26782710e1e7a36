"""The study behind `docs/honesty.md`: the confidence of stopping rules against observed shares, by simulation.

    python -m docs.honesty        or: make study

Writes `docs/honesty.md` and its pictures in `docs/img`. Every question's law of scores is known here, so that an oracle
can fix N* in advance. All rules run through the real `Session`; nothing is tuned.
"""

from __future__ import annotations

import itertools
import math
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.calibration import measure
from benchmarks.families import FAMILIES, QUESTIONS, SCORES
from docs.honesty_report import draw, draw_calibration, write
from langchain_optscale.evaluation.methods import SessionMethod
from langchain_optscale.evaluation.pools import Question, Sample
from langchain_optscale.stats import EmpiricalPrior, MaximumLikelihood, Posterior, optimal_n
from langchain_optscale.stopping import Futility, MinSamples, OptimalN, TargetReached

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HERE = Path(__file__).parent
ALPHAS = (0.8, 0.9, 0.95, 0.99)
TARGETS = (0.8, 0.9, 0.95)
CAP = SCORES
# By what the page calls them.
SHOWN = {
    "truncated normal": "truncated normal",
    "Beta, real moments": "Beta, moments of data/prior",
    "Beta, broad": "Beta, broad",
    "right or wrong": "right or wrong",
    "steps of 0.05": "steps of 0.05",
    "steps of 0.1": "steps of 0.1",
}
PAST_SCORES = 10
FIRST_LOOK = 3
CHANCES = (0.01, 0.05, 0.1)


@dataclass(frozen=True)
class Row:
    """The nominal confidence of a method and its observed share in one family.

    Attributes:
        family: The questions.
        method: The rule.
        alpha: The nominal confidence.
        questions: On how many questions and targets.
        kept: The share of them on which the target was reached.
        drawn: Mean scores drawn.
        oracle: Mean N* of the oracle.
    """

    family: str
    method: str
    alpha: float
    questions: int
    kept: float
    drawn: float
    oracle: float

    @property
    def ratio(self) -> float:
        """Scores drawn for each one that the oracle draws."""
        return self.drawn / self.oracle


class Remembering:
    """An estimator that is asked once for the scores that several rules share."""

    reads_scores = True

    def __init__(self, estimator: Callable[..., Any], most: int) -> None:
        self.of = lru_cache(maxsize=most)(estimator)

    def __call__(self, scores: Sequence[float], prior: Any = None) -> Any:
        """The estimate after some scores."""
        return self.of(scores, prior)


@dataclass(frozen=True)
class Questions:
    """One family's questions: `scores` are played, `tails` holds P(S >= target) of each law, by target."""

    family: str
    scores: np.ndarray
    tails: dict[float, np.ndarray]
    learned: EmpiricalPrior

    def oracle_n(self, target: float, alpha: float) -> np.ndarray:
        """N* under the true law, one more than the cap where it is larger."""
        misses = np.clip(1.0 - self.tails[target], 1e-12, 1.0 - 1e-12)
        return np.minimum(np.maximum(1, np.ceil(math.log(1.0 - alpha) / np.log(misses) - 1e-9)), CAP + 1)


def questions(family: str, seed: int) -> Questions:
    """One half teaches the empirical prior, the other half is played."""
    scores = FAMILIES[SHOWN[family]](np.random.default_rng([seed, *family.encode()]))
    half = len(scores) // 2
    rest = scores[half:]
    tails = {target: (rest[:, SCORES:] >= target).mean(axis=1) for target in TARGETS}
    learned = EmpiricalPrior.fit(scores[:half, :PAST_SCORES].tolist())
    return Questions(family, rest[:, :SCORES], tails, learned)


def rules(posterior: Remembering, likelihood: Remembering, learned: EmpiricalPrior) -> dict[str, Callable[..., Any]]:
    """By name, what makes a method from target and confidence."""
    return {
        "the paper's rule": lambda t, a: SessionMethod(
            OptimalN(t, a) & MinSamples(FIRST_LOOK), "paper", likelihood, first_round=FIRST_LOOK, round_size=1
        ),
        "ours, one by one": lambda t, a: SessionMethod(
            OptimalN(t, a) | TargetReached(t), "ours", posterior, learned, round_size=1
        ),
        "ours, rounds of up to 8": lambda t, a: SessionMethod(
            OptimalN(t, a) | TargetReached(t), "ours", posterior, learned, round_size=8
        ),
    }


def play(played: Questions) -> tuple[list[Row], list[dict[str, Any]]]:
    """All rules on one family; and the errors of `Futility`."""
    found: dict[tuple[str, float], list[tuple[float, bool, float]]] = {}
    lost: dict[float, list[tuple[bool, bool]]] = {}
    for number, scores in enumerate(played.scores.tolist()):
        task = Question(str(number), "?", tuple(Sample(score=score) for score in scores))
        posterior, likelihood = Remembering(Posterior(), 512), Remembering(MaximumLikelihood(), 512)
        made = rules(posterior, likelihood, played.learned)
        for target, alpha in itertools.product(TARGETS, ALPHAS):
            oracle = float(played.oracle_n(target, alpha)[number])
            if oracle > CAP:
                continue
            for name, make in made.items():
                outcome = make(target, alpha).run(task, CAP)
                # In rounds, what was under way at the end may be paid for as well.
                drawn = outcome.asked if "rounds" in name else outcome.drawn
                found.setdefault((name, alpha), []).append((drawn, bool(outcome.reached), oracle))
            once = max(FIRST_LOOK, _plugged_in(tuple(scores[:FIRST_LOOK]), target, alpha) or CAP)
            found.setdefault(("the paper's bound, computed once", alpha), []).append(
                (once, max(scores[:once]) >= target, oracle)
            )
        for target, chance in itertools.product(TARGETS, CHANCES):
            rule = TargetReached(target) | Futility(target, chance)
            outcome = SessionMethod(rule, "futility", posterior, played.learned, round_size=1).run(task, CAP)
            gave_up = not outcome.reached and outcome.drawn < CAP
            lost.setdefault(chance, []).append((gave_up, gave_up and max(scores[outcome.drawn :]) >= target))
    rows = []
    for (name, alpha), each in found.items():
        drawn, kept, oracle = np.array(each, dtype=np.float64).mean(axis=0).tolist()
        rows.append(Row(played.family, name, alpha, len(each), kept, drawn, oracle))
    stopped = [
        {
            "family": played.family,
            "chance": chance,
            "stopped": float(np.mean([up for up, _ in each])),
            "wrongly": float(sum(wrong for _, wrong in each) / max(sum(up for up, _ in each), 1)),
        }
        for chance, each in lost.items()
    ]
    return rows, stopped


def single_analysis(played: Questions) -> list[Row]:
    """After three scores: how many more draws reach the target with confidence alpha, and whether so many do."""
    rows = []
    estimates: dict[str, Callable[[list[float], float, float], int | None]] = {
        "plug-in": lambda scores, t, a: _plugged_in(tuple(scores), t, a),
        "posterior, weak prior": lambda scores, t, a: Posterior()(scores).least_k(t, a, CAP - FIRST_LOOK),
        "posterior, learned prior": lambda scores, t, a: Posterior()(scores, played.learned).least_k(
            t, a, CAP - FIRST_LOOK
        ),
    }
    for (name, least), alpha in itertools.product(estimates.items(), ALPHAS):
        found = []
        for scores, target in itertools.product(played.scores, TARGETS):
            k = least(scores[:FIRST_LOOK].tolist(), target, alpha)
            if k is not None:
                found.append((k, bool(scores[FIRST_LOOK : FIRST_LOOK + k].max() >= target)))
        drawn, kept = np.array(found, dtype=np.float64).T
        rows.append(Row(played.family, name, alpha, len(found), float(kept.mean()), float(drawn.mean()), math.nan))
    return rows


def _plugged_in(scores: tuple[float, ...], target: float, alpha: float) -> int | None:
    estimate = MaximumLikelihood()(scores)
    k = optimal_n(estimate.mu, estimate.sigma, target=target, confidence=alpha, max_n=CAP)
    return k if k <= CAP - FIRST_LOOK else None


def main() -> None:
    """Simulate, draw and write."""
    rows, single, stopped = [], [], []
    for family in SHOWN:
        played = questions(family, seed=0)
        kept, lost = play(played)
        rows += kept
        stopped += lost
        single += single_analysis(played)
        sys.stderr.write(f"{family}: done\n")
    (HERE / "img").mkdir(exist_ok=True)
    draw(rows, single, HERE / "img")
    calibration = measure()
    draw_calibration(calibration, HERE / "img")
    page = write(rows, single, stopped, calibration, cap=CAP, questions=QUESTIONS // 2)
    (HERE / "honesty.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
