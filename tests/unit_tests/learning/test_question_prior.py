"""The prior of each question: what it learns from simulated questions, and what it does with what it does not know."""

import json
import logging
import pickle

import numpy as np
import pytest
from langchain_core.embeddings import Embeddings

from langchain_optscale import LearnedPrior, QuestionPrior
from langchain_optscale.errors import InvalidRecordError, InvalidScoreError, SettingsError
from langchain_optscale.learning.features import hashed_features
from langchain_optscale.learning.moments import Moments, scores_with
from langchain_optscale.records.arrays import read_arrays, write_arrays
from langchain_optscale.stats import EmpiricalPrior, MaximumAPosteriori, Posterior

NOUNS = ["river", "garden", "engine", "letter", "market", "planet", "window", "castle", "forest", "bridge"]


def questions(count, seed=0, *, told=True, scores=8):
    """Questions whose text says how high their scores are, unless `told` is false."""
    generator = np.random.default_rng(seed)
    level = generator.integers(0, 3, count)
    means = np.array([0.3, 0.6, 0.9])[level] + generator.normal(0.0, 0.03, count)
    words = np.array(["hard", "medium", "easy"])[level if told else generator.integers(0, 3, count)]
    prompts = [
        f"A {word} question about the {NOUNS[generator.integers(10)]} and number {generator.integers(100)}"
        for word in words
    ]
    drawn = np.clip(generator.normal(means[:, None], 0.06, (count, scores)), 0.0, 1.0)
    return prompts, drawn.tolist()


PROMPTS, SCORES = questions(160)
PRIOR = QuestionPrior.fit(PROMPTS, scores=SCORES)
# Enough for one belief, which makes a fit fast.
FEW, FEW_SCORES = PROMPTS[:60], SCORES[:60]


class LetterEmbeddings(Embeddings):
    """Embeds a text as the counts of its letters; the texts that it was given are in `asked`."""

    def __init__(self):
        self.asked = []
        self.broken = False

    def embed_documents(self, texts):
        if self.broken:
            raise ConnectionError("the embedding server is down")
        self.asked.extend(texts)
        return [[float(text.count(letter)) for letter in "abcdefghijklmnopqrstuvwxyz"] for text in texts]

    def embed_query(self, text):
        return self.embed_documents([text])[0]


def test_predictions_follow_the_text():
    prompts, scores = questions(300, seed=1)
    laws = PRIOR.predict(prompts)
    truth = np.mean(scores, axis=1)
    assert np.abs([law.mean for law in laws] - truth).mean() < 0.06
    assert np.abs(truth - np.median(truth)).mean() > 0.15
    assert not any(law.doubtful for law in laws)
    assert PRIOR.report["mean"]["mae"] < 0.5 * PRIOR.report["mean"]["mae_of_constant"]
    assert PRIOR.is_useful


def test_one_question_is_predicted_as_it_is_among_many():
    assert PRIOR(PROMPTS[0]) == PRIOR.predict(PROMPTS[:5])[0]
    assert PRIOR.predict([hashed_features(PROMPTS[0])]) == [PRIOR(PROMPTS[0])]
    assert PRIOR.predict([]) == []


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9])
def test_intervals_hold_as_often_as_they_say(level):
    prompts, scores = questions(500, seed=2)
    ends = PRIOR.intervals(prompts, level)
    truth = np.column_stack([np.mean(scores, axis=1), np.std(scores, axis=1, ddof=1)])
    inside = ((ends[:, :, 0] <= truth) & (truth <= ends[:, :, 1])).mean(axis=0)
    # Sampling errors of 160 past questions and of 500 new ones; for the deviation also the small-sample correction.
    assert inside == pytest.approx([level, level], abs=0.1)


def test_beliefs_are_those_of_similar_questions():
    easy, hard = PRIOR("An easy question about the river"), PRIOR("A hard question about the river")
    assert easy.prob_reach(0.85, 1) > 0.7 > 0.05 > hard.prob_reach(0.85, 1)
    posterior = Posterior()
    assert posterior((), easy).prob_next(0.85) > 0.7 > 0.05 > posterior((), hard).prob_next(0.85)
    assert posterior([0.9], hard).prob_next(0.5) > posterior([0.3], hard).prob_next(0.5)


def test_maximum_a_posteriori_takes_the_paper_s_prior():
    law = PRIOR("An easy question about the river")
    assert (law.mu, law.sigma, law.mu_std, law.sigma_std) == (law.mean, law.std, 0.1, 0.1)
    estimate = MaximumAPosteriori()((), law)
    assert (estimate.mu, estimate.sigma) == (law.mean, law.std)


def test_an_unlike_question_gets_the_prior_of_the_population():
    law = PRIOR("Übersetze: 今日は天気がいいですね。¿Verdad?")
    assert law.doubtful
    assert law.belief == PRIOR.population
    assert law == PRIOR.of_population
    assert law.mean == pytest.approx(np.mean(SCORES), abs=0.02)
    ends = PRIOR.intervals(["Übersetze: 今日は天気がいいですね。¿Verdad?"])
    assert ends[0, 0, 0] < 0.45 < 0.75 < ends[0, 0, 1]


def test_a_text_that_says_nothing_is_not_used():
    prompts, scores = questions(60, told=False)
    prior = QuestionPrior.fit(prompts, scores=scores)
    assert not prior.is_useful
    assert prior.report["useful"] is False
    assert all(law == prior.of_population for law in prior.predict(prompts))


def test_few_questions_are_not_used():
    prior = QuestionPrior.fit(PROMPTS[:20], scores=SCORES[:20])
    assert not prior.is_useful
    assert prior(PROMPTS[0]).belief == EmpiricalPrior.fit(SCORES[:20])


def test_moments_are_enough():
    means, stds = np.mean(FEW_SCORES, axis=1), np.std(FEW_SCORES, axis=1, ddof=1)
    of_moments = QuestionPrior.fit(FEW, means.tolist(), stds.tolist())
    of_scores = QuestionPrior.fit(FEW, scores=FEW_SCORES)
    pairs = zip(of_moments.predict(PROMPTS), of_scores.predict(PROMPTS), strict=True)
    assert max(abs(one.mean - other.mean) for one, other in pairs) < 0.03
    assert of_moments.report["scores"] == 0
    assert of_moments.population.prob_reach(0.85, 4) == pytest.approx(of_scores.population.prob_reach(0.85, 4), abs=0.1)


def test_questions_without_scores_are_left_out_and_short_lists_count_less():
    generator = np.random.default_rng(5)
    cut = [scores[: generator.integers(0, 9)] for scores in FEW_SCORES]
    prior = QuestionPrior.fit(FEW, scores=cut)
    assert prior.report["questions"] == sum(bool(scores) for scores in cut) < len(FEW)
    assert np.abs([prior(prompt).mean - PRIOR(prompt).mean for prompt in PROMPTS[:40]]).mean() < 0.08
    weights = Moments.of(3, None, None, [[0.5], [0.5, 0.6], [0.5] * 50]).weights
    assert (np.diff(weights, axis=0) > 0.0).all()


def test_embeddings_take_the_place_of_n_grams(tmp_path):
    model = LetterEmbeddings()
    prior = QuestionPrior.fit(FEW, scores=FEW_SCORES, embeddings=model)
    assert prior.is_slow
    assert not PRIOR.is_slow
    assert len(model.asked) == len(FEW)
    prompts, scores = questions(200, seed=4)
    assert np.abs([law.mean for law in prior.predict(prompts)] - np.mean(scores, axis=1)).mean() < 0.15
    prior.save(tmp_path / "prior.npz")
    assert QuestionPrior.load(tmp_path / "prior.npz", LetterEmbeddings()) == prior
    with pytest.raises(SettingsError, match="was fitted on embeddings: give the same model"):
        QuestionPrior.load(tmp_path / "prior.npz")
    with pytest.raises(SettingsError, match="an embedding model reads texts"):
        prior.predict([hashed_features("text")])


def test_an_embedding_model_that_fails_costs_no_search(caplog):
    model = LetterEmbeddings()
    prior = QuestionPrior.fit(FEW, scores=FEW_SCORES, embeddings=model)
    model.broken = True
    with caplog.at_level(logging.WARNING):
        assert prior(PROMPTS[0]) == prior.of_population
    assert "the embedding server is down" in caplog.text
    with pytest.raises(ConnectionError):
        prior.predict(PROMPTS[:2])


def test_a_file_predicts_what_was_fitted(tmp_path):
    path = tmp_path / "prior.npz"
    PRIOR.save(path)
    back = QuestionPrior.load(path)
    assert back == PRIOR
    assert hash(back) == hash(PRIOR)
    assert back.fingerprint in repr(back)
    assert back.predict(PROMPTS) == PRIOR.predict(PROMPTS)
    assert back.report == PRIOR.report
    assert (back.intervals(PROMPTS) == PRIOR.intervals(PROMPTS)).all()
    assert path.stat().st_size < 1_000_000


def test_the_fingerprint_knows_another_fit():
    one, other = (QuestionPrior.fit(PROMPTS[first:60], scores=SCORES[first:60]) for first in (0, 1))
    assert one != other
    assert QuestionPrior.fit(PROMPTS[:60], scores=SCORES[:60]) == one


def test_no_text_is_in_the_file(tmp_path):
    PRIOR.save(tmp_path / "prior.npz")
    header, arrays = read_arrays(tmp_path / "prior.npz", "langchain-optscale/question-prior", "a prior")
    everything = json.dumps(header).encode() + b"".join(array.tobytes() for array in arrays.values())
    for word in (b"question about", b"river", "river".encode("utf-32-le")):
        assert word not in everything


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"beliefs": []},
        {"centres": [0.5]},
        {"intercept": [0.5]},
        {"is_useful": "yes"},
        {"population": {}},
        {"reads": "tea leaves"},
    ],
    ids=str,
)
def test_a_damaged_header_is_refused(change, tmp_path):
    path = tmp_path / "prior.npz"
    PRIOR.save(path)
    header, arrays = read_arrays(path, "langchain-optscale/question-prior", "a prior")
    write_arrays(path, {**header, **change}, arrays)
    with pytest.raises((InvalidRecordError, SettingsError), match=r"prior\.npz"):
        QuestionPrior.load(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda arrays: {**arrays, "known": arrays["known"][:, :3]},
        lambda arrays: {**arrays, "known": arrays["known"] * np.nan},
        lambda arrays: {**arrays, "places": arrays["places"][::-1].copy()},
        lambda arrays: {**arrays, "rarity": arrays["rarity"][:-1]},
        lambda arrays: {**arrays, "coefficients": arrays["coefficients"].astype(np.float64) * np.inf},
        lambda arrays: {name: array for name, array in arrays.items() if name != "numbers"},
    ],
)
def test_damaged_arrays_are_refused(change, tmp_path):
    path = tmp_path / "prior.npz"
    PRIOR.save(path)
    header, arrays = read_arrays(path, "langchain-optscale/question-prior", "a prior")
    write_arrays(path, header, change(dict(arrays)))
    with pytest.raises(InvalidRecordError, match=r"prior\.npz cannot be read as a prior of questions"):
        QuestionPrior.load(path)


def test_a_pickle_in_the_file_is_never_read(tmp_path):
    path = tmp_path / "prior.npz"
    np.savez(path, header=np.array([{"format": "langchain-optscale/question-prior"}], dtype=object))
    with pytest.raises(InvalidRecordError, match="arrays of object are not read"):
        QuestionPrior.load(path)
    path.write_bytes(pickle.dumps({"format": "langchain-optscale/question-prior"}))
    with pytest.raises(InvalidRecordError):
        QuestionPrior.load(path)


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        ({}, SettingsError, "give either the scores of each question, or the mean and the standard deviation"),
        ({"means": [0.5]}, SettingsError, "give either"),
        ({"means": [0.5], "stds": [0.1], "scores": [[0.5]]}, SettingsError, "give either"),
        ({"scores": [[0.5], [0.6]]}, SettingsError, "there are 1 prompts and 2 scores"),
        ({"means": [0.5], "stds": []}, SettingsError, "there are 1 prompts and 0 stds"),
        ({"scores": [[]]}, SettingsError, "at least one question with a score"),
        ({"scores": [[1.5]]}, InvalidScoreError, r"in \[0, 1\]"),
        ({"scores": [[float("nan")]]}, InvalidScoreError, r"in \[0, 1\]"),
        ({"means": [1.5], "stds": [0.1]}, SettingsError, r"means of scores must be finite numbers in \[0, 1\]"),
        ({"means": [0.5], "stds": [-0.1]}, SettingsError, "standard deviations of scores"),
    ],
)
def test_a_fit_says_what_is_wrong(arguments, error, sentence):
    with pytest.raises(error, match=sentence):
        QuestionPrior.fit(["one"], **arguments)


def test_what_is_no_question_is_refused():
    with pytest.raises(SettingsError, match="a question must be a text or what hashed_features gave, got int"):
        PRIOR.predict([3])
    with pytest.raises(SettingsError, match="level must lie strictly between 0 and 1"):
        PRIOR.intervals(PROMPTS, 1.0)


def test_quantiles_have_the_moments_that_were_asked_for():
    means, stds = np.array([0.2, 0.5, 0.93]), np.array([0.1, 0.2, 0.05])
    scores = scores_with(means, stds, 400)
    assert scores.mean(axis=1) == pytest.approx(means, abs=1e-3)
    assert scores.std(axis=1) == pytest.approx(stds, abs=2e-3)
    assert ((scores >= 0.0) & (scores <= 1.0)).all()
    assert (scores_with(np.array([0.0, 1.0, 0.5]), np.array([0.0, 0.0, 0.5]), 8) <= 1.0).all()


def test_learned_prior_is_both_kinds(tmp_path):
    population = LearnedPrior.fit(SCORES[:50])
    assert isinstance(population, EmpiricalPrior)
    assert isinstance(LearnedPrior.fit(SCORES[:50], PROMPTS[:50]), QuestionPrior)
    assert isinstance(population, LearnedPrior)
    assert isinstance(PRIOR, LearnedPrior)
    assert not isinstance(PRIOR.of_population, LearnedPrior)
    for prior, name in ((population, "prior.json"), (PRIOR, "prior.npz")):
        prior.save(tmp_path / name)
        assert LearnedPrior.load(tmp_path / name) == prior
    with pytest.raises(SettingsError, match="cannot be read"):
        LearnedPrior.load(tmp_path / "missing.npz")
    (tmp_path / "empty").touch()
    with pytest.raises(InvalidRecordError):
        LearnedPrior.load(tmp_path / "empty")
