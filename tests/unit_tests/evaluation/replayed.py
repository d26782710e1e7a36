"""Hand-made questions and pools for the tests of replays."""

import numpy as np

from langchain_optscale.evaluation.pools import Pool, Question, Sample


def question(*, scores=None, answers=None, correct=None, tokens=None, id_="q"):
    """A question from columns, any of which may be missing."""
    columns = {"score": scores, "answer": answers, "correct": correct, "tokens": tokens}
    given = {name: list(column) for name, column in columns.items() if column is not None}
    count = len(next(iter(given.values())))
    samples = tuple(Sample(**{name: column[place] for name, column in given.items()}) for place in range(count))
    return Question(id_, "2 + 2?", samples)


def random_pool(questions=40, samples=8, seed=0):
    """Questions of varied difficulty; scores are higher for right samples, and often tie."""
    generator = np.random.default_rng(seed)
    made = []
    for number in range(questions):
        right = generator.random(samples) < generator.beta(1.5, 1.5)
        scores = np.round(np.clip(generator.normal(0.5 + 0.3 * right, 0.25), 0, 1), 1)
        answers = np.where(right, "right", generator.choice(["a", "b", "c"], samples))
        tokens = generator.integers(50, 150, samples)
        made.append(
            question(
                scores=scores.tolist(),
                answers=answers.tolist(),
                correct=right.tolist(),
                tokens=tokens.tolist(),
                id_=f"q{number}",
            )
        )
    return Pool(tuple(made), "random")
