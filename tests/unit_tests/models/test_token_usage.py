"""Tokens per choice, on the reports that servers really send."""

from langchain_core.messages import AIMessage

from langchain_optscale.models.token_usage import choice_usages
from langchain_optscale.records.usage import Usage

SENTENCE = "The sea was calm and grey this morning."  # about nine tokens


def choices(texts, reported, logprobs=None):
    usage = reported and {"input_tokens": 30, "output_tokens": reported, "total_tokens": 30 + reported}
    return [
        AIMessage(
            text,
            usage_metadata=usage,
            response_metadata={"logprobs": {"content": [{}] * logprobs[i]}} if logprobs else {},
        )
        for i, text in enumerate(texts)
    ]


def test_one_choice_is_what_was_reported():
    assert choice_usages(choices([SENTENCE], 9)) == [Usage(30, 9, 1)]


def test_no_report_counts_the_request():
    assert choice_usages(choices([SENTENCE] * 2, None)) == [Usage(0, 0, 1), Usage(0, 0, 0)]


def test_a_sum_is_shared_out_by_length_and_stays_the_sum():
    usages = choice_usages(choices([SENTENCE, SENTENCE * 2, SENTENCE], 37))
    assert sum(usage.output_tokens for usage in usages) == 37
    assert usages[1].output_tokens in (18, 19)
    assert [usage.input_tokens for usage in usages] == [30, 0, 0]
    assert [usage.requests for usage in usages] == [1, 0, 0]


def test_a_server_that_reports_one_choice_of_eight():
    usages = choice_usages(choices([SENTENCE] * 8, 9))
    assert [usage.output_tokens for usage in usages] == [9] * 8


def test_fewer_tokens_than_words_are_not_the_sum():
    # Short words take more tokens a character than ordinary text: by length alone it might be the sum.
    usages = choice_usages(choices(["a b c d e f g h"] * 2, 8))
    assert [usage.output_tokens for usage in usages] == [8, 8]
    usages = choice_usages(choices(["candidate 3"] * 8, 10))
    assert [usage.output_tokens for usage in usages] == [10] * 8


def test_a_short_choice_does_not_inflate_the_others():
    usages = choice_usages(choices(["", *[SENTENCE] * 7], 9))
    assert max(usage.output_tokens for usage in usages) <= len(SENTENCE)


def test_log_probabilities_count_exactly():
    usages = choice_usages(choices([SENTENCE] * 3, 9, logprobs=[9, 12, 7]))
    assert [usage.output_tokens for usage in usages] == [9, 12, 7]


def test_hidden_reasoning_tokens_belong_to_the_sum():
    usages = choice_usages(choices(["yes", "no"], 900))
    assert sum(usage.output_tokens for usage in usages) == 900


def test_tool_calls_without_text_have_a_length_too():
    call = {"name": "f", "args": {"x": "y" * 40}, "id": "1"}
    usage = {"input_tokens": 30, "output_tokens": 40, "total_tokens": 70}
    messages = [AIMessage("", tool_calls=[call], usage_metadata=usage) for _ in range(2)]
    assert [usage.output_tokens for usage in choice_usages(messages)] == [20, 20]


def test_nothing_drawn():
    assert choice_usages([]) == []


def test_kinds_of_tokens_are_counted_once_a_request():
    kinds = {"input_token_details": {"cache_read": 20}, "output_token_details": {"reasoning": 8}}
    usage = {"input_tokens": 30, "output_tokens": 18, "total_tokens": 48, **kinds}
    first, second = choice_usages([AIMessage(SENTENCE, usage_metadata=usage) for _ in range(2)])
    assert (first.input_token_details, first.output_token_details) == ({"cache_read": 20}, {"reasoning": 8})
    assert (second.input_token_details, second.output_token_details) == ({}, {})
    total = first + second + Usage(1, 1, 1, {"cache_read": 1, "audio": 2})
    assert total.input_token_details == {"cache_read": 21, "audio": 2}
    assert total.output_token_details == {"reasoning": 8}
    assert Usage(**total.to_dict()) == total
    assert repr(Usage(1, 2, 3)) == "Usage(input_tokens=1, output_tokens=2, requests=3)"
    assert repr(Usage(output_token_details={"audio": 4})).endswith("requests=0, output_token_details={'audio': 4})")
    assert Usage(1, 2, 3).to_dict() == {"input_tokens": 1, "output_tokens": 2, "requests": 3}
