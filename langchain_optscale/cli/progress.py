"""A search as a live table on a terminal, fed by the events that every search emits."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import BaseCallbackHandler

from langchain_optscale.engine.result_words import bound_in_words, is_beyond, reason_in_words
from langchain_optscale.errors import MissingExtraError, printable
from langchain_optscale.records.decisions import Decision

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live
    from rich.progress import Progress, Task
    from rich.text import Text

    from langchain_optscale.engine.result import OptScaleResult

__all__ = ["SearchTable", "batch_bar", "console", "one_line"]

# Narrower terminals are shown the rounds, their scores and the decisions alone.
_ROOMY = 72


def console(*, stderr: bool = False, quiet: bool = False) -> Console:
    """A console of the `rich` library; a quiet one writes nothing.

    Raises:
        MissingExtraError: rich is not installed.
    """
    try:
        from rich.console import Console
    except ImportError as error:
        raise MissingExtraError("A live table", 'pip install "langchain-optscale[cli]"') from error
    return Console(stderr=stderr, quiet=quiet, highlight=False)


def batch_bar() -> Progress:
    """A bar on standard error for many questions, with their rate and the remaining time.

    Its tasks take the field `failed`, the number of questions that have failed.

    Raises:
        MissingExtraError: rich is not installed.
    """
    out = console(stderr=True)
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            """Questions a second, or a minute where they are slow."""
            speed = task.finished_speed or task.speed or 0.0
            return Text(f"{speed:.1f}/s" if speed >= 1.0 else f"{speed * 60:.1f}/min")

    return Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[failed]} failed"),
        Rate(),
        TimeRemainingColumn(elapsed_when_finished=True),
        console=out,
    )


class SearchTable(BaseCallbackHandler):
    """Shows one search: pass it as a callback, and use it as a context manager to show the table live.

    One line a round: the scores in order of arrival, the estimated distribution, the computed optimal N, and the
    decision in words.

    Args:
        title: The question.
        out: The console. On a terminal the table grows live; elsewhere it is printed once, when complete.
    """

    run_inline = True  # LangChain then calls it in the order of the events

    def __init__(self, title: str, out: Console) -> None:
        self._title = title
        self._rounds: list[dict[str, Any]] = []
        self._of_candidate: dict[int, dict[str, Any]] = {}
        self._lock = threading.Lock()
        self._out = out
        self._live: Live | None = None

    def __enter__(self) -> SearchTable:
        if self._out.is_terminal:
            from rich.live import Live

            self._live = Live(self.render(), console=self._out, refresh_per_second=8)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is None:
            self._out.print(self.render())
        else:
            self._live.update(self.render())
            self._live.stop()

    def on_custom_event(self, name: str, data: Any, **kwargs: Any) -> None:
        """Record an event of the search."""
        with self._lock:
            if name == "optscale:round":
                row: dict[str, Any] = {"asked": len(data["indexes"]), "marks": [], "estimate": None, "decision": None}
                self._rounds.append(row)
                self._of_candidate.update(dict.fromkeys(data["indexes"], row))
            elif name in {"optscale:verdict", "optscale:failure"}:
                row = self._of_candidate[data["index"]]
                row["marks"].append(f"{data['score']:.2f}" if name == "optscale:verdict" else "failed")
                # Verdicts after the end have no estimate; the decision that ended the search stays shown.
                row["estimate"], row["decision"] = data["estimate"] or row["estimate"], data["decision"]
            else:
                return
        if self._live is not None:
            self._live.update(self.render())

    def render(self) -> RenderableType:
        """The table with the events so far."""
        from rich.table import Table
        from rich.text import Text

        narrow = self._out.width < _ROOMY
        table = Table(title=Text(printable(self._title), style="bold"), title_justify="left", expand=True)
        table.add_column("" if narrow else "round", justify="right")
        table.add_column("scores" if narrow else "scores, as they arrive", ratio=5)
        for name in () if narrow else ("mu", "sigma", "N*"):
            table.add_column(name, justify="right")
        table.add_column("decision", ratio=6)
        for number, row in enumerate(self._rounds, 1):
            waiting = ["…"] * (row["asked"] - len(row["marks"]))
            estimate = row["estimate"]
            decision = None if row["decision"] is None else Decision.from_dict(row["decision"])
            figures = (
                f"{estimate['mu']:.2f}" if estimate else "",
                f"{estimate['sigma']:.2f}" if estimate else "",
                "" if decision is None else bound_in_words(decision),
            )
            scores = " ".join(row["marks"] + waiting)
            table.add_row(str(number), scores, *(() if narrow else figures), _in_words(decision))
        return table


def _in_words(decision: Decision | None) -> str:
    if decision is None:
        return "drawing"
    if decision.reason:
        return f"stop: {reason_in_words(decision)}"
    if decision.optimal_n is None or is_beyond(decision):
        return "continue: more candidates are worth drawing"
    return f"continue to N* = {decision.optimal_n} candidates"


def one_line(result: OptScaleResult) -> str:
    """A finished search in one line."""
    bound = "" if result.optimal_n is None or is_beyond(result.decision) else f"N* {result.optimal_n:,}, "
    cost = "" if result.cost is None else f", cost {result.cost:.4g}"
    saved = f"; {result.saved}" if result.saved is not None and result.saved.candidates else ""
    why = reason_in_words(result.decision)
    line = (
        f"score {result.score:.3f}, {len(result.verdicts)} candidates scored, {bound}"
        f"{result.total_usage.total_tokens} tokens{cost}, {result.duration_s:.1f} s: {why}{saved}"
    )
    recorded = [] if result.search_id is None else [f"recorded as {result.search_id}"]
    return "; ".join([line, *result.notes, *recorded])
