"""The posterior against hypotheses weighed one by one, closed forms, and the truth of simulated questions."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from langchain_optscale.answers import DEFAULT, AnswerModel, AnswerPosterior, select_posterior
from langchain_optscale.errors import SettingsError
from langchain_optscale.stats import IsotonicCalibration, expected_calibration_error
from tests.unit_tests.answers.simulated import MODEL, draw_questions, weigh

BLIND = {"separation": 0.0, "slope": 0.0}


@pytest.mark.parametrize(
    ("answers", "scores"),
    [
        (["a"], [0.7]),
        (["a", "b"], [0.7, 0.2]),
        (["a", "a", "b", None], [0.6, 0.8, 0.75, 0.4]),
        ([None, "b", None, "a", "b"], [0.9, 0.3, 0.1, 0.35, 0.5]),
        (["a", "b", "c", "a", "b", "a"], [0.2, 0.9, 0.5, 0.3, 0.85, 0.4]),
    ],
)
@pytest.mark.parametrize("model", [MODEL, DEFAULT, AnswerModel(right=0.2, firmness=5.0, concentration=0.4)])
def test_each_hypothesis_weighed_candidate_by_candidate(answers, scores, model):
    posterior = AnswerPosterior.of(answers, scores, model)
    spoken = [(answer, score) for answer, score in zip(answers, scores, strict=True) if answer is not None]
    logits = np.array([math.log(score / (1 - score)) for _, score in spoken])
    expected = weigh([answer for answer, _ in spoken], logits, model)
    # The oracle's own midpoint rule meets an integrable pole of the Beta law at 0 and 1.
    assert posterior.none == pytest.approx(expected.pop(None), abs=2e-4)
    assert dict(posterior.probabilities) == pytest.approx(expected, abs=2e-4)


@pytest.mark.parametrize("counts", [(1,), (5,), (40, 24), (30, 20, 10, 4), (1,) * 64, (60, 1, 1, 1, 1)])
@pytest.mark.parametrize("firmness", [0.6, 2.0, 30.0])
def test_blind_to_scores_it_is_a_ratio_of_beta_and_gamma_functions(counts, firmness):
    model = AnswerModel(right=0.3, firmness=firmness, concentration=3.0, silence=0.1, **BLIND)
    answers = [str(name) for name, count in enumerate(counts) for _ in range(count)]
    n, a, b, kappa = len(answers), 0.3 * firmness, 0.7 * firmness, 3.0
    logs = []
    for right in (*range(len(counts)), None):
        hits = 0 if right is None else counts[right]
        others = [count for name, count in enumerate(counts) if name != right]
        tables = len(others) * math.log(kappa) + sum(math.lgamma(count) for count in others)
        tables += math.lgamma(kappa) - math.lgamma(kappa + n - hits)
        logs.append(special.betaln(a + hits, b + n - hits) + tables + (n - hits) * math.log(0.9))
    expected = np.exp(logs - special.logsumexp(logs))
    posterior = AnswerPosterior.of(answers, [0.5] * n, model)
    assert [*posterior.probabilities.values(), posterior.none] == pytest.approx(expected.tolist(), abs=1e-7)


def test_the_probability_is_true_where_the_law_is():
    said, happened = [], []
    for question in draw_questions(3000, 8):
        size = 1 + len(said) % 8
        samples = question.samples[:size]
        posterior = AnswerPosterior.of([s.answer for s in samples], [s.score for s in samples], MODEL)
        said.append(posterior.probability)
        happened.append(posterior.leader == "right")
    # 3,000 predictions of a perfect predictor have an error of 0.020 at the 95th percentile.
    assert expected_calibration_error(said, happened) < 0.025
    assert np.mean(said) == pytest.approx(np.mean(happened), abs=0.02)


def test_scores_of_easy_questions_do_not_vouch_for_each_answer():
    # High scores for all: the question is easy, which of the answers is right they do not say.
    high = AnswerPosterior.of(["a", "b"], [0.9, 0.9], MODEL)
    low = AnswerPosterior.of(["a", "b"], [0.2, 0.2], MODEL)
    assert high.none < low.none
    assert high.probabilities["a"] == pytest.approx(high.probabilities["b"])


def test_a_second_score_of_an_answer_adds_little():
    once = AnswerPosterior.of(["a", "b", "b"], [0.9, 0.3, 0.3], MODEL)
    steady = AnswerModel(**{**_fields(MODEL), "answer_std": 1e-3})
    fresh = AnswerPosterior.of(["a", "b", "b"], [0.9, 0.3, 0.3], steady)
    # With nothing shared within an answer, two low scores count twice against b.
    assert fresh.probabilities["b"] < once.probabilities["b"]


def test_a_candidate_without_an_answer_changes_no_probability():
    before = AnswerPosterior.of(["a", "b", "a"], [0.5, 0.6, 0.5], MODEL)
    after = AnswerPosterior.of(["a", None, "b", "a", None], [0.5, 0.5, 0.6, 0.5, 0.9], MODEL)
    assert dict(after.probabilities) == pytest.approx(dict(before.probabilities))
    assert after.none == pytest.approx(before.none)


@pytest.mark.parametrize("silent", [0, 3, 6, 10])
def test_silent_candidates_overturn_no_majority(silent):
    answers = ["42"] * 12 + ["7", "8"] + [None] * silent
    posterior = AnswerPosterior.of(answers, [0.5] * len(answers))
    assert posterior.leader == "42"
    assert posterior.probability > 0.5


def test_without_an_answer_there_is_no_leader():
    assert AnswerPosterior.of([None], [0.5]).leader is None
    assert AnswerPosterior.of([None], [0.5]).probability == 0.0
    assert AnswerPosterior.of([None, None], [0.5, 0.1]).none == pytest.approx(1.0)
    assert AnswerPosterior.of([], []).none == pytest.approx(1.0)
    assert AnswerPosterior.of([None], [0.5]).expected_rise() == {}


def test_the_candidate_to_return():
    assert select_posterior(["a", "b", "b"], [0.6, 0.5, 0.55]) == 2
    assert select_posterior(["b", "b", "a"], [0.5, 0.5, 0.4]) == 0
    assert select_posterior([None, None, None], [0.5, 0.7, 0.7]) == 1
    assert select_posterior([None, "a"], [1.0, 0.0]) == 1
    assert select_posterior(["a", "b"], [0.5, 0.5]) == 0
    with pytest.raises(SettingsError, match="no candidate"):
        select_posterior([], [])
    with pytest.raises(SettingsError, match="needs a score and an answer"):
        select_posterior(["a"], [0.5, 0.6])


def test_calibrated_scores_are_used():
    upside_down = IsotonicCalibration((0.0, 0.4, 0.5), (0.05, 0.06, 0.95))
    model = AnswerModel(calibration=upside_down)
    assert model.logit(0.5) == pytest.approx(math.log(0.95 / 0.05))
    assert model.logit(0.5) == model.logit(0.5)
    plain = AnswerPosterior.of(["a", "b"], [0.45, 0.5])
    sharp = AnswerPosterior.of(["a", "b"], [0.4, 0.5], model)
    assert sharp.probabilities["b"] > plain.probabilities["b"]


CANDIDATES = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c", "d", None]), st.floats(0.0, 1.0)), min_size=1, max_size=24
)
MODELS = st.builds(
    AnswerModel,
    right=st.floats(0.01, 0.99),
    firmness=st.floats(0.05, 50),
    concentration=st.floats(0.01, 100),
    silence=st.floats(0.001, 0.9),
    separation=st.floats(0, 6),
    centre=st.floats(-4, 4),
    slope=st.floats(-3, 3),
    question_std=st.floats(0.05, 5),
    answer_std=st.floats(0.05, 5),
    candidate_std=st.floats(0.05, 5),
)


@settings(max_examples=150, deadline=None)
@given(CANDIDATES, MODELS, st.randoms(use_true_random=False))
def test_any_candidates_in_any_order(candidates, model, shuffler):
    answers, scores = zip(*candidates, strict=True)
    posterior = AnswerPosterior.of(answers, scores, model)
    every = [*posterior.probabilities.values(), posterior.none]
    assert all(0.0 <= value <= 1.0 for value in every)
    assert math.fsum(every) == pytest.approx(1.0)
    assert set(posterior.probabilities) == {answer for answer in answers if answer is not None}
    rises = posterior.expected_rise()
    assert all(0.0 <= rise <= 1.0 for rise in rises.values())
    mixed = list(candidates)
    shuffler.shuffle(mixed)
    again = AnswerPosterior.of(*zip(*mixed, strict=True), model)
    assert dict(again.probabilities) == pytest.approx(dict(posterior.probabilities), abs=1e-9)
    assert 0 <= select_posterior(answers, scores, model) < len(scores)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=12), st.integers(1, 4))
def test_silence_never_raises_an_answer_where_scores_are_uninformative(answers, silent):
    model = AnswerModel(silence=0.2, **BLIND)
    before = AnswerPosterior.of(answers, [0.5] * len(answers), model)
    after = AnswerPosterior.of([*answers, *[None] * silent], [0.5] * (len(answers) + silent), model)
    assert after.probability <= before.probability + 1e-12
    assert after.leader == before.leader


def _fields(model):
    return {name: value for name, value in model.to_dict().items() if name not in ("format", "version")}
