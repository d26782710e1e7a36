"""Settings: the frontier against brute force, and parity on cases whose answer is known."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import betaln

from langchain_optscale.errors import SettingsError
from langchain_optscale.evaluation.baselines import BestOfN, SelfConsistency, ThresholdStopping
from langchain_optscale.evaluation.frontier import frontier, on_one_half, parity_in, samples_at_parity
from langchain_optscale.evaluation.metrics import FIGURES, Report, Runs
from langchain_optscale.evaluation.pools import Pool, Question, Sample
from langchain_optscale.evaluation.replay import replay
from tests.unit_tests.evaluation.replayed import question, random_pool

GRID = [{"threshold": threshold} for threshold in (0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)]


@pytest.mark.parametrize("cost", ["samples", "tokens"])
def test_the_frontier_is_what_nothing_dominates(cost):
    pool = random_pool()
    points = [
        (row["accuracy"], row[cost], row["settings"])
        for row in replay(pool, [ThresholdStopping(**s) for s in GRID]).to_dict()
    ]
    undominated = [
        settings
        for right, paid, settings in points
        if not any(r >= right and p <= paid and (r, p) != (right, paid) for r, p, _ in points)
    ]
    found = frontier(pool, ThresholdStopping, GRID, cost=cost).to_dict()
    assert sorted(row["settings"]["threshold"] for row in found) == sorted(s["threshold"] for s in undominated)
    assert [row[cost] for row in found] == sorted(row[cost] for row in found)


def test_parity_with_a_perfect_verifier():
    # Right samples score 1, wrong ones at most 0.5: a threshold between them loses nothing.
    generator = np.random.default_rng(0)
    made = []
    for number in range(60):
        right = generator.random(8) < 0.4
        scores = np.where(right, 1.0, np.round(0.5 * generator.random(8), 2))
        made.append(question(scores=scores.tolist(), correct=right.tolist(), id_=f"q{number}"))
    pool = Pool(tuple(made))
    parity = samples_at_parity(pool, ThresholdStopping, GRID, splits=3, margin=0.0, tolerance=0.0)
    exact = replay(pool, [ThresholdStopping(0.6)])[0]
    assert parity.chosen == (({"threshold": 0.6}, 6),)
    assert parity.attained == 1.0
    assert parity.samples == pytest.approx(exact["samples"].mean())
    assert parity.accuracy == pytest.approx(parity.reference_accuracy)
    # No question differs, which 60 of them show up to Clopper and Pearson's bound.
    bound = 1 - 0.025 ** (1 / 60)
    assert parity.difference.intervals["accuracy"] == pytest.approx((-bound, bound))
    assert parity.difference.differences["samples"] == pytest.approx(parity.samples - 8)
    assert parity.reference_samples == 8


def test_where_no_setting_is_good_enough_the_best_is_taken():
    # The first sample is wrong and the second right, so only two samples or more can match.
    made = [question(scores=[0.6, 0.7, 0.1], correct=[False, True, False], id_=f"q{number}") for number in range(6)]
    parity = samples_at_parity(Pool(tuple(made)), BestOfN, [{"n": 1}], splits=2, permutations=1, margin=0.0)
    assert (parity.attained, parity.accuracy, parity.samples) == (0.0, 0.0, 1.0)
    both = samples_at_parity(
        Pool(tuple(made)), BestOfN, [{"n": 1}, {"n": 3}, {"n": 2}], splits=2, margin=0.0, permutations=1
    )
    assert (both.attained, both.samples, both.chosen) == (1.0, 2.0, (({"n": 2}, 4),))


def test_what_is_reported_did_not_choose():
    """With labels that are noise, the half that chose is flattered; the other one is not."""
    generator = np.random.default_rng(5)
    made = [
        question(
            scores=np.round(generator.random(6), 2).tolist(),
            correct=(generator.random(6) < 0.5).tolist(),
            answers=generator.choice(["3", "4"], 6).tolist(),
            id_=f"q{number}",
        )
        for number in range(80)
    ]
    parity = samples_at_parity(Pool(tuple(made)), ThresholdStopping, GRID, splits=20, margin=0.0, tolerance=0.0)
    assert parity.accuracy == pytest.approx(0.5, abs=0.08)
    of_votes = samples_at_parity(Pool(tuple(made)), ThresholdStopping, GRID, reference=SelfConsistency(), splits=2)
    assert of_votes.reference_samples == 6


@pytest.mark.parametrize(("grid", "splits", "questions"), [([], 1, 4), (GRID, 0, 4), (GRID, 1, 1)])
def test_what_is_refused(grid, splits, questions):
    with pytest.raises(SettingsError, match="parity needs"):
        samples_at_parity(random_pool(questions), ThresholdStopping, grid, splits=splits)


def test_parity_of_a_replay_that_is_there():
    pool = random_pool()
    report = replay(pool, [BestOfN(), *(ThresholdStopping(**settings) for settings in GRID)])
    assert parity_in(pool, report, GRID) == samples_at_parity(pool, ThresholdStopping, GRID)
    with pytest.raises(SettingsError, match="one for each of 6 settings, got 8"):
        parity_in(pool, report, GRID[1:])


def test_few_questions_show_no_saving():
    """Only all 8 candidates are as accurate, and no half of 50 questions shows it: 8 are reported."""
    generator = np.random.default_rng(7)
    chances = generator.beta(0.5, 2.0, 50)
    made = [
        question(
            scores=(right := generator.random(8) < chance).astype(float).tolist(), correct=right.tolist(), id_=str(n)
        )
        for n, chance in enumerate(chances)
    ]
    grid = [{"n": n} for n in range(1, 9)]
    flattering = samples_at_parity(Pool(tuple(made)), BestOfN, grid, margin=0.0, tolerance=0.0, permutations=1)
    careful = samples_at_parity(Pool(tuple(made)), BestOfN, grid, permutations=1)
    assert flattering.samples < 8.0
    assert (careful.samples, careful.attained) == (8.0, 0.0)


def test_many_questions_show_one():
    made = [question(scores=[0.1, 0.9, 0.3], correct=[False, True, False], id_=str(n)) for n in range(400)]
    grid = [{"n": n} for n in (1, 2, 3)]
    parity = samples_at_parity(Pool(tuple(made)), BestOfN, grid, permutations=1, splits=2)
    assert (parity.samples, parity.attained) == (2.0, 1.0)
    with pytest.raises(SettingsError, match="tolerance"):
        samples_at_parity(Pool(tuple(made)), BestOfN, grid, tolerance=-0.1)


def _simulated(seed, questions=120, cap=16, shape=(0.5, 2.0)):
    """Best-of-n for every n, on questions whose chances are Beta(a, b): accuracies are known in closed form."""
    generator = np.random.default_rng(seed)
    right = generator.random((questions, cap)) < generator.beta(*shape, questions)[:, None]
    names = tuple(map(str, range(questions)))
    runs = []
    for n in (cap, *range(1, cap + 1)):
        values = np.full((questions, len(FIGURES)), np.nan)
        values[:, FIGURES.index("accuracy")] = right[:, :n].any(axis=1)
        values[:, FIGURES.index("samples")] = n
        runs.append(Runs("best-of-n", {"n": n}, values))
    pool = Pool(tuple(Question(name, "?", (Sample(),)) for name in names))
    return pool, Report("simulated", names, "accuracy", cap, 1, tuple(runs), bootstrap=1)


def test_the_half_that_did_not_choose_is_unbiased_and_its_interval_holds():
    """The truth is known: best-of-n is right with probability 1 - B(a, b + n) / B(a, b)."""
    shape, repeats = (0.5, 2.0), 200

    def choose(accuracy, samples):  # the first of 8 or more candidates that has the most on these questions
        return 8 + int(np.argmax(accuracy.mean(axis=1)[8:])), True

    errors, holds = [], []
    for seed in range(repeats):
        pool, report = _simulated(seed, shape=shape)
        place, attained, chose = on_one_half(pool, report, choose, seed)
        n = report.runs[place].settings["n"]
        truth = 1.0 - np.exp(betaln(shape[0], shape[1] + n) - betaln(*shape))
        told = replace(
            report,
            questions=tuple(np.array(report.questions)[~chose]),
            runs=(replace(report.runs[place], values=report.runs[place].values[~chose]),),
        )
        (row,) = told.to_dict()
        errors.append(row["accuracy"] - truth)
        holds.append(row["accuracy_ci"][0] <= truth <= row["accuracy_ci"][1])
        assert attained
        assert chose.sum() == 60
    assert abs(np.mean(errors)) < 3.0 * np.std(errors) / np.sqrt(repeats)
    assert np.mean(holds) >= 0.93
