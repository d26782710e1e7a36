"""The JSON form of the state that a graph ended in."""

import dataclasses
import datetime
import json

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from pydantic import BaseModel, SecretStr

from langchain_optscale.errors import InvalidRecordError
from langchain_optscale.records.candidates import Candidate
from langchain_optscale.records.states import messages_in, state_from_json, state_to_json


class Plan(BaseModel):
    steps: list[str]
    key: SecretStr = SecretStr("sk-0123")


@dataclasses.dataclass
class Note:
    text: str
    on: datetime.date


class Client:
    def __repr__(self):
        return "Client(key='sk-0123')"


CALL = {"name": "add", "args": {"a": 1}, "id": "c1", "type": "tool_call"}
MESSAGES = [
    HumanMessage("1 + 1?", id="h"),
    AIMessage("", tool_calls=[CALL], usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}),
    ToolMessage("2", tool_call_id="c1", artifact=Note("kept", datetime.date(2026, 1, 2))),
    AIMessage("It is 2."),
]
STATE = {
    "messages": MESSAGES,
    "plan": Plan(steps=["add"]),
    "notes": (Note("n", datetime.date(2026, 1, 2)),),
    "files": {"a.py": b"\xff", 3: float("nan")},
    "tags": {"y", "x"},
    "client": Client(),
}


def test_messages_survive_and_other_objects_become_plain_data():
    written = json.dumps(state_to_json(STATE), allow_nan=False)
    assert "sk-0123" not in written
    read = state_from_json(json.loads(written))
    assert [type(message) for message in read["messages"]] == [type(message) for message in MESSAGES]
    assert read["messages"][1] == MESSAGES[1]
    assert read["messages"][2].artifact == {"text": "kept", "on": "2026-01-02"}
    assert read["plan"]["steps"] == ["add"]
    assert read["notes"] == [{"text": "n", "on": "2026-01-02"}]
    assert read["files"] == {"a.py": "_w==", "3": "NaN"}
    assert read["tags"] == ["x", "y"]
    assert read["client"] == f"<{__name__}.Client>"


def test_what_was_read_is_written_alike():
    once = state_to_json(STATE)
    assert state_to_json(state_from_json(once)) == once


def test_a_state_that_contains_itself():
    state = {"messages": []}
    state["again"] = state
    assert "<builtins.dict>" in json.dumps(state_to_json(state))


def test_messages_in():
    assert messages_in(STATE) == tuple(MESSAGES)
    assert messages_in({"messages": [{"role": "user"}]}) == messages_in({"messages": "x"}) == messages_in({}) == ()


def test_a_candidate_has_its_trajectory():
    candidate = Candidate(0, MESSAGES[-1], 0, state=STATE)
    again = Candidate.from_dict(json.loads(json.dumps(candidate.to_dict())))
    assert again == candidate
    assert [message.text for message in again.trajectory] == [message.text for message in candidate.trajectory]
    assert Candidate(0, MESSAGES[-1], 0).trajectory == ()
    assert "state" not in Candidate(0, MESSAGES[-1], 0).to_dict()


def test_a_damaged_state_is_refused():
    data = Candidate(0, MESSAGES[-1], 0, state=STATE).to_dict()
    data["state"]["messages"][0]["optscale_message"]["type"] = "robot"
    with pytest.raises(InvalidRecordError):
        Candidate.from_dict(data)
