"""How fast recorded candidates are replayed through the real session: 1,000 questions of 64 samples, one method.

The targets are out of reach, so that every question is drawn to the cap: the slowest case.
"""

from __future__ import annotations

import json
import time

import numpy as np

from langchain_optscale.evaluation.methods import SessionMethod
from langchain_optscale.evaluation.pools import Pool, Question, Sample
from langchain_optscale.evaluation.replay import replay
from langchain_optscale.stopping import MaxSamples, TargetReached, optscale

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
    for name, rule in (
        ("without_estimate", TargetReached(0.999) | MaxSamples(SAMPLES)),
        ("optscale", optscale(0.999, 0.99, SAMPLES)),
    ):
        began = time.process_time()
        replay(pool, [SessionMethod(rule, name)], permutations=1)
        seconds = time.process_time() - began
        figures[f"{name}_cpu_s"] = seconds
        figures[f"{name}_us_per_sample"] = seconds / (QUESTIONS * SAMPLES) * 1e6
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
