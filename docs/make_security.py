"""Writes the tables of docs/security.md: every attack that a test makes and how it ends, and mutated records.

`python -m docs.make_security` runs those tests. An attack whose test fails is shown as one that succeeds, and the exit
status is then 1. `--mutations FILE` takes the figures that `python -m benchmarks.mutations` printed instead of printing
them anew.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "security.md"

# Attacks whose tests carry no mark of their own: what is tried, how it ends, and the tests by file and name.
UNMARKED: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (
        "Keys, headers, organisation or proxies of the environment go to a server that they were not meant for",
        "only what was given is sent",
        ("tests/unit_tests/models/test_http_clients.py::test_nothing_of_the_environment_is_sent",),
    ),
    (
        "A server redirects a prompt to another host",
        "an error; no redirect is followed",
        ("tests/unit_tests/models/test_http_clients.py::test_a_redirect_is_an_error_and_is_not_followed",),
    ),
    (
        "A response of gigabytes, packed or not",
        "refused beyond 64 MB, counted after unpacking",
        ("tests/unit_tests/models/test_http_clients.py::test_a_response_is_read_up_to_a_size",),
    ),
    (
        "A run's input (`context`, `configurable`, HTTP) replaces verifier, policy, patterns or paths",
        "refused; nothing is built from a run's input",
        (
            "tests/unit_tests/engine/test_permissions.py::test_nothing_is_built_from_a_runs_input",
            "tests/unit_tests/engine/test_permissions.py::test_a_context_replaces_neither_verifier_nor_policy",
            "tests/unit_tests/engine/test_permissions.py::test_a_run_names_no_files_and_gives_itself_no_rights",
        ),
    ),
    (
        "A client writes a stopping rule, a model's name or a review into a thread",
        "refused; a run's input reaches the conversation alone",
        (
            "tests/unit_tests/graph/test_threads.py::test_a_rule_that_a_client_wrote_into_a_thread_is_refused",
            "tests/unit_tests/graph/test_threads.py::test_a_model_is_not_named_by_a_thread",
            "tests/unit_tests/graph/test_threads.py::test_a_client_cannot_write_a_review_that_nobody_gave",
            "tests/unit_tests/graph/test_threads.py::test_the_input_of_a_run_reaches_the_conversation_alone",
        ),
    ),
    (
        "A candidate's text imitates a tool call, or a message another turn, before a reward model",
        "calls stand between tags, and turns begin where no text can",
        (
            "tests/unit_tests/verifiers/reward_model/test_verifier.py::test_no_text_can_write_a_tool_call",
            "tests/unit_tests/verifiers/reward_model/test_verifier.py::test_no_message_can_write_another_turn",
        ),
    ),
    (
        "A document keeps the patterns of a JSON schema busy, `unevaluatedProperties` among them",
        "it fails after a second",
        ("tests/unit_tests/verifiers/checks/test_json_patterns.py::test_a_hostile_pattern_ends",),
    ),
    (
        "Hostile expressions in a graph, whose tasks each compare answers",
        "one budget of 15 s for the whole search",
        ("tests/unit_tests/graph/test_answers.py::test_the_tasks_of_one_search_share_its_seconds_of_comparing",),
    ),
    (
        "A run lifts the operator's budgets or cap",
        "refused beyond the ceilings",
        (
            "tests/unit_tests/engine/test_permissions.py::test_a_budget_is_not_lifted",
            "tests/unit_tests/engine/test_permissions.py::test_limits_raise_and_bind",
        ),
    ),
    (
        "A verifier, policy or judge that hangs takes the application's threads, or keeps the process from ending",
        "it hangs in a daemon thread of its own; the process goes on and ends",
        (
            "tests/integration_tests/test_hung_work.py::test_the_process_goes_on_and_ends",
            "tests/unit_tests/models/test_daemon_threads.py::test_too_many_hung_calls_are_refused_rather_than_queued",
        ),
    ),
    (
        "Hostile expressions of one search hold up the comparisons of others",
        "each search has a budget, and takes turns; an ended one waits no longer",
        (
            "tests/unit_tests/answers/test_math_turns.py::test_whoever_has_used_the_least_goes_first",
            "tests/unit_tests/answers/test_math_turns.py::test_time_is_counted_and_a_budget_ends",
            "tests/unit_tests/answers/test_math_turns.py::test_a_search_that_has_ended_waits_no_longer",
        ),
    ),
    (
        "A regular expression that backtracks without end",
        "it has a time limit",
        ("tests/unit_tests/answers/test_patterns.py::test_a_hostile_pattern_ends",),
    ),
    (
        "A process is forked in the middle of a search",
        "the child has counts and locks of its own, and searches",
        ("tests/integration_tests/test_fork.py::test_a_child_forked_in_the_middle_of_a_search_searches",),
    ),
    (
        "Step markers and control tokens in the conversation",
        "broken up; they cost nothing",
        (
            "tests/unit_tests/verifiers/reward_model/test_verifier.py"
            "::test_markers_and_control_tokens_of_the_conversation_are_broken_up",
        ),
    ),
    (
        "A stored verdict outlives a change of rubric, schema or code",
        "identities are made of content",
        (
            "tests/unit_tests/verifiers/composite/test_cached.py"
            "::test_a_stored_verdict_does_not_outlive_what_it_depends_on",
        ),
    ),
    (
        "A web page or another host uses the embedded server",
        "a key for each process; foreign Host and Origin are refused",
        ("tests/unit_tests/endpoints/test_local_gate.py::test_web_pages_are_not",),
    ),
)


class Recorder:
    """A plugin of pytest that keeps to the tests of attacks, and notes how they end."""

    def __init__(self) -> None:
        self.tests: dict[tuple[str, str], set[str]] = defaultdict(set)
        self.ends: dict[str, set[str]] = defaultdict(set)
        self._of_test = {test: (attack, outcome) for attack, outcome, tests in UNMARKED for test in tests}
        for attack, outcome, tests in UNMARKED:
            self.tests[attack, outcome].update(tests)

    def pytest_collection_modifyitems(self, config: Any, items: list[pytest.Item]) -> None:
        """Leave out what is no attack."""
        kept = []
        for item in items:
            test = item.nodeid.partition("[")[0]
            if (mark := item.get_closest_marker("attack")) is not None:
                self.tests[mark.args[0], mark.args[1]].add(test)
            elif test not in self._of_test:
                continue
            kept.append(item)
        items[:] = kept

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note the end of a test."""
        if report.when == "call" or report.outcome != "passed":
            self.ends[report.nodeid.partition("[")[0]].add(report.outcome)


def attack_table(recorder: Recorder) -> tuple[str, bool]:
    """The table, and whether every attack ended as it should."""
    lines = ["| attack | outcome | shown by |", "|---|---|---|"]
    sound = True
    for (attack, outcome), tests in sorted(recorder.tests.items()):
        ends = set().union(*(recorder.ends.get(test, {"missing"}) for test in tests))
        if ends == {"skipped"}:
            outcome = f"not tried here; expected: {outcome}"
        elif not ends <= {"passed", "skipped"}:
            sound, outcome = False, f"**not held** (expected: {outcome})"
        names = ", ".join(f"`{test.rpartition('/')[2]}`" for test in sorted(tests))
        lines.append(f"| {attack} | {outcome} | {names} |")
    return "\n".join(lines), sound


def mutation_table(figures: dict[str, dict[str, Any]]) -> tuple[str, bool]:
    """The figures by reader, and whether no reader raised anything else."""
    lines = ["| reader | mutated records | refused | read | other errors | slowest |", "|---|---|---|---|---|---|"]
    for name, row in figures.items():
        others = sum(row["other_errors"].values())
        lines.append(
            f"| {name} | {row['mutations']:,} | {row['refused']:,} | {row['accepted']:,} | {others} | "
            f"{row['slowest_ms']:.0f} ms |"
        )
    return "\n".join(lines), not any(row["other_errors"] for row in figures.values())


def main() -> int:
    """Run the tests and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutations", metavar="FILE", help="figures of benchmarks.mutations")
    parser.add_argument("pytest", nargs="*", help="further options of pytest, after --")
    arguments = parser.parse_args()
    recorder = Recorder()
    marked = [
        path for path in (ROOT / "tests" / "unit_tests").rglob("test_*.py") if "mark.attack" in path.read_text("utf-8")
    ]
    unmarked = {test.partition("::")[0] for _, _, tests in UNMARKED for test in tests}
    files = [*map(str, sorted(marked)), *sorted(unmarked)]
    pytest.main(["-q", "-p", "no:cacheprovider", "--no-header", *arguments.pytest, *files], plugins=[recorder])
    attacks, held = attack_table(recorder)
    if arguments.mutations:
        figures = json.loads(Path(arguments.mutations).read_text("utf-8"))
    else:
        command = [sys.executable, "-m", "benchmarks.mutations"]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=False)  # noqa: S603 - our own module
        figures = json.loads(done.stdout)
    mutations, sound = mutation_table(figures)
    page = PAGE.read_text("utf-8")
    for name, table in (("attacks", attacks), ("mutations", mutations)):
        pattern = rf"(<!-- {name}: .*? -->\n).*?(<!-- end of {name} -->)"
        page, count = re.subn(
            pattern, lambda found, table=table: f"{found[1]}\n{table}\n\n{found[2]}", page, flags=re.S
        )
        if count != 1:
            sys.exit(f"{PAGE}: there is no place for the table of {name}")
    PAGE.write_text(page, "utf-8")
    return int(not (held and sound))


if __name__ == "__main__":
    sys.exit(main())
