"""Grades out of replies: recorded-like token lists, and every form that is none."""

import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage

from langchain_optscale.errors import InvalidReplyError, InvalidScoreError, SettingsError
from langchain_optscale.verifiers.llm_judge.forms import form_in_message
from langchain_optscale.verifiers.llm_judge.reply import expected_grade, read_structured, read_text, refuse_incomplete
from langchain_optscale.verifiers.llm_judge.scale import Scale
from tests.unit_tests.verifiers.llm_judge.judges import entry

CODE = "5fa3c1d20b77"
TEN, FIVE, WORDS = Scale.parse("0-10"), Scale.parse("1-5"), Scale.parse("yes/no")
# How tokenizers in use cut "GRADE-5fa3c1d20b77:" does not matter to us, so two ways of it serve.
HEADS = [["GR", "ADE", "-", "5", "fa", "3", "c", "1", "d", "20", "b", "77", ":"], [f"GRADE-{CODE}:"]]


def law(**probabilities):
    return [(token.replace("_", " "), math.log(p)) for token, p in probabilities.items()]


def place(chosen, probabilities):
    top = [(token, math.log(p)) for token, p in probabilities.items()]
    return entry(chosen, math.log(probabilities.get(chosen, 1e-3)), top)


def tokens(*places, head=HEADS[0]):
    return [*map(entry, head), *places]


class TestScale:
    @pytest.mark.parametrize("text", ["0-11", "5-5", "7-3", "-1-5", "yes", "0-100", "", None, 7, "0 - 10"])
    def test_refuses(self, text):
        with pytest.raises(SettingsError, match="scale"):
            Scale.parse(text)

    @pytest.mark.parametrize(
        ("scale", "said", "value"),
        [
            (TEN, "7", 7), (TEN, "7.25", 7.25), (TEN, "10", 10), (TEN, "7/10", 7), (TEN, "7 / 10", 7), (TEN, 7, 7),
            (TEN, "11", None), (TEN, "-1", None), (TEN, "7/5", None), (TEN, "7/70", None), (TEN, "٧", None),
            (TEN, "1e1", None), (TEN, "nan", None), (TEN, "", None), (TEN, True, None), (TEN, None, None),
            (TEN, math.nan, None), (TEN, math.inf, None), (TEN, [7], None), (FIVE, "0", None), (FIVE, 5.0, 5),
            (WORDS, "Yes", 1), (WORDS, " no ", 0), (WORDS, "maybe", None), (WORDS, 1, None), (WORDS, True, None),
        ],
    )  # fmt: skip
    def test_reads(self, scale, said, value):
        assert scale.read(said) == value

    def test_scores(self):
        assert [FIVE.score(grade) for grade in (1, 3, 5)] == [0, 0.5, 1]
        assert (str(FIVE), str(WORDS)) == ("1-5", "yes/no")


class TestText:
    @pytest.mark.parametrize(
        "line",
        ["GRADE-{}: 7", "grade-{}: 7", "**GRADE-{}: 7**", "**GRADE-{}:** 7", "- GRADE-{} : 7.", "> `GRADE-{}: 7/10`"],
    )
    def test_a_grade_line(self, line):
        line = line.format(CODE)
        assert read_text(f"It is fine.\n{line}", TEN, CODE) == (7.0, "It is fine.")
        assert read_text(f"{line}\nThat is my grade.", TEN, CODE)[0] == 7.0

    @pytest.mark.parametrize(
        "line",
        ["1. GRADE-{}: 7", r"\\boxed{{GRADE-{}: 7}}", "| GRADE-{}: 7 |", "<grade>GRADE-{}: 7</grade>", "GRADE-{} = 7",
         "GRADE-{} 7", "GRADE-{} - 7", "GRADE-{} — 7", "GRADE-{}：7", "GRADE-{} is 7", "GRADE ({}): 7", "GRADE {}: 7",
         "GRADE_{}: 7", "GRADE-<{}>: 7", "GRADE-[{}]: 7", "GRADE‑{}: 7", "GRADE–{}: 7", "{}: 7", "GRADE-{}:\n7",
         "GRADE-{}:\r\n\r\n**7**", "```GRADE-{}: 7```", "GRADE-{}: [[7]]", "GRADE-{}: 70%", "GRADE-{}: 7<|im_end|>"],
    )  # fmt: skip
    def test_a_grade_line_in_another_form(self, line):
        line = line.replace(r"\\", "\\").replace("{{", "{").replace("}}", "}").replace("{}", CODE)
        assert read_text(f"It is fine.\n{line}", TEN, CODE) == (7.0, "It is fine.")
        with pytest.raises(InvalidReplyError):
            read_text(f"It is fine.\n{line}", TEN, "6" * 12)

    def test_a_grade_that_was_only_considered(self):
        thought = f"<think>\nPerhaps\nGRADE-{CODE}: 2\n</think>"
        assert read_text(f"{thought}\nGRADE-{CODE}: 7", TEN, CODE) == (7.0, "")
        assert read_text(f"<think>GRADE-{CODE}: 2</think>GRADE-{CODE}: 7", TEN, CODE) == (7.0, "")
        with pytest.raises(InvalidReplyError, match="no line"):
            read_text(f"{thought}\nI cannot say.", TEN, CODE)
        assert read_text(f"Perhaps\nGRADE-{CODE}: 2\n</think>\nGRADE-{CODE}: 7", TEN, CODE)[0] == 7.0
        # Marks that the judge quoted from a candidate.
        assert read_text(f"GRADE-{CODE}: 2\n</think> is what it says", TEN, CODE)[0] == 2.0
        assert read_text(f"It says\n<think>\nGRADE-{CODE}: 2", TEN, CODE)[0] == 2.0

    def test_the_last_one_counts(self):
        assert read_text(f"GRADE-{CODE}: 2\nOn reflection:\nGRADE-{CODE}: 8", TEN, CODE)[0] == 8.0

    @pytest.mark.parametrize(
        "reply",
        ["", "7", "GRADE: 7", "GRADE-000000000000: 7", "so GRADE-{}: 7", "GRADE-{}:", "GRADE-{}: eleven",
         "GRADE-{}: 11", "GRADE-{}: -1", "GRADE-{}: 7 or 8", "GRADE-{}\n: 7", "GRADE-{}: 7\nGRADE-{}: n/a"],
    )  # fmt: skip
    def test_anything_else_is_no_grade(self, reply):
        with pytest.raises(InvalidReplyError):
            read_text(reply.replace("{}", CODE), TEN, CODE)

    @pytest.mark.parametrize(
        "about", [{"finish_reason": "length"}, {"stop_reason": "max_tokens"}, {"done_reason": "length"}]
    )
    def test_a_reply_that_was_cut_off(self, about):
        refuse_incomplete(AIMessage("", response_metadata={"finish_reason": "stop"}))
        with pytest.raises(InvalidReplyError, match="max_tokens"):
            refuse_incomplete(AIMessage(f"GRADE-{CODE}: 1", response_metadata=about))


class TestStructured:
    def test_a_grade(self):
        assert read_structured({"explanation": " so ", "code": CODE.upper(), "grade": 7}, TEN, CODE) == (7.0, "so")
        assert read_structured({"code": CODE, "grade": "yes"}, WORDS, CODE) == (1.0, "")

    @pytest.mark.parametrize(
        "reply",
        [None, [], "7", {}, {"grade": 7}, {"grade": 7, "code": "0"}, {"grade": 7, "code": None}, {"code": CODE},
         {"code": CODE, "grade": 11}, {"code": CODE, "grade": True}, {"code": CODE, "grade": math.nan}],
    )  # fmt: skip
    def test_anything_else_is_no_grade(self, reply):
        with pytest.raises(InvalidReplyError):
            read_structured(reply, TEN, CODE)


class TestForms:
    @pytest.mark.parametrize(
        "reply",
        ['{"code": "{}", "grade": 7}',
         '```json\n{"code": "{}", "grade": 7}\n```', '~~~\n{"code": "{}", "grade": 7}\n~~~',
         'Here it is: {"code": "{}", "grade": 7} Thanks.', '{"code": "0", "grade": 2}\n{"code": "{}", "grade": 7}',
         '<think>{"code": "{}", "grade": 2}</think>{"code": "{}", "grade": 7}', '[{"code": "{}", "grade": 7}]',
         '{"result": {"code": "{}", "grade": 7}}', '{"code": "{}", "grade": 7,}', "{'code': '{}', 'grade': 7}",
         "{'explanation': 'it\\'s', 'code': '{}', 'grade': 7, 'sure': True}", '{code: "{}", grade: 7}',
         '{"code": "{}", // copied\n"grade": 7}', '{"explanation": "a\nb", "code": "{}", "grade": 7}',
         '{"code": "{}", "score": 7}', '{"Code": "{}", "Rating": 7}', '{"code": "{}", "grade": {"value": 7}}',
         '{"code": "{}", "grade": [7]}', r'{"explanation": "\sqrt{2} \( x \)", "code": "{}", "grade": 7}',
         '{"explanation": "it says "no" to it", "code": "{}", "grade": 7}', '{“code”: “{}”, “grade”: 7}',
         '{"code": "{}", "grade": 7/10}', '{"code": "{}", "grade": "7 out of 10"}', '{"code": "{}", "grade": "**7**"}',
         '{"code": "{}", "grade": 70%}', '{"code": "GRADE-{}", "grade": 7}', r'"{\"code\": \"{}\", \"grade\": 7}"'],
    )  # fmt: skip
    def test_a_form_in_a_text(self, reply):
        assert read_text(reply.replace("{}", CODE), TEN, CODE)[0] == 7.0
        with pytest.raises(InvalidReplyError):
            read_text(reply.replace("{}", CODE), TEN, "6" * 12)

    def test_decimals_with_a_comma(self):
        assert read_text(f'{{"code": "{CODE}", "grade": 7,5}}', TEN, CODE)[0] == 7.5
        assert read_text(f'{{"code": "{CODE}", "grade": 7, note: "x"}}', TEN, CODE)[0] == 7

    def test_the_explanation(self):
        reply = f"{{'explanation': 'It is \"fine\".', 'code': '{CODE}', 'grade': 7,}}"
        assert read_text(reply, TEN, CODE) == (7.0, 'It is "fine".')

    @pytest.mark.parametrize(
        "reply",
        ['{"code": "{}", "grade": NaN}', '{"code": "{}", "grade": Infinity}', '{"code": "{}", "grade": 1e400}',
         '{"code": "{}", "grade": null}', '{"code": "{}", "grade": true}', '{"code": "{}"}', '{"grade": 7}',
         '{"code": "{}", "grade": [7, 8]}', '{"code": "{}", "grade": 1', '{"code": "{}", "grade": 11}',
         '{"code": "{}", "said": "\n"grade": 10", }', "code {} grade"],
    )  # fmt: skip
    def test_no_form(self, reply):
        with pytest.raises(InvalidReplyError):
            read_text(reply.replace("{}", CODE), TEN, CODE)

    def test_what_the_judge_quotes_is_no_grade(self):
        quoting = f'{{"explanation": "it claims "code": "0", "grade": 10", "code": "{CODE}", "grade": 2,}}'
        assert read_text(quoting, TEN, CODE)[0] == 2
        with pytest.raises(InvalidReplyError):
            read_text(f'{{"code": "{CODE}", "explanation": "it claims "grade": 10", }}', TEN, CODE)

    @pytest.mark.parametrize(
        "unit", ["{", '{"code":"', f'"code":"{CODE}",', '"code":"a","grade":1', "explanation: ", "\\"]
    )
    def test_takes_no_time(self, unit):
        began = time.process_time()
        with pytest.raises(InvalidReplyError):
            read_text(unit * 50_000, TEN, CODE)
        assert time.process_time() - began < 2.0

    def test_a_form_in_a_tool_call(self):
        call = {"name": "Grading", "args": {"code": CODE, "grade": "7/10"}, "id": "1"}
        assert form_in_message(AIMessage("", tool_calls=[call]), CODE) == {"code": CODE, "grade": "7/10"}
        broken = {"name": "Grading", "args": f'{{"code": "{CODE}", "grade": 7,}}', "id": "1", "error": None}
        form = form_in_message(AIMessage("", invalid_tool_calls=[broken]), CODE)
        assert form is not None
        assert read_structured(form, TEN, CODE)[0] == 7
        assert form_in_message(AIMessage("", tool_calls=[call]), "6" * 12) is None


class TestExpectedGrade:
    @pytest.mark.parametrize("head", HEADS)
    def test_yes_and_no_merge_their_variants(self, head):
        there = place(
            " yes", {" yes": 0.4, "Yes": 0.2, " YES": 0.1, "▁yes": 0.05, " no": 0.1, "No": 0.1, " maybe": 0.05}
        )
        grade = expected_grade(tokens(there, head=head), WORDS, CODE, 0.5)
        assert grade.value == pytest.approx(0.75 / 0.95)
        assert grade.mass == pytest.approx(0.95)
        assert grade.probabilities == pytest.approx({"no": 0.2 / 0.95, "yes": 0.75 / 0.95})

    def test_a_blank_before_the_grade_may_be_a_token(self):
        there = place("7", {"7": 0.7, "8": 0.2, "\n": 0.1})
        for blank in ([entry(" ")], [entry(" **")], []):
            assert expected_grade(tokens(*blank, there), TEN, CODE, 0.5).value == pytest.approx((4.9 + 1.6) / 0.9)

    def test_ten_as_one_token(self):
        there = place("10", {"10": 0.5, "9": 0.3, "1": 0.2})
        assert expected_grade(tokens(there), TEN, CODE, 0.5).value == pytest.approx(0.5 * 10 + 0.3 * 9 + 0.2 * 1)

    def test_ten_as_two_tokens(self):
        first = place("1", {"1": 0.6, "9": 0.3, "0": 0.1})
        # P(0 | 1) = 0.9: of the 0.6, 0.54 mean 10 and 0.06 mean 1.
        second = place("0", {"0": 0.9, "\n": 0.07, " 0": 0.03})
        said = expected_grade(tokens(first, second), TEN, CODE, 0.5)
        assert said.value == pytest.approx(0.54 * 10 + 0.3 * 9 + 0.06 * 1)
        assert said.probabilities == pytest.approx({"0": 0.1, "1": 0.06, "9": 0.3, "10": 0.54})
        # The reply ended after the 1, which the server may or may not show as a token.
        assert expected_grade(tokens(first), TEN, CODE, 0.5).value == pytest.approx(0.3 * 9 + 0.6)
        ended = place("", {"": 0.8, "0": 0.2})
        assert expected_grade(tokens(first, ended), TEN, CODE, 0.5).value == pytest.approx(2.7 + 0.48 + 0.12 * 10)

    def test_a_one_whose_second_token_was_never_computed(self):
        towards_ten = place("9", {"9": 0.6, "1": 0.4})
        assert expected_grade(tokens(towards_ten), TEN, CODE, 0.5).value == pytest.approx(0.6 * 9 + 0.4 * 10)
        towards_one = place("0", {"0": 0.5, "2": 0.1, "1": 0.4})
        assert expected_grade(tokens(towards_one), TEN, CODE, 0.5).value == pytest.approx(0.2 + 0.4)
        between = place("9", {"9": 0.5, "2": 0.25, "1": 0.2})
        shares = (0.5 * 9 + 0.25 * 2 + 0.2 * (2 / 3) * 10 + 0.2 / 3) / 0.95
        assert expected_grade(tokens(between), TEN, CODE, 0.5).value == pytest.approx(shares)
        unknown = place("5", {"5": 0.8, "1": 0.2})
        left_out = expected_grade(tokens(unknown), TEN, CODE, 0.5)
        assert (left_out.value, left_out.mass) == (pytest.approx(5), pytest.approx(0.8))

    def test_a_scale_without_ten_has_no_such_question(self):
        there = place("1", {"1": 0.6, "2": 0.4})
        assert expected_grade(tokens(there, entry("\n")), FIVE, CODE, 0.5).value == pytest.approx(1.4)

    def test_the_chosen_token_counts_where_the_list_leaves_it_out(self):
        there = entry("3", math.log(0.1), [("8", math.log(0.6)), ("7", math.log(0.3))])
        assert expected_grade(tokens(there), TEN, CODE, 0.5).value == pytest.approx(0.6 * 8 + 0.3 * 7 + 0.1 * 3)
        assert expected_grade(tokens(entry("3", math.log(0.9), [])), TEN, CODE, 0.5).value == 3

    def test_only_the_place_of_the_last_grade_counts(self):
        early = place("2", {"2": 1.0})
        late = place("8", {"8": 1.0})
        reply = [*tokens(early), entry("\n"), *tokens(late)]
        assert expected_grade(reply, TEN, CODE, 0.5).value == 8

    @pytest.mark.parametrize("value", [-9999.0, -math.inf])
    def test_what_a_filter_ruled_out_has_no_probability(self, value):
        there = entry("8", math.log(0.9), [("8", math.log(0.9)), ("2", value)])
        assert expected_grade(tokens(there), TEN, CODE, 0.5).value == 8

    def test_too_little_mass(self):
        there = place("8", {"8": 0.3, "The": 0.6})
        with pytest.raises(InvalidReplyError, match=r"0\.3 together .* min_mass=0\.5"):
            expected_grade(tokens(there), TEN, CODE, 0.5)
        assert expected_grade(tokens(there), TEN, CODE, 0.2).value == 8
        with pytest.raises(InvalidReplyError):
            expected_grade(tokens(entry("8", -math.inf, [])), TEN, CODE, 0.0)

    @pytest.mark.parametrize(
        "reply", [[], [entry("7")], [entry("GRADE-000000000000: "), entry("7")], [None], [{}], tokens()]
    )
    def test_no_grade_with_the_code(self, reply):
        with pytest.raises(InvalidReplyError):
            expected_grade(reply, TEN, CODE, 0.5)

    @pytest.mark.parametrize("bad", [math.nan, 0.5, None, "x", math.inf])
    def test_impossible_logprobs(self, bad):
        with pytest.raises(InvalidScoreError):
            expected_grade(tokens(entry("8", -0.1, [("8", bad)])), TEN, CODE, 0.5)

    @given(st.dictionaries(st.sampled_from(list(TEN.grades)), st.floats(1e-6, 1), min_size=1), st.booleans())
    def test_the_expectation_of_any_law(self, weights, spaced):
        total = sum(weights.values())
        probabilities = {(" " if spaced else "") + token: weight / total for token, weight in weights.items()}
        chosen = max(probabilities, key=probabilities.get)
        if "10" not in weights and "1" in weights and chosen.strip() != "1":
            return  # the law of a tokenizer with two tokens for 10, which the tests above are about
        grade = expected_grade(tokens(place(chosen, probabilities)), TEN, CODE, 0.0)
        assert grade.value == pytest.approx(sum(int(t) * p for t, p in probabilities.items()), abs=1e-9)
        assert 0 <= grade.value <= 10
