"""A stopping rule behind Inspect's `EarlyStopping`: the epochs of a sample end when they are settled."""

from __future__ import annotations

from collections import Counter
from importlib import import_module
from typing import TYPE_CHECKING, Any

from langchain_optscale.errors import InvalidScoreError, MissingExtraError, SettingsError
from langchain_optscale.records.candidates import Failure, Verdict
from langchain_optscale.stopping.presets import optscale
from langchain_optscale.stopping.session import Session
from langchain_optscale.verifiers.evaluators.inspect_scorers import inspect_score
from langchain_optscale.verifiers.evaluators.results import choose

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from langchain_optscale.stopping.base import Rule

__all__ = ["InspectEarlyStopping"]


class InspectEarlyStopping:
    """Skips the epochs of a sample that the stopping rule no longer asks for; give it to Inspect's `Task`.

    Each sample has a `Session` of its own. It records the score of every completed epoch, and an epoch is skipped if
    the rule has stopped before it is scheduled. Epochs that run already are not cancelled: with `max_samples` of
    Inspect below the number of samples, more of them are skipped.

    The default rule stops when a further epoch would hardly raise the best score, which is what the reducers "max" and
    "pass_at" report. The mean of the epochs is biased by it, as by any rule that looks at the scores.

    Args:
        stopping: The rule; None takes `optscale()`.
        scorer: The name of the scorer that decides, where the task has several.
        metric: The key of the score's value, where it is a mapping.
        rescale: Maps a score to [0, 1].
        answers: Whether the answers that the scorer extracts count, for rules and reducers that compare them.

    Example:
        ```python
        Task(dataset, scorer=match(), epochs=Epochs(32, "max"), early_stopping=InspectEarlyStopping())
        ```
    """

    def __init__(
        self,
        stopping: Rule | None = None,
        *,
        scorer: str | None = None,
        metric: str | None = None,
        rescale: Callable[[float], float] | None = None,
        answers: bool = False,
    ) -> None:
        self.stopping = optscale() if stopping is None else stopping
        self._scorer = scorer
        self._metric = metric
        self._rescale = rescale
        self._answers = answers
        self._sessions: dict[str | int, Session] = {}
        self._completed: set[tuple[str | int, int]] = set()
        self._skipped: Counter[str] = Counter()
        Session(self.stopping)  # a rule that cannot be used is refused before the evaluation begins

    async def start_task(self, task: Any, samples: Sequence[Any], epochs: int) -> str:
        """Begin a session for each sample.

        Returns:
            The name under which Inspect's log lists the skipped epochs.
        """
        first = Session(self.stopping, max_samples=epochs)
        self._sessions = {sample.id: first.restarted() for sample in samples}
        self._completed.clear()
        self._skipped.clear()
        return "optscale"

    async def schedule_sample(self, id: str | int, epoch: int) -> Any:  # noqa: A002 - Inspect's name
        """Whether to skip an epoch.

        Returns:
            Inspect's `EarlyStop` with the reason and the figures of the decision; None where the epoch runs.
        """
        session = self._sessions[id]
        decision = session.decision
        if not decision.stop or decision.reason is None:
            return None
        self._skipped[decision.reason.value] += 1
        scores = session.scores
        return _early_stop()(
            id=id,
            epoch=epoch,
            reason=decision.reason.value,
            metadata={"epochs": len(scores), "best": max(scores.values(), default=None), "rule": decision.rule},
        )

    async def complete_sample(
        self,
        id: str | int,  # noqa: A002 - Inspect's name
        epoch: int,
        scores: Mapping[str, Any],
    ) -> None:
        """Record the score of an epoch; one without a score counts as a failure.

        Raises:
            SettingsError: There are several scorers, and none was named.
        """
        if (id, epoch) in self._completed:
            return  # Inspect ran it again
        self._completed.add((id, epoch))
        session = self._sessions[id]
        outcome, answer = self._outcome(scores)
        session.adopt(1)
        session.tell(session.pending[0], outcome, answer=answer)

    async def complete_task(self) -> dict[str, Any]:
        """What was saved, for Inspect's log."""
        return {
            "completed_epochs": len(self._completed),
            "skipped_epochs": sum(self._skipped.values()),
            "reasons": dict(self._skipped),
        }

    def _outcome(self, scores: Mapping[str, Any]) -> tuple[Verdict | Failure, str | None]:
        if self._scorer is None and len(scores) != 1:
            raise SettingsError(
                f"the task has the scorers {', '.join(sorted(scores)) or 'none'}: name the one that decides by scorer="
            )
        name = next(iter(scores)) if self._scorer is None else self._scorer
        if name not in scores:
            raise SettingsError(f"the task has no scorer {name!r}; it has {', '.join(sorted(scores)) or 'none'}")
        score = getattr(scores[name], "score", scores[name])
        try:
            verdict = choose(inspect_score(score, name), name, metric=self._metric, rescale=self._rescale)
        except InvalidScoreError as error:
            return Failure("verify", f"{type(error).__name__}: {error}"), None
        return verdict, getattr(score, "answer", None) if self._answers else None


def _early_stop() -> Any:
    try:
        kind = import_module("inspect_ai.util").EarlyStop
    except (ImportError, AttributeError) as error:
        raise MissingExtraError("Early stopping of Inspect", "pip install --upgrade inspect-ai") from error
    return kind
