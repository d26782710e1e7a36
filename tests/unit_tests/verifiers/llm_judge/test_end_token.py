"""vLLM lists the token that ended a reply among its log-probabilities; it is no part of the grade."""

import pytest

from langchain_optscale.verifiers.llm_judge.reply import expected_grade, without_end_token
from langchain_optscale.verifiers.llm_judge.scale import Scale


def entries(*tokens):
    return [{"token": token, "logprob": -0.1, "top_logprobs": [{"token": token, "logprob": -0.1}]} for token in tokens]


@pytest.mark.parametrize(
    ("tokens", "text", "kept"),
    [
        (("GRADE", "-x:", " 10", "<|im_end|>"), "GRADE-x: 10", 3),
        (("GRADE", "-x:", " 10"), "GRADE-x: 10", 3),
        (("GRADE", "-x:", " 10", "\n"), "GRADE-x: 10", 4),
        (("GRADE", "-x:", " 10", ""), "GRADE-x: 10", 4),
        (("</s>",), "", 1),
        ((), "", 0),
    ],
)
def test_without_the_end_token(tokens, text, kept):
    assert without_end_token(entries(*tokens), text) == entries(*tokens)[:kept]


def test_the_grade_is_found_as_vllm_sends_it():
    sent = entries("GRADE", "-abc", ":", " yes", "<|im_end|>")
    assert expected_grade(without_end_token(sent, "GRADE-abc: yes"), Scale.parse("yes/no"), "abc", 0.5).value == 1.0
