"""The table of third-party parts: its versions are those of the lock, and its tests exist and are run."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TESTS = ROOT / "tests/integration_tests/evaluators"
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs/evaluators.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| ") and "`tests/" in line
]
LOCKED = dict(
    line.split("==")
    for name in ("requirements.txt", "requirements-no-deps.txt")
    for line in (TESTS / name).read_text(encoding="utf-8").splitlines()
    if "==" in line
)
NAMES = {"Inspect": "inspect-ai", "LangSmith": "langsmith", "pydantic_evals": "pydantic-evals"}


def paths_in(row):
    return re.findall(r"`(tests/[^`]+)`", row[-1])


def test_there_are_rows():
    assert len(ROWS) >= 20
    assert {len(row) for row in ROWS} == {5}


@pytest.mark.parametrize("row", [row for row in ROWS if "evaluators/test_" in row[-1]], ids=lambda row: row[0])
def test_the_version_is_the_one_that_is_tested(row):
    part = row[0].partition(":")[0]
    name = NAMES.get(part, part)
    assert row[1] == LOCKED.get(name, ""), f"docs/evaluators.md says that {part} is tested in version {row[1]}"


def test_tests_exist_and_each_is_named():
    named = {path for row in ROWS for path in paths_in(row)}
    assert [path for path in sorted(named) if not (ROOT / path).is_file()] == []
    there = {str(path.relative_to(ROOT)) for path in TESTS.glob("test_*.py")}
    assert there <= named


def test_lines_of_glue_are_numbers():
    assert [row[0] for row in ROWS if not row[3].isdecimal()] == []
