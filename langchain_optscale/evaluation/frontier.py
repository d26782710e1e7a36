"""Which setting of a method to take: the accuracy-cost frontier, and the fewest samples at no loss of accuracy.

A family is a function from settings to a method, a grid the settings to try:

    frontier(pool, ThresholdStopping, [{"threshold": t} for t in (0.8, 0.9, 0.95)])
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_optscale.errors import SettingsError
from langchain_optscale.evaluation.baselines import BestOfN
from langchain_optscale.evaluation.metrics import FIGURES, Runs
from langchain_optscale.evaluation.replay import replay

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from langchain_optscale.evaluation.methods import Method
    from langchain_optscale.evaluation.metrics import PairedDifference, Report
    from langchain_optscale.evaluation.pools import Pool

__all__ = ["Parity", "frontier", "samples_at_parity"]


@dataclass(frozen=True)
class Parity:
    """What a method costs at the accuracy of a reference, its setting chosen on other questions.

    Attributes:
        samples: Mean samples per question on the halves that did not choose.
        accuracy: Accuracy there.
        reference_samples: The reference's, on the same questions in the same orders.
        reference_accuracy: The same.
        difference: Method minus reference, with intervals over questions (the choice of settings held fixed).
        chosen: Each setting that was chosen and how often, the most frequent first.
        attained: Share of halves on which some setting was as accurate as the reference; on the others the most
            accurate one was chosen, the cheapest of equals.
    """

    samples: float
    accuracy: float
    reference_samples: float
    reference_accuracy: float
    difference: PairedDifference
    chosen: tuple[tuple[Mapping[str, Any], int], ...]
    attained: float


def frontier(
    pool: Pool,
    family: Callable[..., Method],
    grid: Sequence[Mapping[str, Any]],
    *,
    cost: str = "tokens",
    **options: Any,
) -> Report:
    """The settings of a method that no other setting beats in both accuracy and cost.

    Chosen and reported on the same questions: good for a picture, too good for a claim. `samples_at_parity` chooses on
    one half and reports on the other.

    Args:
        pool: The recorded candidates.
        family: Makes a method of one entry of the grid, given as keyword arguments.
        grid: The settings to try.
        cost: "tokens", "samples" or "rounds".
        **options: Of `replay`.

    Returns:
        Their report, the cheapest first.

    Raises:
        SettingsError: As `replay` and `Report.pareto`.

    Example:
        >>> from langchain_optscale.evaluation.baselines import ThresholdStopping
        >>> from langchain_optscale.evaluation.pools import Pool, Question, Sample
        >>> samples = tuple(Sample(score=s, correct=s > 0.5) for s in (0.1, 0.6, 0.9))
        >>> grid = [{"threshold": t} for t in (0.0, 0.5, 0.8)]
        >>> pool = Pool((Question("a", "?", samples),))
        >>> report = frontier(pool, ThresholdStopping, grid, cost="samples", permutations=1)
        >>> [row["settings"] for row in report.to_dict()]
        [{'threshold': 0.0}, {'threshold': 0.5}]
    """
    return replay(pool, [family(**settings) for settings in grid], **options).pareto(cost)


def samples_at_parity(
    pool: Pool,
    family: Callable[..., Method],
    grid: Sequence[Mapping[str, Any]],
    *,
    reference: Method | None = None,
    splits: int = 10,
    margin: float = 0.0,
    **options: Any,
) -> Parity:
    """The fewest mean samples at which a method is not less accurate than a reference, chosen and reported apart.

    On one half of the questions the setting with the fewest mean samples is chosen among those whose accuracy there is
    not below the reference's; it is reported on the other half. Both ways, for several splits in halves, averaged.

    The cheapest of many settings that were as accurate on a few dozen questions owes some of it to luck. A margin asks
    for more there, so that what is chosen keeps its accuracy on the other half.

    Args:
        pool: The recorded candidates, at least two questions.
        family: Makes a method of one entry of the grid, given as keyword arguments.
        grid: The settings to try.
        reference: What to be as accurate as; best-of-N at the cap where None.
        splits: Splits in halves, at least 1: `pool.split` with seeds 0, 1, ...
        margin: By how many standard errors, over questions, a setting must be more accurate than the reference on the
            choosing half; at least 0.
        **options: Of `replay`.

    Raises:
        SettingsError: As `replay`; or there are no settings, splits, or halves.

    Example:
        >>> from langchain_optscale.evaluation.baselines import ThresholdStopping
        >>> from langchain_optscale.evaluation.pools import Pool, Question, Sample
        >>> samples = tuple(Sample(score=s, correct=s > 0.5) for s in (0.1, 0.6, 0.9))
        >>> pool = Pool(tuple(Question(name, "?", samples) for name in "abcd"))
        >>> parity = samples_at_parity(
        ...     pool, ThresholdStopping, [{"threshold": t} for t in (0.0, 0.5, 0.8)], permutations=1
        ... )
        >>> parity.samples, parity.reference_samples, parity.accuracy, parity.chosen
        (2.0, 3.0, 1.0, (({'threshold': 0.5}, 20),))
    """
    if not grid or splits < 1 or len(pool) < 2 or not 0.0 <= margin < np.inf:
        raise SettingsError(
            "parity needs at least one setting, one split and two questions, and a margin of at least 0"
        )
    report = replay(pool, [reference or BestOfN(), *(family(**settings) for settings in grid)], **options)
    accuracy, samples = (np.stack([runs[figure] for runs in report.runs]) for figure in ("accuracy", "samples"))
    held_out = np.zeros((len(pool), len(FIGURES)))
    chosen: Counter[int] = Counter()
    attained = 0
    for seed in range(splits):
        first = {question.id for question in pool.split(seed=seed)[0]}
        on_first = np.array([question.id in first for question in pool])
        for half in (on_first, ~on_first):
            place, is_at_parity = _choose(accuracy[:, half], samples[:, half].mean(axis=1), margin)
            held_out[~half] += report.runs[place].values[~half]
            chosen[place] += 1
            attained += is_at_parity
    name = report.runs[1].name
    pair = replace(report, runs=(report.runs[0], Runs(name, {}, held_out / splits)))
    return Parity(
        samples=float(pair.runs[1]["samples"].mean()),
        accuracy=float(pair.runs[1]["accuracy"].mean()),
        reference_samples=float(pair.runs[0]["samples"].mean()),
        reference_accuracy=float(pair.runs[0]["accuracy"].mean()),
        difference=pair.paired(1, 0),
        chosen=tuple((dict(grid[place - 1]), times) for place, times in chosen.most_common()),
        attained=attained / (2 * splits),
    )


def _choose(accuracy: np.ndarray[Any, Any], samples: np.ndarray[Any, Any], margin: float) -> tuple[int, bool]:
    """The cheapest setting that is as accurate as the reference, which stands first; else the most accurate one."""
    gains = accuracy[1:] - accuracy[0]
    errors = gains.std(axis=1) / np.sqrt(accuracy.shape[1])
    # Means of the same shares in another order differ by rounding.
    able = np.flatnonzero(gains.mean(axis=1) >= margin * errors - 1e-12) + 1
    right = accuracy.mean(axis=1)
    is_at_parity = able.size > 0
    if not is_at_parity:
        able = np.flatnonzero(right[1:] >= right[1:].max() - 1e-12) + 1
    return int(able[np.lexsort((-right[able], samples[able]))[0]]), is_at_parity
