"""What a fit is made of, against brute force: trajectories, the reference at the cap, signals, and drift."""

import itertools
import statistics
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from langchain_optscale.answers import EvidenceVote, as_selection
from langchain_optscale.errors import SettingsError
from langchain_optscale.evaluation.pools import Pool, Question, Sample
from langchain_optscale.stopping import History, Rule
from langchain_optscale.stopping.learned.backward import Design, net_worths, reached_at, reservation, solve, stopped_at
from langchain_optscale.stopping.learned.costs import CandidatePrice
from langchain_optscale.stopping.learned.fitted import FittedStopping
from langchain_optscale.stopping.learned.stage import Stage
from langchain_optscale.stopping.learned.trajectories import Recording, in_errors
from tests.unit_tests.stopping.learned.test_fitted import search, uniform, voted


def test_best_of_the_cap_is_the_mean_over_all_draws():
    generator = np.random.default_rng(0)
    questions = []
    for place in range(30):
        scores = generator.integers(0, 4, size=7) / 4  # with ties
        right = generator.uniform(size=7) < 0.5
        samples = [Sample(score=float(s), correct=bool(r)) for s, r in zip(scores, right, strict=True)]
        questions.append(Question(f"q{place}", "?", tuple(samples)))
    recording = Recording(tuple(questions))
    for cap in (1, 3, 7):
        means = []
        for question in questions:
            drawn = []
            for chosen in itertools.combinations(question.samples, cap):
                best = max(sample.score for sample in chosen)
                drawn.append(statistics.mean(float(s.correct) for s in chosen if s.score == best))
            means.append(statistics.mean(drawn))
        # Of tied samples the closed form takes the group's mean; drawn groups have that mean on average.
        assert recording.best_of(cap) == pytest.approx(statistics.mean(means))


def test_graded_worths_have_no_reference():
    assert Recording(tuple(uniform(30))).best_of(4) is None


def test_a_rule_decides_as_its_fit_did():
    """Features are built by one code for both, and a folded stage is the regression that was solved."""
    pool = voted(60, wrong=2)
    rule = FittedStopping.fit(pool, price=0.01, orders=3, seed=4)
    recording = Recording(tuple(pool))
    paths, amounts = recording.paths(rule.points, 3, 4)
    designs = [Design(paths.features[:, point]) for point in range(len(rule.stages))]
    solved = min(
        (solve(designs, paths, amounts.costs(CandidatePrice(0.01)), ridge) for ridge in (30, 100, 300, 1000, 3000)),
        key=lambda one: abs(folded(designs[0], one[0]) - rule.stages[0].intercept),
    )
    # The fit calibrates each question without its own labels, the rule every question by all of them.
    recording.calibrated = lambda _group, scores: [recording.calibration(score) for score in scores]
    deployed, _ = recording.paths(rule.points, 3, 4)
    columns = [design.expanded(deployed.features[:, point]) for point, design in enumerate(designs)]
    stops = stopped_at(columns, solved)
    generator = np.random.default_rng(4)
    for place, question in enumerate(q for q in pool for _ in range(3)):
        order = generator.permutation(len(question.samples))[:12]
        drawn = [question.samples[k] for k in order]
        n = search(rule, [s.score for s in drawn], [s.answer for s in drawn])
        assert rule.points[stops[place]] == n
        known, scores = [s.answer for s in drawn[:n]], [s.score for s in drawn[:n]]
        # And what it valued is what a search with its selection returns.
        chosen = drawn[as_selection(rule.select).position(known, scores)]
        assert float(chosen.correct) == deployed.values[place, stops[place]]


def folded(design, one):
    return design.folded(*one)[0]


def test_answers_are_selected_by_evidence():
    rule = FittedStopping.fit(voted(60, wrong=2), price=0.01, orders=4)
    assert rule.select == EvidenceVote(rule.calibration)
    assert "select='evidence'" in repr(rule)
    assert Rule.from_dict(rule.to_dict()).select == rule.select
    assert FittedStopping.fit(voted(60, wrong=2), price=0.01, orders=4, select="vote").select == "vote"
    assert FittedStopping.fit(uniform(60), price=0.01, orders=4).select == "best"
    with pytest.raises(SettingsError, match="a fitted rule needs"):
        replace(rule, select=EvidenceVote())


def test_without_labels_and_without_a_goal_it_stays_as_near_to_the_vote_as_best_of_n():
    pool = voted(200)
    unlabelled = Pool(
        tuple(replace(q, samples=tuple(replace(s, correct=None) for s in q.samples)) for q in pool), "unlabelled"
    )
    rule = FittedStopping.fit(unlabelled, labels="none")
    agreed, best, spent = [], [], []
    for question in voted(300, seed=3):
        scores, answers = [s.score for s in question.samples], [s.answer for s in question.samples]
        vote = answers[as_selection("vote").position(answers, scores)]
        n = search(rule, scores, answers)
        agreed.append(answers[as_selection(rule.select).position(answers[:n], scores[:n])] == vote)
        best.append(answers[int(np.argmax(scores))] == vote)
        spent.append(n)
    # Four standard errors of the difference of two shares near 0.85 on 300 questions.
    assert np.mean(agreed) >= np.mean(best) - 4 * np.sqrt(2 * 0.13 / 300)
    assert np.mean(spent) < 9


def test_signals_are_standard_normal_without_a_signal():
    signals = []
    for seed in range(300):
        generator = np.random.default_rng(seed)
        questions = [
            Question(
                f"q{place}",
                "?",
                tuple(
                    Sample(score=float(s), correct=bool(c))
                    for s, c in zip(generator.uniform(size=5), generator.uniform(size=5) < 0.5, strict=True)
                ),
            )
            for place in range(40)
        ]
        signals.append(Recording(tuple(questions)).signal())
    # Student's t with 39 degrees of freedom, near enough; the test is SciPy's.
    assert stats.kstest(signals, stats.t(39).cdf).pvalue > 0.001


def test_a_mean_in_its_standard_errors():
    values = np.random.default_rng(0).normal(0.3, 1.0, 50)
    assert in_errors(values) == pytest.approx(stats.ttest_1samp(values, 0.0).statistic)
    assert in_errors(np.zeros(5)) == 0.0


def test_drifted_scores_fall_back_and_say_so():
    rule = FittedStopping.fit(voted(80), price=0.01, orders=4)
    # The calibration holds drifted scores within bounds; a rule for scores alone sees them as they are.
    graded = FittedStopping.fit(
        Pool(
            tuple(
                replace(q, samples=tuple(replace(s, score=0.4 + s.score / 10) for s in q.samples)) for q in uniform(80)
            )
        ),
        price=0.002,
        orders=4,
    )
    drifted = graded(History(scores=(0.95, 0.9, 0.97), max_samples=8))
    assert "outside fitted: best" in drifted.figures
    assert drifted.rule != "FittedStopping"
    usual = graded(History(scores=(0.45, 0.42, 0.41), max_samples=8))
    assert usual.rule == "FittedStopping"
    silent = rule(History(scores=(0.6, 0.6), answers=(None, None), max_samples=12))
    assert "outside fitted: unanswered" in silent.figures


def test_the_best_constant_threshold_is_found_by_brute_force():
    recording = Recording(tuple(uniform(40)))
    points = (1, 2, 3, 4, 5, 6, 7, 8)
    paths, amounts = recording.paths(points, 3, 0)
    costs = amounts.costs(CandidatePrice(0.03))
    nets = {}
    for threshold in np.unique(paths.features[:, :, 0]).tolist():
        net = []
        for features, values in zip(paths.features, paths.values, strict=True):
            stop = next((j for j in range(7) if features[j, 0] >= threshold), 7)
            net.append(values[stop] - 0.03 * stop)
        nets[threshold] = np.mean(net)
    found = reservation(paths, costs)
    # It looks at 200 of the scores.
    assert nets[found] >= max(nets.values()) - 0.001
    assert net_worths(paths, costs, reached_at(paths, found)).mean() == pytest.approx(nets[found])


def test_a_stage_that_is_a_threshold():
    paths, _ = Recording(tuple(uniform(60))).paths((1, 2, 4), 2, 0)
    stage = Stage.reserved(Design(paths.features[:, 0]), 0.8)
    assert stage.advantage([0.8, 0.1, 0.5, 0.1, 0.0]) <= 0.0
    assert stage.advantage([0.79, 0.1, 0.5, 0.1, 0.0]) == pytest.approx(0.01)
    assert Stage.from_dict(stage.to_dict()) == stage
