"""An adaptive search against a server whose answers are heavy-tailed, and the same search waiting for whole rounds.

Every answer takes a lognormal time with a 99th percentile of ten medians. The other side draws the same candidates in
the same rounds of the same session, but waits for the whole round before it verifies and decides, as a loop over
`batch` does. Both ask the same questions, so they meet the same scores; the times are the server's to draw.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from typing import TYPE_CHECKING, Any

from benchmarks.chaos import model_at
from langchain_optscale import OptScale, Session, Verdict
from langchain_optscale.stopping import optscale
from tests.integration_tests.chaos_server import served_apart

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from langchain_optscale.records.candidates import Candidate

QUESTIONS, AT_ONCE, MEDIAN_S, TAIL = 120, 4, 0.2, 10.0
TARGET, CAP, ROUND = 0.9, 32, 8
# Until the target is reached, in rounds as large as they may be.
PRICE, ROUND_COST = 1e-9, 1000.0


async def score(prompt: object, candidate: Candidate) -> float:
    """The verifier: the answer says its own score, uniform on [0, 1]."""
    return float(candidate.text)


def pipelined(model: BaseChatModel, *, overlap: bool) -> OptScale:
    """Ours: each candidate verified as it arrives, the rest cancelled when the search stops."""
    return OptScale(
        policy=model,
        verifier=score,
        target=TARGET,
        max_samples=CAP,
        first_round=ROUND,
        round_size=ROUND,
        price=PRICE,
        round_cost=ROUND_COST,
        overlap=overlap,
        fanout="calls",
        seed=0,
    )


async def by_rounds(model: BaseChatModel, question: str) -> int:
    """The same session, with a round's outcomes recorded when all of them are known; how many candidates it took."""
    rule = optscale(TARGET, 0.95, CAP, ROUND, price=PRICE, round_cost=ROUND_COST)
    session = Session(rule, max_samples=CAP, first_round=ROUND, round_size=ROUND)
    while session.ask():
        indexes = session.pending
        answers = await asyncio.gather(*(model.ainvoke(question, seed=index) for index in indexes))
        for index, answer in zip(indexes, answers, strict=True):
            session.tell(index, Verdict(float(answer.text)))
    return session.history.n


async def measure(base_url: str, questions: int = QUESTIONS) -> dict[str, Any]:
    """The figures."""
    async with model_at(base_url) as model:
        return await compare(model, questions)


async def compare(model: BaseChatModel, questions: int) -> dict[str, Any]:
    """Every question by each way, one after another."""
    ways = {"cancelling": pipelined(model, overlap=False), "overlapping": pipelined(model, overlap=True)}
    place = asyncio.Semaphore(AT_ONCE)
    await model.ainvoke("warm up")

    async def one(number: int) -> dict[str, tuple[float, int]]:
        seconds = {}
        async with place:
            for name, search in ways.items():
                began = time.perf_counter()
                drawn = len((await search.ainvoke(f"question {number}")).candidates)
                seconds[name] = time.perf_counter() - began, drawn
            began = time.perf_counter()
            drawn = await by_rounds(model, f"question {number}")
            seconds["whole_rounds"] = time.perf_counter() - began, drawn
        return seconds

    rows = await asyncio.gather(*(one(number) for number in range(questions)))
    figures: dict[str, Any] = {"benchmark": "heavy_tail", "questions": questions, "rounds_of": ROUND, "target": TARGET}
    figures |= {"server_median_s": MEDIAN_S, "server_p99_over_median": TAIL}
    whole = statistics.median(row["whole_rounds"][0] for row in rows)
    for name in rows[0]:
        median = statistics.median(row[name][0] for row in rows)
        figures[name] = {
            "median_s": median,
            "of_whole_rounds": median / whole,
            "mean_s": statistics.fmean(row[name][0] for row in rows),
            "candidates": statistics.fmean(row[name][1] for row in rows),
        }
    return figures


def main() -> None:
    """Print the figures."""
    with served_apart(delay_s=MEDIAN_S, p99_over_median=TAIL) as base_url:
        print(json.dumps(asyncio.run(measure(base_url))))


if __name__ == "__main__":
    main()
