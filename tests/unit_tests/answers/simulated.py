"""Candidates drawn from the law itself, and hypotheses weighed the long way: neither uses the package's algebra."""

import math

import numpy as np
from scipy import stats

from langchain_optscale.answers import AnswerModel
from langchain_optscale.evaluation.pools import Question, Sample

MODEL = AnswerModel(
    right=0.55,
    firmness=1.6,
    concentration=2.5,
    silence=0.15,
    separation=1.4,
    centre=-0.3,
    slope=0.9,
    question_std=0.7,
    answer_std=0.8,
    candidate_std=0.6,
)


def draw(generator, model, samples, id_="q"):
    """One question with candidates drawn from the model; "right" is the right answer."""
    p = generator.beta(model.right * model.firmness, (1 - model.right) * model.firmness)
    u = generator.normal(model.slope * (2 * p - 1), model.question_std)
    shared, wrong, made = {}, [], []
    for place in range(samples):
        is_right = bool(generator.random() < p)
        answer = "right" if is_right else None
        if not is_right and generator.random() >= model.silence:
            new = generator.random() < model.concentration / (model.concentration + len(wrong))
            answer = f"wrong {place}" if new else wrong[generator.integers(len(wrong))]
            wrong.append(answer)
        v = shared.setdefault(place if answer is None else answer, generator.normal(0, model.answer_std))
        mean = model.centre + u + v + model.separation * is_right
        logit = generator.normal(mean, model.candidate_std)
        made.append(Sample(score=1 / (1 + math.exp(-logit)), correct=is_right, answer=answer))
    return Question(id_, "?", tuple(made))


def draw_questions(count, samples, model=MODEL, seed=0):
    generator = np.random.default_rng(seed)
    return [draw(generator, model, samples, f"q{number}") for number in range(count)]


def weigh(answers, logits, model):
    """P(each answer right) and P(none right), by going through the candidates one by one for every p on a fine grid."""
    # Equal shares of the Beta law, each with its median p, so that its poles at 0 and 1 do no harm.
    share = (np.arange(4000) + 0.5) / 4000
    grid = stats.beta.ppf(share, model.right * model.firmness, (1 - model.right) * model.firmness)
    prior = np.ones_like(grid)
    keys = [place if answer is None else answer for place, answer in enumerate(answers)]
    same = np.array([[one == other for other in keys] for one in keys], dtype=float)
    covariance = model.question_std**2 + model.answer_std**2 * same + model.candidate_std**2 * np.eye(len(keys))
    weights = {}
    for truth in [*dict.fromkeys(answer for answer in answers if answer is not None), None]:
        by_p, wrong = prior.copy(), []
        for answer in answers:
            if answer is not None and answer == truth:
                by_p = by_p * grid
            elif answer is None:
                by_p = by_p * (1 - grid) * model.silence
            else:
                count = wrong.count(answer)
                chance = (count or model.concentration) / (model.concentration + len(wrong))
                by_p = by_p * (1 - grid) * (1 - model.silence) * chance
                wrong.append(answer)
        is_right = np.array([answer is not None and answer == truth for answer in answers])
        means = model.centre + model.slope * (2 * grid[:, None] - 1) + model.separation * is_right
        gaps = logits - means
        by_p = by_p * np.exp(-0.5 * np.einsum("pi,ij,pj->p", gaps, np.linalg.inv(covariance), gaps))
        weights[truth] = by_p.sum()
    total = sum(weights.values())
    return {truth: weight / total for truth, weight in weights.items()}
