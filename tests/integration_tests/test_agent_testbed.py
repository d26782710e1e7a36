"""The test bed of agents: its cases, its policy's errors, and a few episodes of each kind of agent."""

from __future__ import annotations

import pytest
from scipy import stats

from benchmarks.agent_testbed import METHODS, compare, run
from benchmarks.agent_world import SKILLS, Call, Desk, Step, case_of, grade, write_step


def solve(desk: Desk) -> None:
    tools = {tool.name: tool for tool in desk.tools()}
    for call in desk.case.plan:
        tools[call.tool].invoke(dict(call.arguments))


@pytest.mark.parametrize("number", range(12))
def test_the_plan_solves_the_case(number: int) -> None:
    desk = Desk(case_of(number))
    solve(desk)
    assert desk.solved(f"The answer: {desk.case.answer}.")
    assert not desk.solved("The answer: unknown.")
    assert desk.case.done(desk.calls) == len(desk.case.plan)
    assert len({tool.name for tool in desk.tools()}) == 5


def test_what_cannot_be_undone_spoils_the_case() -> None:
    desk = Desk(next(case for case in map(case_of, range(20)) if case.plan[-1].arguments.get("topic") == "refund"))
    refund = next(tool for tool in desk.tools() if tool.name == "refund_order")
    refund.invoke({"order_id": next(iter(desk.case.orders)), "amount": 1.0})
    solve(desk)
    assert not desk.solved(desk.case.answer)


def test_reading_wrongly_costs_a_call_and_no_more() -> None:
    desk = Desk(case_of(1))
    wrong = Call("find_customer", {"name": "Nobody"})
    assert desk.case.done([wrong, *desk.case.plan]) == len(desk.case.plan)
    assert desk.case.done(list(desk.case.plan[1:])) == 0


def test_the_policy_errs_as_often_as_it_is_said_to() -> None:
    cases = [case_of(number) for number in range(400)]
    right = sum(write_step(case, (), index, seed=7).call == case.plan[0] for case in cases for index in range(5))
    expected = sum(skill * share for skill, share in SKILLS.items())
    # Five candidates of a case share its skill, so the cases are what is independent.
    spread = stats.norm.isf(0.0005) * (0.25 / len(cases)) ** 0.5
    assert right / 2000 == pytest.approx(expected, abs=spread)


def test_grades_rank_steps() -> None:
    case = next(case for case in map(case_of, range(20)) if len(case.plan) == 5)
    calls, right = case.plan[:3], case.plan[3]
    half = Call(right.tool, {**right.arguments, "amount": -1.0})
    steps = [Step("", right), Step("", half), Step("", case.plan[4]), Step("The answer: done.")]
    means = [sum(grade(case, calls, step, index, 7) for index in range(200)) / 200 for step in steps]
    assert means == sorted(means, reverse=True)
    assert all(0 <= grade(case, calls, step, index, 7) <= 1 for step in steps for index in range(50))


@pytest.mark.timeout(300)
def test_agents_work_through_it() -> None:
    figures = compare(12, seed=3)
    methods = figures["methods"]
    assert list(methods) == list(METHODS)
    assert methods["bare"]["success"] <= methods["best_of_8"]["success"]
    assert methods["best_of_8"]["candidates"] == 8 * methods["best_of_8"]["requests"]
    assert figures["optscale_against_best_of_8"]["share_of_policy_tokens_by_calls"] < 0.45
    assert figures["optscale_against_best_of_8"]["success"] >= 0
    # Deterministic, and by single calls the same candidates at the price that was computed.
    again = run("best_of_8", 2, 3, "calls")
    assert again["policy_tokens"] == again["policy_tokens_by_calls"] == run("best_of_8", 2, 3)["policy_tokens_by_calls"]
