"""Which setting of a method to take: the accuracy-cost frontier, and the fewest samples at no loss of accuracy.

*Parity* is the accuracy of a reference. A family maps settings to a method, a grid lists the settings to try:

    frontier(pool, ThresholdStopping, [{"threshold": t} for t in (0.8, 0.9, 0.95)])
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from langchain_optscale.errors import SettingsError
from langchain_optscale.evaluation.baselines import BestOfN
from langchain_optscale.evaluation.metrics import FIGURES, Runs
from langchain_optscale.evaluation.replay import replay

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from langchain_optscale.evaluation.methods import Method
    from langchain_optscale.evaluation.metrics import PairedDifference, Report
    from langchain_optscale.evaluation.pools import Pool

__all__ = [
    "DEFAULT_MARGIN",
    "DEFAULT_TOLERANCE",
    "Choice",
    "HeldOut",
    "Parity",
    "at_parity",
    "cheapest",
    "frontier",
    "held_out",
    "on_one_half",
    "parity_in",
    "samples_at_parity",
]

FloatArray: TypeAlias = NDArray[np.float64]

DEFAULT_MARGIN, DEFAULT_TOLERANCE = 1.645, 0.02
"""In standard errors, the one-sided 95 % point, and in accuracy: with neither, samples at parity flatter, see
`benchmarks.parity_bias`."""

Choice: TypeAlias = "Callable[[FloatArray, FloatArray], tuple[int, bool]]"


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Settings chosen on one half of the questions, with their figures on the other.

    Attributes:
        values: Shape (Q, 8), the columns of `FIGURES`, averaged over the splits.
        chosen: How often each method was chosen, by its place.
        attained: Share of halves on which some method met the goal.
    """

    values: FloatArray
    chosen: Counter[int]
    attained: float


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

    Chosen and reported on the same questions, hence optimistic; `samples_at_parity` chooses on one half and reports on
    the other.

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
    margin: float = DEFAULT_MARGIN,
    tolerance: float = DEFAULT_TOLERANCE,
    **options: Any,
) -> Parity:
    """The fewest mean samples at which a method is not less accurate than a reference, chosen and reported apart.

    On one half of the questions the setting with the fewest mean samples is chosen among those that are shown there to
    be at most `tolerance` less accurate than the reference; it is reported on the other half. Both ways, for several
    splits in halves, averaged.

    The cheapest of many settings that were as accurate on a few dozen questions is so partly by chance, and elsewhere
    it loses accuracy (docs/parity.md). So the loss is bounded from above: its mean plus `margin` standard errors, with
    one more question that the setting loses added, as no question lost of n still leaves a loss of about 3 / n. Where
    no setting is shown to be good enough, the most accurate one is taken, of equals the one with the most samples: on
    few questions no saving can be shown, and none is reported. With a margin of 0 the observed mean alone counts.

    Args:
        pool: The recorded candidates, at least two questions.
        family: Makes a method of one entry of the grid, given as keyword arguments.
        grid: The settings to try.
        reference: What to be as accurate as; best-of-N at the cap where None.
        splits: Splits in halves, at least 1: `pool.split` with seeds 0, 1, ...
        margin: How many standard errors, over questions, are added to the loss on the choosing half; at least 0.
        tolerance: The loss of accuracy (or mean score) that is accepted, at least 0.
        **options: Of `replay`.

    Raises:
        SettingsError: As `replay`; or there are no settings, splits, or halves.

    Example:
        >>> from langchain_optscale.evaluation.baselines import ThresholdStopping
        >>> from langchain_optscale.evaluation.pools import Pool, Question, Sample
        >>> samples = tuple(Sample(score=s, correct=s > 0.5) for s in (0.1, 0.6, 0.9))
        >>> pool = Pool(tuple(Question(name, "?", samples) for name in "abcd"))
        >>> parity = samples_at_parity(
        ...     pool, ThresholdStopping, [{"threshold": t} for t in (0.0, 0.5, 0.8)], margin=0.0, permutations=1
        ... )
        >>> parity.samples, parity.reference_samples, parity.accuracy, parity.chosen
        (2.0, 3.0, 1.0, (({'threshold': 0.5}, 20),))
    """
    if not grid:
        raise SettingsError("parity needs at least one setting")
    report = replay(pool, [reference or BestOfN(), *(family(**settings) for settings in grid)], **options)
    return parity_in(pool, report, grid, splits=splits, margin=margin, tolerance=tolerance)


def parity_in(
    pool: Pool,
    report: Report,
    grid: Sequence[Mapping[str, Any]],
    *,
    splits: int = 10,
    margin: float = DEFAULT_MARGIN,
    tolerance: float = DEFAULT_TOLERANCE,
) -> Parity:
    """As `samples_at_parity`, from an existing replay.

    Args:
        pool: What the report is about, at least two questions.
        report: The reference's run first, then one run for each setting.
        grid: The settings.
        splits: As in `samples_at_parity`.
        margin: As in `samples_at_parity`.
        tolerance: As in `samples_at_parity`.

    Raises:
        SettingsError: Runs and settings do not fit together, or there are no splits or halves.
    """
    if splits < 1 or len(pool) < 2 or not 0.0 <= margin < np.inf or not 0.0 <= tolerance < np.inf:
        raise SettingsError(
            f"parity needs at least one split and two questions, and a margin and a tolerance of at least 0; got "
            f"{splits} splits, {len(pool)} questions, margin {margin!r} and tolerance {tolerance!r}"
        )
    if not grid or len(report.runs) != len(grid) + 1:
        raise SettingsError(
            f"parity needs the reference's run and one for each of {len(grid)} settings, got {len(report.runs)}"
        )
    found = held_out(pool, report, partial(at_parity, margin=margin, tolerance=tolerance), splits)
    name = report.runs[1].name
    pair = replace(report, runs=(report.runs[0], Runs(name, {}, found.values)))
    return Parity(
        samples=float(pair.runs[1]["samples"].mean()),
        accuracy=float(pair.runs[1]["accuracy"].mean()),
        reference_samples=float(pair.runs[0]["samples"].mean()),
        reference_accuracy=float(pair.runs[0]["accuracy"].mean()),
        difference=pair.paired(1, 0),
        chosen=tuple((dict(grid[place - 1]), times) for place, times in found.chosen.most_common()),
        attained=found.attained,
    )


def held_out(pool: Pool, report: Report, choose: Choice, splits: int) -> HeldOut:
    """The held-out figures of a choice among methods: made on one half, measured on the other, both ways.

    Args:
        pool: The replayed pool.
        report: Of all methods to choose from.
        choose: From accuracy and samples of every method by question, shapes (M, Q), the place of its choice, and
            whether that meets the goal.
        splits: Splits in halves, at least 1: `pool.split` with seeds 0, 1, ...
    """
    accuracy, samples = (np.stack([runs[figure] for runs in report.runs]) for figure in ("accuracy", "samples"))
    values = np.zeros((len(pool), len(FIGURES)))
    chosen: Counter[int] = Counter()
    attained = 0
    for seed in range(splits):
        first = {question.id for question in pool.split(seed=seed)[0]}
        on_first = np.array([question.id in first for question in pool])
        for half in (on_first, ~on_first):
            place, has_it = choose(accuracy[:, half], samples[:, half])
            values[~half] += report.runs[place].values[~half]
            chosen[place] += 1
            attained += has_it
    return HeldOut(values / splits, chosen, attained / (2 * splits))


def on_one_half(pool: Pool, report: Report, choose: Choice, seed: int = 0) -> tuple[int, bool, NDArray[np.bool_]]:
    """A choice among methods by one half of the questions, so that the other half can report it.

    The figures of that method on the other half are unbiased and their intervals hold, since nothing there has chosen.
    Those of `held_out` belong to the procedure, which may choose another method on each half: as figures of one method
    they may flatter, by the accuracy of more careful ones.

    Args:
        pool: The replayed pool.
        report: Of all methods to choose from.
        choose: As for `held_out`.
        seed: Of `pool.split`, whose first part chooses.

    Returns:
        The place of the choice, whether it meets the goal on the half that chose, and which questions that half has,
        shape (Q,).
    """
    first = {question.id for question in pool.split(seed=seed)[0]}
    chose = np.array([question.id in first for question in pool])
    accuracy, samples = (np.stack([runs[figure][chose] for runs in report.runs]) for figure in ("accuracy", "samples"))
    place, has_it = choose(accuracy, samples)
    return place, has_it, chose


def cheapest(
    accuracy: FloatArray, samples: FloatArray, eligible: NDArray[np.bool_], meets_goal: NDArray[np.bool_]
) -> tuple[int, bool]:
    """The cheapest eligible method that meets the goal, the more accurate of equals; if none does, the most accurate.

    Arrays have shape (M,), accuracy and samples are means. Returns its place, and whether it meets the goal.
    """
    has_it = bool((eligible & meets_goal).any())
    # Means of the same shares in another order differ by rounding.
    places = np.flatnonzero(eligible & (meets_goal if has_it else accuracy >= accuracy[eligible].max() - 1e-12))
    return int(places[np.lexsort((-accuracy[places], samples[places]))[0]]), has_it


def at_parity(accuracy: FloatArray, samples: FloatArray, margin: float, tolerance: float) -> tuple[int, bool]:
    """The cheapest setting that is shown to be as accurate as the reference, which stands first; else a careful one.

    Args:
        accuracy: By method and question, shape (M, Q); the reference is row 0.
        samples: The same.
        margin: As in `samples_at_parity`.
        tolerance: The same.

    Returns:
        Its row, and whether anything was shown.
    """
    means, spent = accuracy.mean(axis=1), samples.mean(axis=1)
    eligible = np.arange(len(accuracy)) > 0
    losses = accuracy[0] - accuracy
    if margin > 0.0:
        losses = np.concatenate([losses, np.ones((len(losses), 1))], axis=1)
    bounds = losses.mean(axis=1) + margin * losses.std(axis=1) / np.sqrt(losses.shape[1])
    good = eligible & (bounds <= tolerance + 1e-12)
    if good.any() or margin == 0.0:
        return cheapest(means, spent, eligible, good)
    best = np.flatnonzero(eligible & (means >= means[eligible].max() - 1e-12))
    return int(best[np.argmax(spent[best])]), False
