"""Extractors: what people and models really write, and a megabyte of what they should not."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_optscale.answers import (
    EXTRACTORS,
    BoxedAnswer,
    ChoiceLetter,
    Compared,
    ExactText,
    FirstOf,
    FunctionAnswer,
    JsonField,
    LastNumber,
    NormalForm,
    RegexAnswer,
    StatedAnswer,
    WholeText,
    as_extractor,
)
from langchain_optscale.errors import SettingsError


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"Thus \boxed{42}.", "42"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{1}, no: \boxed{2}", "2"),
        (r"\fbox{yes}", "yes"),
        (r"$\boxed{1}$ and $\boxed{2}$", "1, 2"),
        (r"\boxed{x=1}, \boxed{x=2} or \boxed{x=3}", "x=1, x=2, x=3"),
        (r"\boxed{5} \boxed{5}", "5"),
        ("\\boxed{1}\n\n\\boxed{2}", "2"),
        (r"\boxed{1}. Then \boxed{2}", "2"),
        (r"\boxed {7}", "7"),
        (r"$\boxed 5$", "5"),
        (r"\boxed{\text{(B)}}", r"\text{(B)}"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{\boxed{3} \text{ cm}}", r"\boxed{3} \text{ cm}"),
        (r"\boxed{first} and cut off: \boxed{\frac{1}{2", "first"),
        (r"if {a then \boxed{4}", "4"),
        (r"} \boxed{4}", "4"),
        (r"\boxed{}", None),
        (r"\boxed{4} and \boxed{ }", "4"),
        (r"\boxedx{4}", None),
        ("boxed{4}", None),
        ("", None),
    ],
)
def test_boxes(text, answer):
    assert BoxedAnswer()(text) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("The answer is 1,234,567.", "1234567"),
        ("-$1,234.50", "-1234.5"),
        ("costs $18.", "18"),
        ("€ 5 or €7", "7"),
        ("3/4", "0.75"),
        ("1/3 of it", "1/3"),
        ("3 1/2 cups", "3.5"),
        (r"$-\frac{3}{4}$", "-0.75"),
        (r"$3\dfrac{1}{2}$", "3.5"),
        (r"\frac12", "0.5"),
        ("45%", "45"),
        (r"45.5\%", "45.5"),
        ("1.5e-3", "0.0015"),
        ("1.5 × 10^{-3}", "0.0015"),
        (r"6.02 \times 10^{23}", "602e21"),
        ("−7", "-7"),
        ("10-5", "5"),
        (".5", "0.5"),
        ("#### 42", "42"),
        ("**42**", "42"),
        ("answer:42.", "42"),
        ("٤٢", "42"),
        ("007", "7"),
        ("-0", "0"),
        ("1/0", None),
        ("x2 and v1.2.3", None),
        ("1e9999", None),
        ("9" * 2000, None),
        ("none", None),
        ("The garden has 12 m^2.", "12"),
        ("about 12 m^{2} of it", "12"),
        ("a = 9.8 m s^{-2}", "9.8"),
        ("it is 5 cm³", "5"),
        ("CO_{2} weighs 44", "44"),
        ("from a_{10}", None),
        ("x^2", None),
        ("so 2^10", "1024"),
        (r"$10^{-3}$", "0.001"),
        ("110_2", "6"),
        ("Es sind 7,5 Liter.", "7.5"),
        ("-3,25 °C", "-3.25"),
        ("0,125 l", "0.125"),
        ("1.234,56 €", "1234.56"),
        ("1.234.567 Einwohner", "1234567"),
        ("12,34,567 rupees", "1234567"),
        ("1'234'567.5", "1234567.5"),
        ("1\u202f234,5", "1234.5"),
        ("3,2 · 10^5", "320000"),
        ("values 1,2,3", "3"),
        ("the point (3,5)", "5"),
        ("2½ hours", "2.5"),
        ("¾", "0.75"),
        ("2 ⅓ cups", "7/3"),
        (r"0.\overline{3}", "1/3"),
        ("is 0.333...", "1/3"),
        ("3.14159... or so", "3.14159"),
        ("Il coûte 1 234,56 €", "1234.56"),
        ("1 000 000 people", "1000000"),
        ("1 234 567.5", "1234567.5"),
        ("costs 12 500 €", "12500"),
        ("table 3 120 units", "120"),
        ("in 2019 500 people", "500"),
        ("٣٫١٤", "3.14"),
        ("6.02 x 10^23", "602e21"),
        ("5 x 10", "10"),
        ("wait 3...", "3"),
        ("17.5%, roughly", "17.5"),
        ("It takes ¹⁄₄ hour", "0.25"),
        ("about 2 ³⁄₄ cups", "2.75"),
        ("It was –5 °C", "-5"),
        ("pages 5–10", "10"),
        ("1_000_000 of them", "1000000"),
        ("The area is 30 m**2.", "30"),
    ],
)
def test_last_numbers(text, answer):
    assert LastNumber()(text) == answer


def test_percent_and_fractions_are_settings():
    assert LastNumber(percent=True)("45 %") == "0.45"
    assert LastNumber(fractions=False)("3/4") == "4"


@given(st.fractions(max_denominator=10**6), st.booleans())
def test_a_number_is_found_by_its_exact_value(number, latex):
    magnitude = abs(number)
    written = f"{magnitude.numerator}/{magnitude.denominator}"
    if latex:
        written = rf"\frac{{{magnitude.numerator}}}{{{magnitude.denominator}}}"
    found = LastNumber()(f"so it is {'-' if number < 0 else ''}{written}, done")
    assert found is not None
    top, _, bottom = found.partition("/")
    assert number == type(number)(top) / type(number)(bottom or 1)


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("The answer is (B).", "B"),
        ("Answer: C", "C"),
        ("**Answer:** D", "D"),
        ("**Answer: (d)**", "D"),
        ("answer: a", "A"),
        ("The answer is\n\n**E**", "E"),
        ("The correct option is **A**.", "A"),
        ("The correct answer is option (D)", "D"),
        ("answer is A because", "A"),
        ("(A) is tempting, but the answer is B: the sun", "B"),
        ("Answer: A. Option B is wrong since", "A"),
        ("(B) is correct", "B"),
        ("I choose C, not D.", "C"),
        (r"\boxed{C}", "C"),
        (r"final answer: $\boxed{\text{(C)}}$", "C"),
        ("B", "B"),
        ("b.", "B"),
        ("(c)", "C"),
        ("B) the moon", "B"),
        ("reasons\nB. the sun", "B"),
        ("So it's B.", "B"),
        ("First A, then the answer is B. No: the answer is C.", "C"),
        ("Answer: <C>", "C"),
        ('The answer is: "C"', "C"),
        ("The answer is 'C'.", "C"),
        ("Option c is correct.", "C"),
        ("**C. Paris**", "C"),
        ("**C** it is", "C"),
        ("The answer is A's friend", None),
        ("The answer is A dog", None),
        ("A dog barks.", None),
        ("the answer is a number", None),
        ("The answer is not B", None),
        ("The answer is either A or B", None),
        ("Vitamin C is good for you", None),
        ("The answer is F", None),
        ("CAB", None),
        ("", None),
        ("<think>(A) or (B)?</think><answer>B</answer>", "B"),
        ("<answer>\n  c\n</answer>", "C"),
        ("A is incorrect and B is the answer.", "B"),
        ("(A) > (B), so nothing follows <A>", "B"),
    ],
)
def test_choices(text, letter):
    assert ChoiceLetter()(text) == letter


def test_other_letters():
    assert ChoiceLetter("ABCDEFGHIJ")("the answer is (J)") == "J"
    assert ChoiceLetter("ABCDEFGHIJ")("The answer is I think unclear") is None


@pytest.mark.parametrize(
    ("path", "text", "answer"),
    [
        ("answer", '{"answer": "Paris"}', "Paris"),
        ("answer", 'Sure!\n```json\n{"answer": 42.0}\n```\nDone.', "42"),
        ("answer", '{"answer": 1} {"answer": 2} {"other": 3}', "2"),
        ("id", '{"id": 1, "child": {"id": 2}}', "1"),
        ("a.b.1", '{"a": {"b": [1, true]}}', "true"),
        ("a.-1", '{"a": [1, 0.10]}', "0.1"),
        (("a.b", 0), '{"a.b": ["x"]}', "x"),
        ("answer", '{"answer": {"b": 1.0, "a": [2]}}', '{"a":[2],"b":1}'),
        ("answer", '{"answer": null}', None),
        ("answer", '{"answer": ""}', None),
        ("answer", '{"answer": "cut', None),
        ("answer", 'f(x) = {1 if x} and {"answer": 5}', "5"),
        ("answer", "[1, {broken] {\"answer\": 'single'}", None),
        ("missing", '{"answer": 1}', None),
        ("answer.deeper", '{"answer": 1}', None),
        ("answer", '{"answer": ' + "9" * 5000 + "}", None),
        ("0", "[7]", "7"),
    ],
)
def test_json_fields(path, text, answer):
    assert JsonField(path)(text) == answer


def test_regular_expressions():
    assert RegexAnswer(r"#### (.+)")("#### 1\n#### 2") == "2"
    assert RegexAnswer(r"\d+")("1 and 22") == "22"
    assert RegexAnswer(r"(?P<key>\w)=(?P<value>\w)", group="value")("x=5") == "5"
    assert RegexAnswer("answer: (.)", flags=re.IGNORECASE)("ANSWER: b") == "b"
    assert RegexAnswer("a(b)?")("a") is None


def test_chains_take_the_first_that_finds_something():
    chain = BoxedAnswer() | LastNumber() | (lambda text: "?" if "?" in text else None)
    assert [chain(text) for text in (r"3, \boxed{4}", "3", "what?", "nothing")] == ["4", "3", "?", None]
    assert chain == FirstOf(FirstOf(BoxedAnswer(), LastNumber()), chain.extractors[2])
    assert FirstOf("boxed", StatedAnswer(), LastNumber()) == EXTRACTORS["math"]
    assert FirstOf(StatedAnswer(number=True), LastNumber()) == EXTRACTORS["number"]


def test_each_answer_of_a_chain_keeps_its_own_equivalence():
    chain = ChoiceLetter() | Compared(WholeText(), NormalForm(percent=True))
    assert chain.read("answer: B").equivalence == ExactText()
    assert chain.read("50 percent").equivalence == NormalForm(percent=True)


def test_functions_of_the_text_or_of_text_and_message():
    assert as_extractor(str.upper)("a") == "A"
    assert as_extractor(lambda text, message: repr(message))("a") == "None"
    assert as_extractor(lambda text: " \n")("a") is None
    with pytest.raises(SettingsError, match="an extractor must return a string or None, got int"):
        as_extractor(len)("a")


def test_names_and_values():
    assert as_extractor(None) is None
    for name, extractor in EXTRACTORS.items():
        assert as_extractor(name) is extractor
        assert extractor == eval(repr(extractor), globals() | {"ToolCallAnswer": type(EXTRACTORS["tool_call"])})  # noqa: S307
        assert hash(extractor) == hash(EXTRACTORS[name])
    assert LastNumber() != LastNumber(percent=True)
    with pytest.raises(AttributeError):
        LastNumber().percent = True


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: as_extractor("box"), "unknown extractor 'box'; known are boxed, number"),
        (lambda: as_extractor(3), "an extractor must be a function"),
        (lambda: as_extractor(BoxedAnswer), "an extractor must be a function"),
        (lambda: FunctionAnswer(lambda: "x"), "an extractor must be a function"),
        (lambda: ChoiceLetter("abc"), "letters must be capitals"),
        (lambda: ChoiceLetter("AAB"), "letters must be capitals"),
        (lambda: ChoiceLetter(""), "letters must be capitals"),
        (lambda: RegexAnswer("("), "not a valid regular expression"),
        (lambda: RegexAnswer(3), "pattern must be a string"),
        (lambda: RegexAnswer("a", group=1), "has no group 1"),
        (lambda: JsonField(""), "path must have keys"),
        (lambda: JsonField("a..b"), "path must have keys"),
        (lambda: JsonField((1.5,)), "path must have keys"),
        (lambda: FirstOf(), "at least one"),
        (lambda: FirstOf(BoxedAnswer(), None), "an extractor is needed, got None"),
        (lambda: Compared(BoxedAnswer(), "exact"), "by must be an equivalence"),
    ],
)
def test_bad_settings(make, sentence):
    with pytest.raises(SettingsError, match=sentence) as caught:
        make()
    assert "\n" not in str(caught.value)


HOSTILE = {
    "spaces": " ",
    "lines": "\n",
    "braces": "{",
    "brackets": "[",
    "boxes": r"\boxed{",
    "boxes in boxes": r"\boxed{\text{(",
    "json": '{"answer":',
    "json keys": '{"',
    "escapes": '{"\\',
    "answers": "answer ",
    "answer is": "answer is ",
    "is": " is",
    "letters": "A ",
    "options": "A) ",
    "bold": "**(A",
    "ends": "A.....",
    "digits": "1",
    "groups": "1,111",
    "fractions": r"\frac{1",
    "slashes": "1/",
    "mixed": "1 1 ",
    "tabs": "\t \n",
    "marks": "a\u0301\u0327",
    "points": "1.",
    "spaced groups": " 111",
    "thousands of spaces": "1 111,",
    "commas": "1,",
    "lakhs": "1,11",
    "continental": "1.111",
    "exponents": "1^",
    "periods": "0.1(",
    "overlines": r"0.\overline{1",
    "vulgar": "1½",
    "answers in Chinese": "答案是",
    "answers in Spanish": "respuesta es la ",
}
READERS = [BoxedAnswer(), LastNumber(), ChoiceLetter(), JsonField("answer")]


@pytest.mark.parametrize("extractor", READERS, ids=lambda extractor: type(extractor).__name__)
@pytest.mark.parametrize("piece", HOSTILE.values(), ids=HOSTILE.keys())
def test_time_is_linear_in_the_text(extractor, piece):
    text = "answer" + piece * (400_000 // len(piece))
    began = time.process_time()
    extractor(text)
    # A quadratic pattern needs minutes; the bound is loose for the sake of busy machines.
    assert time.process_time() - began < 5


def test_a_megabyte_with_the_answer_at_its_end():
    text = "Let x = 3. Then {x | x > 2} holds, (A) fails, and so on. " * 17_000
    text += 'The answer is (C), \\boxed{42}. {"answer": 42} 42'
    assert len(text) > 950_000
    began = time.process_time()
    assert [extractor(text) for extractor in READERS] == ["42", "42", "C", "42"]
    assert time.process_time() - began < 5


PIECES = st.sampled_from([*"\\boxed{}[]()ABab1./,-%$* \n\"':", "answer is ", r"\frac", r"\boxed{"])


@given(st.lists(PIECES, max_size=60).map("".join))
def test_no_text_breaks_an_extractor(text):
    for extractor in (*EXTRACTORS.values(), JsonField("a")):
        found = extractor(text)
        assert found is None or found.strip()
