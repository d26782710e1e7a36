"""How fast recorded candidates are replayed through the real session: 1,000 questions of 64 samples, one method.

    python -m benchmarks.replay_speed                    prints JSON
    python -m benchmarks.replay_speed --questions 200    fewer questions: times for 10,000 are scaled up

The targets are out of reach, so that every question is drawn to the cap: the slowest case. `posterior` has
`OptimalN | TargetReached` and `posterior, every rule` all rules that use the posterior. `optscale` is the default,
`optscale, answers` with one of 30 answers for each candidate, of which none is frequent, and `optscale, votes` the same
without scores: there it weighs the answers after every candidate, and ends before the cap. All but the first are given
for 10,000 questions as well, at the same speed: the cost of a question does not depend on their number. For the default
with scores, answers and votes that is to be 60 s of one core at most.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np

from langchain_optscale.evaluation.methods import SessionMethod
from langchain_optscale.evaluation.pools import Pool, Question, Sample
from langchain_optscale.evaluation.replay import replay
from langchain_optscale.stats import Posterior
from langchain_optscale.stopping import Futility, MarginalGain, MaxSamples, OptimalN, TargetReached, optscale

QUESTIONS, SAMPLES = 1000, 64


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=QUESTIONS, help="how many are replayed (default %(default)s)")
    count = parser.parse_args().questions
    generator = np.random.default_rng(0)
    scores = generator.beta(5, 3, (count, SAMPLES)) * 0.98
    answers = generator.integers(0, 30, (count, SAMPLES)).astype(str)
    graded, answered = (
        Pool(
            tuple(
                Question(
                    str(number),
                    "?",
                    tuple(Sample(score=s, correct=s > 0.9, answer=a) for s, a in zip(*rows, strict=True)),
                )
                for number, rows in enumerate(zip(scores.tolist(), told.tolist(), strict=True))
            )
        )
        for told in (np.full(answers.shape, None), answers)
    )
    votes = answered.with_scores(lambda _: 0.5)
    figures: dict[str, object] = {"benchmark": "replay_speed", "questions": count, "samples": SAMPLES}
    by_posterior = OptimalN(0.999, 0.95) | TargetReached(0.999) | MaxSamples(SAMPLES)
    every_rule = by_posterior | Futility(0.999, 1e-9) | MarginalGain(1e-12)
    default = optscale(max_samples=SAMPLES)
    for pool, method in (
        (graded, SessionMethod(TargetReached(0.999) | MaxSamples(SAMPLES), "without_estimate")),
        (graded, SessionMethod(default, "optscale")),
        (graded, SessionMethod(optscale(0.999, 0.99, SAMPLES), "optscale, target")),
        (answered, SessionMethod(default, "optscale, answers")),
        (votes, SessionMethod(default, "optscale, votes")),
        (graded, SessionMethod(by_posterior, "posterior", estimator=Posterior())),
        (graded, SessionMethod(every_rule, "posterior, every rule", estimator=Posterior())),
    ):
        began = time.process_time()
        report = replay(pool, [method], permutations=1)
        seconds = time.process_time() - began
        figures[f"{method.name}_cpu_s"] = seconds
        figures[f"{method.name}_us_per_sample"] = seconds / report[0]["samples"].sum() * 1e6
        if method.name != "without_estimate":
            figures[f"{method.name}_cpu_s_of_10000"] = seconds * 10_000 / count
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
