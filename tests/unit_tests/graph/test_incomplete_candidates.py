"""The graph's candidates that are no answers, and those that are copies: as every other path takes them."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.exceptions import ContextOverflowError, ModelRefusalError
from langchain_core.language_models import FakeListChatModel, FakeMessagesListChatModel
from langchain_core.messages import AIMessage

from langchain_optscale import AllCandidatesFailed, OptScale, create_optscale_graph
from langchain_optscale.stopping import AnswerConfidence, MaxSamples
from tests.unit_tests.fakes import ScriptedPolicy

CUT = AIMessage("so 17 * 23 = 3", response_metadata={"finish_reason": "length"})
WHOLE = AIMessage("<think>390?</think>It is 391.", response_metadata={"finish_reason": "stop"})
NO = AIMessage([{"type": "refusal", "refusal": "I cannot"}])


def run(policy: Any, **settings: Any) -> dict[str, Any]:
    given = {"verifier": lambda prompt, candidate: 0.5, "fanout": "calls", "max_retries": 0, **settings}
    graph = create_optscale_graph(policy=policy, **given).compile()
    state: dict[str, Any] = graph.invoke({"messages": [("human", "q")]})
    return state


def test_cut_off_candidates_neither_vote_nor_win() -> None:
    policy = FakeMessagesListChatModel(responses=[CUT, CUT, WHOLE])
    state = run(policy, extract="number", select="vote", stopping=MaxSamples(3), first_round=3)
    assert state["messages"][-1].content == "It is 391."
    record = state["optscale"]
    assert sorted(failure["stage"] for _, failure in record["failures"]) == ["draw", "draw"]
    assert sorted(entry["answer"] or "" for entry in record["candidates"]) == ["", "", "391"]
    assert record["candidates"][record["best"]]["reasoning"] == "390?"


def test_where_all_refuse_langchain_s_refusal_is_raised() -> None:
    with pytest.raises(ModelRefusalError, match="I cannot") as raised:
        run(FakeMessagesListChatModel(responses=[NO]), max_samples=2)
    assert isinstance(raised.value, AllCandidatesFailed)


def test_an_error_of_langchain_survives() -> None:
    policy = ScriptedPolicy(texts=["x"], errors={seed: [ContextOverflowError("too long")] for seed in range(2)})
    with pytest.raises(ContextOverflowError):
        run(policy, max_samples=2, first_round=2)


@pytest.mark.parametrize("text", ["The answer is 391.", "391"])
def test_copies_count_as_in_every_other_search(text: str) -> None:
    settings: dict[str, Any] = {
        "verifier": lambda prompt, candidate: 0.6,
        "extract": "number",
        "stopping": AnswerConfidence(0.9) | MaxSamples(8),
    }
    record = run(FakeListChatModel(responses=[text]), **settings)["optscale"]
    result = OptScale(policy=FakeListChatModel(responses=[text]), **settings).invoke("q")
    assert record["decision"] == result.decision.to_dict()
    assert (record["decision"]["figures"]["votes"] == 1) == (" " in text)


def test_settings_of_what_models_write_hold_in_the_graph() -> None:
    policy = FakeMessagesListChatModel(responses=[AIMessage("<plan>x</plan>4")])
    for keep, content in ((False, "4"), (True, "<plan>x</plan>4")):
        state = run(policy, max_samples=1, reasoning_tags=["plan"], keep_reasoning=keep, extract="number")
        assert state["messages"][-1].content == content
    accepted = run(FakeMessagesListChatModel(responses=[CUT]), max_samples=1, accept_truncated=True)
    assert accepted["messages"][-1].content == CUT.content
