"""The conversation's channel reads what was written in the same way every time."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage, RemoveMessage
from langgraph.checkpoint.memory import InMemorySaver

from langchain_optscale.graph.conversation import merge_messages
from tests.unit_tests.graph.searches import graph_of, thread

# Everything that add_messages takes; without an identifier, with one, with one that is there already.
SAID = st.one_of(
    st.sampled_from(["a", "b"]),
    st.sampled_from([("human", "a"), ("ai", "b")]),
    st.sampled_from([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "id": "1"}]),
    st.builds(lambda text, name: HumanMessage(text, id=name), st.text(max_size=2), st.sampled_from(["1", "2"])),
)
TURNS = st.lists(st.one_of(SAID, st.lists(SAID, max_size=3)), max_size=4)


@given(first=TURNS, second=TURNS)
def test_a_conversation_reads_the_same_every_time(first, second):
    at_once = merge_messages([], [*first, *second])
    assert merge_messages(merge_messages([], first), second) == at_once
    assert merge_messages([], [*first, *second]) == at_once
    assert all(message.id for message in at_once)
    assert len({message.id for message in at_once}) == len(at_once)


@pytest.mark.parametrize("durability", ["sync", "exit"])
@pytest.mark.parametrize(
    "said",
    [
        "How much?",
        ("human", "How much?"),
        ("user", [{"type": "text", "text": "How much?"}]),
        {"role": "user", "content": "How much?"},
        HumanMessage("How much?"),
        [("human", "How much?")],
        ["How much?"],
        [{"role": "user", "content": "How much?"}],
        [HumanMessage("How much?")],
    ],
)
def test_every_form_of_a_question_is_read_back_as_it_was_asked(said, durability):
    graph, _ = graph_of([0.2, 0.95])
    compiled = graph.compile(checkpointer=InMemorySaver())
    for turns in (1, 2):
        state = compiled.invoke({"messages": copy.deepcopy(said)}, thread(), durability=durability)
        assert compiled.get_state(thread()).values["messages"] == state["messages"]
        assert [message.text for message in state["messages"]] == ["How much?", "0.95"] * turns


@pytest.mark.parametrize("wrong", [3, [("nobody", "hello")], [RemoveMessage(id="never said")]])
@pytest.mark.parametrize("turns", [0, 1])
def test_invalid_messages_do_not_harm_the_thread(wrong, turns):
    graph, _ = graph_of([0.2, 0.95])
    compiled = graph.compile(checkpointer=InMemorySaver())
    for _ in range(turns):
        compiled.invoke({"messages": [("human", "How much?")]}, thread())
    with pytest.raises((ValueError, NotImplementedError)):
        compiled.invoke({"messages": wrong}, thread())
    for more in (1, 2):
        state = compiled.invoke({"messages": [("human", "How much?")]}, thread())
        assert [message.text for message in state["messages"]] == ["How much?", "0.95"] * (turns + more)
        assert compiled.get_state(thread()).values["messages"] == state["messages"]


def test_equal_messages_are_different_ones_and_can_be_removed():
    said = merge_messages([], [[("human", "Again."), ("human", "Again.")], "Again."])
    assert [message.text for message in said] == ["Again."] * 3
    left = merge_messages(said, [[RemoveMessage(id=said[0].id)]])
    assert left == said[1:]
    # The place is free, the name is not.
    assert [message.text for message in merge_messages(left, ["Again."])] == ["Again."] * 3
