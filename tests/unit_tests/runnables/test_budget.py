"""One budget over a batch: how it is shared, counted and ended."""

import asyncio
import hashlib
import threading
from types import SimpleNamespace

import pytest

from langchain_optscale import AllCandidatesFailed, Budget, OptScale, Price, SettingsError, StopReason
from tests.unit_tests.fakes import PlainPolicy, read_score
from tests.unit_tests.runnables.test_batch import PATHS, batch, completed


class Spread(PlainPolicy):
    """Scores of "sure" questions are all alike, those of others differ; "broken" ones fail."""

    seed: int | None = None

    def _answer(self, kwargs):
        answer = super()._answer(kwargs)
        question, seed = kwargs.pop("question"), kwargs.get("seed", 0)
        number = int(hashlib.sha256(f"{question} {seed}".encode()).hexdigest()[:8], 16) / 2**32
        text = "0.95" if question.startswith("sure") else f"{0.8 * number:.4f}"
        answer.generations[0].message.content = "none" if question.startswith("broken") else text
        return answer

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        return self._answer(kwargs | {"question": messages[-1].content})

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        await asyncio.sleep(0.0)
        return self._generate(messages, **kwargs)


def search(**kwargs):
    settings = {"price": 1e-9, "max_samples": 16, "seed": 0, "max_retries": 0, **kwargs}
    return OptScale(policy=Spread(texts=["x"]), verifier=read_score, **settings)


def drawn_by(result):
    return result.summary()["drawn"]


QUESTIONS = [f"{'sure' if i % 2 else 'open'} {i}" for i in range(20)]


@PATHS
def test_the_budget_is_spent_and_not_exceeded(path):
    results = batch(path, search(), QUESTIONS, budget=Budget(samples=100))
    drawn = [drawn_by(result) for result in results]
    assert sum(drawn) == 100
    assert min(drawn) >= 1
    assert sum(drawn[0::2]) > 2 * sum(drawn[1::2])  # where scores differ a further one may be better
    assert {result.stop_reason for result in results} <= {StopReason.BATCH_BUDGET, StopReason.MAX_SAMPLES}


@PATHS
def test_every_question_gets_one_candidate_of_the_smallest_budget(path):
    results = batch(path, search(), QUESTIONS, budget=Budget(samples=20))
    assert [drawn_by(result) for result in results] == [1] * 20


def test_threads_and_tasks_share_it_alike_whatever_the_concurrency():
    wanted = [drawn_by(result) for result in batch("sync", search(), QUESTIONS, budget=Budget(samples=70, window=6))]
    for path, limit in (("async", 1), ("async", 32), ("sync", 3)):
        results = batch(path, search(), QUESTIONS, {"max_concurrency": limit}, budget=Budget(samples=70, window=6))
        assert [drawn_by(result) for result in results] == wanted
    assert sum(wanted) == 70


@PATHS
def test_what_a_window_leaves_goes_to_later_ones(path):
    questions = [f"sure {i}" for i in range(4)] + [f"open {i}" for i in range(4)]
    runnable = search(price=None)  # the rule ends the sure ones
    results = batch(path, runnable, questions, budget=Budget(samples=48, window=4))
    assert sum(drawn_by(result) for result in results[:4]) < 24 < sum(drawn_by(result) for result in results[4:])
    assert sum(drawn_by(result) for result in results) <= 48


@PATHS
def test_questions_are_read_by_windows(path):
    read = []

    def questions():
        for number in range(30):
            read.append(number)
            yield f"open {number}"

    budget = Budget(samples=90, questions=30, window=5)
    most = 0
    runnable = search()
    if path == "sync":
        done = 0
        for _ in runnable.batch_as_completed(questions(), budget=budget):
            done += 1
            most = max(most, len(read) - done)
        assert done == 30
        assert most <= 10
    else:
        assert len(completed(path, runnable, questions(), budget=budget)) == 30


@PATHS
def test_a_question_that_fails_does_not_hold_up_its_window(path):
    questions = ["broken 0", *QUESTIONS[:6], "broken 1"]
    outcomes = batch(path, search(), questions, budget=Budget(samples=48, window=4), return_exceptions=True)
    assert isinstance(outcomes[0], AllCandidatesFailed)
    assert isinstance(outcomes[-1], AllCandidatesFailed)
    assert all(drawn_by(outcome) >= 1 for outcome in outcomes[1:-1])


@PATHS
def test_tokens_are_shared(path):
    # Each candidate consumes 15 tokens.
    results = batch(path, search(), QUESTIONS, budget=Budget(tokens=1500))
    assert sum(drawn_by(result) for result in results) == 100


def test_cost_is_shared():
    price = Price(input=100.0, output=100.0)
    results = search(stopping=None, price=price).batch(QUESTIONS, budget=Budget(cost=0.15))
    total = sum(result.cost for result in results)
    assert 0.03 < total <= 0.15 + 1e-9
    with pytest.raises(SettingsError, match="price"):
        search(price=None).batch(QUESTIONS, budget=Budget(cost=1.0))


def test_leaving_early_ends_every_thread():
    before = threading.active_count()
    running = search().batch_as_completed(QUESTIONS, budget=Budget(samples=60, window=4))
    next(iter(running))
    running.close()
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join(5)
    assert threading.active_count() <= before + 20  # threads that idle for the next request


def test_cancelling_leaves_no_task():
    async def main():
        task = asyncio.create_task(search().abatch(QUESTIONS * 20, budget=Budget(samples=4000)))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({}, "exactly one"),
        ({"samples": 3, "tokens": 4}, "exactly one"),
        ({"samples": 0}, "samples of a budget"),
        ({"samples": True}, "samples of a budget"),
        ({"cost": float("inf")}, "cost of a budget"),
        ({"tokens": 5, "window": 0}, "window of a budget"),
    ],
)
def test_a_budget_that_makes_no_sense_is_refused(given, sentence):
    with pytest.raises(SettingsError, match=sentence):
        Budget(**given)


def test_the_number_of_questions_must_be_known_and_paid_for():
    with pytest.raises(SettingsError, match="how many questions"):
        search().batch(iter(QUESTIONS), budget=Budget(samples=100))
    with pytest.raises(SettingsError, match="too small for 20 questions"):
        search().batch(QUESTIONS, budget=Budget(samples=19))


def test_what_is_left_of_a_budget():
    assert Budget(samples=100).less(40, 10) == Budget(samples=60, questions=10)
    assert Budget(cost=2.0, window=4).less(0.5, 3) == Budget(cost=1.5, questions=3, window=4)
    assert Budget(samples=100).less(100, 0).questions == 0
    with pytest.raises(SettingsError, match="give a larger budget"):
        Budget(samples=100).less(95, 10)


def test_a_search_that_a_budget_ended_can_be_read_back():
    result = search().batch(QUESTIONS, budget=Budget(samples=40))[0]
    again = type(result).from_dict(result.to_dict())
    assert again.stop_reason is StopReason.BATCH_BUDGET
    assert SimpleNamespace(**result.to_dict()) == SimpleNamespace(**again.to_dict())
