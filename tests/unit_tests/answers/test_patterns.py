"""Patterns of users mean what they mean to `re`, and end."""

import re
import time

import pytest
from langchain_core.messages import AIMessage
from langchain_core.prompt_values import StringPromptValue

from langchain_optscale.answers import RegexAnswer
from langchain_optscale.answers.patterns import timed_pattern
from langchain_optscale.errors import PatternTimeoutError, SettingsError
from langchain_optscale.models.retry import is_transient
from langchain_optscale.records.candidates import Candidate
from langchain_optscale.verifiers import JSONCheck, RegexCheck

# Doubles with every letter, in `re` and in `regex`.
HOSTILE, TEXT = r"(a|aa)+$", "a" * 60 + "!"
PROMPT = StringPromptValue(text="q")


def check(verifier, text):
    return verifier.verify(PROMPT, Candidate(0, AIMessage(text), 0))


@pytest.mark.parametrize(
    "run",
    [
        lambda: timed_pattern(HOSTILE).search(TEXT),
        lambda: timed_pattern(HOSTILE).fullmatch(TEXT),
        lambda: timed_pattern(HOSTILE).last(TEXT),
        lambda: RegexAnswer(HOSTILE)(TEXT),
        lambda: check(RegexCheck(HOSTILE), TEXT),
        lambda: check(RegexCheck(HOSTILE, full=True), TEXT),
        lambda: check(JSONCheck({"type": "string", "pattern": HOSTILE}), f'"{TEXT}"'),
        lambda: check(JSONCheck({"patternProperties": {HOSTILE: {}}}), f'{{"{TEXT}": 1}}'),
        lambda: check(
            JSONCheck({"patternProperties": {HOSTILE: {}}, "additionalProperties": False}), f'{{"{TEXT}": 1}}'
        ),
    ],
)
def test_a_hostile_pattern_ends(run):
    began = time.perf_counter()
    with pytest.raises(PatternTimeoutError, match="possessive quantifiers") as raised:
        run()
    assert time.perf_counter() - began < 20
    assert not is_transient(raised.value)


@pytest.mark.parametrize(
    ("pattern", "flags", "text"),
    [
        (r"x = (-?\d+)", 0, "x = 1 and x = -2"),
        (r"STRASSE", re.IGNORECASE, "straße Strasse"),
        (r"\w+", re.ASCII, "é a"),
        (r"^b.c$", re.MULTILINE | re.DOTALL, "a\nb\nc"),
        (r"foo{e}", 0, "foo foo{e} fop"),
        (r"\{a\}{2}", 0, "{a}}"),
        (r"\N{EN DASH}{1,2}", 0, "a––b"),
        (r"a {1,} b  # c", re.VERBOSE, "aaab"),
        (r"(?P<year>\d{4})", 0, "in 1999 and 2024"),
        (r"[{e}]+", 0, "x{e}"),
    ],
)
def test_patterns_mean_what_they_mean_to_re(pattern, flags, text):
    ours, theirs = timed_pattern(pattern, flags).search(text), re.search(pattern, text, flags)
    assert (ours and ours.span()) == (theirs and theirs.span())
    last = list(re.finditer(pattern, text, flags))[-1:]
    found = timed_pattern(pattern, flags).last(text)
    assert [found.span()] if found else [match.span() for match in last] == []


@pytest.mark.parametrize(
    ("pattern", "flags"), [("(", 0), (["a"], 0), ("a", "x"), ("a", 1 << 40), (r"\p{L}", 0), ("(?R)", 0)]
)
def test_what_re_refuses_is_refused(pattern, flags):
    with pytest.raises(SettingsError):
        timed_pattern(pattern, flags)


def test_schemas_with_patterns_say_what_jsonschema_says():
    schema = {"type": "object", "patternProperties": {"^x-": {"type": "integer"}}, "additionalProperties": False}
    assert check(JSONCheck(schema), '{"x-a": 1}').score == 1
    wrong = check(JSONCheck(schema), '{"x-a": "1", "y": 2, "z": 3}').explanation
    assert "'1' is not of type 'integer'" in wrong or "'y', 'z' do not match any of the regexes: '^x-'" in wrong
    closed = JSONCheck({"properties": {"a": {"pattern": "^b"}}, "additionalProperties": False})
    assert "'c' does not match '^b'" in check(closed, '{"a": "c"}').explanation
    assert "('d' was unexpected)" in check(closed, '{"a": "b", "d": 1}').explanation
    nested = JSONCheck({"additionalProperties": {"type": "integer"}})
    assert check(nested, '{"a": "c"}').score < 1
