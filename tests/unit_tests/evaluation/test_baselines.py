"""Baselines: hand-computed cases from each paper's own rule."""

import json

import pytest

from langchain_optscale import FixedPrior
from langchain_optscale.errors import SettingsError
from langchain_optscale.evaluation.baselines import (
    AdaptiveConsistency,
    BestOfN,
    EarlyStoppingConsistency,
    SelfConsistency,
    ThresholdStopping,
    WeightedVote,
    optscale_0,
    optscale_t,
)
from langchain_optscale.evaluation.methods import SessionMethod
from langchain_optscale.records.decisions import Estimate, StopReason
from langchain_optscale.stopping import paper
from tests.unit_tests.evaluation.replayed import question
from tests.unit_tests.shared_data import shared_data


def summary(outcome):
    return outcome.drawn, outcome.rounds, outcome.chosen


def test_fixed_numbers():
    asked = question(answers="3443", scores=[0.9, 0.1, 0.2, 0.95])
    assert summary(BestOfN().run(asked, 4)) == (4, 1, 3)
    assert summary(BestOfN().run(asked, 3)) == (3, 1, 0)
    assert summary(BestOfN(2).run(asked, 4)) == (2, 1, 0)
    assert summary(BestOfN(9).run(asked, 4)) == (4, 1, 3)
    assert summary(SelfConsistency().run(asked, 3)) == (3, 1, 2)
    assert summary(WeightedVote().run(asked, 3)) == (3, 1, 0)
    assert BestOfN().run(asked, 4).stop_reason is StopReason.MAX_SAMPLES
    assert BestOfN().run(asked, 4).reached is None


def test_threshold():
    asked = question(scores=[0.3, 0.9, 0.89, 0.95])
    first = ThresholdStopping(0.9).run(asked, 4)
    assert (summary(first), first.reached, first.kept) == ((2, 2, 1), True, None)
    assert summary(ThresholdStopping(0.95).run(asked, 4)) == (4, 4, 3)
    never = ThresholdStopping(0.95).run(asked, 3)
    assert (summary(never), never.reached, never.kept) == ((3, 3, 1), False, None)


def test_adaptive_consistency_by_hand():
    # Unanimous: 1 - 2^-(v + 1) is 0.9375 at three votes and 0.96875 at four.
    assert summary(AdaptiveConsistency().run(question(answers="44444"), 5)) == (4, 4, 0)
    # One dissent: I_1/2(6, 2) = 8/128 leaves 0.9375 at five votes, 9/256 leaves 0.965 at six.
    assert summary(AdaptiveConsistency().run(question(answers="43444444"), 8)) == (7, 7, 0)
    assert summary(AdaptiveConsistency(0.7).run(question(answers="43444444"), 8)) == (1, 1, 0)
    split = AdaptiveConsistency().run(question(answers="3434"), 4)
    assert (summary(split), split.stop_reason, split.kept) == ((4, 4, 0), StopReason.MAX_SAMPLES, None)


def test_adaptive_consistency_counts_those_without_an_answer_one_by_one():
    assert AdaptiveConsistency().run(question(answers=[None] * 8), 8).drawn == 8
    # The lone sample is a rival with one vote, however many like it there are.
    assert AdaptiveConsistency().run(question(answers=[None, *"444444"]), 7).drawn == 7


def test_the_criteria_differ_where_rivals_are_many():
    # Leader 6, rivals 1 each: Beta passes 0.95 at once, Dirichlet needs a larger lead.
    asked = question(answers="12344444444444")
    assert AdaptiveConsistency().run(asked, 14).drawn == 9
    assert AdaptiveConsistency(criterion="dirichlet").run(asked, 14).drawn > 9
    assert AdaptiveConsistency(criterion="dirichlet").name == "adaptive-dirichlet"


def test_early_stopping_by_hand():
    method = EarlyStoppingConsistency(window=3)
    assert summary(method.run(question(answers="444333"), 6)) == (3, 1, 0)
    assert summary(method.run(question(answers="443444"), 6)) == (6, 2, 0)
    # The windows do not slide: 4 4 4 across two of them is no reason to stop.
    assert summary(method.run(question(answers="344435"), 6)) == (6, 2, 1)
    # At 8 the last window has two samples, and a vote is taken over all.
    assert summary(method.run(question(answers="34334455"), 8)) == (8, 3, 0)
    assert method.run(question(answers=[None] * 6), 6).stop_reason is StopReason.MAX_SAMPLES
    # A unanimous window for a minority: the majority of all drawn is returned.
    assert summary(EarlyStoppingConsistency(window=2).run(question(answers="3435363744"), 10)) == (10, 5, 0)


def test_kept_says_whether_the_whole_cap_would_return_the_same():
    stays, turns = question(answers="44443333444"), question(answers="44443333333")
    for method in (AdaptiveConsistency(), EarlyStoppingConsistency(2)):
        assert [method.run(asked, 11).kept for asked in (stays, turns)] == [True, False]
        assert method.run(stays, 11).claim == "stable"
    assert AdaptiveConsistency().run(question(answers="4444"), 4).kept is None  # the cap itself


def test_another_selection_of_the_same_samples():
    asked = question(answers="4443", scores=[0.2, 0.3, 0.1, 0.9], correct=[True] * 4)
    assert BestOfN(select="vote").run(asked, 4).chosen == 1
    assert (BestOfN().name, BestOfN(select="vote").name) == ("best-of-n", "fixed n, vote")
    assert ThresholdStopping(0.9, select="vote").run(asked, 4).chosen == 1
    assert AdaptiveConsistency(0.99, select="best").run(asked, 4).chosen == 3
    assert EarlyStoppingConsistency(4, select="best").run(asked, 4).chosen == 3


@pytest.mark.parametrize("first_round", [1, 3, 5])
@pytest.mark.parametrize("cap", [1, 4, 8])
def test_the_papers_rule_is_the_preset(cap, first_round):
    first_round = min(first_round, cap)
    asked = question(scores=[0.7, 0.75, 0.8, 0.2, 0.9, 0.5, 0.8, 0.6])
    ours = optscale_0(0.85, 0.9, first_round).run(asked, cap)
    preset = SessionMethod(paper(0.85, 0.9, cap, first_round), "paper", first_round=first_round).run(asked, cap)
    assert ours == preset
    assert ours.drawn >= first_round


def test_the_papers_rule_goes_on_after_the_target_was_seen():
    asked = question(scores=[0.95, 0.1, 0.2, 0.3, 0.1, 0.2])
    outcome = optscale_0(0.9, first_round=2).run(asked, 6)
    assert (outcome.drawn, outcome.reached, outcome.chosen) == (6, True, 0)


def test_a_prior_may_depend_on_the_prompt():
    asked = question(scores=[0.7, 0.75, 0.8, 0.2, 0.9, 0.5])
    prompts = []

    def prior(prompt):
        prompts.append(prompt)
        return FixedPrior(0.7, 0.2)

    by_prompt = optscale_t(prior, 0.9, 0.8, first_round=2)
    fixed = optscale_t(FixedPrior(0.7, 0.2), 0.9, 0.8, first_round=2)
    assert by_prompt.run(asked, 6) == fixed.run(asked, 6)
    assert prompts == ["2 + 2?"]
    assert json.loads(json.dumps(fixed.settings))["prior"]["mu"] == 0.7
    assert json.loads(json.dumps(by_prompt.settings))["prior"] == {"kind": "prior"}


@pytest.mark.parametrize(("dataset", "exactly", "within_one"), [("math500", 0.95, 0.98), ("aime24", 0.98, 0.99)])
def test_draws_what_the_papers_own_code_printed(dataset, exactly, within_one):
    rows = [
        json.loads(line) for line in shared_data("reference", f"optimal_n_{dataset}.jsonl").read_text().splitlines()
    ]
    asked = question(scores=[0.5] * 64)
    off = []
    for row in rows[::23]:

        def printed(scores, prior=None, row=row):
            return Estimate(row["mu"], row["sigma"], "printed", n=1)

        rule = optscale_0(row["target"], row["confidence"], row["peek"]).rule
        method = SessionMethod(rule, "printed", estimator=printed, first_round=row["peek"])
        off.append(abs(method.run(asked, row["max_n"]).drawn - row["optimal_n"]))
    assert sum(one == 0 for one in off) / len(off) >= exactly
    assert sum(one <= 1 for one in off) / len(off) >= within_one


@pytest.mark.parametrize(
    "make",
    [
        lambda: BestOfN(0),
        lambda: SelfConsistency(True),
        lambda: WeightedVote(1.5),
        lambda: ThresholdStopping(1.1),
        lambda: AdaptiveConsistency(1.0),
        lambda: AdaptiveConsistency(criterion="entropy"),
        lambda: EarlyStoppingConsistency(1),
    ],
)
def test_what_is_refused(make):
    with pytest.raises(SettingsError):
        make()


def test_settings_are_their_fields():
    assert AdaptiveConsistency(0.9).settings == {"confidence": 0.9, "criterion": "beta"}
    assert AdaptiveConsistency(0.9, select="best").settings["select"] == "best"
    assert WeightedVote().settings == {"n": None, "exponent": 1.0}
