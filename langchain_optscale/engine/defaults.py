"""Settings that a learned stopping rule brings with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_optscale.errors import SettingsError
from langchain_optscale.stopping import FittedStopping, Rule, optscale
from langchain_optscale.stopping.answer_rules import default_selection, selection_for
from langchain_optscale.verifiers.comparison.selection import tournament_base

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from langchain_optscale.answers import SelectionLike

__all__ = ["pointwise_selection", "with_learned"]


def with_learned(data: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with what a learned rule among them asks for.

    `settings` names a file that `optscale calibrate POOL -o rule.npz` wrote: its rule becomes `stopping`; or one that
    `optscale learn STORE -o learned.npz` wrote, which stays as it is, see `engine.learned_part`. A learned
    rule, whether from a file or given as `stopping`, also brings its selection, its first round and the size of its
    rounds, where they are not given. With answers, and a rule that judges them as the default does, the most probable
    answer is selected.

    Args:
        data: Settings by name, as the user gave them.

    Raises:
        SettingsError: The file cannot be read or is given beside a rule, or another selection is given than the one
            that the rule was fitted for.
    """
    given = dict(data)
    path: str | os.PathLike[str] | None = given.pop("settings", None)
    if path is not None:
        # Imports SciPy, which only learned settings need.
        from langchain_optscale.learning.watch import open_settings

        opened = open_settings(path)
        if isinstance(opened, FittedStopping):
            _refuse_rule(given)
            given["stopping"] = opened
        else:
            given["settings"] = path  # which part of it counts is known with policy and verifier
    rule = given.get("stopping")
    parts = rule.parts() if isinstance(rule, Rule) else ()
    learned = next((part for part in parts if isinstance(part, FittedStopping)), None)
    if learned is None:
        if given.get("extract") is not None and (rule is None or isinstance(rule, Rule)):
            given.setdefault("select", default_selection(rule or optscale()))
        return given
    select = given.setdefault("select", learned.select)
    # A tournament compares what its base ranks, by default the selection that the rule was fitted for.
    if tournament := tournament_base(select):
        select = tournament[0] or learned.select
    if select != learned.select:
        raise SettingsError(
            f"the learned rule was fitted for select={learned.select!r}, so select={select!r} would return another "
            "candidate than the one it values; leave select out, or fit the rule for it"
        )
    steps = [high - low for low, high in zip(learned.points, learned.points[1:], strict=False)]
    given.setdefault("first_round", learned.points[0])
    given.setdefault("round_size", max(steps))
    return given


def _refuse_rule(given: Mapping[str, Any]) -> None:
    if given.get("stopping") is not None:
        raise SettingsError("settings= brings a stopping rule of its own: leave stopping= out")


def pointwise_selection(select: Any, stopping: Rule | None, extract: Any) -> SelectionLike:
    """The selection by scores and answers alone; of a tournament its base.

    Args:
        select: As it is set.
        stopping: The stopping rule, None for the default one.
        extract: What finds answers, None for nothing.
    """
    if tournament := tournament_base(select):
        select = tournament[0] or with_learned({"stopping": stopping, "extract": extract}).get("select", "best")
    return selection_for(select, stopping)
