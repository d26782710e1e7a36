"""Answers that a text states in so many words."""

import time

import pytest

from langchain_optscale.answers import EXTRACTORS, StatedAnswer, same_answer
from langchain_optscale.answers.stated import find_statement

STATED = [
    ("The answer is $x^2+1$.", "x^2+1"),
    ("Answer: $(1, 2)$", "(1, 2)"),
    (r"**Answer:** $\{1,2,3\}$", r"\{1,2,3\}"),
    ("The answer is $[0, 1)$. I used 3 steps.", "[0, 1)"),
    ("Hence the final answer is\n\n$$x = 5$$\n\nin 2 steps.", "x = 5"),
    (r"The answer is: \[ \sqrt{2} \]", r"\sqrt{2}"),
    (r"The answer is $1$ or $2$.", "1, 2"),
    ("<answer>x+1</answer>", "x+1"),
    ("#### 2x", "2x"),
    ("Answer: 3√2", "3√2"),
    ("答案是 $x^2$。", "x^2"),
    ("Die Antwort ist $2x$, denn 1 + 1 = 2.", "2x"),
    ("La réponse est $2x$.", "2x"),
    ("Ответ: $2x$.", "2x"),
    ("The answer is x=1 or x=2.", "x=1, x=2"),
    ("The answer is five.", "5"),
]


@pytest.mark.parametrize(("text", "answer"), STATED)
def test_a_formula_is_the_answer(text, answer):
    assert same_answer(EXTRACTORS["math"](text), answer)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("Final answer: 42. (See step 3.)", "42"),
        ("The answer is 42.\n\nLet me know if you have 2 more questions!", "42"),
        ("Answer: 7\n\n(Confidence: 95%)", "7"),
        ("The answer is 42 (3 × 14).", "42"),
        ("The answer is twenty-one, see page 3.", "21"),
        ("The answer is 12 + 3 = 15. There are 2 ways.", "15"),
        ("the answer is 5, not 6", "5"),
        ("the answer is $20, and 3 are left", "20"),
        ("Answer: 5 apples out of 10.", "5"),
        ('{"answer": 42, "steps": 3}', "42"),
        ("#### 1,000", "1000"),
        ("<answer>42</answer> took 3 s", "42"),
        ("The answer is about 1.5 million people (2020).", "1500000"),
        # Without a statement, or with one that is taken back, the last number counts.
        ("3 + 4 is 7", "7"),
        ("The answer is 12? Let me see: 3 + 4, so 7", "7"),
        ("The answer is 12. Wait, no: 15.", "15"),
        ("The answer is not 5 but 6", "6"),
        ("Answer: Let's compute 3+4. It's 7", "7"),
        ("The answer is the sum of 3 and 4, which is 7", "7"),
    ],
)
def test_the_number_that_is_stated(text, number):
    assert EXTRACTORS["number"](text) == number


def test_words_are_no_answer():
    assert [StatedAnswer()(text) for text in ("The answer is yes.", "Answer: Paris", "no idea", "Answer:")] == [
        None
    ] * 4
    assert find_statement("Answer: Paris, since 3 of 4 say so") == "Paris"


@pytest.mark.parametrize("part", ["answer is ", "Answer: $", "<answer>", "#### ", "answer: \\(", "the answer is 1 ("])
def test_time_is_linear(part):
    def seconds(size):
        text = part * (size // len(part))
        began = time.process_time()
        for extractor in (StatedAnswer(), StatedAnswer(number=True), EXTRACTORS["math"]):
            extractor(text)
        return time.process_time() - began

    assert seconds(100_000) < 12 * max(seconds(25_000), 0.01)
