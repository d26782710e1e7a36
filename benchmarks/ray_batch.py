"""Many questions on Ray against the local engine: equal results, what kills cost, and the wall time. Prints JSON.

    python -m benchmarks.ray_batch crash --questions 20000   a worker is killed, then the head; a second run goes on
    python -m benchmarks.ray_batch wall --questions 4000 --latency 0.2 --turns 3   both engines in turns, nothing killed

`ratios` are of the whole time of a driver with the start of its interpreter and of the workers, `running_ratios` of the
time between a tenth and nine tenths of the answers.

It runs in an environment that has Ray (`make bench_ray`). Each run is a driver in a process of its own, as a user's
is; Ray's connects to a cluster that `ray start` made here. Both engines write an answer line for each question by the
same journal, and ask the same server of `benchmarks.seeded_pool_server`, whose answers are recorded candidates.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.seeded_pool_server import asked_counts, marked_questions, served
from langchain_optscale import OptScale
from langchain_optscale.distributed import map_dataset
from langchain_optscale.distributed.journal import Journal, read_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_optscale.records.candidates import Candidate

ROOT = Path(__file__).parents[1]
POOLS = tuple(ROOT / "tests" / "data" / "pools" / f"{name}.jsonl" for name in ("arithmetic_x64", "writing_x64"))
RAY = Path(sys.executable).with_name("ray")
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(ROOT),
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    # A cluster of `ray start` answers only drivers that know its token: one of this run's own.
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
}
POLL_S = 0.2


def score_of(_: Any, candidate: Candidate) -> float:
    """The recorded score, which the text states."""
    return float(candidate.text.partition("score=")[2].split()[0])


def answer_of(text: str) -> str | None:
    """The recorded answer, which the text states."""
    answer = text.partition("answer=")[2].strip()
    return None if answer in ("", "None") else answer


def search_at(address: str) -> OptScale:
    """One candidate at a time: which of a larger round are verified before it stops is a matter of time."""
    from langchain_openai import ChatOpenAI
    from pydantic import SecretStr

    policy = ChatOpenAI(base_url=f"{address}/v1", model="seeded", api_key=SecretStr("none"), max_retries=0)
    settings = {"seed": 0, "max_samples": 4, "first_round": 1, "round_size": 1, "effort": "low"}
    return OptScale(policy=policy, verifier=score_of, extract=answer_of, **settings)


# -- a driver: one run of one engine


async def drive_local(questions: list[dict[str, str]], given: argparse.Namespace) -> int:
    """Answer what has no line yet with the local engine."""
    journal = Journal(given.output, {})
    left = [one for one in questions if one["id"] not in journal]
    config = {"max_concurrency": given.max_concurrency}
    completed = search_at(given.server).abatch_as_completed([one["prompt"] for one in left], config)
    async with contextlib.aclosing(completed):
        async for index, result in completed:
            line = {"id": left[index]["id"], "answer": result.text, **result.summary()}
            await asyncio.to_thread(journal.keep, line)
    return len(left)


def drive_ray(given: argparse.Namespace) -> int:
    """Answer what has no line yet on the workers of a cluster."""
    import ray
    import ray.data

    ray.init(address=given.address, log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    answers = map_dataset(
        ray.data.read_text(given.input),
        partial(search_at, given.server),
        workers=given.workers,
        max_concurrency=given.max_concurrency,
        output=given.output,
        block=given.block,
    )
    return sum(1 for _ in answers.iter_rows())


def drive(given: argparse.Namespace) -> None:
    """Run an engine; the figures are one line of JSON."""
    began = time.perf_counter()
    if given.address:
        done = drive_ray(given)
    else:
        questions = [json.loads(line) for line in Path(given.input).read_text().splitlines()]
        done = asyncio.run(drive_local(questions, given))
    print(json.dumps({"answered": done, "seconds": time.perf_counter() - began}))


# -- the cluster


class Cluster:
    """A Ray cluster on this machine whose processes are known by its directory."""

    def __init__(self, cpus: int) -> None:
        # Ray's sockets lie there, whose paths must be short.
        self._home = tempfile.TemporaryDirectory(prefix="rb", ignore_cleanup_errors=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        options = ["--node-ip-address=127.0.0.1", f"--port={self.address.rpartition(':')[2]}", f"--num-cpus={cpus}"]
        options += ["--include-dashboard=false", f"--temp-dir={self._home.name}", "--object-store-memory=200000000"]
        command = [str(RAY), "start", "--head", *options]
        with Path(self._home.name, "start.log").open("w") as log:
            subprocess.run(command, check=True, env=ENVIRONMENT, stdout=log, stderr=log, timeout=120)  # noqa: S603

    def processes(self) -> dict[int, str]:
        """Command lines by process id: what was started with this directory, and what that has started."""
        found: dict[int, tuple[int, str]] = {}
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                line = path.joinpath("cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                parent = int(path.joinpath("stat").read_text().rpartition(")")[2].split()[1])
                found[int(path.name)] = (parent, line)
        ours = {pid for pid, (_, line) in found.items() if self._home.name in line}
        while more := {pid for pid, (parent, _) in found.items() if parent in ours} - ours:
            ours |= more
        return {pid: found[pid][1] for pid in ours if found[pid][1].strip() and pid != os.getpid()}

    def kill(self, *names: str) -> list[int]:
        """Kill, as by kill -9, all processes in whose command line one of the names stands; their ids."""
        pids = [pid for pid, line in self.processes().items() if any(name in line for name in names)]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return pids

    def kill_one_worker(self) -> int | None:
        """Kill one process that answers questions; its id."""
        pid = next((pid for pid, line in self.processes().items() if "ray::" in line and "Answering" in line), None)
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
        return pid

    def close(self) -> None:
        """Kill what is left of it."""
        while self.kill(""):
            time.sleep(POLL_S)
        self._home.cleanup()


@contextlib.contextmanager
def cluster(cpus: int) -> Iterator[Cluster]:
    """A cluster for as long as the context lasts."""
    one = Cluster(cpus)
    try:
        yield one
    finally:
        one.close()


# -- runs and figures


class Run:
    """A driver in a process of its own."""

    def __init__(self, given: argparse.Namespace, source: Path, server: str, output: Path, address: str = "") -> None:
        self.output = output
        self._began = time.perf_counter()
        options = ["--input", str(source), "--server", server, "--output", str(output), "--address", address]
        options += ["--max-concurrency", str(given.max_concurrency), "--workers", str(given.workers)]
        options += ["--block", str(given.block)] if given.block else []
        command = [sys.executable, "-m", "benchmarks.ray_batch", "drive", *options]
        self._errors = output.with_suffix(".err").open("w+")
        self._process = subprocess.Popen(  # noqa: S603 - our own command
            command, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=self._errors, text=True
        )

    def lines(self) -> int:
        """Answer lines so far."""
        return sum(path.read_bytes().count(b"\n") for path in self.output.glob("*"))

    def wait_for(self, lines: int) -> None:
        """Wait until there are so many answer lines, or the run has ended."""
        while self._process.poll() is None and self.lines() < lines:
            time.sleep(POLL_S)

    def pace(self, questions: int) -> float:
        """Seconds between a tenth and nine tenths of the answer lines: without the engine's start and its end."""
        self.wait_for(questions // 10)
        began = time.perf_counter()
        self.wait_for(questions * 9 // 10)
        return time.perf_counter() - began

    def end(self) -> dict[str, Any]:
        """Wait for the end; what the driver said, its wall time with the start of its interpreter, and its status."""
        out, _ = self._process.communicate()
        self._errors.seek(0)
        errors = self._errors.read().splitlines()
        self._errors.close()
        said = json.loads(out.splitlines()[-1]) if self._process.returncode == 0 else {"error": errors[-1:]}
        return {**said, "wall_s": time.perf_counter() - self._began, "status": self._process.returncode}


def results(output: Path) -> dict[str, tuple[str, int]]:
    """Answer and candidates of each question."""
    return {line["id"]: (line["answer"], line["drawn"]) for line in read_lines(output)}


def crash(given: argparse.Namespace, source: Path, home: Path) -> dict[str, Any]:
    """Kill a worker, and later the head; go on with a new cluster; compare with the local engine."""
    with served(POOLS, given.latency) as server:
        local = Run(given, source, server, home / "local")
        local_figures = local.end()
        expected = results(local.output)
    with served(POOLS, given.latency) as server:
        output = home / "ray"
        with cluster(given.workers) as first:
            run = Run(given, source, server, output, first.address)
            run.wait_for(given.questions * 3 // 10)
            before = run.lines()
            worker = first.kill_one_worker()
            run.wait_for(given.questions * 6 // 10)
            at_head = run.lines()
            killed = first.kill("gcs_server", "raylet/raylet")
            died = time.perf_counter()
            first_figures = run.end()
            ended_after = time.perf_counter() - died
        kept = run.lines()
        with cluster(given.workers) as second:
            second_figures = Run(given, source, server, output, second.address).end()
        asked = asked_counts(server)
    found = results(output)
    lines = sum(1 for _ in read_lines(output))
    return {
        "local": local_figures,
        "worker_killed": {"pid": worker, "at_lines": before},
        "head_killed": {"processes": len(killed), "at_lines": at_head, "driver_ended_after_s": ended_after},
        "first_run": first_figures | {"lines": kept},
        "second_run": second_figures,
        "answered": len(found),
        "lines_twice": lines - len(found),
        "differ_from_local": sum(found.get(id_) != one for id_, one in expected.items()),
        "candidates": sum(drawn for _, drawn in expected.values()),
        "requests_repeated": sum(asked.values()) - sum(drawn for _, drawn in found.values()),
        "questions_repeated": sum(asked[id_] > drawn for id_, (_, drawn) in found.items()),
    }


def wall(given: argparse.Namespace, source: Path, home: Path) -> dict[str, Any]:
    """Both engines in turns, with nothing killed."""
    seconds: dict[str, list[float]] = {"local": [], "ray": []}
    walls: dict[str, list[float]] = {"local": [], "ray": []}
    paces: dict[str, list[float]] = {"local": [], "ray": []}
    found = []
    with served(POOLS, given.latency) as server, cluster(given.workers) as one:
        for turn in range(given.turns):
            for engine, address in (("local", ""), ("ray", one.address)):
                run = Run(given, source, server, home / f"{engine}{turn}", address)
                paces[engine].append(run.pace(given.questions))
                figures = run.end()
                if figures["status"]:
                    raise RuntimeError(f"the run with the engine {engine} failed: {figures['error']}")
                seconds[engine].append(figures["seconds"])
                walls[engine].append(figures["wall_s"])
                found.append(results(run.output))
    ratios, running = (
        [ray / local for ray, local in zip(times["ray"], times["local"], strict=True)] for times in (walls, paces)
    )
    return {
        "seconds": seconds,
        "wall_s": walls,
        "ratios": ratios,
        "median_ratio": sorted(ratios)[len(ratios) // 2],
        "running_s": paces,
        "running_ratios": running,
        "median_running_ratio": sorted(running)[len(running) // 2],
        "candidates": sum(drawn for _, drawn in found[0].values()),
        "all_equal": all(one == found[0] for one in found),
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", choices=["crash", "wall", "drive"])
    parser.add_argument("--questions", type=int, default=20_000)
    parser.add_argument("--latency", type=float, default=0.02, help="seconds of each answer (default 0.02)")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--max-concurrency", type=int, default=64)
    parser.add_argument("--block", type=int, help="questions that a worker takes at once (default that of map_dataset)")
    parser.add_argument("--turns", type=int, default=3)
    for name in ("--input", "--server", "--output", "--address"):
        parser.add_argument(name, default="", help="of a driver")
    given = parser.parse_args()
    if given.what == "drive":
        drive(given)
        return
    with tempfile.TemporaryDirectory() as home:
        source = Path(home, "questions.jsonl")
        source.write_text("".join(json.dumps(one) + "\n" for one in marked_questions(POOLS, given.questions)))
        figures = (crash if given.what == "crash" else wall)(given, source, Path(home))
    asked = {name: getattr(given, name) for name in ("questions", "latency", "workers", "max_concurrency")}
    print(json.dumps({"benchmark": f"ray_batch {given.what}", **asked, **figures}, indent=1))


if __name__ == "__main__":
    main()
