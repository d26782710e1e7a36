"""OptScale^t: the paper's rule and estimate, written out in full with SciPy, and the prior that the rule brings."""

import json
import math

import numpy as np
import pytest
from scipy import optimize, stats

from langchain_optscale import FixedPrior, Session, SettingsError, Verdict, optscale, paper
from langchain_optscale.errors import InvalidRecordError
from langchain_optscale.stats import EmpiricalPrior, MaximumAPosteriori, MaximumLikelihood, Posterior
from langchain_optscale.stats.question_law import QuestionLaw
from langchain_optscale.stopping import History, OptimalN, Rule, TrainedOptimalN
from langchain_optscale.stopping.conformance import RuleConformance
from langchain_optscale.stopping.trained import prior_for

BELIEF = EmpiricalPrior.fit([[0.9, 0.8, 0.95], [0.85, 0.97, 0.9], [0.4, 0.5, 0.6]] * 5)
LAW = QuestionLaw(0.72, 0.11, 0.05, 0.03, BELIEF)


class TestTrainedOptimalN(RuleConformance):
    def make_rule(self) -> Rule:
        return TrainedOptimalN(0.9, 0.95, FixedPrior(0.7, 0.1))


def by_scipy(scores, mu_bar, sigma_bar, target, confidence):
    """N* of the paper: maximum a posteriori of a normal truncated to [0, 1], then the bound (arXiv 2506.22376)."""

    def loss(parameters):
        mu, sigma = parameters
        law = stats.truncnorm((0.0 - mu) / sigma, (1.0 - mu) / sigma, mu, sigma)
        prior = stats.norm.logpdf(mu, mu_bar, 0.1) + stats.norm.logpdf(sigma, sigma_bar, 0.1)
        return -(law.logpdf(scores).sum() + prior)

    found = optimize.minimize(loss, (mu_bar, sigma_bar), method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-11})
    mu, sigma = found.x
    below = stats.truncnorm.cdf(target, (0.0 - mu) / sigma, (1.0 - mu) / sigma, mu, sigma)
    return max(1, math.ceil(math.log(1.0 - confidence) / math.log(below)))


@pytest.mark.parametrize("scores", [(0.62, 0.71, 0.55), (0.8, 0.75, 0.9, 0.6, 0.7), (0.3, 0.2, 0.4)])
def test_a_search_is_the_paper_s_to_the_letter(scores):
    rule = paper(0.85, 0.9, 64, first_round=len(scores), trained=LAW)
    session = Session(rule, max_samples=64)
    assert session.ask() == len(scores)
    for index, score in enumerate(scores):
        decision = session.tell(index, Verdict(score))
    expected = by_scipy(np.array(scores), 0.72, 0.11, 0.85, 0.9)
    assert decision.optimal_n == expected
    assert decision.stop == (len(scores) >= expected)
    assert isinstance(session.estimator, MaximumAPosteriori)


def test_a_prior_beside_the_rule_is_the_same_as_one_in_it():
    decisions = []
    for rule, prior in ((paper(0.9, 0.9, 16, 2, trained=LAW), None), (paper(0.9, 0.9, 16, 2), LAW)):
        session = Session(rule, prior=prior, max_samples=16)
        while session.ask():
            for index in session.pending:
                session.tell(index, Verdict(0.5 + 0.02 * index))
        decisions.append([observation.decision.optimal_n for one in session.rounds for observation in one.observations])
    assert decisions[0] == decisions[1]


def test_without_a_prior_it_is_optscale_0():
    assert paper(0.9) == paper(0.9, trained=None)
    assert OptimalN(0.9, 0.95) in list(paper(0.9).parts())
    assert isinstance(Session(paper(0.9)).estimator, MaximumLikelihood)


def test_a_rule_alone_uses_the_prior_that_it_brings():
    history = History(scores=(0.62, 0.71, 0.55))
    known = TrainedOptimalN(0.85, 0.9, LAW)(history)
    assert known.optimal_n == by_scipy(np.array(history.scores), 0.72, 0.11, 0.85, 0.9)
    assert known.optimal_n != OptimalN(0.85, 0.9)(history).optimal_n


@pytest.mark.parametrize("prior", [FixedPrior(0.8, 0.1), BELIEF, LAW])
def test_a_prior_survives_json_in_its_rule(prior):
    rule = paper(0.9, trained=prior)
    assert Rule.from_dict(json.loads(json.dumps(rule.to_dict()))) == rule


def test_a_session_with_a_question_s_prior_survives_json():
    session = Session(paper(0.9, first_round=2, trained=lambda question: LAW), prior=LAW)
    for index in range(session.ask()):
        session.tell(index, Verdict(0.5))
    back = Session.from_dict(json.loads(json.dumps(session.to_dict())))
    assert back.prior == LAW
    assert back.decision == session.decision


def test_a_function_of_the_question_is_left_out_of_the_form_and_asked_for_again():
    back = Rule.from_dict(paper(0.9, trained=lambda question: LAW).to_dict())
    with pytest.raises(SettingsError, match="the trained rule was stored without its prior"):
        Session(back)
    assert Session(back, prior=LAW).prior == LAW


def test_what_is_wrong_is_said():
    with pytest.raises(SettingsError, match="trained must be a prior or a function of the question, got 3"):
        paper(0.9, trained=3)
    with pytest.raises(SettingsError, match="the rule brings a prior of its own: leave prior= out"):
        Session(paper(0.9, trained=lambda question: LAW), prior=lambda question: LAW)
    with pytest.raises(SettingsError, match="prior is a function of the question: give its value"):
        Session(paper(0.9), prior=lambda question: LAW)
    with pytest.raises(InvalidRecordError, match="the prior of a rule must be an object"):
        Rule.from_dict({**TrainedOptimalN(0.9, 0.9).to_dict(), "prior": 3})


def test_the_prior_of_a_question():
    assert prior_for(LAW, "?") is LAW
    assert prior_for(None, "?") is None
    assert prior_for(lambda question: FixedPrior(len(question) / 10, 0.1), "four") == FixedPrior(0.4, 0.1)
    with pytest.raises(SettingsError, match="for a question, and <lambda> gave float"):
        prior_for(lambda question: 0.5, "?")
    with pytest.raises(SettingsError, match="prior must have mu, sigma, mu_std and sigma_std"):
        prior_for(0.5, "?")


def test_a_learned_prior_sizes_the_first_round_of_the_bound():
    rule = OptimalN(0.9, 0.6)
    session = Session(rule, estimator=Posterior(), prior=LAW, max_samples=64, round_size=64)
    k = session.ask()
    assert k > 1
    assert LAW.prob_reach(0.9, k) >= 0.6 > LAW.prob_reach(0.9, k - 1)
    assert Session(rule, estimator=Posterior(), prior=LAW, round_size=4).ask() == min(4, k)
    assert Session(rule, estimator=Posterior(), prior=LAW, first_round=3).ask() == 3
    assert Session(rule, estimator=MaximumAPosteriori(), prior=LAW).ask() == 2
    assert Session(rule, estimator=Posterior(), prior=FixedPrior(0.7, 0.1)).ask() == 2


def test_a_restarted_session_takes_another_question_s_prior():
    hard = QuestionLaw(0.3, 0.05, 0.05, 0.03, EmpiricalPrior.fit([[0.3, 0.35, 0.25, 0.3]] * 20))
    session = Session(OptimalN(0.9, 0.6), estimator=Posterior(), prior=LAW, max_samples=32, round_size=32)
    other = session.restarted(hard)
    assert (other.prior, session.prior) == (hard, LAW)
    assert other.history.prior == hard
    assert other.ask() == 32 > session.ask()
    assert other.restarted().prior == hard


@pytest.mark.parametrize("round_cost", [0.5, 2.0, 10.0])
def test_the_default_sizes_every_round_by_the_prior_and_the_misses(round_cost):
    rule = optscale(0.9, 0.95, 64, price=1e-9, round_cost=round_cost)
    session = Session(rule, prior=LAW, max_samples=64, round_size=64)
    told = 0
    for _ in range(3):
        cheapest = min(range(1, 17), key=lambda k: (k + round_cost) / LAW.prob_reach(0.9, k, told))
        assert session.ask() == cheapest
        for index in session.pending:
            session.tell(index, Verdict(0.5))
            told += 1


def test_the_default_asks_for_more_at_once_of_a_hard_question():
    generator = np.random.default_rng(0)
    easy, hard = (
        QuestionLaw(0.7, 0.1, 0.05, 0.03, EmpiricalPrior.fit(generator.normal(mean, 0.05, (80, 8)).clip(0, 1).tolist()))
        for mean in (0.9, 0.82)
    )
    rule = optscale(0.9, 0.95, 32, round_cost=4.0)
    draws = [Session(rule, prior=law, max_samples=32, round_size=32).ask() for law in (easy, hard)]
    assert draws[0] < draws[1]
    # With answers a score ends no search, so that there is nothing to size by it.
    answering = optscale(0.9, 0.95, 32, answers=True)
    assert Session(answering, prior=hard, round_size=32).ask() == Session(answering, round_size=32).ask()
