"""Money: what a usage costs by role, and when the budget is spent."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_optscale import Session, SettingsError, StopReason, Usage, Verdict
from langchain_optscale.stopping import CostBudget, History, MaxSamples, Price, Rule
from langchain_optscale.stopping.conformance import RuleConformance

PRICES = {"policy": Price(0.15, 0.60), "verifier": Price(2.50, 10.0, request=0.001)}
COUNTS = st.integers(0, 10**9)


class TestConformance(RuleConformance):
    def make_rule(self):
        return CostBudget(0.05, PRICES)

    def histories(self):
        usage = {"policy": Usage(200_000, 20_000, 9), "verifier": Usage(1_000, 10, 4)}
        return [*super().histories(), History(scores=(0.1, 0.5), usage=usage)]


@given(COUNTS, COUNTS, st.integers(0, 10**4), st.integers(0, 10**4), st.integers(0, 10**4))
def test_against_exact_arithmetic(prompt, written, input_price, output_price, request):
    price = Price(input_price / 100, output_price / 100, request / 1000)
    exact = (
        Fraction(price.input) * prompt / 10**6 + Fraction(price.output) * written / 10**6 + Fraction(price.request) * 3
    )
    assert price.of(Usage(prompt, written, 3)) == pytest.approx(float(exact), rel=1e-12)


def test_roles_have_their_own_price():
    usage = {"policy": Usage(1_000_000, 0, 1), "verifier": Usage(0, 1_000_000, 2)}
    assert CostBudget(1, PRICES).cost(usage) == pytest.approx(0.15 + 10.0 + 0.002)
    assert CostBudget(1, {"policy": Price(1, 1)}).cost(usage) == 1.0
    assert CostBudget(1, Price(1, 1)).cost(usage) == 2.0


def test_it_stops_when_the_money_is_spent():
    rule = CostBudget(1.0, Price(1, 1))
    spent = History(scores=(0.5,), usage={"policy": Usage(1_000_000, 0, 1)})
    assert rule(spent).reason is StopReason.COST_BUDGET
    assert rule(spent).figures == {"cost": 1.0, "cost_budget": 1.0}
    left = History(scores=(0.5, 0.5), usage={"policy": Usage(100_000, 100_000, 1)})
    assert not rule(left).stop
    assert rule(left).draw == 8


@pytest.mark.parametrize(
    ("amount", "price", "sentence"),
    [
        (0, PRICES, "a finite amount above 0"),
        (float("inf"), PRICES, "a finite amount above 0"),
        (1, {"judge": Price(1, 1)}, "no role 'judge'"),
        (1, {"policy": 3}, "a price must be a Price"),
        (1, Price(), "needs a price above 0"),
        (1, {}, "needs a price above 0"),
    ],
)
def test_bad_budgets(amount, price, sentence):
    with pytest.raises(SettingsError, match=sentence):
        CostBudget(amount, price)


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), "1"])
def test_bad_prices(value):
    with pytest.raises(SettingsError, match="the price for output must be a finite number of at least 0"):
        Price(output=value)


def test_values_are_equal_hashable_and_survive_json():
    rule = CostBudget(0.05, PRICES) | MaxSamples(4)
    assert Rule.from_dict(rule.to_dict()) == rule
    assert hash(CostBudget(0.05, PRICES)) == hash(CostBudget(0.05, dict(reversed(PRICES.items()))))


def test_a_session_counts_what_was_spent_before_the_verdict_and_resumes_to_the_same():
    session = Session(CostBudget(1.0, Price(1, 1)), first_round=3)
    session.ask()
    # Spent before the first score: what is there is verified first.
    assert not session.spend({"policy": Usage(1_100_000, 0, 1)}).stop
    assert session.tell(0, Verdict(0.4), usage={"verifier": Usage(10, 1, 1)}).reason is StopReason.COST_BUDGET
    again = Session.from_dict(session.to_dict())
    assert again.decision == session.decision
    assert again.history.usage == {"policy": Usage(1_100_000, 0, 1), "verifier": Usage(10, 1, 1)}
    assert again.history.tokens == 1_100_011


def test_drawing_may_spend_the_rest():
    session = Session(CostBudget(1.0, Price(1, 1)), first_round=3)
    session.ask()
    session.tell(0, Verdict(0.4), usage={"policy": Usage(500_000)})
    assert session.spend({"policy": Usage(500_000)}).reason is StopReason.COST_BUDGET
    assert Session.from_dict(session.to_dict()).decision == session.decision
