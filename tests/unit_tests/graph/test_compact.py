"""What tasks write in short is read again in full, to the byte."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk

from langchain_optscale.graph.compact import (
    full_candidate,
    full_round,
    full_verdict,
    short_candidate,
    short_round,
    short_verdict,
)
from langchain_optscale.graph.state import merge_record, new_record
from langchain_optscale.records.candidates import Candidate, Verdict
from langchain_optscale.records.decisions import Decision, Estimate, Observation, Round, StopReason
from langchain_optscale.records.usage import Usage

TOKENS = st.integers(0, 10**6)
DETAILS = st.dictionaries(st.sampled_from(["cache_read", "reasoning"]), TOKENS, max_size=2)
USAGES = st.builds(Usage, TOKENS, TOKENS, st.integers(0, 2), DETAILS, DETAILS)
CALL = {"name": "add", "args": {"a": 1}, "id": "1", "type": "tool_call"}
BROKEN_CALL = {"name": "add", "args": "{", "id": "1", "error": None, "type": "invalid_tool_call"}
MESSAGES = st.builds(
    lambda content, **fields: AIMessage(content, **fields),
    st.one_of(st.text(max_size=5), st.just([{"type": "text", "text": "a"}]), st.just([])),
    additional_kwargs=st.sampled_from([{}, {"reasoning": "so"}]),
    response_metadata=st.sampled_from([{}, {"model_name": "m"}]),
    name=st.sampled_from([None, "", "n"]),
    id=st.sampled_from([None, "x"]),
    tool_calls=st.sampled_from([[], [CALL]]),
    invalid_tool_calls=st.sampled_from([[], [BROKEN_CALL]]),
    usage_metadata=st.one_of(
        st.none(),
        st.builds(
            lambda i, o, **details: {"input_tokens": i, "output_tokens": o, "total_tokens": i + o, **details},
            TOKENS,
            TOKENS,
            input_token_details=DETAILS,
            output_token_details=DETAILS,
        ),
    ),
)
CANDIDATES = st.builds(
    Candidate,
    st.integers(0, 99),
    MESSAGES,
    st.integers(0, 9),
    USAGES,
    st.floats(0, 100),
    st.sampled_from([None, "", "4"]),
)
SCORES = st.floats(0, 1)
VERDICTS = st.builds(
    Verdict,
    SCORES,
    st.sampled_from([None, "", "well"]),
    st.one_of(st.none(), USAGES),
    st.sampled_from([None, 0, False, "", [], {}, {"logprob": None}]),
)
# Numbers that are equal and yet written otherwise, and figures that come and go.
NUMBERS = st.sampled_from([0, 1, 0.0, 1.0, True, False, 0.5])
ESTIMATES = st.builds(Estimate, st.floats(-1, 2), st.floats(0.1, 1), st.just("map"), st.integers(0, 9), st.booleans())
DECISIONS = st.builds(
    Decision,
    st.booleans(),
    st.sampled_from([None, StopReason.OPTIMAL_N]),
    st.sampled_from([None, 0, 2]),
    st.sampled_from([None, 5]),
    st.sampled_from(["OptimalN", ""]),
    st.dictionaries(st.sampled_from(["best", "n"]), NUMBERS),
)
LOOKS = st.builds(Observation, st.just(0), st.one_of(st.none(), SCORES), st.one_of(st.none(), ESTIMATES), DECISIONS)


def written(value):
    """As text, in which 1, 1.0 and true differ."""
    return json.dumps(value, sort_keys=True)


@given(CANDIDATES)
def test_a_candidate(candidate):
    entry = candidate.to_dict()
    short = short_candidate(entry)
    assert written(full_candidate(short)) == written(entry)
    assert written(full_candidate(entry)) == written(entry)
    assert len(written(short)) <= len(written(entry))
    assert entry == candidate.to_dict()


def test_a_candidate_of_another_kind():
    entry = Candidate(0, AIMessageChunk("so", chunk_position="last"), 0).to_dict()
    assert written(full_candidate(short_candidate(entry))) == written(entry)


def test_an_ordinary_candidate_is_written_without_defaults():
    message = AIMessage("so", usage_metadata={"input_tokens": 8, "output_tokens": 2, "total_tokens": 10})
    short = short_candidate(Candidate(3, message, 1, Usage(8, 2, 1), 0.5).to_dict())
    assert short == {
        "index": 3,
        "message": {"type": "ai", "data": {"content": "so", "usage_metadata": dict(message.usage_metadata)}},
        "round": 1,
        "latency_s": 0.5,
    }


def test_records_share_no_mutable_defaults():
    short = short_candidate(Candidate(0, AIMessage("so"), 0).to_dict())
    full_candidate(short)["message"]["data"]["tool_calls"].append(CALL)
    assert full_candidate(short)["message"]["data"]["tool_calls"] == []


@given(VERDICTS)
def test_a_verdict(verdict):
    entry = verdict.to_dict()
    assert written(full_verdict(short_verdict(entry))) == written(entry)
    assert written(full_verdict(entry)) == written(entry)


@given(st.lists(LOOKS, max_size=4))
def test_the_looks_of_a_round(looks):
    looks = [Observation(3 + place, look.score, look.estimate, look.decision) for place, look in enumerate(looks)]
    whole = Round(1, (3, 4, 5, 6), tuple(looks)).to_dict()
    begun = merge_record(new_record({}), [{"rounds": [{"number": 1, "indexes": [3, 4, 5, 6]}]}])
    told = merge_record(begun, [{"rounds": [short_round(whole)]}])
    assert written(told["rounds"]) == written([whole])
    assert written(full_round(whole)) == written(whole)
    assert [Round.from_dict(entry) for entry in told["rounds"]] == [Round.from_dict(whole)]


@pytest.mark.parametrize("count", [1, 8])
def test_looks_that_are_alike_are_told_once(count):
    look = Observation(0, 0.5, Estimate(0.5, 0.1, "maximum likelihood", 1), Decision(rule="OptimalN", figures={"n": 1}))
    looks = [{**look.to_dict(), "index": index} for index in range(count)]
    short = short_round({"number": 0, "indexes": list(range(count)), "observations": looks})
    assert written(short).count("maximum likelihood") == 1
    assert full_round(short)["observations"] == looks
