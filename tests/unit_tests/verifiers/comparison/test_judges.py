"""Chat models and functions that compare: what they are asked, what is read, and what it costs."""

import asyncio
import pickle

import pytest
from langchain_core.messages import AIMessage
from langchain_core.prompt_values import StringPromptValue
from langchain_openai import ChatOpenAI

from langchain_optscale.errors import InvalidReplyError, InvalidScoreError, SettingsError
from langchain_optscale.records.candidates import Candidate
from langchain_optscale.records.usage import Usage
from langchain_optscale.verifiers import CallableComparison, GroupwiseJudge, LLMJudge, PairwiseJudge
from langchain_optscale.verifiers.comparison.adapters import as_comparison_judge
from langchain_optscale.verifiers.comparison.letters import letters_for
from langchain_optscale.verifiers.conformance import make_candidate
from tests.unit_tests.verifiers.llm_judge.attacks import ATTACKS
from tests.unit_tests.verifiers.llm_judge.judges import LogprobsJudge, PlainJudge, code_in, text_of

PROMPT = StringPromptValue(text="What is the capital of France?")
GOOD, BAD = make_candidate("It is Paris.", 0), make_candidate("It is Rome.", 1)
ALSO = make_candidate("Paris, I say.", 2)


def answers_in(messages):
    """What the judge sees of each answer, by its letter."""
    code, text = code_in(messages), text_of(messages[-1])
    return {
        name: text.split(f"<<<ANSWER {name} {code}>>>\n", 1)[1].split(f"\n<<<END ANSWER {name} {code}>>>", 1)[0]
        for name in "ABCDEFGH"
        if f"<<<ANSWER {name} {code}>>>" in text
    }


def fair(messages):
    best = [name for name, text in answers_in(messages).items() if "Paris" in text]
    return best[0] if len(best) == 1 else "T"


def in_text(choose):
    return lambda messages: f"So it is.\nGRADE-{code_in(messages)}: {choose(messages)}"


def structured(choose):
    return lambda messages: {"explanation": "So it is.", "code": code_in(messages), "grade": choose(messages).lower()}


def compared(judge, candidates, path="sync"):
    return judge.compare(PROMPT, candidates) if path == "sync" else asyncio.run(judge.acompare(PROMPT, candidates))


@pytest.mark.parametrize("method", ["text", "structured", "logprobs"])
@pytest.mark.parametrize("path", ["sync", "async"])
def test_a_comparison_in_each_way(method, path):
    reply = structured(fair) if method == "structured" else in_text(fair)
    model = LogprobsJudge(reply=reply, law={"A": 0.6, "B": 0.2, "T": 0.1})
    judge = PairwiseJudge(model, method=method)
    made = compared(judge, [GOOD, BAD], path)
    assert made.order == (0, 1)
    assert made.shares == pytest.approx((13 / 18, 5 / 18) if method == "logprobs" else (1.0, 0.0))
    assert made.usage == Usage(100, 10, 1)
    assert made.explanation == ("A 0.72, B 0.28" if method == "logprobs" else "So it is.")
    assert judge.method_in_use == method


def test_the_order_is_the_callers():
    judge = PairwiseJudge(PlainJudge(reply=in_text(fair)), method="text")
    assert compared(judge, [BAD, GOOD]).shares == (0.0, 1.0)
    assert compared(judge, [GOOD, ALSO]).shares == (0.5, 0.5)


def test_a_group_has_a_letter_for_each():
    model = PlainJudge(reply=in_text(fair))
    judge = GroupwiseJudge(model, group_size=4, method="text")
    others = [make_candidate(f"It is Rome {n}.", 3 + n) for n in range(2)]
    assert compared(judge, [BAD, others[0], GOOD, others[1]]).shares == (0.0, 0.0, 1.0, 0.0)
    assert judge.rank(PROMPT, [BAD, *others, GOOD]).best == 0
    with pytest.raises(SettingsError, match="compares 2 to 4 candidates, got 5"):
        compared(judge, [BAD, GOOD, ALSO, *others])


def test_both_orders_cancel_a_judge_that_prefers_the_first():
    """It always says A, except where the better answer is so much better that it cannot be missed."""
    always_first = PairwiseJudge(PlainJudge(reply=in_text(lambda messages: "A")), method="text")
    ranking = always_first.rank(PROMPT, [GOOD, BAD])
    assert ranking.strengths == pytest.approx((0.0, 0.0), abs=1e-9)
    assert ranking.place_bias > 1.0
    assert {one.order for one in ranking.comparisons} == {(0, 1), (1, 0)}

    def biased(messages):
        shown = answers_in(messages)
        return "B" if "Paris" in shown["B"] and "Rome" in shown["A"] else "A"

    ranking = asyncio.run(PairwiseJudge(PlainJudge(reply=in_text(biased)), method="text").arank(PROMPT, [BAD, GOOD]))
    assert ranking.best == 0


@pytest.mark.parametrize("name", ATTACKS)
def test_no_candidate_decides_its_comparison(name):
    """A gullible judge that repeats all it reads still says that the other answer is better."""
    attack = ATTACKS[name]

    def reply(messages):
        return f"{attack}\nGRADE-{code_in(messages)}: B\n{attack}"

    model = PlainJudge(reply=reply)
    judge = PairwiseJudge(model, method="text")
    assert compared(judge, [make_candidate(attack, 0), BAD]).shares == (0.0, 1.0)
    text, code = text_of(model.seen[0][0][-1]), code_in(model.seen[0][0])
    for mark in ("ANSWER A", "ANSWER B"):
        assert text.count(f"<<<{mark} {code}>>>") == text.count(f"<<<END {mark} {code}>>>") == 1


@pytest.mark.parametrize("said", ["C", "AB", "", "both", "10", "Apple", "the first"])
def test_a_reply_that_names_no_answer_is_a_failure(said):
    judge = PairwiseJudge(PlainJudge(reply=in_text(lambda messages: said)), method="text")
    with pytest.raises(InvalidReplyError):
        compared(judge, [GOOD, BAD])


@pytest.mark.parametrize(
    ("said", "value"),
    [("A", 0), ("b", 1), ("**B**", 1), ("Answer A", 0), ("A is better", 0), ("a tie", 2), ("T", 2), ("tie (equal)", 2),
     ("The better answer is B", 1), ("B, because it is right", 1)],
)  # fmt: skip
def test_letters_as_judges_write_them(said, value):
    assert letters_for(2).read(said) == value


def test_equal_comparisons_are_paid_once():
    model = PlainJudge(reply=in_text(fair))
    judge = PairwiseJudge(model, method="text")
    first, again = compared(judge, [GOOD, BAD]), compared(judge, [GOOD, BAD])
    assert (first.usage, again.usage) == (Usage(100, 10, 1), None)
    assert first.shares == again.shares
    compared(judge, [BAD, GOOD])
    assert len(model.seen) == 2


def test_a_judge_like_one_that_grades():
    grading = LLMJudge(
        PlainJudge(reply=in_text(fair)), criteria=["it is true", "it is short"], rubric="Be kind.", reference="Paris"
    )
    judge = PairwiseJudge.like(grading)
    assert compared(judge, [GOOD, BAD]).shares == (1.0, 0.0)
    [(messages, _)] = grading.model.seen
    text = "\n".join(text_of(message) for message in messages)
    for part in ("it is true; and it is short", "Rubric:\nBe kind.", "REFERENCE ANSWER, KNOWN TO BE RIGHT"):
        assert part in text


def test_tool_calls_are_shown_whole_and_named():
    call = {"name": "search", "args": {"query": "x" * 300}, "id": "1"}
    caller = Candidate(4, AIMessage("", tool_calls=[call]), 0)
    model = PlainJudge(reply=in_text(lambda messages: "B"))
    compared(PairwiseJudge(model, method="text", max_chars=100), [GOOD, caller])
    text = text_of(model.seen[0][0][-1])
    assert "x" * 300 in text
    assert "<<<ANSWER B TOOL CALL 1 " in text
    assert "Answer B makes 1 tool call, in the part above" in text


def test_functions_as_judges():
    shorter = CallableComparison(lambda prompt, first, second: len(first.text) < len(second.text))
    assert compared(shorter, [GOOD, BAD], "async").shares == (0.0, 1.0)

    async def later(prompt, first, second):
        return 0.25

    assert compared(CallableComparison(later), [GOOD, BAD], "async").shares == (0.25, 0.75)
    with pytest.raises(SettingsError, match="is async"):
        CallableComparison(later).rank(PROMPT, [GOOD, BAD])
    for wrong in (2, -0.1, "A", None, float("nan")):
        with pytest.raises(InvalidScoreError, match="must be a number in"):
            compared(CallableComparison(lambda p, a, b, wrong=wrong: wrong), [GOOD, BAD])
    with pytest.raises(SettingsError, match="three arguments"):
        CallableComparison(lambda prompt, candidate: 1)
    assert CallableComparison(max).name == "max"  # it does not tell what it takes


def test_what_is_taken_for_a_judge():
    assert isinstance(as_comparison_judge(PlainJudge(reply=in_text(fair))), PairwiseJudge)
    for wrong in (3, None, PairwiseJudge, object()):
        with pytest.raises(SettingsError, match="a judge that compares must be"):
            as_comparison_judge(wrong)


def test_settings_out_of_range():
    model = PlainJudge(reply=in_text(fair))
    for settings in ({"group_size": 9}, {"group_size": 1}, {"max_chars": 10}, {"criterion": " "}, {"reference": 3}):
        with pytest.raises(SettingsError, match=next(iter(settings))):
            GroupwiseJudge(model, **settings)
    with pytest.raises(SettingsError, match="GroupwiseJudge"):
        PairwiseJudge(model, group_size=3)
    with pytest.raises(SettingsError, match="at least two candidates"):
        PairwiseJudge(model).rank(PROMPT, [GOOD])


def test_judges_travel(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "on arrival")
    judge = GroupwiseJudge(ChatOpenAI(model="m", api_key="secret"), group_size=3, rubric="Be kind.")
    again = pickle.loads(pickle.dumps(judge))  # noqa: S301 - our own
    assert again.model.openai_api_key.get_secret_value() == "on arrival"
    assert again.content == judge.content
