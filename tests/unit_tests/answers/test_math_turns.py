"""Searches share one process fairly: each has a budget, and what has ended is withdrawn."""

import threading
import time

from langchain_optscale.answers import _math_process, _math_turns
from langchain_optscale.answers._math_turns import Comparisons, Turns
from langchain_optscale.answers.book import AnswerBook
from langchain_optscale.answers.extraction import BoxedAnswer


def in_threads(*functions):
    threads = [threading.Thread(target=function, daemon=True) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)


def test_whoever_has_used_the_least_goes_first():
    turns, order = Turns(), []
    heavy, light = Comparisons(used_s=5.0), Comparisons(used_s=1.0)
    holding, release = threading.Event(), threading.Event()

    def hold():
        with turns.turn(Comparisons()) as has_turn:
            assert has_turn
            holding.set()
            release.wait(10)

    def wait_as(name, comparisons):
        holding.wait(10)
        with turns.turn(comparisons):
            order.append(name)

    def let_go():
        holding.wait(10)
        time.sleep(0.5)
        release.set()

    in_threads(hold, lambda: wait_as("heavy", heavy), lambda: wait_as("light", light), let_go)
    assert order == ["light", "heavy"]


def test_a_search_that_has_ended_waits_no_longer():
    turns, ended = Turns(), Comparisons()
    with turns.turn(Comparisons()):
        threading.Timer(0.2, ended.withdraw).start()
        with turns.turn(ended) as has_turn:
            assert not has_turn
    with turns.turn(ended) as has_turn:
        assert not has_turn


def test_time_is_counted_and_a_budget_ends(monkeypatch):
    turns, spent = Turns(), Comparisons()
    with turns.turn(spent):
        time.sleep(0.1)
    assert 0.1 <= spent.used_s < 5
    monkeypatch.setattr(_math_turns, "BUDGET_S", 0.05)
    with turns.turn(spent) as has_turn:
        assert not has_turn


def test_closing_a_book_kills_the_comparison_under_way(monkeypatch):
    killed = threading.Event()
    book = AnswerBook(BoxedAnswer())

    def find_equal(form, known, timeout_s):
        comparisons = _math_turns.comparing.get()
        comparisons.on_withdrawal = killed.set
        book.close()
        return

    monkeypatch.setattr(_math_process, "find_equal", find_equal)
    book.read(0, r"\boxed{(x+1)^2}")
    assert book.read(1, r"\boxed{x^2+2x+1}") == "x^2+2x+1"
    assert killed.is_set()
    assert _math_turns.comparing.get() is None
