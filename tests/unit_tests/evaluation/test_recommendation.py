"""What is recommended, on pools whose truth is known."""

import json

import numpy as np
import pytest

from langchain_optscale.errors import SettingsError
from langchain_optscale.evaluation.advice import SearchChoice
from langchain_optscale.evaluation.pools import Pool, Question, Sample
from langchain_optscale.evaluation.recommendation import recommend
from langchain_optscale.stopping import MarginalGain, optscale


def perfect(questions=40, samples=4, seed=0):
    """A verifier that knows: right candidates score 0.9 and wrong ones 0.1; half of all are right."""
    right = np.random.default_rng(seed).uniform(size=(questions, samples)) < 0.5
    return Pool(
        tuple(
            Question(f"q{place}", "?", tuple(Sample(score=0.9 if one else 0.1, correct=bool(one)) for one in row))
            for place, row in enumerate(right)
        ),
        "perfect",
    )


def blind(questions=40, samples=4, seed=0):
    """A verifier that knows nothing: scores are independent of the labels."""
    generator = np.random.default_rng(seed)
    return Pool(
        tuple(
            Question(
                f"q{place}",
                "?",
                tuple(
                    Sample(score=float(generator.uniform()), correct=bool(generator.uniform() < 0.5))
                    for _ in range(samples)
                ),
            )
            for place in range(questions)
        ),
        "blind",
    )


@pytest.fixture(scope="module")
def knowing():
    return recommend(perfect(questions=300, samples=5))


def test_with_a_perfect_verifier_the_first_right_candidate_ends_the_search(knowing):
    found = knowing
    best_of_n, expected, _ = found.report.to_dict()
    assert expected["accuracy"] == pytest.approx(best_of_n["accuracy"])
    # The first right one comes after 2 draws on average; a question in 32 has none and takes all 5.
    assert expected["samples"] == pytest.approx(sum(0.5**k for k in range(5)), abs=0.25)
    assert found.discrimination.auc == 1.0
    assert found.attained == 1.0
    assert not [warning for warning in found.warnings if "chance" in warning]


def test_no_saving_is_recommended_that_few_questions_cannot_show():
    """Sixty questions without a loss still leave a loss of some points possible: nothing is saved, and it is said."""
    found = recommend(perfect(questions=60, samples=5))
    best_of_n, expected, _ = found.report.to_dict()
    assert (expected["accuracy"], expected["samples"]) == (best_of_n["accuracy"], best_of_n["samples"])
    assert found.attained == 0.0
    assert any("record 133 questions or more" in warning for warning in found.warnings)


def test_a_blind_verifier_is_named():
    found = recommend(blind(), budget=2)
    assert any("no better than chance" in w or "better than chance" in w for w in found.warnings)


def test_a_verifier_the_wrong_way_round_is_named():
    found = recommend(perfect(questions=20, samples=3).with_scores(lambda sample: 1 - sample.score), budget=2)
    assert found.discrimination.auc == 0.0
    assert any("the wrong way round" in warning for warning in found.warnings)
    assert not any("do not show" in warning for warning in found.warnings)


@pytest.mark.parametrize("budget", [1.5, 2.5])
def test_a_budget_is_kept(budget):
    assert recommend(perfect(), budget=budget).report.to_dict()[2]["samples"] <= budget


def test_a_budget_below_every_setting_is_answered_with_the_cheapest():
    # No score comes near the target before the second sample, so that every setting takes two.
    found = recommend(blind().with_scores(lambda sample: 0.1 + 1e-3 * sample.score), budget=1)
    assert any("nearest" in warning for warning in found.warnings) == (found.report.to_dict()[2]["samples"] > 1)


def test_an_accuracy_costs_no_more_than_it_must():
    cheap, dear = (recommend(perfect(), accuracy=goal) for goal in (0.5, 0.9))
    assert cheap.report.to_dict()[1]["samples"] < dear.report.to_dict()[1]["samples"]
    unreachable = recommend(blind(), accuracy=1.0)
    assert any("no setting meets the goal" in warning for warning in unreachable.warnings)


def test_few_questions_are_too_few():
    few = recommend(perfect(questions=60, samples=2), budget=2)
    assert any("record 100 or more" in warning for warning in few.warnings)
    assert not any("record 100" in warning for warning in recommend(perfect(questions=100, samples=2)).warnings)


def test_voting_is_recommended_where_it_is_better():
    questions = []
    for place in range(40):
        samples = [Sample(score=0.95, correct=False, answer=f"wrong{place}")]
        samples += [Sample(score=0.5 + 0.01 * k, correct=True, answer="right") for k in range(3)]
        questions.append(Question(f"q{place}", "?", tuple(samples)))
    pool = Pool(tuple(questions), "votes")
    modest, free = recommend(pool, accuracy=0.6), recommend(pool)
    # The cheapest setting with the accuracy has less than a vote of all; the one without a goal weighs the answers.
    assert modest.report.to_dict()[1]["accuracy"] < 1.0 == free.report.to_dict()[1]["accuracy"]
    assert any("select='vote'" in warning for warning in modest.warnings)
    assert not any("select='vote'" in warning for warning in free.warnings)


def test_without_labels_the_mean_score_is_what_counts():
    unlabelled = Pool(
        tuple(Question(q.id, "?", tuple(Sample(score=s.score) for s in q.samples)) for q in blind()), "graded"
    )
    found = recommend(unlabelled, budget=3)
    assert found.calibration is None
    assert found.to_dict()["measure"] == "mean score"
    assert any("not every sample says whether it is right" in warning for warning in found.warnings)
    assert "%" not in found.text().replace("[95 %]", "")
    assert found.to_dict()["verifier"] is None
    # The best of three uniform scores is 3/4 on average; stopping when it pays does no worse.
    assert found.report.to_dict()[1]["accuracy"] > 0.7


def test_the_same_seed_recommends_the_same():
    few = blind(questions=12, samples=3)
    assert recommend(few, seed=4).to_dict() == recommend(few, seed=4).to_dict()


def test_json_is_json(knowing):
    document = json.loads(json.dumps(knowing.to_dict(), allow_nan=False))
    assert set(document) == {
        *("pool", "goal", "settings", "measure", "expected", "best_of_n"),
        *("difference", "verifier", "attained", "warnings"),
    }
    assert set(document["settings"]) == {"target", "confidence", "max_samples", "min_gain"}


def test_the_rule_is_made_of_public_parts():
    assert SearchChoice(0.9, 0.95, 8).rule() == optscale(0.9, 0.95, 8)
    assert SearchChoice(0.9, 0.95, 8, 0.01).rule() == optscale(0.9, 0.95, 8) | MarginalGain(0.01)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"accuracy": 0.9, "budget": 4}, "not both"),
        ({"accuracy": 0.0}, "accuracy must be"),
        ({"accuracy": 1.5}, "accuracy must be"),
        ({"budget": 0.5}, "budget must be"),
        ({"budget": float("nan")}, "budget must be"),
    ],
)
def test_goals_out_of_range(settings, complaint):
    with pytest.raises(SettingsError, match=complaint):
        recommend(perfect(), **settings)


def test_pools_that_say_too_little():
    with pytest.raises(SettingsError, match="without a score"):
        recommend(Pool((Question("a", "?", (Sample(correct=True),)),)))
    with pytest.raises(SettingsError, match="at least four questions"):
        recommend(perfect(questions=3))
    with pytest.raises(SettingsError, match="at least four questions"):
        recommend(perfect(samples=1))
