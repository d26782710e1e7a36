"""Replay: figures against independent computations, paired permutations, and the shared pools."""

import numpy as np
import pytest

from langchain_optscale.errors import SettingsError
from langchain_optscale.evaluation.baselines import (
    AdaptiveConsistency,
    BestOfN,
    EarlyStoppingConsistency,
    SelfConsistency,
    ThresholdStopping,
    WeightedVote,
    optscale_0,
)
from langchain_optscale.evaluation.methods import Outcome, SessionMethod
from langchain_optscale.evaluation.oracles import CorrectnessOracle, TailOracle
from langchain_optscale.evaluation.pools import Pool, read_pool
from langchain_optscale.evaluation.replay import drawing_orders, fits, replay
from langchain_optscale.records.decisions import StopReason
from langchain_optscale.stopping import TargetReached, optscale
from tests.unit_tests.evaluation.replayed import question, random_pool
from tests.unit_tests.shared_data import shared_data

METHODS = [
    BestOfN(),
    BestOfN(3),
    SelfConsistency(),
    WeightedVote(),
    ThresholdStopping(0.9),
    AdaptiveConsistency(),
    AdaptiveConsistency(criterion="dirichlet"),
    EarlyStoppingConsistency(3),
    optscale_0(0.9, first_round=2),
    SessionMethod(optscale(0.9), "optscale"),
    TailOracle(0.9),
    CorrectnessOracle(),
]


def columns(pool, name):
    return np.array([[getattr(sample, name) for sample in one.samples] for one in pool], dtype=float)


def permuted(values, pool, permutations, seed):
    """Shape (questions, permutations, samples)."""
    orders = np.stack([drawing_orders(one, permutations, seed) for one in pool])
    return np.take_along_axis(np.repeat(values[:, None], permutations, axis=1), orders, axis=2)


@pytest.mark.parametrize("n", [1, 3, 8])
def test_best_of_n_against_numpy(n):
    pool = random_pool()
    row = replay(pool, [BestOfN(n)], permutations=5, seed=3, bootstrap=1).to_dict()[0]
    scores, correct, tokens = (permuted(columns(pool, c), pool, 5, 3)[..., :n] for c in ("score", "correct", "tokens"))
    chosen = scores.argmax(axis=-1)[..., None]
    assert row["accuracy"] == pytest.approx(np.take_along_axis(correct, chosen, -1).mean())
    assert row["tokens"] == pytest.approx(tokens.sum(axis=-1).mean())
    assert (row["samples"], row["rounds"]) == (n, 1)


def test_threshold_against_numpy_and_against_the_session():
    pool = random_pool()
    report = replay(
        pool, [ThresholdStopping(0.9), SessionMethod(TargetReached(0.9), "session", first_round=1, round_size=1)]
    )
    scores = permuted(columns(pool, "score"), pool, 8, 0)
    hit = scores >= 0.9
    drawn = np.where(hit.any(axis=-1), hit.argmax(axis=-1) + 1, 8)
    assert report[0]["samples"] == pytest.approx(drawn.mean(axis=1))
    assert report[0]["reached"] == pytest.approx(hit.any(axis=-1).mean(axis=1))
    np.testing.assert_array_equal(report[0].values, report[1].values)


def test_every_method_sees_the_same_orders():
    pool = random_pool(questions=5)
    seen = {}

    class Witness(BestOfN):
        def run(self, question, max_samples):
            seen.setdefault(self.n, []).append(question.samples)
            return super().run(question, max_samples)

    replay(pool, [Witness(1), Witness(2)], permutations=4, bootstrap=1)
    assert seen[1] == seen[2]
    assert len(seen[1]) == 20
    assert [seen[1][4 * place] for place in range(5)] == [one.samples for one in pool]


def test_orders_are_permutations_and_belong_to_the_question():
    pool = random_pool(questions=3, samples=6)
    for one in pool:
        orders = drawing_orders(one, 50, seed=1)
        assert np.all(np.sort(orders, axis=1) == np.arange(6))
        assert orders[0].tolist() == list(range(6))
        assert len({tuple(order) for order in orders.tolist()}) > 30
        np.testing.assert_array_equal(orders[:5], drawing_orders(one, 5, seed=1))
    assert drawing_orders(pool.questions[0], 9, 1).tolist() != drawing_orders(pool.questions[1], 9, 1).tolist()
    assert drawing_orders(pool.questions[0], 9, 1).tolist() != drawing_orders(pool.questions[0], 9, 2).tolist()


def test_a_part_of_a_pool_replays_as_in_the_whole():
    pool = random_pool()
    part = pool.split(seed=4)[0]
    whole = replay(pool, METHODS, bootstrap=1)
    alone = replay(part, METHODS, bootstrap=1)
    places = [whole.questions.index(name) for name in alone.questions]
    for place in range(len(METHODS)):
        np.testing.assert_array_equal(whole[place].values[places], alone[place].values)


@pytest.mark.parametrize("cap", [1, 5, 8])
def test_no_method_beats_the_oracle(cap):
    report = replay(random_pool(), METHODS, max_samples=cap, bootstrap=1)
    oracle = report["oracle-correct"]
    for runs in report.runs:
        assert np.all(runs["accuracy"] <= oracle["accuracy"] + 1e-12)
        as_good = runs["accuracy"] >= oracle["accuracy"] - 1e-12
        assert np.all(runs["samples"][as_good] >= oracle["samples"][as_good] - 1e-12)
        assert np.all((runs["samples"] >= 1) & (runs["samples"] <= runs["asked"]) & (runs["asked"] <= cap))
        assert np.all(runs["rounds"] <= runs["asked"])
        assert np.all(runs["kept"] <= runs["promised"])


def test_a_target_for_methods_that_have_none():
    pool = random_pool()
    report = replay(pool, [BestOfN(), ThresholdStopping(0.9)], target=0.9, bootstrap=1)
    np.testing.assert_array_equal(report[0]["reached"], report[1]["reached"])
    assert np.isnan(replay(pool, [BestOfN()], bootstrap=1)[0]["reached"]).all()


def test_without_labels_accuracy_is_the_score():
    pool = Pool((question(scores=[0.2, 0.9]), question(scores=[0.4, 0.3], id_="r")))
    report = replay(pool, [BestOfN()], bootstrap=10)
    row = report.to_dict()[0]
    assert (report.measure, row["accuracy"], row["tokens"]) == ("mean score", pytest.approx(0.65), None)
    assert "mean score" in report.table()


def test_progress_is_told():
    told = []
    replay(random_pool(questions=3), [BestOfN()], bootstrap=1, on_question=lambda *done: told.append(done))
    assert told == [(1, 3), (2, 3), (3, 3)]


class Impossible(BestOfN):
    def run(self, question, max_samples):
        return Outcome(3, 2, 1, 0, StopReason.MAX_SAMPLES)


@pytest.mark.parametrize(
    ("pool", "methods", "options", "sentence"),
    [
        (Pool(()), [BestOfN()], {}, "questions"),
        (random_pool(2), [], {}, "method"),
        (random_pool(2), [BestOfN()], {"max_samples": 9}, "from 1 to 8"),
        (random_pool(2), [BestOfN()], {"permutations": 0}, "permutations"),
        (random_pool(2), [BestOfN()], {"bootstrap": 0}, "bootstrap"),
        (random_pool(2), [Impossible()], {}, "cannot be"),
        (Pool((question(answers="34"),)), [BestOfN()], {}, "best-of-n needs scores"),
        (Pool((question(scores=[0.5]),)), [CorrectnessOracle()], {}, "needs correct"),
        (Pool((question(scores=[0.5]),)), [AdaptiveConsistency()], {}, "needs answers"),
        (Pool((question(answers="34"),)), [SelfConsistency()], {}, "neither"),
    ],
)
def test_what_is_refused(pool, methods, options, sentence):
    with pytest.raises(SettingsError, match=sentence):
        replay(pool, methods, **options)


def test_fits():
    assert all(fits(method, random_pool(2)) for method in METHODS)
    assert not fits(WeightedVote(), Pool((question(answers="34"),)))


def test_math_level_3():
    """Best-of-5 against NumPy on the file itself; stopping at 0.95 draws about half, at the same accuracy."""
    pool = read_pool(shared_data("pools", "math_level3_gpt4omini_x5.jsonl"))
    report = replay(pool, [BestOfN(), ThresholdStopping(0.95), optscale_0(0.95, first_round=2)], permutations=16)
    scores, correct = (permuted(columns(pool, name), pool, 16, 0) for name in ("score", "correct"))
    best = np.take_along_axis(correct, scores.argmax(axis=-1)[..., None], -1).mean()
    assert report[0]["accuracy"].mean() == pytest.approx(best)
    samples = [runs["samples"].mean() for runs in report.runs]
    assert samples[0] == 5
    assert samples[1] < samples[2] < 4.5
    assert abs(report.paired("threshold", "best-of-n").differences["accuracy"]) < 0.015


def test_gsm8k_with_answers():
    pool = read_pool(shared_data("pools", "gsm8k_logprob_x16_a.jsonl"))
    report = replay(pool, [BestOfN(), SelfConsistency(), AdaptiveConsistency(), CorrectnessOracle()])
    assert report["adaptive-beta"]["samples"].mean() < 16
    assert report["oracle-correct"]["accuracy"].mean() == pytest.approx(columns(pool, "correct").any(axis=1).mean())


def test_logits_need_scores_first():
    pool = read_pool(shared_data("pools", "gsm8k_rm_logit_base_x4.jsonl"))
    with pytest.raises(SettingsError, match="best-of-n needs scores"):
        replay(pool, [BestOfN()])
    logits, correct = columns(pool, "logit"), columns(pool, "correct")
    best = np.take_along_axis(correct, logits.argmax(axis=1)[:, None], 1).mean()
    assert replay(pool.from_logits(0.0, 4.0), [BestOfN()], permutations=1)[0]["accuracy"].mean() == pytest.approx(best)


def test_the_package_offers_the_function_itself():
    from langchain_optscale import evaluation

    assert evaluation.replay is replay
