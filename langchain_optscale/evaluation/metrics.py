"""The figures of a replay: means over questions, their intervals, paired differences, and a table.

Symbols: Q questions, M methods, B bootstrap resamples. A question's figures are first averaged over its permutations,
which are not independent of each other: *questions* are the units of every interval. Shares (accuracy, reached,
observed confidence) have exact intervals for clustered trials, `stats.binomial.clustered_share`, since a percentile
bootstrap of a share near 0 or 1 covers far too seldom, and paired differences of accuracy those of
`stats.binomial.paired_difference`, as it knows no uncertainty where two methods are right on the same questions. Means
and their paired differences have intervals of a cluster bootstrap; all methods share the resamples.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from textwrap import fill
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from langchain_optscale.errors import SettingsError
from langchain_optscale.evaluation.bootstrap import Interval, bootstrap_means, interval_of
from langchain_optscale.records.forks import cached_property
from langchain_optscale.stats.binomial import clustered_share, paired_difference

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["FIGURES", "PairedDifference", "Report", "Runs", "form_of"]

FloatArray: TypeAlias = NDArray[np.float64]

FIGURES = ("accuracy", "samples", "asked", "tokens", "rounds", "reached", "promised", "kept")
"""What is recorded of every search, in the order of the columns of `Runs.values`."""

_COSTS = ("samples", "tokens", "rounds")

# Of a table on a narrow terminal: the method, its accuracy and its samples.
_FEWEST_COLUMNS = 3


@dataclass(frozen=True, eq=False)
class Runs:
    """All searches of one method.

    Attributes:
        name: The method's.
        settings: The method's, JSON-ready.
        values: Shape (Q, 8), the columns of `FIGURES`, each averaged over the permutations: accuracy (or score) of the
            returned sample, samples drawn, samples requested, tokens drawn, rounds, share that reached the target,
            share that stopped on a claim that can fail (`Outcome.kept`), share whose claim is true. Unknown columns are
            nan.
    """

    name: str
    settings: Mapping[str, Any]
    values: FloatArray

    def __getitem__(self, figure: str) -> FloatArray:
        """One figure by question, shape (Q,)."""
        return self.values[:, FIGURES.index(figure)]


@dataclass(frozen=True)
class PairedDifference:
    """How two methods differ on the same samples in the same order: the first minus the second.

    Attributes:
        first: Name of the first method.
        second: Name of the second.
        differences: By figure: accuracy, samples, tokens and rounds; nan where unknown.
        intervals: Their 95 % intervals, see `Report.paired`.
    """

    first: str
    second: str
    differences: Mapping[str, float]
    intervals: Mapping[str, Interval]

    def to_dict(self) -> dict[str, Any]:
        """Accuracy and samples, each with "mean" and "ci", JSON-ready."""
        return {
            name: {"mean": self.differences[name], "ci": list(self.intervals[name])} for name in ("accuracy", "samples")
        }


@dataclass(frozen=True, eq=False)
class Report:
    """What `replay` found.

    Attributes:
        pool: Name of the pool.
        questions: Ids of its questions, in order.
        measure: What "accuracy" is: "accuracy", or "mean score" where the pool does not say what is right.
        max_samples: The cap.
        permutations: Orders in which each question was replayed.
        runs: One for each method.
        bootstrap: Number of resamples, at least 1.
        seed: Of the resamples.
    """

    pool: str
    questions: tuple[str, ...]
    measure: str
    max_samples: int
    permutations: int
    runs: tuple[Runs, ...]
    bootstrap: int = 1000
    seed: int = 0

    def __getitem__(self, method: str | int) -> Runs:
        """The runs of a method, by its name or its place.

        Raises:
            SettingsError: No method has this name, or several have it.
        """
        if isinstance(method, int):
            return self.runs[method]
        return self.runs[self._place(method)]

    def to_dict(self) -> list[dict[str, Any]]:
        """One JSON-ready row for each method.

        Returns:
            Rows with the keys

            - "method", "settings", "questions" (their number);
            - "accuracy", "samples", "tokens", "rounds": means per question; "tokens" is None where a sample has none;
            - "asked": requested samples, those in progress when the search ended included;
            - "reached": share of searches that reached the target, None for a method without one;
            - "observed_confidence": of the searches that stopped on a claim, the share whose claim is true, see
              `Outcome.kept`; None without any. Stopping at a score that has the target is no claim: it cannot fail;
            - each of these with "_ci": its 95 % interval as [low, high], None where the figure is None.
        """
        return [
            {"method": runs.name, "settings": dict(runs.settings), "questions": len(self.questions)} | row
            for runs, row in zip(self.runs, self._rows, strict=True)
        ]

    def table(self, width: int | None = None) -> str:
        """The rows as a plain text table, with what differs in the settings where methods share a name.

        Args:
            width: The most characters a line: intervals, and then columns from the right, are left out until it fits;
                accuracy and samples stay. None leaves nothing out.
        """
        lines = self._cells(intervals=True)
        if width is not None and _width(lines) > width:
            lines = self._cells(intervals=False)
            while _width(lines) > width and len(lines[0]) > _FEWEST_COLUMNS:
                lines = [line[:-1] for line in lines]
        widths = _widths(lines)
        title = (
            f"{self.pool}: {len(self.questions)} questions, at most {self.max_samples} samples, "
            f"{self.permutations} orders"
        )
        return "\n".join(
            [title if width is None else fill(title, width)]
            + [
                "  ".join(
                    cell.ljust(width) if column == 0 else cell.rjust(width)
                    for column, (cell, width) in enumerate(zip(line, widths, strict=True))
                ).rstrip()
                for line in lines
            ]
        )

    def _cells(self, *, intervals: bool) -> list[list[str]]:
        """The header and a line for each method."""
        form, note = form_of(self.measure), " [95 %]" if intervals else ""
        lines = [["method", f"{self.measure}{note}", f"samples{note}", "tokens", "rounds", "reached", "observed"]]
        for label, row in zip(_labels(self.runs), self._rows, strict=True):
            lines.append(
                [
                    label,
                    *(
                        _with_interval(row, figure, its_form) if intervals else _formatted(row[figure], its_form)
                        for figure, its_form in (("accuracy", form), ("samples", ".2f"))
                    ),
                    _formatted(row["tokens"], ",.0f"),
                    _formatted(row["rounds"], ".2f"),
                    _formatted(row["reached"], ".1%"),
                    _formatted(row["observed_confidence"], ".1%"),
                ]
            )
        return lines

    def paired(self, first: str | int, second: str | int) -> PairedDifference:
        """How two methods differ, with intervals of the difference itself.

        That of an accuracy is `stats.binomial.paired_difference`: where no question differs it is not empty. Those of a
        mean score and of costs are percentiles of a cluster bootstrap.

        Args:
            first: A method's name or place.
            second: Another's; its figures are subtracted.

        Raises:
            SettingsError: A name is unknown or shared by several methods.
        """
        a, b = (self._place(method) if isinstance(method, str) else method for method in (first, second))
        figures = ("accuracy", *_COSTS)
        columns = [FIGURES.index(figure) for figure in figures]
        observed = (self.runs[a].values - self.runs[b].values).mean(axis=0)[columns].tolist()
        resampled = (self._resampled[:, a] - self._resampled[:, b])[:, columns]
        intervals = {figure: interval_of(resampled[:, place]) for place, figure in enumerate(figures)}
        if self.measure == "accuracy":
            differences = self.runs[a]["accuracy"] - self.runs[b]["accuracy"]
            intervals["accuracy"] = Interval(*paired_difference(differences))
        return PairedDifference(
            self.runs[a].name, self.runs[b].name, dict(zip(figures, observed, strict=True)), intervals
        )

    def pareto(self, cost: str = "tokens") -> Report:
        """The methods that no other beats: none is at least as accurate and cheaper, or more accurate and as cheap.

        Args:
            cost: "tokens", "samples" or "rounds", means per question.

        Returns:
            A report with those methods alone, the cheapest first; of methods with equal figures the first.

        Raises:
            SettingsError: The cost is not one of these, or unknown on this pool.
        """
        if cost not in _COSTS:
            raise SettingsError(f"cost must be one of {', '.join(_COSTS)}, got {cost!r}")
        paid = [float(runs[cost].mean()) for runs in self.runs]
        right = [float(runs["accuracy"].mean()) for runs in self.runs]
        if np.isnan(paid).any():
            raise SettingsError(f"pool {self.pool!r} has samples without {cost}: use cost='samples'")
        kept: list[Runs] = []
        highest = -np.inf
        for place in sorted(range(len(self.runs)), key=lambda place: (paid[place], -right[place], place)):
            if right[place] > highest:
                highest = right[place]
                kept.append(self.runs[place])
        return replace(self, runs=tuple(kept))

    def _place(self, name: str) -> int:
        places = [place for place, runs in enumerate(self.runs) if runs.name == name]
        if len(places) != 1:
            known = ", ".join(sorted({runs.name for runs in self.runs}))
            trouble = "no method is" if not places else "several methods are"
            raise SettingsError(f"{trouble} named {name!r}; give an index from 0 or one of {known}")
        return places[0]

    @cached_property
    def _resampled(self) -> FloatArray:
        """The figures in every resample, shape (B, M, 8)."""
        stacked = np.concatenate([runs.values for runs in self.runs], axis=1)
        means = bootstrap_means(stacked, self.bootstrap, self.seed)
        return means.reshape(self.bootstrap, len(self.runs), len(FIGURES))

    @cached_property
    def _rows(self) -> list[dict[str, Any]]:
        rows = []
        for place, runs in enumerate(self.runs):
            row: dict[str, Any] = {}
            means = dict(zip(FIGURES, runs.values.mean(axis=0).tolist(), strict=True))
            resamples = dict(zip(FIGURES, self._resampled[:, place].T, strict=True))
            promised, kept = means.pop("promised"), means.pop("kept")
            means["observed_confidence"] = kept / promised if promised else np.nan
            for figure, mean in means.items():
                unknown = np.isnan(mean)
                row[figure] = None if unknown else mean
                row[f"{figure}_ci"] = None if unknown else list(self._interval(runs, figure, resamples))
            rows.append(row)
        return rows

    def _interval(self, runs: Runs, figure: str, resamples: Mapping[str, FloatArray]) -> Interval:
        if figure == "observed_confidence":
            return Interval(*clustered_share(runs["kept"], runs["promised"]))
        if figure == "reached" or (figure == "accuracy" and self.measure == "accuracy"):
            return Interval(*clustered_share(runs[figure], np.ones(len(runs.values))))
        return interval_of(resamples[figure])


def form_of(measure: str) -> str:
    """How a figure of this measure is written: an accuracy in per cent, a mean score as it is.

    Example:
        >>> format(0.5, form_of("accuracy")), format(0.5, form_of("mean score"))
        ('50.0%', '0.500')
    """
    return ".1%" if measure == "accuracy" else ".3f"


def _labels(methods: Sequence[Runs]) -> list[str]:
    flat = [_flat(runs.settings) for runs in methods]
    labels = []
    for runs, settings in zip(methods, flat, strict=True):
        alike = [other for other, one in zip(flat, methods, strict=True) if one.name == runs.name]
        differing = {
            f"{key.rpartition('.')[2]}={value}": None
            for key, value in settings.items()
            if value is not None and any(other.get(key) != value for other in alike)
        }
        labels.append(" ".join([runs.name, *differing]))
    return labels


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def _with_interval(row: Mapping[str, Any], figure: str, form: str) -> str:
    low, high = row[f"{figure}_ci"]
    return f"{row[figure]:{form}} [{low:{form}}, {high:{form}}]"


def _formatted(value: float | None, form: str) -> str:
    return "-" if value is None else f"{value:{form}}"


def _widths(lines: Sequence[Sequence[str]]) -> list[int]:
    return [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]


def _width(lines: Sequence[Sequence[str]]) -> int:
    widths = _widths(lines)
    return sum(widths) + 2 * (len(widths) - 1)
