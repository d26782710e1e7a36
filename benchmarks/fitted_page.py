"""The tables of docs/learned_stopping.md, from the figures of `benchmarks.fitted`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_optscale.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["written"]

_BEGIN = "<!-- written by `python -m benchmarks.fitted --write`: {name} -->"
_END = "<!-- end: {name} -->"
_LABELS = {"gold": "with", "none": "without"}


def written(page: str, figures: Mapping[str, Any]) -> str:
    """The page with its tables replaced.

    Args:
        page: Markdown with a begin and an end mark for "saving", "graded", "speed" and "curve".
        figures: What `benchmarks.fitted` prints.

    Raises:
        SettingsError: A mark is missing.
    """
    tables = {
        "saving": _saving(figures["pools"], figures["geometric_means"]),
        "graded": _graded(figures["graded"]),
        "speed": _speed(figures["speed"]),
        "curve": _curve(figures["learning_curve"]),
    }
    for name, lines in tables.items():
        begin, end = _BEGIN.format(name=name), _END.format(name=name)
        if begin not in page or end not in page:
            raise SettingsError(f"the page has no marks for the table {name!r}")
        head, rest = page.split(begin, 1)
        page = "\n".join([head + begin, *lines, end + rest.split(end, 1)[1]])
    return page


def _saving(rows: Sequence[Mapping[str, Any]], means: Mapping[str, Any]) -> list[str]:
    lines = [
        "| pool (questions, cap) | labels | best-of-N | majority or best-of-N, the lower | learned | its share of "
        "the samples | accuracy against the reference | frontier's share at equal accuracy | default | "
        "learned less default at equal samples |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        chosen, reference = row["chosen"], row["reference"]
        best = row["baselines"][0]
        share = row["frontier_share"]
        lines.append(
            f"| {row['pool']} ({row['questions']}, {row['cap']}) | {_LABELS[row['labels']]} | {best['accuracy']:.1%} | "
            f"{reference['accuracy']:.1%} | {_pair(chosen)} | {chosen['share']:.0%} | "
            f"{_points(chosen)} | {'not reached' if share is None else f'{share:.0%}'} | "
            f"{_pair(row['default'])} | {_points(row['default'])} |"
        )
    lines.append("")
    for labels, word in _LABELS.items():
        mean = means[labels]
        if mean["chosen"] is not None:
            frontier = "not reached" if mean["frontier"] is None else f"{mean['frontier']:.0%}"
            lines.append(
                f"- {word} labels, geometric mean over the {len(mean['pools'])} pools with answers: "
                f"{mean['chosen']:.0%} of the samples as chosen on the other half, {frontier} read off the frontier."
            )
    return lines


def _graded(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [
        "| pool (questions, cap) | best-of-N | samples | learned less threshold rule, mean score in points |",
        "|---|---:|---:|---:|",
    ]
    for row in rows:
        lines += [
            f"| {row['pool']} ({row['questions']}, {row['cap']}) | {row['best_of_n']['accuracy']:.1%} | "
            f"{one['samples']:g} | {_points(one)} |"
            for one in row["against_threshold"]
        ]
        lines.append(
            f"| {row['pool']}, against the default | | {row['default']['samples']:.2f} | {_points(row['default'])} |"
        )
    return lines


def _speed(speed: Mapping[str, Any]) -> list[str]:
    return [
        f"A fit to {speed['questions']} questions of {speed['samples']} samples took {speed['fit_cpu_s']:.1f} s on one "
        f"core. A decision takes {speed['median_decision_ms']:.3f} ms (median), one of the default "
        f"{speed['median_default_decision_ms']:.3f} ms in the same run.",
    ]


def _curve(curves: Sequence[Mapping[str, Any]]) -> list[str]:
    sizes = [row["questions"] for row in curves[0]["rows"]]
    lines = [
        "| task | labels | default | compared | " + " | ".join(f"{size} questions" for size in sizes) + " |",
        "|---|---|---:|---|" + "---:|" * len(sizes),
    ]
    for curve in curves:
        for way, words in (("price", "at a price of 0.01"), ("samples", "at equal samples")):
            gains = [row[way] for row in curve["rows"]]
            if any(gain is None for gain in gains):
                continue
            cells = [
                f"{gain['gain']:+.1f} ± {gain['standard_error']:.1f}"
                + (f", {gain['refused']:.0%} refused" if gain["refused"] else "")
                for gain in gains
            ]
            head = f"| {curve['kind']} | {_LABELS[curve['labels']]} | {_pair(curve['default'])} | {words} | "
            lines.append(head + " | ".join(cells) + " |")
    return lines


def _pair(one: Mapping[str, float]) -> str:
    return f"{one['accuracy']:.1%} @ {one['samples']:.2f}"


def _points(one: Mapping[str, float]) -> str:
    return f"{100 * one['difference']:+.1f} ± {100 * one['standard_error']:.1f}"
