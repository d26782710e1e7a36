"""Run every peer against the pool server: one JSON document on standard output, a table on standard error.

Every method gets the same questions in the same order, the same cap, and a process of its own. What cannot be installed
or run has its error in the place of figures.

The keys of a row, where they are not plain words: "requests", "ratings", "samples", "abandoned", "completion_tokens"
and "prompt_tokens" are means a question, counted by the server as `benchmarks.pool_server.Spent` describes;
"accuracy" counts a question without an answer as wrong, with its 95 % Wilson interval; "score" is the mean recorded
score of what was returned; "wall_s" is for all questions, with simulated tokens a second; "cpu_ms_per_sample" is the
processor time of the peer's process, without starting it.

Everything but times repeats, with two exceptions: its-hub sends its requests together, so that which of them gets
which sample is a race that decides ties, and what a hasty client has spent depends on when it hangs up. Reading a
prompt takes no simulated time, which flatters whoever sends many long ones, ratings above all.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.peers.methods import METHODS
from benchmarks.pool_server import serve
from benchmarks.recorded_pool import RecordedPool
from langchain_optscale.evaluation.pools import read_pool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.peers.methods import Method
    from benchmarks.pool_server import PoolServer
    from langchain_optscale.evaluation.pools import Pool

_ROOT = Path(__file__).parents[2]
_POOLS = ("gsm8k_logprob_x16_a.jsonl", "math_level3_gpt4omini_x5.jsonl")
_DEFAULT_TARGET = 0.9
_COLUMNS = (
    ("method", "{}", "method"),
    ("target", "{:.3f}", "target"),
    ("accuracy", "{:.1%}", "accuracy"),
    ("score", "{:.3f}", "score"),
    ("samples", "{:.2f}", "samples"),
    ("abandoned", "{:.2f}", "hung up on"),
    ("requests", "{:.2f}", "requests"),
    ("completion_tokens", "{:.0f}", "tokens out"),
    ("prompt_tokens", "{:.0f}", "tokens in"),
    ("wall_s", "{:.1f}", "wall s"),
    ("cpu_ms_per_sample", "{:.1f}", "CPU ms/sample"),
)


def main() -> None:
    """Run what the command line asks for."""
    arguments = _arguments()
    rows: list[dict[str, Any]] = []
    pools = []
    for path in arguments.pools:
        if not path.exists():
            pools.append({"pool": path.stem, "error": f"{path} is missing; set OPTSCALE_SHARED_DATA to its directory"})
            print(pools[-1]["error"], file=sys.stderr)
            continue
        pool = read_pool(path)
        figures = _figures(pool, arguments.questions)
        pools.append(figures)
        with serve(RecordedPool(pool), seconds_per_token=arguments.seconds_per_token) as server:
            of_this = list(_rows(pool, path, server, figures, arguments))
        rows.extend(of_this)
        print(_table(figures, of_this), file=sys.stderr)
    document = {
        "benchmark": "peers",
        "seconds_per_token": arguments.seconds_per_token,
        "python": platform.python_version(),
        "pools": pools,
        "rows": rows,
    }
    print(json.dumps(document, indent=1))


def _arguments() -> argparse.Namespace:
    data = Path(os.environ.get("OPTSCALE_SHARED_DATA", _ROOT.parent / "shared" / "data"))
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description="Peers on recorded pools.")
    parser.add_argument("pools", nargs="*", type=Path, default=[data / "pools" / name for name in _POOLS])
    parser.add_argument("--questions", type=int, default=100, help="the first so many of each pool (default: 100)")
    parser.add_argument("--methods", default="", help="only methods whose name contains this")
    parser.add_argument(
        "--seconds-per-token", type=float, default=2e-4, help="simulated speed of the model (default: 0.0002)"
    )
    parser.add_argument("--timeout", type=float, default=600, help="seconds for one method on one pool (default: 600)")
    return parser.parse_args()


def _figures(pool: Pool, most: int) -> dict[str, Any]:
    """The pool, its cap, and what frames the results: the first sample, and a choice that knows what is right."""
    questions = pool.questions[:most]
    return {
        "pool": pool.name,
        "questions": len(questions),
        "cap": pool.cap,
        "first_sample_accuracy": statistics.fmean(bool(question.samples[0].correct) for question in questions),
        "any_correct": statistics.fmean(
            any(sample.correct for sample in question.samples[: pool.cap]) for question in questions
        ),
        "upper_quartile_of_scores": statistics.quantiles([sample.score or 0.0 for sample in pool.samples], n=4)[2],
    }


def _rows(
    pool: Pool, path: Path, server: PoolServer, figures: dict[str, Any], arguments: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    targets = sorted({_DEFAULT_TARGET, round(figures["upper_quartile_of_scores"], 6)})
    for method in METHODS:
        if arguments.methods not in method.name:
            continue
        for target in targets if method.takes_target else [_DEFAULT_TARGET]:
            print(f"{pool.name}: {method.name} ...", file=sys.stderr)
            job = {
                "method": method.name,
                "pool": str(path.resolve()),
                "questions": figures["questions"],
                "base_url": server.base_url,
                "run": f"{method.name}:{target}",
                "cap": figures["cap"],
                "target": target,
            }
            settings = {"cap": figures["cap"], "set": method.settings, "temperature": 1.0}
            row = {"pool": pool.name, "method": method.name, "target": target if method.takes_target else None}
            yield {**row, "settings": settings, **_measured(method, pool, job, server, arguments.timeout)}


def _measured(method: Method, pool: Pool, job: dict[str, Any], server: PoolServer, timeout_s: float) -> dict[str, Any]:
    """The figures of one method on one pool, or its error."""
    if method.votes and not pool.has_answers:
        return {"error": "not run: the pool has no answers to vote on"}
    try:
        result = _in_process(job, timeout_s)
    except _WorkerFailed as failure:
        return {"error": str(failure)}
    spent = server.spent(job["run"])
    asked = job["questions"]
    recorded = RecordedPool(pool)
    chosen = [recorded.sample_in(text or "") for text in result["answers"]]
    right = sum(bool(sample and sample.correct) for sample in chosen)
    scores = [sample.score for sample in chosen if sample and sample.score is not None]
    return {
        "version": result["version"],
        "questions": asked,
        "answered": len(scores),
        "accuracy": right / asked,
        "accuracy_ci": _wilson(right, asked),
        "score": statistics.fmean(scores) if scores else None,
        **{name: count / asked for name, count in asdict(spent).items()},
        "wall_s": result["wall_s"],
        "cpu_s": result["cpu_s"],
        "cpu_ms_per_sample": 1e3 * result["cpu_s"] / spent.samples if spent.samples else None,
        "startup_s": result["startup_s"],
        "startup_cpu_s": result["startup_cpu_s"],
        "errors": result["errors"],
        "refused_connections": result["refused_connections"],
    }


class _WorkerFailed(Exception):  # noqa: N818 - an outcome that is reported, never raised to the user
    """A worker did not finish; the message says why."""


def _in_process(job: dict[str, Any], timeout_s: float) -> dict[str, Any]:
    """Run the worker; at the timeout it is ended, with everything that it started."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        (home / "job.json").write_text(json.dumps(job), encoding="utf-8")
        command = [sys.executable, "-m", "benchmarks.peers.worker", str(home / "job.json"), str(home / "result.json")]
        with (home / "output.txt").open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 - our own module
                command, cwd=_ROOT, env=_environment(home), stdout=output, stderr=output, start_new_session=True
            )
            try:
                status: int | None = process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                status = None
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
        if status == 0:
            result: dict[str, Any] = json.loads((home / "result.json").read_text(encoding="utf-8"))
            return result
        if status is None:
            raise _WorkerFailed(f"not finished after {timeout_s:g} s")
        lines = (home / "output.txt").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise _WorkerFailed(lines[-1][:300] if lines else f"ended with status {status} without a word")


def _environment(home: Path) -> dict[str, str]:
    """What a peer sees: no keys, no proxies, a home of its own, and nothing that makes it call home."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    return {
        **kept,
        "HOME": str(home),
        "DSPY_CACHEDIR": str(home / "dspy"),
        "DO_NOT_TRACK": "1",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_TELEMETRY": "False",
        "LANGSMITH_TRACING": "false",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _wilson(right: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927)."""
    share = right / n
    centre = share + z * z / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (centre - half) / (1 + z * z / n), (centre + half) / (1 + z * z / n)


def _table(figures: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """The rows of one pool for a reader; what is counted is a mean a question, wall time is for all questions."""
    lines = [[heading for _, _, heading in _COLUMNS]]
    for row in rows:
        if "error" in row:
            lines.append([row["method"], f"error: {row['error']}"])
        else:
            lines.append(["-" if row[key] is None else form.format(row[key]) for key, form, _ in _COLUMNS])
    whole = [line for line in lines if len(line) == len(_COLUMNS)]
    widths = [max(map(len, column)) for column in zip(*whole, strict=True)]
    widths[0] = max(len(line[0]) for line in lines)
    title = (
        f"\n{figures['pool']}: {figures['questions']} questions, at most {figures['cap']} samples; first sample right "
        f"{figures['first_sample_accuracy']:.1%}, any right {figures['any_correct']:.1%}"
    )
    return "\n".join([title, *("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)])


if __name__ == "__main__":
    main()
