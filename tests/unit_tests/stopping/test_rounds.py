"""Rounds: the cheapest size by simulation, the fewest repeats that could end a search, and records."""

import numpy as np
import pytest

from langchain_optscale.answers.support import Support
from langchain_optscale.stopping.answer_gains import is_worth
from langchain_optscale.stopping.rounds import MOST_AT_ONCE, by_record, cheapest_round, least_repeats


@pytest.mark.parametrize(("p", "cost"), [(0.05, 2.0), (0.15, 3.0), (0.4, 0.5)])
def test_the_cheapest_round_minimises_the_expected_cost_until_success(p: float, cost: float) -> None:
    """Simulated: rounds of k with success chance p each, at k + lambda a round."""
    first = np.random.default_rng(3).geometric(p, 200_000)
    spent = {k: float((np.ceil(first / k) * (k + cost)).mean()) for k in range(1, 17)}
    chosen = cheapest_round(lambda k: 1.0 - (1.0 - p) ** k, cost, 1, 16)
    assert spent[chosen] <= min(spent.values()) * 1.005


@pytest.mark.parametrize(("text", "scores"), [("aab", [0.5] * 3), ("aab", [0.4, 0.6, 0.7]), ("abcd", [0.8] * 4)])
def test_fewer_repeats_of_the_leader_could_not_end_it(text: str, scores: list[float]) -> None:
    support, left, price = Support.of(list(text), scores), 20, 0.006
    least = least_repeats(support, len(text), left, price, 0.0)
    for more in range(1, least + 1):
        then = support.with_leader(more)
        answering = (then.answered + 0.5) / (len(text) + more + 0.5)
        ends = not is_worth(then, answering, left - more, price)[0]
        assert ends == (more == least) or least == MOST_AT_ONCE


def test_waiting_makes_rounds_larger_within_what_is_allowed() -> None:
    support = Support.of(list("aabbc"), [0.5] * 5)
    sizes = [least_repeats(support, 5, 27, 0.004, cost) for cost in (0.0, 2.0, 10.0, 100.0)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1] <= MOST_AT_ONCE


def test_by_record_draws_no_more_than_is_left_or_enough() -> None:
    assert by_record(3, 2, 50, 100.0) == 2
    assert by_record(3, 50, 4, 100.0) == 4
    assert by_record(3, 50, 50, 0.0) == 1
    assert by_record(3, 50, 50, 100.0) == MOST_AT_ONCE
