"""Regular expressions of JSON schemas: jsonschema's own verdicts, and none takes forever."""

import random
import time

import pytest

jsonschema = pytest.importorskip("jsonschema")

from langchain_optscale.answers import patterns  # noqa: E402
from langchain_optscale.errors import PatternTimeoutError  # noqa: E402
from langchain_optscale.verifiers.checks.json_patterns import with_timed_patterns  # noqa: E402

DRAFTS = [
    jsonschema.Draft202012Validator,
    jsonschema.Draft201909Validator,
    jsonschema.Draft7Validator,
    jsonschema.Draft4Validator,
]
HOSTILE = {"a" * 60 + "!": 1}
PATTERN = "^(a|aa)+$"
SLOW = {
    "patternProperties": {"patternProperties": {PATTERN: {}}},
    "additionalProperties": {"patternProperties": {PATTERN: {}}, "additionalProperties": False},
    "unevaluatedProperties": {"allOf": [{"patternProperties": {PATTERN: {}}}], "unevaluatedProperties": False},
    "beneath a reference": {
        "$ref": "#/$defs/one",
        "$defs": {"one": {"patternProperties": {PATTERN: {}}}},
        "unevaluatedProperties": False,
    },
    "propertyNames": {"propertyNames": {"pattern": PATTERN}},
}


@pytest.mark.parametrize("kind", DRAFTS[:2])
@pytest.mark.parametrize("schema", SLOW.values(), ids=SLOW)
def test_a_hostile_pattern_ends(kind, schema, monkeypatch):
    monkeypatch.setattr(patterns, "PATTERN_TIMEOUT_S", 0.2)
    began = time.monotonic()
    with pytest.raises(PatternTimeoutError, match="took longer than"):
        list(with_timed_patterns(kind)(schema).iter_errors(HOSTILE))
    assert time.monotonic() - began < 10


def fragments(rng):
    """A schema that may evaluate some of the properties a, b and c."""
    inner = rng.choice([{}, {"type": "integer"}, {"type": "string"}, True, False])
    name = rng.choice("abc")
    deeper = lambda: fragments(rng) if rng.random() < 0.5 else {"required": [name]}  # noqa: E731
    return rng.choice(
        [
            lambda: {"properties": {name: inner}},
            lambda: {"patternProperties": {f"^[{name}x]": inner}},
            lambda: {"allOf": [deeper(), {}]},
            lambda: {"anyOf": [deeper(), deeper()]},
            lambda: {"oneOf": [deeper(), {"required": ["c"]}]},
            lambda: {"dependentSchemas": {name: deeper()}},
            lambda: {"if": {"required": [name]}, "then": deeper(), "else": deeper()},
            lambda: {"not": {"required": [name]}},
            lambda: {"$ref": "#/$defs/one"},
        ]
    )()


@pytest.mark.parametrize("kind", DRAFTS)
def test_verdicts_and_messages_are_those_of_jsonschema(kind):
    rng = random.Random(7)
    failed = 0
    for _ in range(400):
        schema = {
            "$defs": {"one": {"properties": {"b": {"type": "integer"}}, "patternProperties": {"^c": {}}}},
            **{key: value for _ in range(2) for key, value in fragments(rng).items()},
            rng.choice(["unevaluatedProperties", "additionalProperties"]): rng.choice([False, {"type": "integer"}]),
        }
        instance = {name: rng.choice([1, "text"]) for name in "abc" if rng.random() < 0.6}
        expected = sorted(error.message for error in kind(schema).iter_errors(instance))
        assert sorted(error.message for error in with_timed_patterns(kind)(schema).iter_errors(instance)) == expected
        failed += bool(expected)
    assert 50 < failed < 390


def test_evaluation_follows_dynamic_and_recursive_references():
    dynamic = {
        "$defs": {"one": {"$dynamicAnchor": "node", "properties": {"a": {}}}},
        "$dynamicRef": "#node",
        "unevaluatedProperties": False,
    }
    recursive = {
        "$schema": "https://json-schema.org/draft/2019-09/schema",
        "$recursiveAnchor": True,
        "properties": {"a": {"$recursiveRef": "#", "unevaluatedProperties": False}},
    }
    for kind, schema, instances in (
        (DRAFTS[0], dynamic, [{"a": 1}, {"b": 1}]),
        (DRAFTS[1], recursive, [{"a": {"a": {}}}, {"a": {"b": 1}}]),
    ):
        verdicts = [with_timed_patterns(kind)(schema).is_valid(instance) for instance in instances]
        assert verdicts == [True, False]
        assert verdicts == [kind(schema).is_valid(instance) for instance in instances]
