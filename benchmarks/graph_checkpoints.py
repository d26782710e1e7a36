"""The bytes that a search of the graph stores, superstep by superstep: 32 candidates in rounds of 8.

Everything is read back from the database itself: checkpoints, channel values, metadata and the writes of tasks. The
messages' own bytes are those of the candidates' messages, each serialised once by the same serializer. SQLite in a
file; PostgreSQL too where OPTSCALE_POSTGRES names a server.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.messages import HumanMessage
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite import SqliteSaver

from benchmarks.instant_policy import InstantPolicy, score_of
from langchain_optscale import OptScaleResult, create_optscale_graph

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import BaseCheckpointSaver

CANDIDATES = 32
ROUND = 8
LENGTHS = (250, 500, 1000, 2000, 4000, 8000)
LIMIT = 1.5
_SQLITE = """
    select c.checkpoint_id, c.metadata, length(c.checkpoint) + length(c.metadata),
           (select coalesce(sum(length(w.value)), 0) from writes w where w.checkpoint_id = c.checkpoint_id)
    from checkpoints c order by c.checkpoint_id
"""
_POSTGRES = """
    select c.checkpoint_id, c.metadata::text, length(c.checkpoint::text) + length(c.metadata::text),
           (select coalesce(sum(length(w.blob)), 0) from checkpoint_writes w
            where w.thread_id = c.thread_id and w.checkpoint_id = c.checkpoint_id)
    from checkpoints c where c.thread_id = %s order by c.checkpoint_id
"""
# Blobs hold the values of channels, one for each version; no checkpoint owns them.
_POSTGRES_BLOBS = "select coalesce(sum(length(blob)), 0) from checkpoint_blobs where thread_id = %s"


def search(saver: BaseCheckpointSaver[Any], thread: str, length: int, candidates: int, fanout: str) -> int:
    """Run one search, and return the bytes of its candidates' messages."""
    graph = create_optscale_graph(
        policy=InstantPolicy(length=length),
        verifier=score_of,
        target=1.0,
        confidence=0.999,
        max_samples=candidates,
        first_round=ROUND,
        round_size=ROUND,
        price=1e-9,  # so that all candidates are drawn,
        round_cost=1000.0,  # in rounds as large as they may be
        seed=0,
        fanout=fanout,
    ).compile(checkpointer=saver)
    question = HumanMessage("What is it? Answer with a number from 0 to 1, and say why in a few words.")
    config: RunnableConfig = {"configurable": {"thread_id": thread}}
    state = graph.invoke({"messages": [question]}, config, durability="sync")
    serializer = JsonPlusSerializer()
    drawn = OptScaleResult.from_dict(state["optscale"]).candidates
    return sum(len(serializer.dumps_typed(candidate.message)[1]) for candidate in drawn)


def rows_of(read: list[tuple[Any, ...]]) -> Iterator[dict[str, Any]]:
    """One row a superstep."""
    for _, metadata, checkpoint, writes in read:
        step = json.loads(metadata)["step"]
        yield {"step": step, "checkpoint": checkpoint, "writes": writes}


def figures(rows: list[dict[str, Any]], blobs: int, own: int) -> dict[str, Any]:
    """The sums, and how they compare with the messages' own bytes."""
    total = sum(row["checkpoint"] + row["writes"] for row in rows) + blobs
    largest = max(row["checkpoint"] + row["writes"] for row in rows)
    return {
        "supersteps": len(rows),
        "messages_bytes": own,
        "stored_bytes": total,
        "stored_to_messages": round(total / own, 3),
        "largest_superstep_to_messages": round(largest / own, 3),
        "stored_per_superstep_to_messages": round(total / len(rows) / own, 3),
    }


def on_sqlite(length: int, candidates: int, fanout: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """One search in a database of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "threads.sqlite")
        with SqliteSaver.from_conn_string(path) as saver:
            own = search(saver, "t", length, candidates, fanout)
        with sqlite3.connect(path) as connection:
            rows = list(rows_of(connection.execute(_SQLITE).fetchall()))
    connection.close()
    return rows, figures(rows, 0, own)


def on_postgres(url: str, length: int, candidates: int, fanout: str) -> dict[str, Any]:
    """One search as a thread of a database that is there."""
    import psycopg
    from langgraph.checkpoint.postgres import PostgresSaver

    thread = f"checkpoints-{length}-{candidates}-{fanout}"
    with PostgresSaver.from_conn_string(url) as saver:
        saver.setup()
        saver.delete_thread(thread)
        own = search(saver, thread, length, candidates, fanout)
        with psycopg.connect(url) as connection:
            rows = list(rows_of(connection.execute(_POSTGRES, (thread,)).fetchall()))
            blobs = connection.execute(_POSTGRES_BLOBS, (thread,)).fetchone()
        saver.delete_thread(thread)
    return figures(rows, blobs[0] if blobs else 0, own)


def main() -> None:
    """Print a table of one search's supersteps on standard error, and all figures as JSON on standard output."""
    found: list[dict[str, Any]] = []
    for fanout in ("calls", "n"):
        rows, _ = on_sqlite(2000, CANDIDATES, fanout)
        print(f"SQLite, fanout={fanout}, candidates of 2000 characters\nstep  checkpoint  writes", file=sys.stderr)
        for row in rows:
            print(f"{row['step']:4}  {row['checkpoint']:10}  {row['writes']:6}", file=sys.stderr)
        found += [
            {"saver": "sqlite", "fanout": fanout, "length": length, **on_sqlite(length, CANDIDATES, fanout)[1]}
            for length in LENGTHS
        ]
    linear = [
        {"candidates": count, "bytes_per_candidate": round(on_sqlite(2000, count, "calls")[1]["stored_bytes"] / count)}
        for count in (8, 16, 32, 64, 128)
    ]
    if url := os.environ.get("OPTSCALE_POSTGRES"):
        for fanout in ("calls", "n"):
            found += [
                {
                    "saver": "postgres",
                    "fanout": fanout,
                    "length": length,
                    **on_postgres(url, length, CANDIDATES, fanout),
                }
                for length in LENGTHS
            ]
    print(
        json.dumps(
            {
                "benchmark": "graph_checkpoints",
                "candidates": CANDIDATES,
                "round": ROUND,
                "limit": LIMIT,
                "figures": found,
                "growth": linear,
            }
        )
    )


if __name__ == "__main__":
    main()
