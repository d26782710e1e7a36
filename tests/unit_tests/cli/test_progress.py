"""The live table of a search, fed by its events."""

import io

import pytest

console_class = pytest.importorskip("rich.console").Console

from langchain_optscale.cli.progress import SearchTable  # noqa: E402 - it needs rich

ESTIMATE = {"mu": 0.91, "sigma": 0.07}
GO_ON = {"reason": None, "optimal_n": 4, "figures": {"max_samples": 8.0}}
STOP = {"reason": "TARGET_REACHED", "optimal_n": 4, "figures": {}}


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
