"""A rule's input: the quick copy, and support without copies of candidates."""

from dataclasses import replace

import numpy as np

from langchain_optscale.answers.support import Support, Tally
from langchain_optscale.records.usage import Usage
from langchain_optscale.stopping import History, Objective


def test_changed_is_replace() -> None:
    history = History(scores=(0.2, 0.4), answers=("a", None), max_samples=8, pending=2)
    assert history.best == 0.4  # a cached figure must not be carried over
    changes = {"scores": (0.2, 0.4, 0.9), "answers": ("a", None, "b"), "pending": 1}
    changed = history.changed(**changes)
    assert changed == replace(history, **changes)
    assert (changed.best, changed.n, history.n) == (0.9, 3, 2)


def test_consumed_adds_up_by_role() -> None:
    history = History(tokens=5, usage={"policy": Usage(2, 3)}, elapsed_s=2.0)
    changes = history.consumed(0, {"policy": Usage(1, 1), "verifier": Usage(4, 0)}, 1.0)
    assert changes["tokens"] == 11
    assert changes["usage"] == {"policy": Usage(3, 4), "verifier": Usage(4, 0)}
    assert changes["elapsed_s"] == 2.0


def test_a_tally_that_grew_is_the_support_of_all_candidates() -> None:
    generator = np.random.default_rng(0)
    answers = [None if one == "-" else str(one) for one in generator.choice(list("abcdefghij-"), 60)]
    scores = generator.random(60).round(2).tolist()
    tally = Tally()
    for n, (answer, score) in enumerate(zip(answers, scores, strict=True), 1):
        tally = tally.add(answer, score)
        if tally.counts:
            grown = History(tuple(scores[:n]), tuple(answers[:n]), tally=tally).support
            assert grown == Support.of(answers[:n], scores[:n])


def test_copies_are_no_further_votes() -> None:
    """A server that answers every request with the same long text agrees with itself, and proves nothing."""
    marks = ("Lone", *("Lone",) * 5, "Ltwo")
    copied = History((0.5,) * 7, ("a",) * 6 + ("b",), max_samples=16, fingerprints=marks)
    assert [one.votes for one in copied.support.answers] == [1, 1]
    told_apart = replace(copied, fingerprints=())
    assert Objective()(told_apart).stop or Objective()(told_apart).figures["votes"] == 6
    assert not Objective()(copied).stop
