"""The live table of a search, fed by its events."""

import io

import pytest

console_class = pytest.importorskip("rich.console").Console

from langchain_optscale import Decision, StopReason  # noqa: E402 - below a test for rich
from langchain_optscale.cli.progress import SearchTable  # noqa: E402 - it needs rich

ESTIMATE = {"mu": 0.91, "sigma": 0.07}
GO_ON = Decision(draw=2, optimal_n=4, figures={"max_samples": 8.0}).to_dict()
STOP = Decision(stop=True, reason=StopReason.TARGET_REACHED, optimal_n=4).to_dict()


def test_a_verdict_after_the_end_leaves_the_estimate_that_ended_the_search():
    out = console_class(file=io.StringIO(), width=160)
    with SearchTable("2 + 2?", out) as table:
        table.on_custom_event("optscale:round", {"indexes": [0, 1, 2]})
        for index, (score, estimate, decision) in enumerate(
            [(0.4, None, GO_ON), (0.95, ESTIMATE, STOP), (0.5, None, STOP)]
        ):
            data = {"index": index, "score": score, "estimate": estimate, "decision": decision}
            table.on_custom_event("optscale:verdict", data)
    shown = out.file.getvalue()
    assert "0.40 0.95 0.50" in shown
    assert "0.91" in shown
    assert "0.07" in shown


@pytest.mark.parametrize("width", [40, 80])
def test_a_narrow_terminal_gets_fewer_columns(width):
    out = console_class(file=io.StringIO(), width=width)
    with SearchTable("2 + 2?", out) as table:
        table.on_custom_event("optscale:round", {"indexes": [0, 1]})
        for index, decision in enumerate([GO_ON, STOP]):
            data = {"index": index, "score": 0.9, "estimate": ESTIMATE, "decision": decision}
            table.on_custom_event("optscale:verdict", data)
    shown = out.file.getvalue()
    assert max(map(len, shown.splitlines())) <= width
    assert ("sigma" in shown) == (width == 80)
    assert "stop: a" in shown


def test_a_bound_above_the_cap_is_no_number():
    out = console_class(file=io.StringIO(), width=120)
    with SearchTable("2 + 2?", out) as table:
        table.on_custom_event("optscale:round", {"indexes": [0]})
        decision = Decision(draw=2, figures={"max_samples": 16.0, "target": 0.99}).to_dict()
        table.on_custom_event(
            "optscale:verdict", {"index": 0, "score": 0.4, "estimate": ESTIMATE, "decision": decision}
        )
    assert ">16" in out.file.getvalue()
    assert "more candidates are worth drawing" in out.file.getvalue()
