"""How fast recorded candidates are replayed through the real session: 1,000 questions of 64 samples, one method.

The targets are out of reach, so that every question is drawn to the cap: the slowest case. `posterior` has
`OptimalN | TargetReached` and `posterior, every rule` all rules that ask the posterior something; both are given for
10,000 questions as well, at the same speed.
"""

from __future__ import annotations

import json
import time

import numpy as np

from langchain_optscale.evaluation.methods import SessionMethod
from langchain_optscale.evaluation.pools import Pool, Question, Sample
from langchain_optscale.evaluation.replay import replay
from langchain_optscale.stats import Posterior
from langchain_optscale.stopping import Hopeless, MarginalGain, MaxSamples, OptimalN, TargetReached, optscale

QUESTIONS, SAMPLES = 1000, 64


def main() -> None:
    """Print the figures."""
    generator = np.random.default_rng(0)
    scores = generator.beta(5, 3, (QUESTIONS, SAMPLES)) * 0.98
    pool = Pool(
        tuple(
            Question(str(number), "?", tuple(Sample(score=score, correct=score > 0.9) for score in row))
            for number, row in enumerate(scores.tolist())
        )
    )
    figures: dict[str, object] = {"benchmark": "replay_speed", "questions": QUESTIONS, "samples": SAMPLES}
    by_posterior = OptimalN(0.999, 0.95) | TargetReached(0.999) | MaxSamples(SAMPLES)
    every_rule = by_posterior | Hopeless(0.999, 1e-9) | MarginalGain(1e-12)
    for method in (
        SessionMethod(TargetReached(0.999) | MaxSamples(SAMPLES), "without_estimate"),
        SessionMethod(optscale(0.999, 0.99, SAMPLES), "optscale"),
        SessionMethod(by_posterior, "posterior", estimator=Posterior()),
        SessionMethod(every_rule, "posterior, every rule", estimator=Posterior()),
    ):
        began = time.process_time()
        replay(pool, [method], permutations=1)
        seconds = time.process_time() - began
        figures[f"{method.name}_cpu_s"] = seconds
        figures[f"{method.name}_us_per_sample"] = seconds / (QUESTIONS * SAMPLES) * 1e6
        if method.estimator is not None:
            figures[f"{method.name}_cpu_s_of_10000"] = seconds * 10_000 / QUESTIONS
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
