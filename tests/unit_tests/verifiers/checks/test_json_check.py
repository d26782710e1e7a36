import sys
from datetime import date

import pytest
from langchain_core.prompt_values import StringPromptValue
from pydantic import BaseModel, ConfigDict, Field, RootModel, model_validator

from langchain_optscale import errors
from langchain_optscale.verifiers import JSONCheck
from langchain_optscale.verifiers.conformance import make_candidate

SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


class Person(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    age: int = Field(ge=0)


def score(schema, text):
    return JSONCheck(schema).verify(StringPromptValue(text="q"), make_candidate(text)).score


@pytest.mark.parametrize("schema", [SCHEMA, Person], ids=["json-schema", "pydantic"])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"name": "Ann", "age": 3}', 1.0),
        ('Here:\n```json\n{"name": "Ann", "age": 3}\n```\nDone.', 1.0),
        ('```\n{"name": "Ann", "age": 3}\n```', 1.0),
        ('```json\n{}\n```\n```json\n{"name": "Ann", "age": 3}\n```', 1.0),
        ('```json\n{"name": "Ann", "age": 3}\n```\n```python\nprint()\n```', 1.0),
        ('{"name": "Ann", "age": "x"}', 3 / 4),
        ('{"name": "Ann"}', 3 / 4),
        ("{}", 2 / 4),
        ('{"name": "Ann", "age": 3, "x": 1}', 3 / 4),
        ('{"name": 1, "age": -1, "x": 1}', 1 / 4),
        ("[]", 1 / 4),
        ('{"name": "Ann", "age": NaN}', 0.0),
        ('{"name": "Ann", "age": 3', 0.0),
        ('Sure! {"name": "Ann", "age": 3}', 0.0),
        ("", 0.0),
        ("```", 0.0),
        ("[" * 100_000, 0.0),
    ],
)
def test_grades(schema, text, expected):
    assert score(schema, text) == expected


def test_optional_properties_may_be_missing():
    assert score({"properties": {"a": {"type": "string"}}}, "{}") == 1.0
    assert score({"properties": {"a": {"type": "string"}}}, '{"a": 1}') == 2 / 3


def test_references_within_the_schema():
    tree = {
        "$defs": {"n": {"type": "integer"}},
        "properties": {"v": {"$ref": "#/$defs/n"}, "kid": {"$ref": "#"}},
    }
    assert score(tree, '{"v": 1, "kid": {"v": 2}}') == 1.0
    assert score(tree, '{"v": 1, "kid": {"v": "x"}}') == 3 / 4


def test_references_elsewhere_are_not_fetched():
    with pytest.raises(errors.SettingsError, match="does not contain"):
        score({"$ref": "http://localhost:9/schema.json"}, "{}")


def test_pydantic_reads_json_leniently_and_knows_aliases_and_root_models():
    class Event(BaseModel):
        day: date = Field(alias="theDay")
        end: int = 0

        @model_validator(mode="after")
        def _ordered(self):
            if self.end < 0:
                raise ValueError("end before start")
            return self

    assert score(Event, '{"theDay": "2024-01-01"}') == 1.0
    assert score(Event, '{"theDay": "never"}') == 3 / 4
    assert score(Event, '{"theDay": "2024-01-01", "end": -1}') == 3 / 4
    assert score(RootModel[list[int]], "[1, 2]") == 1.0
    assert score(RootModel[list[int]], '[1, "x"]') == 1 / 2


def test_the_explanation_names_faults_and_stays_short():
    text = '{"name": "' + "x" * 10_000 + '", "age": "' + "y" * 10_000 + '"}'
    verdict = JSONCheck(SCHEMA).verify(StringPromptValue(text="q"), make_candidate(text))
    assert verdict.explanation.startswith("1 of 3 requirements of the schema are not fulfilled: age: ")
    assert len(verdict.explanation) < 300


def test_the_schema_is_copied_and_checks_are_values():
    schema = {"type": "object"}
    verifier = JSONCheck(schema)
    schema["type"] = "array"
    assert verifier == JSONCheck({"type": "object"})
    assert hash(verifier) == hash(JSONCheck({"type": "object"}))


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    with pytest.raises(errors.MissingExtraError, match=r"langchain-optscale\[checks\]"):
        JSONCheck(SCHEMA)
    assert score(Person, '{"name": "Ann", "age": 3}') == 1.0
