"""What recording searches costs, and what is lost when something goes wrong; prints one JSON document.

    python -m benchmarks.score_store                        SQLite
    .ci/with-postgres python -m benchmarks.score_store      PostgreSQL as well

Searches are real ones with a policy and a verifier that answer at once, so that recording is a larger share of their
time than it ever is. `writers`: 8 processes with 2,000 searches each into one store. `killed`: processes that end by
`kill -9` in mid-traffic. `cost`: what a search takes more, in its own thread and in processor time of the whole
process, the writer's thread included, in turns with searches that record nothing. `full_disk`, `locked_file`: searches
while nothing can be written. `privacy`: what of all texts is found in the bytes of the files.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.instant_policy import InstantPolicy
from langchain_optscale import OptScale
from langchain_optscale.learning.store import ScoreStore
from langchain_optscale.stopping import MaxSamples

PROCESSES, SEARCHES, CANDIDATES = 8, 2000, 2
TURNS, A_TURN = 12, 100
# Words of the questions and of what the policy writes, none of which is a word of the store's own.
QUESTION = "Which zebra crossed the Danube at Budapest on turn {number}, and what did the ferryman whistle meanwhile?"
SECRETS = (b"zebra", b"Danube", b"danube", b"Budapest", b"ferryman", b"whistle", b"bridge", b"stones", b"river")


def score(prompt: object, candidate: Any) -> float:
    """The verifier: the answer says its own score."""
    return float(candidate.text.split()[0])


def make_search(store: ScoreStore | None) -> OptScale:
    """A search for two candidates, one after the other, that neither explores nor stops early."""
    return OptScale(
        policy=InstantPolicy(length=400), verifier=score, stopping=MaxSamples(CANDIDATES), store=store, explore=0.0
    )


def worker(address: str, count: int, end: str) -> None:
    """One process: so many searches, then its end; says how many were made and how many rows waited."""
    store = ScoreStore(address)
    search = make_search(store)
    ids = [search.invoke(QUESTION.format(number=number)).search_id for number in range(count)]
    counts = store.counts
    sys.stdout.write(json.dumps({"ids": ids, "waiting": counts.waiting, "lost": counts.lost}) + "\n")
    sys.stdout.flush()
    if end == "kill":
        os.kill(os.getpid(), signal.SIGKILL)


def run_workers(address: str, processes: int, count: int, end: str) -> list[dict[str, Any]]:
    """Worker processes, all at once."""
    command = [sys.executable, "-m", "benchmarks.score_store", "--worker", address, str(count), end]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(processes)]  # noqa: S603
    return [json.loads(child.communicate()[0]) for child in children]


def writers(address: str, processes: int, count: int) -> dict[str, Any]:
    """Every row once, none lost at a normal end."""
    began = time.perf_counter()
    said = run_workers(address, processes, count, "normal")
    seconds = time.perf_counter() - began
    made = {one for child in said for one in child["ids"]}
    found = [row.id for row in ScoreStore(address).rows(features=False)]
    return {
        "searches": len(made),
        "rows": len(found),
        "twice": len(found) - len(set(found)),
        "missing": len(made - set(found)),
        "seconds": round(seconds, 1),
    }


def killed(address: str, processes: int, count: int) -> dict[str, Any]:
    """At most the queue is lost at kill -9."""
    said = run_workers(address, processes, count, "kill")
    made = {one for child in said for one in child["ids"]}
    found = {row.id for row in ScoreStore(address).rows(features=False)}
    return {
        "searches": len(made),
        "missing": len(made - found),
        "in_queues": sum(child["waiting"] for child in said),
        "file_is_sound": _is_sound(address),
    }


def _is_sound(address: str) -> bool | None:
    """What SQLite's own check says of the file; None of another database."""
    if "://" in address:
        return None
    with closing(sqlite3.connect(address)) as connection:
        return bool(connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok")


def cost(address: str) -> dict[str, float]:
    """What recording adds to a search, in milliseconds: the median over turns of the difference of their means."""
    store = ScoreStore(address)
    plain, recorded = make_search(None), make_search(store)
    wall: list[float] = []
    processor: list[float] = []
    for search in (plain, recorded):
        _turn(search)
    for _ in range(TURNS):
        (wall_plain, cpu_plain), (wall_recorded, cpu_recorded) = _turn(plain), _turn(recorded)
        began = time.process_time()
        store.flush()
        wall.append(wall_recorded - wall_plain)
        processor.append(cpu_recorded - cpu_plain + (time.process_time() - began) / A_TURN)
    return {
        "search_ms": round(1000 * _turn(plain)[0], 3),
        "added_wall_ms": round(1000 * statistics.median(wall), 3),
        "added_cpu_ms": round(1000 * statistics.median(processor), 3),
        "own_thread_ms": round(1000 * _own_thread(store), 4),
    }


def _turn(search: OptScale) -> tuple[float, float]:
    """Wall-clock and processor seconds a search, over a turn."""
    began, began_cpu = time.perf_counter(), time.process_time()
    for number in range(A_TURN):
        search.invoke(QUESTION.format(number=number))
    return (time.perf_counter() - began) / A_TURN, (time.process_time() - began_cpu) / A_TURN


def _own_thread(store: ScoreStore) -> float:
    """Processor seconds of the search's own thread that handing over a row takes."""
    from langchain_core.prompt_values import StringPromptValue

    from langchain_optscale.engine.recording import Recording

    search = make_search(store)
    result = search.invoke("warm")
    session = search.session()
    session.ask()
    for index, verdict in result.verdicts.items():
        session.tell(index, verdict)
    prompt = StringPromptValue(text=QUESTION)
    began = time.thread_time()
    for _ in range(2000):
        recording = Recording(search, prompt)
        recording.finished(session, result)
    seconds = (time.thread_time() - began) / 2000
    store.flush()
    return seconds


def full_disk(folder: Path) -> dict[str, Any]:
    """Searches while the store's file may not grow; in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.score_store", "--full-disk", str(folder / "full.db")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    found: dict[str, Any] = json.loads(done.stdout)
    return {**found, "warnings": done.stderr.count("cannot be written")}


def _full_disk(path: str) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    store = ScoreStore(path)
    search = make_search(store)
    search.invoke("first")
    store.flush()
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    scores = [search.invoke(QUESTION.format(number=number)).score for number in range(300)]
    store.flush(1.0)
    during = store.counts
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    store.flush(60.0)
    found = {"searches": len(scores), "waiting": during.waiting, "trouble": during.trouble, "rows_later": len(store)}
    sys.stdout.write(json.dumps(found) + "\n")


def locked_file(folder: Path) -> dict[str, Any]:
    """Searches while another connection holds the file's lock."""
    store = ScoreStore(folder / "locked.db")
    search = make_search(store)
    search.invoke("first")
    store.flush()
    free = _turn(search)[0]
    with closing(sqlite3.connect(folder / "locked.db", isolation_level=None)) as other:
        store.flush()
        other.execute("BEGIN IMMEDIATE")
        locked = _turn(search)[0]
        waiting = store.counts.waiting
        other.execute("ROLLBACK")
    store.flush(60.0)
    return {
        "search_ms_free": round(1000 * free, 3),
        "search_ms_locked": round(1000 * locked, 3),
        "waiting": waiting,
        "lost": store.counts.lost,
    }


def privacy(folder: Path) -> dict[str, Any]:
    """What of the texts stands in the files of 200 searches, while they are written and after the store is closed."""
    store = ScoreStore(folder / "private.db")
    search = make_search(store)
    for number in range(200):
        search.invoke(QUESTION.format(number=number))
    store.flush()
    found = _found_in(folder)
    store.close()
    return {"files": found["files"], "bytes": found["bytes"], "found": found["found"] + _found_in(folder)["found"]}


def _found_in(folder: Path) -> dict[str, Any]:
    files = [path for path in folder.iterdir() if path.name.startswith("private.db")]
    content = b"".join(path.read_bytes() for path in files)
    found = [secret.decode() for secret in SECRETS if secret in content]
    return {"files": sorted(path.name for path in files), "bytes": len(content), "found": found}


def main() -> None:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--worker", nargs=3, metavar=("ADDRESS", "COUNT", "END"))
    parser.add_argument("--full-disk", metavar="FILE")
    parser.add_argument("--processes", type=int, default=PROCESSES)
    parser.add_argument("--searches", type=int, default=SEARCHES)
    arguments = parser.parse_args()
    if arguments.worker:
        worker(arguments.worker[0], int(arguments.worker[1]), arguments.worker[2])
        return
    if arguments.full_disk:
        _full_disk(arguments.full_disk)
        return
    report: dict[str, Any] = {"processes": arguments.processes, "searches_each": arguments.searches}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        report["sqlite"] = writers(str(folder / "many.db"), arguments.processes, arguments.searches)
        report["sqlite_killed"] = killed(str(folder / "killed.db"), arguments.processes, arguments.searches // 10)
        report["cost_ms"] = cost(str(folder / "cost.db"))
        report["full_disk"] = full_disk(folder)
        report["locked_file"] = locked_file(folder)
        report["privacy"] = privacy(folder)
        report["bytes_a_row"] = round((folder / "many.db").stat().st_size / report["sqlite"]["rows"])
    if url := os.environ.get("OPTSCALE_POSTGRES"):
        report["postgres"] = writers(url, arguments.processes, arguments.searches)
        report["postgres_killed"] = killed(url, arguments.processes, arguments.searches // 10)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
