"""What is selected by default: it follows from the rule, in a replay as in a search."""

import pytest

from langchain_optscale import OptScale
from langchain_optscale.evaluation.methods import SessionMethod
from langchain_optscale.evaluation.pools import Question, Sample
from langchain_optscale.stopping import (
    AnswerConfidence,
    FittedStopping,
    MaxSamples,
    TargetReached,
    TokenBudget,
    optscale,
)
from langchain_optscale.stopping.answer_rules import default_selection
from tests.unit_tests.fakes import PlainPolicy
from tests.unit_tests.stopping.learned.test_fitted import voted

# The best score has an answer of its own; all others agree.
SAMPLES = (Sample(score=0.7, answer="odd"), *(Sample(score=0.5, answer="agreed") for _ in range(5)))
QUESTION = Question("q", "?", SAMPLES)
RULES = {
    "the default": (optscale(0.99, 0.999, 6), "agreed"),
    "a part of a rule": (MaxSamples(6) & (AnswerConfidence(0.9999) | TargetReached(0.99)), "agreed"),
    "scores alone": (TargetReached(0.99) | MaxSamples(6), "odd"),
}


@pytest.mark.parametrize(("rule", "answer"), RULES.values(), ids=RULES)
def test_a_replay(rule, answer):
    outcome = SessionMethod(rule, "rule").run(QUESTION, 6)
    assert SAMPLES[outcome.chosen].answer == answer
    assert SAMPLES[SessionMethod(rule, "rule", select="best").run(QUESTION, 6).chosen].answer == "odd"


@pytest.mark.parametrize(("rule", "answer"), RULES.values(), ids=RULES)
def test_a_search(rule, answer):
    policy = PlainPolicy(texts=[f"{sample.score} {sample.answer}" for sample in SAMPLES])
    search = OptScale(
        policy=policy,
        verifier=lambda prompt, candidate: float(candidate.text.split()[0]),
        extract=lambda text: text.split()[-1],
        stopping=rule | TokenBudget(10**9),
        max_samples=6,
        first_round=6,
    )
    assert search.invoke("?", {"max_concurrency": 1}).best.answer == answer


def test_without_answers_it_is_the_best_score():
    bare = Question("q", "?", tuple(Sample(score=sample.score) for sample in SAMPLES))
    assert SessionMethod(optscale(0.99, 0.95, 6), "default").run(bare, 6).chosen == 0
    search = OptScale(policy=PlainPolicy(texts=["a"]), verifier=lambda prompt, candidate: 0.5, stopping=optscale())
    assert search.select == "best"


def test_a_learned_rule_brings_what_it_was_fitted_for():
    rule = FittedStopping.fit(voted(60), price=0.01, first_round=2, round_size=2, select="vote", orders=4)
    assert default_selection(rule | MaxSamples(4)) == "vote"
