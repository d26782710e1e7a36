import math
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.prompt_values import StringPromptValue
from pydantic import BaseModel

from langchain_optscale import errors
from langchain_optscale.verifiers import JSONCheck, LengthCheck, NumberCheck, RegexCheck, RequiredWords
from langchain_optscale.verifiers.conformance import VerifierConformance, make_candidate

PROMPT = StringPromptValue(text="question")


def check(verifier, text):
    return verifier.verify(PROMPT, make_candidate(text))


@pytest.mark.parametrize(
    ("verifier", "text", "score"),
    [
        (RegexCheck(r"\d{3}"), "call 123 now", 1.0),
        (RegexCheck(r"\d{3}"), "call 12 now", 0.0),
        (RegexCheck(r"\d{3}", full=True), " 123\n", 1.0),
        (RegexCheck(r"\d{3}", full=True), "call 123", 0.0),
        (RegexCheck("YES", flags=re.IGNORECASE), "yes", 1.0),
        (NumberCheck(1234.5), "it is $1,234.50.", 1.0),
        (NumberCheck(100), "101", 0.0),
        (NumberCheck(100, rel_tol=0.01), "101", 1.0),
        (NumberCheck(0, abs_tol=0.5), "0.5", 1.0),
        (NumberCheck(5), "no number", 0.0),
        (NumberCheck(100, graded=True), "150", math.exp(-0.5)),
        (NumberCheck(100, abs_tol=10, graded=True), "60", math.exp(-0.3)),
        (NumberCheck(0, graded=True), "-2", math.exp(-2)),
        (NumberCheck(0.75, fractions=True), "3/4", 1.0),
        (NumberCheck(0.45, percent=True), "45%", 1.0),
        (LengthCheck(exactly=9), "one two three four five six seven eight nine ten eleven", 9 / 11),
        (LengthCheck(exactly=4), "one two", 0.5),
        (LengthCheck(at_least=3), "one two three four", 1.0),
        (LengthCheck(at_most=2), "one two three four", 0.5),
        (LengthCheck(at_most=0), "one", 0.0),
        (LengthCheck(exactly=0), "", 1.0),
        (LengthCheck(at_least=2, at_most=3, unit="sentences"), "One. Two. Three. Four.", 0.75),
        (LengthCheck(exactly=3, unit="items"), "red, green and blue.", 1.0),
        (LengthCheck(at_most=5, unit="characters"), "12345678", 0.625),
        (RequiredWords(["cat", "dog"]), "A CAT.", 0.5),
        (RequiredWords(["cat", "dog"], forbidden=["fish", "bird"]), "cat dog fish", 0.5),
        (RequiredWords(["cat"], forbidden=["fish"]), "concatenated fish", 0.0),
        (RequiredWords([], forbidden=["fish", "bird"]), "bird", 0.5),
        (RequiredWords(["cat", "CAT"]), "cat", 1.0),
    ],
)
def test_scores(verifier, text, score):
    verdict = check(verifier, text)
    assert verdict.score == pytest.approx(score, rel=1e-12)
    assert (verdict.score == 1.0) is (score == 1.0)
    assert verdict.explanation


@pytest.mark.parametrize(
    ("verifier", "text", "explanation"),
    [
        (LengthCheck(exactly=9), "a " * 11, "11 words, asked for exactly 9"),
        (LengthCheck(at_least=2, at_most=3), "a", "1 word, asked for at least 2 and at most 3"),
        (NumberCheck(4), "5", "the last number is 5, asked for 4"),
        (RequiredWords(["a", "b"], ["c"]), "b c", "missing: a; forbidden: c"),
    ],
)
def test_explanations(verifier, text, explanation):
    assert check(verifier, text).explanation == explanation


@pytest.mark.parametrize(
    "make",
    [
        lambda: RegexCheck("("),
        lambda: RegexCheck(b"bytes"),
        lambda: RegexCheck("a", flags="i"),
        lambda: RegexCheck("(" * 20_000),
        lambda: NumberCheck("5"),
        lambda: NumberCheck(math.nan),
        lambda: NumberCheck(True),
        lambda: NumberCheck(10**400),
        lambda: NumberCheck(1, rel_tol=-1),
        lambda: NumberCheck(1, abs_tol=math.inf),
        lambda: LengthCheck(),
        lambda: LengthCheck(exactly=1, at_most=2),
        lambda: LengthCheck(at_least=3, at_most=2),
        lambda: LengthCheck(exactly=-1),
        lambda: LengthCheck(exactly=1.5),
        lambda: LengthCheck(exactly=True),
        lambda: LengthCheck(exactly=1, unit="pages"),
        lambda: RequiredWords([]),
        lambda: RequiredWords("cat"),
        lambda: RequiredWords([" "]),
        lambda: RequiredWords([1]),
        lambda: RequiredWords(5),
        lambda: RequiredWords(["Cat"], forbidden=["cat"]),
        lambda: JSONCheck("schema"),
        lambda: JSONCheck(dict),
        lambda: JSONCheck({"type": "nonsense"}),
    ],
)
def test_bad_settings(make):
    with pytest.raises(errors.SettingsError):
        make()


@given(st.text(), st.integers(0, 30), st.sampled_from(["words", "sentences", "items", "characters"]))
def test_length_is_one_only_where_the_constraint_holds(text, bound, unit):
    verdict = check(LengthCheck(exactly=bound, unit=unit), text)
    assert 0.0 <= verdict.score <= 1.0
    assert (verdict.score == 1.0) is (verdict.raw == bound)


@given(st.floats(-1e300, 1e300), st.floats(allow_nan=False, allow_infinity=False), st.booleans())
def test_number_is_one_only_where_it_is_the_value(number, value, graded):
    score = check(NumberCheck(value, graded=graded), f"so {number!r}").score
    assert 0.0 <= score <= 1.0
    assert (score == 1.0) is (number == value)


@given(st.floats(-1e12, 1e12), st.floats(0, 1e6), st.floats(0, 1e6))
def test_graded_numbers_fall_with_distance(value, near, further):
    verifier = NumberCheck(value, graded=True)
    scores = [check(verifier, repr(value + distance)).score for distance in (near, near + further)]
    assert scores[0] >= scores[1]


@given(st.lists(st.sampled_from("abcdef"), unique=True, min_size=1), st.lists(st.sampled_from("abcdefgh")))
def test_words_are_one_only_where_all_occur_and_none_is_forbidden(words, used):
    score = check(RequiredWords(words, forbidden=["g", "h"]), " ".join(used)).score
    assert 0.0 <= score <= 1.0
    assert (score == 1.0) is (set(words) <= set(used) and not {"g", "h"} & set(used))


@given(st.text())
def test_any_text_gets_a_score(text):
    for verifier in (
        NumberCheck(1, graded=True, percent=True, fractions=True),
        RegexCheck("a"),
        JSONCheck({}),
    ):
        assert 0.0 <= check(verifier, text).score <= 1.0


class Person(BaseModel):
    name: str
    age: int


HURTFUL = {
    "digits": "1" * 1_000_000,
    "groups": "1" + ",234" * 250_000 + "5",
    "numbers": "1 " * 500_000,
    "dots": "." * 1_000_000 + "x",
    "lines": "```" + "\n" * 1_000_000,
    "fences": "```json\n" * 125_000,
    "brackets": "[" * 1_000_000,
    "ideographs": "漢" * 1_000_000,
    "marks": "a" + "\u0301\u0323" * 500_000,
    "and": "and " * 250_000,
}


@pytest.mark.parametrize("text", HURTFUL.values(), ids=HURTFUL)
def test_a_megabyte_takes_no_time(text):
    candidate = make_candidate(text)
    verifiers = [
        NumberCheck(1, percent=True, fractions=True),
        *(LengthCheck(exactly=1, unit=unit) for unit in ("words", "sentences", "items", "characters")),
        RequiredWords(["a b", "漢"]),
        RegexCheck(r"answer"),
        JSONCheck(Person),
        JSONCheck({"type": "object"}),
    ]
    for verifier in verifiers:
        # Processor time, since the machine may be busy with something else.
        start = time.process_time()
        verifier.verify(PROMPT, candidate)
        assert time.process_time() - start < 2, verifier


class TestRegex(VerifierConformance):
    def make_verifier(self):
        return RegexCheck("Paris")

    def good_candidate(self):
        return make_candidate("It is Paris.")

    def bad_candidate(self):
        return make_candidate("no idea")


class TestNumber(TestRegex):
    def make_verifier(self):
        return NumberCheck(42, graded=True)

    def good_candidate(self):
        return make_candidate("It is 42.")


class TestLength(TestRegex):
    def make_verifier(self):
        return LengthCheck(exactly=3)


class TestWords(TestRegex):
    def make_verifier(self):
        return RequiredWords(["Paris"], forbidden=["London"])


class TestJSON(TestRegex):
    def make_verifier(self):
        return JSONCheck(Person)

    def good_candidate(self):
        return make_candidate('{"name": "Ann", "age": 3}')
