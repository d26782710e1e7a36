"""What is recommended, on pools whose truth is known."""

import json

import numpy as np
import pytest

from langchain_optscale.errors import SettingsError
from langchain_optscale.evaluation.advice import SearchChoice
from langchain_optscale.evaluation.pools import Pool, Question, Sample
from langchain_optscale.evaluation.recommendation import recommend
from langchain_optscale.stopping import MarginalGain, optscale


def pool_of(name, rows):
    """A pool of one question for each row of samples."""
    return Pool(tuple(Question(f"q{place}", "?", tuple(row)) for place, row in enumerate(rows)), name)


def perfect(questions=40, samples=4, seed=0):
    """A verifier that knows: right candidates score 0.9 and wrong ones 0.1; half of all are right."""
    right = np.random.default_rng(seed).uniform(size=(questions, samples)) < 0.5
    return pool_of("perfect", ([Sample(score=0.9 if one else 0.1, correct=bool(one)) for one in row] for row in right))


def blind(questions=40, samples=4, seed=0):
    """A verifier that knows nothing: scores are independent of the labels."""
    drawn = np.random.default_rng(seed).uniform(size=(questions, samples, 2)).tolist()
    return pool_of("blind", ([Sample(score=score, correct=chance < 0.5) for score, chance in row] for row in drawn))


@pytest.fixture(autouse=True)
def _few_orders(monkeypatch):
    """One order of the samples is enough here, and a quarter of the time."""
    monkeypatch.setattr("langchain_optscale.evaluation.recommendation._SEARCHES", 50)


@pytest.fixture(scope="module")
def knowing():
    return recommend(perfect(questions=300, samples=5))


def test_with_a_perfect_verifier_the_first_right_candidate_ends_the_search(knowing):
    found = knowing
    best_of_n, expected = found.report.to_dict()
    assert expected["accuracy"] == pytest.approx(best_of_n["accuracy"])
    # The first right one comes after 2 draws on average; a question in 32 has none and takes all 5.
    assert expected["samples"] == pytest.approx(sum(0.5**k for k in range(5)), abs=0.35)
    assert found.discrimination.auc == 1.0
    assert found.attained
    assert not [warning for warning in found.warnings if "chance" in warning]


def test_one_half_chooses_and_the_other_reports(knowing):
    first, second = perfect(questions=300, samples=5).split(seed=0)
    assert knowing.chosen_on.questions == tuple(question.id for question in first)
    assert knowing.report.questions == tuple(question.id for question in second)
    assert [runs.name for runs in knowing.report.runs] == ["best-of-n", "recommended"]


def test_the_half_that_reports_does_not_choose():
    """Whatever its scores are, the choice is the same; its figures are not."""
    pool = Pool(tuple(Question(q.id, "?", tuple(Sample(score=s.score) for s in q.samples)) for q in blind()), "graded")
    second = {question.id for question in pool.split(seed=0)[1]}
    other = Pool(
        tuple(
            Question(q.id, "?", tuple(Sample(score=0.5 * s.score) for s in q.samples)) if q.id in second else q
            for q in pool
        ),
        "graded",
    )
    one, two = recommend(pool, budget=2.5), recommend(other, budget=2.5)
    assert one.choice == two.choice
    assert one.chosen_on.to_dict() == two.chosen_on.to_dict()
    assert one.report.to_dict()[1]["accuracy"] > 1.5 * two.report.to_dict()[1]["accuracy"]


def test_too_few_questions_are_answered_with_the_default():
    """Even without a loss, fewer than 266 questions leave a loss of more than two points possible on one half."""
    pool = perfect(questions=60, samples=5)
    found = recommend(pool)
    assert found.choice == SearchChoice(None, 0.95, 5)
    assert found.choice.rule() == optscale(max_samples=5)
    assert not found.attained
    assert (found.chosen_on, found.report.questions) == (None, tuple(question.id for question in pool))
    assert [w for w in found.warnings if "too few to choose" in w] == [
        "60 questions are too few to choose settings by, so the default is recommended: record 266 or more, or give an "
        "accuracy or a budget"
    ]


def test_where_nothing_is_shown_the_default_is_recommended_and_reported_on_the_other_half():
    """A verifier that knows nothing and answers nobody gave: no saving is shown, unless by chance."""
    pool = blind(questions=266, samples=3)
    found = recommend(pool)
    assert len(found.report.questions) == 133
    assert found.attained == (found.choice.target is not None)
    said = any("do not show of any setting that it loses at most 0.02" in warning for warning in found.warnings)
    assert said == (found.choice.target is None)


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
    assert recommend(perfect(), budget=budget).chosen_on.to_dict()[1]["samples"] <= budget


def test_a_budget_below_every_setting_is_answered_with_the_cheapest():
    # No score comes near the target before the second sample, so that every setting takes two.
    found = recommend(blind().with_scores(lambda sample: 0.1 + 1e-3 * sample.score), budget=1)
    assert any("nearest" in warning for warning in found.warnings) == (found.chosen_on.to_dict()[1]["samples"] > 1)


def test_an_accuracy_costs_no_more_than_it_must():
    cheap, dear = (recommend(perfect(), accuracy=goal) for goal in (0.5, 0.9))
    assert cheap.report.to_dict()[1]["samples"] < dear.report.to_dict()[1]["samples"]
    unreachable = recommend(blind(), accuracy=1.0)
    assert any("no setting meets the goal" in warning for warning in unreachable.warnings)


def test_few_questions_are_too_few():
    few = recommend(perfect(questions=60, samples=2), budget=2)
    assert any("30 questions that did not choose" in w and "record 200 or more" in w for w in few.warnings)
    assert not any("record 200" in w for w in recommend(perfect(questions=200, samples=2), budget=2).warnings)
    assert not any("record 100" in w for w in recommend(perfect(questions=100, samples=2)).warnings)
    assert any("record 100 or more" in w for w in recommend(perfect(questions=99, samples=2)).warnings)


def voters(questions=50, samples=8, seed=0):
    """Six in ten candidates are right, wrong answers differ, and all scores are equal: only votes say anything."""
    right = np.random.default_rng(seed).uniform(size=(questions, samples)) < 0.6

    def sample(number, is_right):
        return Sample(score=0.5, correct=bool(is_right), answer="right" if is_right else f"wrong {number}")

    return pool_of("votes", ([sample(number, one) for number, one in enumerate(row)] for row in right))


def test_with_answers_a_price_and_a_cap_are_recommended_and_more_accuracy_takes_more():
    pool = voters()
    modest, careful = recommend(pool, accuracy=0.6), recommend(pool, accuracy=0.95)
    assert modest.choice.target is careful.choice.target is None
    assert modest.choice.price is not None
    assert modest.choice.max_samples < careful.choice.max_samples
    assert modest.report.to_dict()[1]["samples"] < careful.report.to_dict()[1]["samples"]


def test_voting_is_recommended_where_it_is_better():
    """Two of a kind end the cheapest search that is right in 60 %; the vote of eight is right nearly always."""
    modest, careful = recommend(voters(), accuracy=0.6), recommend(voters(), accuracy=1.0)
    assert any("select='vote'" in warning for warning in modest.warnings)
    assert not any("select='vote'" in warning for warning in careful.warnings)


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
    assert set(document["settings"]) == {"target", "confidence", "max_samples", "min_gain", "price"}


def test_the_rule_is_made_of_public_parts():
    assert SearchChoice(0.9, 0.95, 8).rule() == optscale(0.9, 0.95, 8)
    assert SearchChoice(None, 0.95, 8, price=0.01).rule() == optscale(None, 0.95, 8, price=0.01)
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
