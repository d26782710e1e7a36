"""The pools that were recorded from the embedded model: what they say still holds."""

from pathlib import Path

import numpy as np
import pytest
from langchain_core.messages import AIMessage
from langchain_core.prompt_values import StringPromptValue

from benchmarks.tasks import arithmetic_tasks, writing_tasks
from langchain_optscale import Candidate
from langchain_optscale.evaluation.baselines import BestOfN
from langchain_optscale.evaluation.pools import read_pool
from langchain_optscale.evaluation.replay import replay

POOLS = Path(__file__).parents[2] / "data" / "pools"


def test_arithmetic_is_what_was_asked_and_rightly_judged():
    pool = read_pool(POOLS / "arithmetic_x64.jsonl")
    assert [(question.id, question.gold) for question in pool] == [
        (task.id, task.answer) for task in arithmetic_tasks()
    ]
    assert all(len(question.samples) == 64 for question in pool)
    assert all(s.correct == (s.answer == question.gold) for question in pool for s in question.samples)


def test_writing_scores_are_those_of_the_checks():
    pool = read_pool(POOLS / "writing_x64.jsonl")
    tasks = {task.id: task for task in writing_tasks()}
    assert [question.id for question in pool] == list(tasks)
    for question in pool:
        verifier = tasks[question.id].verifier
        for sample in question.samples[:8]:
            candidate = Candidate(0, AIMessage(sample.text), 0)
            verdict = verifier.verify(StringPromptValue(text=question.prompt), candidate)
            assert sample.score == pytest.approx(verdict.score, abs=1e-6)


def test_a_weak_verifier_makes_best_of_n_worse_beyond_some_n():
    pool = read_pool(POOLS / "arithmetic_x64.jsonl")
    report = replay(pool, [BestOfN(n) for n in (1, 4, 64)], permutations=32, bootstrap=10)
    one, four, all_ = (row["accuracy"] for row in report.to_dict())
    assert one < four - 0.05
    assert all_ < four
    assert np.isclose(all_, 0.28)
