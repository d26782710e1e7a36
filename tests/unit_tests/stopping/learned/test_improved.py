import numpy as np
import pytest
from scipy import stats

from langchain_optscale.errors import InvalidRecordError, SettingsError
from langchain_optscale.evaluation.methods import SessionMethod
from langchain_optscale.evaluation.pools import Question, Sample
from langchain_optscale.stopping import History, Rule, optscale
from langchain_optscale.stopping.conformance import RuleConformance
from langchain_optscale.stopping.learned.improved import FEATURES, ImprovedStopping, state_of
from langchain_optscale.stopping.learned.improving import (
    Moments,
    _careful_choice,
    cautious_mean,
    improve,
    learn_from,
    mean_of,
    untrained_population,
)
from langchain_optscale.stopping.learned.walks import PastSearch, Trust, walk

CAP = 16
BASE = optscale(max_samples=CAP, answers=True)
NEVER = (1.0, *[0.0] * (len(FEATURES) - 1))
ALWAYS = (-1.0, *[0.0] * (len(FEATURES) - 1))


def searches(count=60, seed=0):
    """Questions with votes alone: a share of right candidates, and wrong ones that seldom agree."""
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        chance = generator.beta(0.8, 0.8)
        answers = tuple(
            "right" if generator.random() < chance else f"wrong {generator.geometric(0.3)}" for _ in range(CAP)
        )
        found.append(PastSearch((0.5,) * CAP, answers, CAP))
    return found


class TestImprovedStopping(RuleConformance):
    def make_rule(self) -> Rule:
        return improve(BASE, Moments.zero())


def test_a_rule_that_never_gains_stops_at_the_first_state_and_one_that_always_gains_with_its_base():
    search = next(one for one in searches() if walk(one, BASE).states)
    way = walk(search, BASE)
    assert way.stopped_by(ImprovedStopping(BASE, ALWAYS, NEVER)) == 0
    assert way.stopped_by(ImprovedStopping(BASE, NEVER, NEVER, price=0.0)) is None


def test_a_session_stops_where_the_walk_says():
    rule, stopped_earlier = improve(BASE, Moments.zero(), price=0.2), 0
    for number, search in enumerate(searches()):
        way = walk(search, BASE)
        place = way.stopped_by(rule)
        samples = tuple(Sample(score=0.5, answer=answer) for answer in search.answers)
        outcome = SessionMethod(rule, "improved").run(Question(str(number), "?", samples), CAP)
        assert outcome.drawn == (way.end if place is None else way.counts[place])
        by_default = SessionMethod(BASE, "default").run(Question(str(number), "?", samples), CAP)
        assert by_default.drawn == way.end >= outcome.drawn
        stopped_earlier += outcome.drawn < by_default.drawn
    assert stopped_earlier > 5


def test_an_early_stop_claims_nothing_and_says_why():
    search = next(one for one in searches() if walk(one, BASE).states)
    n = walk(search, BASE).counts[0]
    history = History(scores=search.scores[:n], answers=search.answers[:n], max_samples=CAP)
    decision = ImprovedStopping(BASE, ALWAYS, NEVER)(history)
    assert (decision.stop, decision.claim, decision.rule) == (True, "not sure", "ImprovedStopping")
    assert decision.figures["advantage"] < 0.0 < decision.figures["remaining"]


def test_there_is_no_state_where_the_base_names_no_price_or_no_candidate_has_an_answer():
    decision = BASE(History(scores=(0.5, 0.5), answers=("1", "2"), max_samples=CAP))
    assert state_of(History(scores=(0.5,) * 2, answers=(None, None), max_samples=CAP), decision) is None
    assert state_of(History(scores=(0.5,), answers=("1",), max_samples=CAP), decision) is None
    unpriced = optscale(0.9, max_samples=CAP)(History(scores=(0.5, 0.5), max_samples=CAP))
    assert state_of(History(scores=(0.5, 0.5), max_samples=CAP), unpriced) is None


def test_json_brings_back_the_same_rule_and_refuses_a_damaged_one():
    rule = improve(BASE, Moments.zero(), labels=3)
    assert Rule.from_dict(rule.to_dict()) == rule
    with pytest.raises(InvalidRecordError):
        Rule.from_dict({**rule.to_dict(), "advantage": [1.0]})
    with pytest.raises(InvalidRecordError, match="another version"):
        Rule.from_dict({**rule.to_dict(), "version": 2})


@pytest.mark.parametrize(
    "change", [{"price": -1.0}, {"price": float("inf")}, {"advantage": (1.0,)}, {"base": "optscale"}]
)
def test_settings_out_of_range_are_refused(change):
    given = {"base": BASE, "advantage": NEVER, "remaining": NEVER, **change}
    with pytest.raises(SettingsError):
        ImprovedStopping(**given)


def test_the_fit_is_the_ridge_regression_that_least_squares_finds():
    ways = [(search, walk(search, BASE)) for search in searches(40)]
    own = Moments.of(way.trajectory(search.worths()) for search, way in ways)
    rule = improve(BASE, own, kappa=20.0)
    population = untrained_population()
    # Least squares on rows that have the population's second moments, and its own regression as targets.
    epsilon = 1e-4
    root = np.linalg.cholesky(20.0 * (population.products + epsilon * np.eye(len(FEATURES)))).T
    targets = np.linalg.solve(root.T, 20.0 * population.gains)
    rows, values, weights = [root], [targets], [np.ones(len(targets))]
    for search, way in ways:
        found = way.trajectory(search.worths())
        if found.states:
            rows.append(np.array([state.features for state in found.states]))
            values.append(np.array(found.gains))
            weights.append(np.full(len(found.states), 1.0 / len(found.states)))
    x, y, w = np.vstack(rows), np.concatenate(values), np.sqrt(np.concatenate(weights))
    expected = np.linalg.lstsq(x * w[:, None], y * w, rcond=None)[0]
    np.testing.assert_allclose(rule.advantage, expected, rtol=1e-6, atol=1e-9)
    assert rule.searches == own.searches > 20


def test_beyond_an_early_stop_the_former_rule_stands_for_what_was_not_observed():
    former = ImprovedStopping(BASE, tuple(0.01 * value for value in NEVER), tuple(0.2 * value for value in NEVER))
    search = max(searches(), key=lambda one: len(walk(one, BASE).states))
    whole = walk(search, BASE)
    count = whole.counts[2]
    cut = PastSearch(search.scores[:count], search.answers[:count], CAP, whole.picks[2])
    way = walk(cut, BASE)
    assert not way.complete
    assert way.trajectory(cut.worths()) is None
    found = way.trajectory(cut.worths(), former)
    gain, cost = former.values(way.states[-1])
    worths = cut.worths()
    assert len(found.states) == 2
    assert found.gains[0] == pytest.approx(worths[way.picks[2]] + gain - worths[way.picks[0]])
    assert found.costs[0] == pytest.approx((count - way.counts[0]) / CAP + cost)


def test_a_search_that_something_else_ended_teaches_nothing():
    search = PastSearch((0.5,), ("1",), CAP)
    way = walk(search, BASE)
    assert way.trajectory(search.worths(), improve(BASE, Moments.zero())) is None


def test_trust_is_found_by_labels():
    generator = np.random.default_rng(3)
    probabilities = generator.uniform(0.05, 0.95, 4000)
    logits = -1.0 + 0.6 * np.log(probabilities / (1.0 - probabilities))
    rights = generator.random(4000) < 1.0 / (1.0 + np.exp(-logits))

    class Known(PastSearch):
        returned_probability = property(lambda self: self.scores[0])

    past = [Known((float(p),), ("1",), CAP, "1", bool(right)) for p, right in zip(probabilities, rights, strict=True)]
    trust = Trust.fit(past)
    assert trust.shift == pytest.approx(-1.0, abs=0.12)
    assert trust.slope == pytest.approx(0.6, abs=0.08)
    assert Trust.fit([PastSearch((0.5,), ("1",), CAP, "1")]) == Trust()


def test_worths_follow_trust_and_share_what_is_left():
    search = PastSearch((0.5,) * 5, ("1", "1", "1", "2", None), CAP, "1")
    before, after = search.worths(), search.worths(Trust(-1.0, 1.0))
    assert after["1"] == Trust(-1.0, 1.0)(before["1"]) < before["1"]
    assert after["2"] / before["2"] == pytest.approx((1.0 - after["1"]) / (1.0 - before["1"]))


def test_moments_are_read_as_they_were_written_and_others_refused():
    own = Moments.of(walk(one, BASE).trajectory(one.worths()) for one in searches(5))
    again = Moments.from_dict(own.to_dict())
    np.testing.assert_array_equal(again.products, own.products)
    assert again.searches == own.searches
    with pytest.raises(InvalidRecordError):
        Moments.from_dict({**own.to_dict(), "gains": [1.0]})
    with pytest.raises(InvalidRecordError):
        Moments.from_dict({**own.to_dict(), "features": ["one"]})


def test_a_population_is_a_mean_over_tasks_whatever_their_size():
    small, large = (Moments.of(walk(s, BASE).trajectory(s.worths()) for s in searches(n, n)) for n in (6, 30))
    mean = mean_of([small, large, Moments.zero()])
    np.testing.assert_allclose(mean.gains, (small.scaled(1.0).gains + large.scaled(1.0).gains) / 2.0)
    assert mean.searches == 1.0


def test_a_cautious_mean_expects_one_standard_error_more_of_going_on():
    parts = [Moments.of(walk(s, BASE).trajectory(s.worths()) for s in searches(30, n)) for n in (1, 2, 3)]
    mean, cautious = mean_of(parts), cautious_mean(parts)
    levels = [part.gains[0] / part.searches for part in parts]
    np.testing.assert_allclose(cautious.gains[0], np.mean(levels) + stats.sem(levels))
    np.testing.assert_array_equal(cautious.costs, mean.costs)
    # Not shrunk towards anything, the regression is that of the mean with a higher constant.
    advantage = [np.linalg.lstsq(one.products, one.gains, rcond=None)[0] for one in (mean, cautious)]
    state = next(walk(s, BASE).states[0] for s in searches(30) if walk(s, BASE).states)
    difference = (advantage[1] - advantage[0]) @ np.array(state.features)
    assert difference == pytest.approx(stats.sem(levels), rel=1e-4)
    np.testing.assert_array_equal(cautious_mean(parts[:1]).gains, mean_of(parts[:1]).gains)


def test_learning_saves_candidates_and_loses_no_more_than_their_price():
    past = [(search, walk(search, BASE)) for search in searches(80, seed=5)]
    price = 0.08
    rule = learn_from(past, BASE, price=price)
    saved, lost = [], []
    for search in searches(400, seed=2):
        way = walk(search, BASE)
        place = way.stopped_by(rule)
        saved.append(0.0 if place is None else (way.end - way.counts[place]) / CAP)
        lost.append((way.last == "right") - ((way.last if place is None else way.picks[place]) == "right"))
    net = price * np.array(saved) - np.array(lost)
    assert np.mean(saved) > 0.01
    assert net.mean() > -2.0 * net.std() / np.sqrt(len(net))


def test_of_choices_that_chance_can_tell_apart_no_better_the_first_is_taken():
    generator = np.random.default_rng(0)
    noise = generator.normal(0.0, 1.0, 400)
    one = np.zeros(400)
    error = noise.std(ddof=1) / 20.0
    centred = noise - noise.mean()
    assert _careful_choice(np.array([one, centred + 0.9 * error])) == 0
    assert _careful_choice(np.array([one, centred + 1.1 * error])) == 1
    # The error is that of the difference: what both share does not hide it.
    assert _careful_choice(np.array([centred, centred + 0.01])) == 1
    assert _careful_choice(np.array([[0.0], [1.0]])) == 0
    assert _careful_choice(np.zeros((3, 5))) == 0


def test_the_price_that_it_stops_by_is_never_above_half_more_than_the_asked_one():
    past = [(search, walk(search, BASE)) for search in searches(60, seed=4)]
    assert 0.0 <= learn_from(past, BASE, price=0.2).price <= 0.3
    assert learn_from([], BASE, price=0.2).price == 0.2
