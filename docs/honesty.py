"""The study behind `docs/honesty.md`: promises of stopping rules and certificates against what comes of them.

    python -m docs.honesty        or: make study

Writes `docs/honesty.md` and its pictures in `docs/img`. In the simulations every question's law of scores is known, so
that an oracle can fix N* in advance. All rules run through the real `Session`; nothing is tuned.
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

from benchmarks import certificates
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
PAST_SCORES = 10
FIRST_LOOK = 3
CHANCES = (0.05,)
PLAYED = 120  # questions of a family on which whole searches run
PAPER, ONCE = "the paper's rule", "the paper's bound, computed once"


@dataclass(frozen=True)
class Row:
    """The nominal confidence of a method and its observed share in one family.

    Attributes:
        family: The questions.
        method: The rule.
        alpha: The nominal confidence.
        questions: On how many questions and targets.
        kept: On how many of them the target was reached.
        drawn: Mean scores drawn.
        oracle: Mean N* of the oracle.
    """

    family: str
    method: str
    alpha: float
    questions: int
    kept: int
    drawn: float
    oracle: float

    @property
    def share(self) -> float:
        """The share that reached the target."""
        return self.kept / self.questions


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
    scores = FAMILIES[family](np.random.default_rng([seed, *family.encode()]))
    half = len(scores) // 2
    rest = scores[half:]
    tails = {target: (rest[:, SCORES:] >= target).mean(axis=1) for target in TARGETS}
    learned = EmpiricalPrior.fit(scores[:half, :PAST_SCORES].tolist())
    return Questions(family, rest[:, :SCORES], tails, learned)


def papers_rule(played: Questions) -> list[Row]:
    """The paper's rule evaluated after every score, and once, where an oracle's N* is within the cap."""
    found: dict[tuple[str, float], list[tuple[float, bool, float]]] = {}
    for number, scores in enumerate(played.scores[:PLAYED].tolist()):
        task, likelihood = question_of(number, scores), Remembering(MaximumLikelihood(), 512)
        for target, alpha in itertools.product(TARGETS, ALPHAS):
            oracle = float(played.oracle_n(target, alpha)[number])
            if oracle > CAP:
                continue
            rule = OptimalN(target, alpha) & MinSamples(FIRST_LOOK)
            method = SessionMethod(rule, "paper", likelihood, first_round=FIRST_LOOK, round_size=1)
            outcome = method.run(task, CAP)
            found.setdefault((PAPER, alpha), []).append((outcome.drawn, bool(outcome.reached), oracle))
            once = max(FIRST_LOOK, _plugged_in(tuple(scores[:FIRST_LOOK]), target, alpha) or CAP)
            found.setdefault((ONCE, alpha), []).append((once, max(scores[:once]) >= target, oracle))
    rows = []
    for (name, alpha), each in found.items():
        drawn, kept, oracle = np.array(each, dtype=np.float64).T
        rows.append(Row(played.family, name, alpha, len(each), int(kept.sum()), drawn.mean(), oracle.mean()))
    return rows


def given_up(played: Questions) -> list[dict[str, Any]]:
    """Of the questions and targets where `Futility` stops: how many could have been reached within the cap."""
    rows = []
    for chance, learned in itertools.product(CHANCES, (False, True)):
        gave = could = count = 0
        prior = played.learned if learned else None
        for number, scores in enumerate(played.scores[:PLAYED].tolist()):
            task = question_of(number, scores)
            for target in TARGETS:
                rule = TargetReached(target) | Futility(target, chance)
                method = SessionMethod(rule, "futility", prior=prior, first_round=1, round_size=1)
                outcome = method.run(task, CAP)
                count += 1
                if not outcome.reached and outcome.drawn < CAP:
                    gave += 1
                    could += max(scores[outcome.drawn :]) >= target
        rows.append(
            {
                "family": played.family,
                "chance": chance,
                "learned": learned,
                "count": count,
                "given_up": gave,
                "could": could,
            }
        )
    return rows


def single_analysis(played: Questions) -> list[Row]:
    """After three scores that missed the target: how many more reach it with confidence alpha, and whether so many do.

    Questions whose target is already met are left out: nothing more is needed there, so they cannot fail, and counting
    them would dilute what is promised about the others.
    """
    estimates: dict[str, Callable[[list[float], float, float], int | None]] = {
        "plug-in": lambda scores, t, a: _plugged_in(tuple(scores), t, a),
        "posterior, weak prior": lambda scores, t, a: Posterior()(scores).least_k(t, a, CAP - FIRST_LOOK),
        "posterior, learned prior": lambda scores, t, a: Posterior()(scores, played.learned).least_k(
            t, a, CAP - FIRST_LOOK
        ),
    }
    rows = []
    for (name, least), alpha in itertools.product(estimates.items(), ALPHAS):
        found = []
        for scores, target in itertools.product(played.scores, TARGETS):
            if scores[:FIRST_LOOK].max() >= target:
                continue
            k = least(scores[:FIRST_LOOK].tolist(), target, alpha)
            if k:
                found.append((k, bool(scores[FIRST_LOOK : FIRST_LOOK + k].max() >= target)))
        if found:
            drawn, kept = np.array(found, dtype=np.float64).T
            rows.append(Row(played.family, name, alpha, len(found), int(kept.sum()), float(drawn.mean()), math.nan))
    return rows


def question_of(number: int, scores: Sequence[float]) -> Question:
    """A question with these scores."""
    return Question(str(number), "?", tuple(Sample(score=score) for score in scores))


def _plugged_in(scores: tuple[float, ...], target: float, alpha: float) -> int | None:
    estimate = MaximumLikelihood()(scores)
    k = optimal_n(estimate.mu, estimate.sigma, target=target, confidence=alpha, max_n=CAP)
    return k if k <= CAP - FIRST_LOOK else None


def main() -> None:
    """Simulate, draw and write."""
    rows, single, stopped = [], [], []
    for family in FAMILIES:
        played = questions(family, seed=0)
        rows += papers_rule(played)
        stopped += given_up(played)
        single += single_analysis(played)
        sys.stderr.write(f"{family}: done\n")
    (HERE / "img").mkdir(exist_ok=True)
    draw(single, HERE / "img")
    calibration = measure()
    draw_calibration(calibration, HERE / "img")
    sys.stderr.write("certificates\n")
    certified = (certificates.situations(), certificates.recorded())
    page = write(rows, single, stopped, calibration, certified, cap=CAP, questions=QUESTIONS // 2, played=PLAYED)
    (HERE / "honesty.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
