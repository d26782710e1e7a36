"""`map_dataset` on a real Ray cluster on this machine: equal to the local engine, whatever is killed."""

import collections
import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest

ray = pytest.importorskip("ray", reason="Ray is not installed: make integration_test_ray")
pytest.importorskip("ray.data")

from langchain_optscale import Budget, OptScale, SettingsError  # noqa: E402 - after the check
from langchain_optscale.distributed import map_dataset  # noqa: E402
from langchain_optscale.distributed.journal import read_lines  # noqa: E402
from tests.integration_tests.ray.seeded import SeededPolicy, score_of  # noqa: E402

os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
BLOCK = 16
# Ray's own defaults warn of themselves, and of datasets with fewer blocks than workers.
pytestmark = [pytest.mark.filterwarnings(f"ignore::{kind}:ray") for kind in ("DeprecationWarning", "UserWarning")]


@pytest.fixture(scope="module", autouse=True)
def cluster():
    ray.init(num_cpus=3, include_dashboard=False, log_to_driver=False, object_store_memory=100_000_000)
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield
    ray.shutdown()


def search(**kwargs):
    # One candidate at a time: which candidates of a larger round are verified before it stops is a matter of time.
    settings = {"seed": 0, "max_samples": 8, "max_retries": 0, "first_round": 1, "round_size": 1}
    return OptScale(policy=SeededPolicy(**kwargs), verifier=score_of, **settings)


def rows(count):
    return [{"id": f"q{i:05}", "prompt": f"question {i}"} for i in range(count)]


def known(results):
    return {id_: (result.text, len(result.candidates)) for id_, result in results.items()}


def local(questions, **kwargs):
    results = search().batch([row["prompt"] for row in questions], **kwargs)
    return known(dict(zip([row["id"] for row in questions], results, strict=True)))


def told(dataset):
    return {row["id"]: (row["answer"], row["drawn"]) for row in dataset.iter_rows()}


def test_the_same_seeds_give_the_results_of_the_local_engine(tmp_path):
    questions = rows(200)
    dataset = map_dataset(ray.data.from_items(questions), search(), block=BLOCK, output=str(tmp_path))
    assert told(dataset) == local(questions)
    lines = {line["id"]: (line["answer"], line["drawn"]) for line in read_lines(tmp_path)}
    assert lines == local(questions)
    assert len(list(tmp_path.iterdir())) <= 2


def test_a_budget_is_shared_as_by_windows_of_the_local_engine():
    questions = rows(4 * BLOCK)
    dataset = map_dataset(
        ray.data.from_items(questions, override_num_blocks=1), search(), block=BLOCK, budget=Budget(samples=8 * BLOCK)
    )
    expected = {}
    for first in range(0, len(questions), BLOCK):
        expected |= local(questions[first : first + BLOCK], budget=Budget(samples=2 * BLOCK))
    assert told(dataset) == expected


def test_one_bad_record_ends_nothing(tmp_path):
    path = tmp_path / "in.jsonl"
    lines = [
        '"plain"',
        "{broken json",
        '{"id": "b", "prompt": 7}',
        '{"id": "c", "prompt": "broken"}',
        '{"prompt": "x"}',
    ]
    path.write_text("\n".join(lines) + "\n")
    output = tmp_path / "out"
    dataset = map_dataset(ray.data.read_text(str(path)), search(), output=str(output))
    found = list(dataset.iter_rows())
    assert len(found) == 5
    assert sum(row["error"] is None for row in found) == 2
    errors = {row["id"]: row["error"] for row in found if row["error"]}
    assert "prompt" in errors["b"]
    assert "could not convert" in errors["c"]
    assert any("not JSON" in error for error in errors.values())


def test_parquet_and_csv_in_and_out(tmp_path):
    questions = rows(20)
    ray.data.from_items(questions).write_parquet(str(tmp_path / "in"))
    map_dataset(ray.data.read_parquet(str(tmp_path / "in")), search()).write_csv(str(tmp_path / "csv"))
    back = ray.data.read_csv(str(tmp_path / "csv"))
    assert {row["id"]: (f"{row['answer']:.4f}", row["drawn"]) for row in back.iter_rows()} == local(questions)


@pytest.mark.parametrize("block", [8, 80])
def test_a_killed_worker_costs_no_question_and_repeats_what_was_under_way(tmp_path, block):
    questions = rows(160)
    log, output = tmp_path / "log", tmp_path / "out"
    log.mkdir()
    limit = 8
    slow = search(log=str(log), delay_s=0.05)
    dataset = map_dataset(ray.data.from_items(questions), slow, block=block, max_concurrency=limit, output=str(output))
    killed = []

    def kill():
        while sum(1 for _ in read_lines(output)) < 40:
            time.sleep(0.05)
        victim = int(next(iter(log.iterdir())).name)
        os.kill(victim, signal.SIGKILL)
        killed.append(victim)

    killing = threading.Thread(target=kill)
    killing.start()
    list(dataset.iter_rows())
    killing.join()
    assert killed
    lines = list(read_lines(output))
    assert {line["id"]: (line["answer"], line["drawn"]) for line in lines} == local(questions)
    assert len(lines) == len(questions)
    requests = collections.Counter(line for path in log.iterdir() for line in path.read_text().splitlines())
    drawn = {line["id"]: line["drawn"] for line in lines}
    repeated = [row["id"] for row in questions if requests[row["prompt"]] > drawn[row["id"]]]
    assert len(repeated) <= limit


@pytest.mark.parametrize("block", [4, 64])
def test_requests_under_way_are_limited_whatever_the_block(tmp_path, block):
    slow = search(most=str(tmp_path), delay_s=0.02)
    dataset = map_dataset(ray.data.from_items(rows(128)), slow, block=block, max_concurrency=12)
    assert told(dataset) == local(rows(128))
    most = [int(path.read_text()) for path in tmp_path.iterdir()]
    assert max(most) <= 6
    assert max(most) >= min(block, 6)  # and a block that is large enough makes use of all of them


def test_rows_come_by_blocks_and_lines_one_by_one(tmp_path):
    slow = search(delay_s=0.02)
    items = ray.data.from_items(rows(96), override_num_blocks=1)
    dataset = map_dataset(items, slow, block=32, workers=1, max_concurrency=4, output=str(tmp_path))
    lines = []

    def watch():
        while not lines or lines[-1] < 96:
            lines.append(sum(1 for _ in read_lines(tmp_path)))
            time.sleep(0.01)

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    first = next(iter(dataset.iter_rows()))
    assert sum(1 for _ in read_lines(tmp_path)) >= 32  # the block of the first row is complete
    assert first["error"] is None
    watching.join(60)
    assert len({count for count in lines if 0 < count < 32}) > 1  # while lines show how far it is within a block


def test_a_second_run_asks_only_what_is_missing(tmp_path):
    questions = rows(64)
    output = str(tmp_path / "out")
    asked = {"seed": 0}
    first = map_dataset(ray.data.from_items(questions[:40]), search(), output=output, asked=asked)
    assert len(list(first.iter_rows())) == 40
    with Path(next(Path(output).iterdir())).open("a") as file:
        file.write('{"id": "q000')  # a killed worker's last line
    log = tmp_path / "log"
    log.mkdir()
    second = map_dataset(ray.data.from_items(questions), search(log=str(log)), output=output, asked=asked)
    assert {row["id"] for row in second.iter_rows()} == {row["id"] for row in questions[40:]}
    requested = {line for path in log.iterdir() for line in path.read_text().splitlines()}
    assert requested == {row["prompt"] for row in questions[40:]}
    assert {line["id"] for line in read_lines(output)} == {row["id"] for row in questions}
    other = map_dataset(ray.data.from_items(questions), search(), output=output, asked={"seed": 1})
    with pytest.raises(Exception, match="was asked with seed 0, not 1"):
        list(other.iter_rows())


def test_an_endpoint_that_never_answers_ends_the_run(tmp_path):
    questions = [{"id": str(i), "prompt": f"broken {i}"} for i in range(60)]
    dataset = map_dataset(ray.data.from_items(questions), search(), output=str(tmp_path), give_up_after=5)
    with pytest.raises(Exception, match="questions in a row failed on a worker"):
        list(dataset.iter_rows())
    assert not list(read_lines(tmp_path))


def test_numbers_that_make_no_sense_are_refused():
    dataset = ray.data.from_items(rows(3))
    with pytest.raises(SettingsError, match="must not be smaller than workers"):
        map_dataset(dataset, search(), workers=4, max_concurrency=3)
    with pytest.raises(SettingsError, match="leave no CPU for reading"):
        map_dataset(dataset, search(), workers=5)
    with pytest.raises(SettingsError, match="block must be"):
        map_dataset(dataset, search(), block=0)
    with pytest.raises(SettingsError, match="too small for 3 questions"):
        map_dataset(dataset, search(), budget=Budget(samples=2))


def test_answers_are_json_lines(tmp_path):
    list(map_dataset(ray.data.from_items(rows(3)), search(), output=str(tmp_path)).iter_rows())
    (path,) = tmp_path.iterdir()
    assert path.stat().st_mode & 0o077 == 0
    assert {"id", "answer", "score", "stop_reason", "usage", "asked"} <= json.loads(
        path.read_text().splitlines()[0]
    ).keys()
