"""Rows for tests, and a look into a file of them."""

import random
import sqlite3
from contextlib import closing

from langchain_optscale.learning.rows import Fingerprint, Label, SearchRow

POLICY = Fingerprint({"class": "FakeListChatModel", "model": "m", "temperature": 0.7})
VERIFIER = Fingerprint({"class": "FunctionVerifier", "content": "ab12"})


def make_row(name="a", time=1.0, **changes):
    fields = {
        "policy": POLICY,
        "verifier": VERIFIER,
        "scores": (0.25, None, 0.75),
        "answers": (0, None, 1),
        "chosen": 2,
        "drawn": 4,
        "cap": 16,
        "settings": {"target": 0.9},
        "output_tokens": (3, None, 5),
    }
    return SearchRow(id=name, time=time, **{**fields, **changes})


def execute(path, statement):
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(statement).fetchall()


def make_traffic(count, seed=0, begin=1_790_000_000.0, **changes):
    """Searches that stop at 2 to 8 of 16 candidates; every tenth explored, every fifth labelled, some failed."""
    chance = random.Random(seed)
    rows = []
    for number in range(count):
        level = chance.betavariate(6, 3)
        stop = chance.choice([2, 2, 3, 4, 4, 6, 8])
        explored = number % 10 == 0
        length = 16 if explored else stop
        scores = tuple(min(1.0, max(0.0, chance.gauss(level, 0.1))) for _ in range(length))
        answers = tuple(int(chance.random() > level) for _ in scores)
        chosen = max(range(length), key=lambda place, scores=scores: scores[place])
        stopped = max(range(stop), key=lambda place, scores=scores: scores[place])
        label = Label(correct=chance.random() < 0.8, time=begin) if number % 5 == 0 else None
        rows.append(
            make_row(
                f"{seed:02}{number:030}",
                begin + 600.0 * number,
                scores=scores,
                answers=answers,
                output_tokens=(50,) * length,
                chosen=chosen,
                drawn=length,
                reason=chance.choice(["ANSWER_STABLE", "ANSWER_SETTLED", "FUTILITY", "TARGET_REACHED"]),
                claim=chance.choice(["stable", "not sure"]),
                probability=0.95,
                explored=explored,
                stopped_at=stop if explored else None,
                stopped_choice=stopped if explored else None,
                policy_tokens=60 * length,
                verifier_tokens=20 * length,
                seconds=chance.expovariate(0.5),
                cost=0.0001 * length,
                label=label,
                **changes,
            )
        )
    return rows
