import pytest

from langchain_optscale.errors import InvalidRecordError
from langchain_optscale.evaluation.pools import read_pool, write_pool
from langchain_optscale.evaluation.stored_searches import pool_of_rows
from langchain_optscale.learning.rows import Label
from tests.unit_tests.learning.make_rows import make_row

SCORES = {"scores": (0.5, None, 0.75, 0.25), "answers": (0, None, 1, None), "output_tokens": (3, None, 5, 6)}


def correct(label, **changes):
    (question,) = pool_of_rows([make_row(label=label, **{**SCORES, "chosen": 2, **changes})])
    return [sample.correct for sample in question.samples]


def test_a_search_becomes_a_question(tmp_path):
    rows = [make_row("a", **SCORES, prompt="2 + 2?", texts=("4", None, "5", "")), make_row("b", **SCORES)]
    pool = pool_of_rows(rows)
    first, second = pool.questions
    assert [(one.score, one.answer, one.tokens, one.text) for one in first.samples] == [
        (0.5, "a0", 3, "4"),
        (0.75, "a1", 5, "5"),
        (0.25, None, 6, ""),
    ]
    assert (first.prompt, second.prompt, second.samples[0].text) == ("2 + 2?", "", None)
    write_pool(pool, tmp_path / "store.jsonl")
    assert read_pool(tmp_path / "store.jsonl") == pool


def test_a_label_says_what_follows_from_it():
    assert correct(None) == [None, None, None]
    assert correct(Label(score=0.5)) == [None, None, None]
    assert correct(Label(correct=True)) == [False, True, None]
    assert correct(Label(correct=False)) == [None, False, None]
    assert correct(Label(correct=True), answers=(1, None, 1, 0)) == [True, True, False]
    assert correct(Label(correct=True), answers=(None,) * 4) == [None, True, None]


def test_searches_without_a_score_are_left_out():
    failed = make_row("f", scores=(None,), answers=(None,), output_tokens=(None,), chosen=None)
    assert len(pool_of_rows([failed, make_row("a")])) == 1
    with pytest.raises(InvalidRecordError, match="none of these searches has a score"):
        pool_of_rows([failed])
