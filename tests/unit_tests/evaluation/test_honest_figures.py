"""Figures that can fail: claims that are false are counted as false, and intervals cover the truth."""

import numpy as np

from langchain_optscale.evaluation.baselines import AdaptiveConsistency
from langchain_optscale.evaluation.methods import SessionMethod, same_answer
from langchain_optscale.evaluation.metrics import FIGURES, Report, Runs
from langchain_optscale.evaluation.pools import Pool, Question, Sample
from langchain_optscale.evaluation.replay import replay
from langchain_optscale.stopping import Futility, MaxSamples, TargetReached, optscale
from langchain_optscale.stopping.learned.trajectories import Recording
from tests.unit_tests.evaluation.replayed import question


def noise_pool(questions=60, samples=16):
    """Every answer wrong, every answer another one, scores pure noise."""
    generator = np.random.default_rng(0)
    return Pool(
        tuple(
            Question(
                str(number), "?",
                tuple(
                    Sample(score=float(score), correct=False, answer=str(place))
                    for place, score in enumerate(generator.random(samples))
                ),
            )
            for number in range(questions)
        )
    )  # fmt: skip


def test_the_observed_confidence_of_wrong_answers_is_not_one():
    """Stopping at a score that has the target used to count as a claim that held, whatever was right."""
    methods = [SessionMethod(optscale(), "default"), SessionMethod(TargetReached(0.9) | MaxSamples(16), "target")]
    for row in replay(noise_pool(), methods, permutations=2).to_dict():
        assert row["accuracy"] == 0.0
        assert row["observed_confidence"] is None or row["observed_confidence_ci"][0] < 1.0


def test_a_target_that_was_given_up_wrongly_is_a_broken_claim():
    asked = question(scores=[0.1] * 40 + [0.95] * 2)
    rule = Futility(0.9, 0.5)
    outcome = SessionMethod(rule, "it", round_size=1).run(asked, 42)
    assert outcome.drawn < 42
    assert outcome.kept is False
    assert SessionMethod(rule, "it", round_size=1).run(question(scores=[0.1] * 42), 42).kept is True


def test_an_answer_that_the_whole_cap_would_overturn_is_a_broken_claim():
    turns = question(answers="4" * 6 + "5" * 10, scores=[0.5] * 16, correct=[True] * 16)
    stays = question(answers="4" * 16, scores=[0.5] * 16, correct=[False] * 16)
    method = SessionMethod(optscale(max_samples=16, price=0.0), "it", select="posterior")  # only a claim ends it
    assert [method.run(asked, 16).kept for asked in (turns, stays)] == [False, True]
    assert AdaptiveConsistency().run(turns, 16).kept is False


def test_samples_without_an_answer_are_never_the_same():
    samples = [Sample(answer=None), Sample(answer=None), Sample(answer="4")]
    assert not same_answer(samples, 0, 1)
    assert same_answer(samples, 2, 2)


def test_the_interval_of_the_observed_confidence_covers():
    """True share 0.97, 30 % of 50 questions stop on a claim: percentiles of a bootstrap covered 38 % of the time."""
    generator, covered = np.random.default_rng(0), 0
    for _ in range(300):
        promised = generator.random(50) < 0.3
        kept = promised & (generator.random(50) < 0.97)
        columns = {"accuracy": kept, "samples": np.ones(50), "promised": promised, "kept": kept}
        values = np.stack([np.asarray(columns.get(name, np.full(50, np.nan)), dtype=float) for name in FIGURES], 1)
        report = Report("p", tuple(map(str, range(50))), "accuracy", 8, 1, (Runs("it", {}, values),), bootstrap=1)
        low, high = report.to_dict()[0]["observed_confidence_ci"] or (0.0, 1.0)
        covered += low <= 0.97 <= high
    assert covered / 300 >= 0.95


def test_features_do_not_know_the_labels_of_their_own_question():
    """Scores that tell nothing: calibrated by a fit to the same labels, right samples stood above wrong ones."""
    generator, gaps = np.random.default_rng(0), []
    for _ in range(60):
        questions = tuple(
            Question(
                str(number), "?",
                tuple(
                    Sample(score=float(score), correct=bool(generator.random() < 0.5), answer=str(place))
                    for place, score in enumerate(generator.random(4))
                ),
            )
            for number in range(30)
        )  # fmt: skip
        recording = Recording(questions)
        right, wrong = [], []
        for group, one in enumerate(questions):
            known = recording.calibrated(group, [sample.score for sample in one.samples])
            for sample, probability in zip(one.samples, known, strict=True):
                (right if sample.correct else wrong).append(probability)
        gaps.append(np.mean(right) - np.mean(wrong))
    assert np.mean(gaps) < 2.0 * np.std(gaps, ddof=1) / np.sqrt(len(gaps))
