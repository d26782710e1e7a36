"""The tables of `docs/benchmarks.md`, and in words where our default stands; `make_benchmarks` replays and draws."""

from __future__ import annotations

import platform
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import metadata
from typing import TYPE_CHECKING, Any

from langchain_optscale.evaluation.frontier import parity_in

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from docs.method_grids import MethodGrid
    from langchain_optscale.evaluation.frontier import Parity
    from langchain_optscale.evaluation.metrics import Report
    from langchain_optscale.evaluation.pools import Pool

LEAST_CAP = 5
# Mean samples that differ by no more than this are the same.
EQUAL = 0.005
OFTEN = 0.75


@dataclass(frozen=True)
class Measured:
    """A pool and its replays.

    Attributes:
        pool: The pool.
        about: What it is.
        families: The methods that may choose a setting.
        reports: By family: first best-of-N at the cap, then each setting.
        methods: Every method at its default.
    """

    pool: Pool
    about: str
    families: Sequence[MethodGrid]
    reports: Mapping[str, Report]
    methods: Report

    @cached_property
    def parities(self) -> dict[str, Parity]:
        """Samples at parity with best-of-N at the cap, for every family."""
        return {family.name: parity_in(self.pool, self.reports[family.name], family.grid) for family in self.families}

    @property
    def frontiers(self) -> list[dict[str, Any]]:
        """The settings of each family that no other of its settings beats."""
        rows = []
        for name, report in self.reports.items():
            best = replace(report, runs=report.runs[1:]).pareto("samples")
            rows += [{**row, "method": name} for row in best.to_dict()]
        return rows


def parity_table(pool: Pool, found: Mapping[str, Parity]) -> list[str]:
    """Samples at parity as a Markdown table, and in words who takes fewer than our default."""
    unit = 100 if pool.has_correct else 1
    measure = "accuracy in %" if pool.has_correct else "mean score"
    lines = [
        f"| method | samples at parity | {measure} | difference to best-of-{pool.cap} [95 %] | attained |",
        "|---|--:|--:|--:|--:|",
    ]
    form = ".1f" if pool.has_correct else ".3f"
    for name, parity in found.items():
        low, high = parity.difference.intervals["accuracy"]
        mean = parity.difference.differences["accuracy"]
        shift = f"{unit * mean:+{form}} [{unit * low:+{form}}, {unit * high:+{form}}]"
        cells = (name, f"{parity.samples:.2f}", f"{unit * parity.accuracy:{form}}", shift, f"{parity.attained:.0%}")
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, "", verdict(found)]


def cheaper(found: Mapping[str, Parity]) -> dict[str, Parity]:
    """The baselines that take fewer samples than our default at parity, or as many."""
    ours = found["optscale"].samples
    return {name: one for name, one in found.items() if name != "optscale" and one.samples <= ours + EQUAL}


def verdict(found: Mapping[str, Parity]) -> str:
    """In a sentence, who takes no more samples than our default."""
    if not (others := cheaper(found)):
        return "Every baseline takes more samples than our default."
    listed = ", ".join(f"{name} ({one.samples:.2f})" for name, one in others.items())
    return f"No more samples than our default ({found['optscale'].samples:.2f}): {listed}."


def reasons(measured_: Measured) -> list[str]:
    """Why a baseline takes no more samples than our default, one Markdown item for each; none where none does."""
    pool, ours = measured_.pool, measured_.parities["optscale"]
    unit, form, of = (100, ".1f", "points") if pool.has_correct else (1, ".3f", "in mean score")
    items = []
    for name, one in cheaper(measured_.parities).items():
        gap = unit * (one.accuracy - ours.accuracy)
        setting = one.chosen[0][0]
        as_many = abs(one.samples - ours.samples) <= EQUAL
        said = f"{name} takes {'as many' if as_many else 'fewer'} ({one.samples:.2f} against {ours.samples:.2f}) "
        said += f"at {gap:+{form}} {of} of held-out accuracy against ours. "
        if "n" in setting:
            by_size = {runs.settings["n"]: runs["accuracy"].mean() for runs in measured_.reports[name].runs[1:]}
            few, full = by_size[setting["n"]], by_size[pool.cap]
            said += (
                f"More candidates do not help it here: {unit * few:{form}} with {setting['n']}, "
                f"{unit * full:{form}} with {pool.cap}. A fixed number that was chosen on labelled questions needs no "
                "evidence to stop; a rule that has to see some first pays for it."
            )
        elif as_many and name == "threshold":
            said += (
                f"Parity asks for a target of {setting['threshold']:.3g} here, and at that target nothing ends our "
                "search but a score that high: the two are the same rule."
            )
        else:
            low, high = (unit * bound for bound in one.difference.intervals["accuracy"])
            said += (
                f"Chosen most often: {', '.join(f'{key} {value}' for key, value in setting.items())}; against "
                f"best-of-{pool.cap} its held-out accuracy differs by [{low:+{form}}, {high:+{form}}]."
            )
        items.append(f"- **{pool.name}**: {said}")
    return items


def short_of_parity(found: Measured) -> str | None:
    """That our default seldom has a setting as accurate as best-of-N, or is below it held out; None where it has."""
    ours, (unit, form) = found.parities["optscale"], (100, ".1f") if found.pool.has_correct else (1, ".3f")
    low, high = (unit * bound for bound in ours.difference.intervals["accuracy"])
    if ours.attained >= OFTEN and high >= 0.0:
        return None
    return (
        f"- **{found.pool.name}**: only on {ours.attained:.0%} of the halves some setting of ours was as accurate as "
        f"best-of-{found.pool.cap}; held out it differs by [{low:+{form}}, {high:+{form}}], so its samples are not "
        "quite those of parity."
    )


def why(found: Sequence[Measured]) -> list[str]:
    """Where our default is the cheapest at parity and where it is not, from the figures themselves."""
    counted = [one for one in found if one.pool.cap >= LEAST_CAP]
    items = {one.pool.name: reasons(one) for one in counted}
    first = [name for name, listed in items.items() if not listed]
    small = [one.pool.name for one in found if one.pool.cap < LEAST_CAP]
    lines = []
    if first:
        lines.append(f"Our default takes fewer samples than every baseline on {', '.join(first)}.")
    if len(first) < len(counted):
        lines += ["Where it does not, and why:", "", *(item for listed in items.values() for item in listed)]
    if missed := [said for one in counted if (said := short_of_parity(one))]:
        lines += ["", "Where our own parity is not quite one:", "", *missed]
    if small:
        lines += ["", f"Not counted, since a cap below {LEAST_CAP} leaves little to save: {', '.join(small)}."]
    return lines


def untouched(found: Sequence[Measured]) -> list[str]:
    """Our default with nothing chosen, as a Markdown table."""
    lines = [
        "| pool | cap | samples | share of the cap | asked for | best-of-N at the cap | ours | difference [95 %] |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for one in found:
        pool, report = one.pool, one.methods
        ours, full = report["optscale"], report["best-of-n"]
        unit, form = (100, ".1f") if pool.has_correct else (1, ".3f")
        pair = report.paired("optscale", "best-of-n")
        low, high = pair.intervals["accuracy"]
        cells = (
            pool.name,
            str(pool.cap),
            f"{ours['samples'].mean():.2f}",
            f"{ours['samples'].mean() / pool.cap:.0%}",
            f"{ours['asked'].mean():.2f}",
            f"{unit * full['accuracy'].mean():{form}}",
            f"{unit * ours['accuracy'].mean():{form}}",
            f"{unit * pair.differences['accuracy']:+{form}} [{unit * low:+{form}}, {unit * high:+{form}}]",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def made_on(missing: Sequence[str], seconds: float) -> str:
    """Where the page was made, and what was missing there."""
    numpy, scipy = (metadata.version(name) for name in ("numpy", "scipy"))
    said = (
        f"Made on {platform.system()} ({platform.machine()}) with Python {platform.python_version()}, NumPy {numpy} "
        f"and SciPy {scipy}, in {seconds / 60:.1f} minutes of one core."
    )
    if missing:
        return f"{said} Not there, and so left out: {', '.join(missing)}."
    return f"{said} All pools were there."


def method_table(report: Report) -> list[str]:
    """The report's rows as a Markdown table."""
    unit, form = (100, ".1f") if report.measure == "accuracy" else (1, ".3f")
    measure = "accuracy in % [95 %]" if report.measure == "accuracy" else "mean score [95 %]"
    lines = [f"| method | {measure} | samples | tokens | rounds | reached |", "|---|--:|--:|--:|--:|--:|"]
    for row in report.to_dict():
        low, high = row["accuracy_ci"]
        cells = (
            row["method"],
            f"{unit * row['accuracy']:{form}} [{unit * low:{form}}, {unit * high:{form}}]",
            f"{row['samples']:.2f}",
            "-" if row["tokens"] is None else f"{row['tokens']:,.0f}",
            f"{row['rounds']:.2f}",
            "-" if row["reached"] is None else f"{row['reached']:.1%}",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def summary(found: Sequence[Measured]) -> list[str]:
    """Samples at parity of every method on every pool, as a share of the cap."""
    names = list(dict.fromkeys(name for one in found for name in one.parities))
    lines = ["| pool | cap | " + " | ".join(names) + " |", "|---|--:|" + "--:|" * len(names)]
    for one in found:
        cells = [
            f"{parity.samples / one.pool.cap:.0%} ({100 * parity.difference.differences['accuracy']:+.1f})"
            if (parity := one.parities.get(name))
            else "-"
            for name in names
        ]
        lines.append(f"| {one.pool.name} | {one.pool.cap} | " + " | ".join(cells) + " |")
    return lines
