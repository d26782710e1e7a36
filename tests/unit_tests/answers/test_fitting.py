"""Fits: the gradient against differences, what is found against what questions were drawn from, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from langchain_optscale.answers import DEFAULT, AnswerModel, AnswerPosterior, fit_labelled, fit_unlabelled
from langchain_optscale.answers._joint import Joint, from_vector, to_vector
from langchain_optscale.answers._recorded import columns_of, histories, logits_of
from langchain_optscale.errors import SettingsError
from langchain_optscale.evaluation.pools import Question, Sample
from tests.unit_tests.answers.simulated import MODEL, draw_questions


def loss(questions, model, sizes=(1, 2, 4, 8)):
    """Mean negative log probability of whether the leader is right, after several numbers of candidates."""
    logs = []
    for question in questions:
        for size in sizes:
            samples = question.samples[:size]
            posterior = AnswerPosterior.of([s.answer for s in samples], [s.score for s in samples], model)
            chance = posterior.probability if posterior.leader == "right" else 1.0 - posterior.probability
            logs.append(-np.log(max(chance, 1e-12)))
    return float(np.mean(logs))


@pytest.mark.parametrize("model", [MODEL, DEFAULT, replace(MODEL, right=0.1, firmness=9.0, slope=-0.5)])
def test_the_gradient_is_that_of_differences(model):
    columns = columns_of(draw_questions(30, 12), with_labels=True)
    parts = [histories(columns, logits_of(columns, model.logit), size) for size in (1, 3, 12)]
    vector = to_vector(model)

    def value(point):
        return sum(Joint(from_vector(point, None), data).log_truth(truth)[0].sum() for data, truth in parts)

    exact = sum(Joint(model, data).log_truth(truth)[1].sum(0) for data, truth in parts)
    step = 1e-5 * np.eye(len(vector))
    differences = [(value(vector + one) - value(vector - one)) / 2e-5 for one in step]
    assert exact == pytest.approx(differences, rel=1e-5, abs=1e-5)


def test_a_fit_with_labels_comes_close_to_the_law():
    train, test = draw_questions(150, 8, seed=1), draw_questions(400, 8, seed=2)
    model = fit_labelled(train)
    known, found, untrained = (loss(test, one) for one in (MODEL, model, DEFAULT))
    # On finitely many questions the law itself may lose by a little; it does not to the untrained model.
    assert abs(found - known) < 0.015 < untrained - known
    assert model.calibration(0.9) > model.calibration(0.2)
    assert model == fit_labelled(train)


def test_a_fit_without_calibration_finds_the_constants():
    model = fit_labelled(draw_questions(600, 8, seed=3), start=replace(DEFAULT, separation=2.5), calibrate=False)
    assert model.calibration is None
    assert model.concentration == pytest.approx(MODEL.concentration, rel=0.35)
    assert model.separation == pytest.approx(MODEL.separation, rel=0.35)
    assert model.silence == pytest.approx(MODEL.silence, abs=0.12)


def test_a_fit_without_labels_learns_the_scale_of_the_scores():
    # Scores within [0.8, 0.9] are uninformative to the default model; agreement calibrates them.
    def squeezed(questions):
        return [replace(q, samples=tuple(replace(s, score=0.8 + 0.1 * s.score) for s in q.samples)) for q in questions]

    train, test = squeezed(draw_questions(200, 8, seed=4)), squeezed(draw_questions(400, 8, seed=5))
    blind = [replace(q, samples=tuple(replace(s, correct=None) for s in q.samples)) for q in train]
    model = fit_unlabelled(blind)
    assert model == fit_unlabelled(train)
    assert model.calibration(0.89) > model.calibration(0.81) + 0.2
    with_labels, without, untrained = (loss(test, one) for one in (fit_labelled(train), model, DEFAULT))
    assert without < untrained
    assert without - with_labels < 0.5 * (untrained - with_labels)


def samples(*answers, score=0.5, correct=None):
    return tuple(Sample(score=score, answer=answer, correct=correct) for answer in answers)


def questions(*answers, count=12, **options):
    return [Question(str(number), "?", samples(*answers, **options)) for number in range(count)]


@pytest.mark.parametrize("fit", [fit_labelled, fit_unlabelled])
def test_too_little_is_refused(fit):
    with pytest.raises(SettingsError, match="3 questions are too few"):
        fit(questions("a", "a", count=3, correct=True))
    with pytest.raises(SettingsError, match="no sample has an answer"):
        fit(questions(None, None, correct=True))
    with pytest.raises(SettingsError, match="a score for every sample"):
        fit(questions("a", "b", score=None, correct=True))


def test_labels_must_be_there_and_differ():
    with pytest.raises(SettingsError, match="use fit_unlabelled"):
        fit_labelled(questions("a", "b"))
    with pytest.raises(SettingsError, match="all samples are right or all are wrong"):
        fit_labelled(questions("a", "b", correct=True))


def test_agreement_must_be_informative():
    with pytest.raises(SettingsError, match="no two candidates"):
        fit_unlabelled(questions("a", "b", None))
    with pytest.raises(SettingsError, match="all candidates of every question agree"):
        fit_unlabelled(questions("a", "a"))


def test_several_right_answers_and_uneven_questions():
    # Two spellings of the right answer count as right both, and questions may have different numbers of samples.
    generator = np.random.default_rng(6)
    mixed = []
    for number in range(40):
        right = generator.random(3 + number % 4) < 0.6
        made = tuple(
            Sample(
                score=round(float(np.clip(generator.normal(0.4 + 0.3 * one, 0.2), 0, 1)), 2),
                answer=str(generator.choice(["1/2", "0.5"] if one else ["3", "4", "5"])),
                correct=bool(one),
            )
            for one in right
        )
        mixed.append(Question(str(number), "?", made))
    model = fit_labelled(mixed)
    assert isinstance(model, AnswerModel)
    assert AnswerPosterior.of(["1/2", "0.5", "3"], [0.7, 0.7, 0.2], model).leader in ("1/2", "0.5")


def test_the_fit_bears_scores_that_are_all_alike_and_perfect_ones():
    flat = draw_questions(30, 5, seed=7)
    level = [replace(q, samples=tuple(replace(s, score=1.0) for s in q.samples)) for q in flat]
    sure = [replace(q, samples=tuple(replace(s, score=float(s.correct)) for s in q.samples)) for q in flat]
    for model in (fit_labelled(level), fit_unlabelled(level)):
        assert 0.0 < AnswerPosterior.of(["a", "b", "a"], [1.0, 1.0, 1.0], model).probability < 1.0
    assert AnswerPosterior.of(["a", "b"], [1.0, 0.0], fit_labelled(sure)).probability > 0.9
