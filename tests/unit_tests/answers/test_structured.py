"""Answers that are in the message rather than in its text."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage

from langchain_optscale.answers import AnswerBook, JsonField, ToolCallAnswer, canonical_json
from langchain_optscale.errors import SettingsError


def call(name="search", id_="1", **arguments):
    return {"name": name, "args": arguments, "id": id_}


def message(*calls):
    return AIMessage("", tool_calls=list(calls))


def test_the_order_of_arguments_and_calls_and_the_ids_do_not_matter():
    one = ToolCallAnswer()("", message(call(a=1, b="x"), call("open", "2", page=3)))
    other = ToolCallAnswer()("", message(call("open", "8", page=3.0), call(id_="9", b="x", a=1)))
    assert one == other == 'open({"page":3}); search({"a":1,"b":"x"})'
    assert ToolCallAnswer()("", message(call(a=2, b="x"))) != one


def test_no_calls_no_answer():
    assert ToolCallAnswer()("search({})", message()) is None
    assert ToolCallAnswer()("search({})") is None


def test_arguments_may_be_ignored_everywhere_or_of_one_tool():
    calls = message(call(q="x", why="a"), call("open", "2", why="b"))
    assert ToolCallAnswer(["why"])("", calls) == 'open({}); search({"q":"x"})'
    assert ToolCallAnswer(["open.why"])("", calls) == 'open({}); search({"q":"x","why":"a"})'
    assert ToolCallAnswer(["b", "a"]) == ToolCallAnswer(("a", "b", "a"))
    with pytest.raises(SettingsError, match="ignore must be a list of argument names"):
        ToolCallAnswer("why")


def test_tool_calls_are_compared_as_they_are():
    book = AnswerBook(ToolCallAnswer())
    assert book.read(0, "", message(call(q="Paris"))) != book.read(1, "", message(call(q="paris")))


def test_a_json_field_is_looked_for_in_the_tool_calls_where_the_text_has_none():
    structured = message(call("Answer", value={"n": 1}), call("Answer", "2", value={"n": 2}))
    assert JsonField("value.n")("", structured) == "2"
    assert JsonField("value.n")('{"value": {"n": 3}}', structured) == "3"
    assert JsonField("other")("", structured) is None


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_canonical_json_is_equal_for_equal_values_and_stable(value):
    form = canonical_json(value)
    if all(character not in form for character in "/e"):  # thirds and large powers have no JSON digits
        assert canonical_json(json.loads(form)) == form
    assert canonical_json(json.loads(json.dumps(value))) == form


def test_canonical_json_of_odd_values():
    assert canonical_json(0.1) == "0.1"
    assert canonical_json([1.0, -0.0, True]) == "[1,0,true]"
    assert canonical_json(math.nan) == '"nan"'
    assert canonical_json(1e308) == canonical_json(10**308)
    assert canonical_json({1: "a"}) == '{"1":"a"}'
