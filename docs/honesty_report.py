"""The pictures and the page of the study in `docs/honesty.py`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from benchmarks import certificates

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from docs.honesty import Row

from langchain_optscale.stats.binomial import clopper_pearson

# Okabe and Ito's colours; series differ by their marks and lines as well.
STYLES = {
    "plug-in": ("#D55E00", "s", "-"),
    "posterior, weak prior": ("#56B4E9", "v", "--"),
    "posterior, learned prior": ("#0072B2", "o", "-"),
}
SIZE, DPI = (6.0, 6.0), 150


def draw(single: Sequence[Row], folder: Path) -> None:
    """Write the picture of a single analysis: the observed share against the nominal confidence, by family."""
    families = list(dict.fromkeys(row.family for row in single))
    alphas = sorted({row.alpha for row in single})
    places = np.arange(len(alphas))
    picture = Figure(figsize=SIZE, layout="constrained")
    panels = picture.subplots(math.ceil(len(families) / 3), 3, sharex=True, sharey=True).ravel()
    for axes, family in zip(panels, families, strict=False):
        axes.plot(places, alphas, color="#666666", linewidth=1.0, linestyle=(0, (1, 1)), label="nominal")
        for method, (colour, mark, line) in STYLES.items():
            known = {row.alpha: row.share for row in single if (row.family, row.method) == (family, method)}
            axes.plot(
                [place for place, alpha in zip(places, alphas, strict=True) if alpha in known], list(known.values()),
                color=colour, marker=mark, markersize=4.5, linewidth=1.3, linestyle=line, label=method,
            )  # fmt: skip
        axes.set_title(family, fontsize=8)
        axes.set_xticks(places, [f"{alpha:g}" for alpha in alphas], fontsize=8)
        axes.tick_params(axis="y", labelsize=8)
        axes.grid(color="#DDDDDD", linewidth=0.5)
    picture.supxlabel("nominal confidence", fontsize=9)
    picture.supylabel("share that reached the target", fontsize=9)
    handles, labels = panels[0].get_legend_handles_labels()
    picture.legend(handles, labels, loc="outside upper center", ncols=4, fontsize=8, frameon=False)
    picture.savefig(folder / "honesty_single.png", dpi=DPI)


PAGE = """# Do the promises hold?

*Written by `python -m docs.honesty` (or `make study`), figures and all. Nothing is tuned on these simulations, except
that the posterior's weak prior was once chosen on some of these families.*

This page checks promises against known truth: a promise of 95 % should be kept in 95 of 100 cases in which something
was promised. Only cases that can fail are counted, and shares have exact 95 % intervals (Clopper-Pearson). What the
*default* claims, and how often it is true, is in [situations](situations.md) and
[benchmarks](benchmarks.md#what-was-claimed-and-what-was-true).

In the first three sections the distribution of each question's scores is known. There are nine families:

- truncated normal distributions, as the paper assumes, narrow and wide;
- Beta distributions with the moments of a real process reward model (or similar ones, if `data/prior` is missing),
  and broad ones;
- two mixtures of right and wrong candidates with a peak each;
- judges that grade in steps of 0.05 or 0.1;
- a check that passes or fails.

Targets are 0.8, 0.9 and 0.95, the cap is {cap} candidates, and there are {questions} questions per family ({played}
for whole searches). The learned prior is fitted to other questions of the same family, with ten scores each.

## A single analysis

After three scores, *none of which reaches the target*, how many more draws reach it with confidence alpha? The test
draws that many and counts. Questions whose target is already reached are left out: counting them makes 0.77 look like
0.9. Questions that would need more than the cap, by the estimate, are left out as well. The plug-in estimate ignores
the uncertainty after three scores. The posterior predictive averages over every distribution that the scores leave
plausible; with a weak prior it is still overconfident in the worst families.

![Share of questions that reached the target, against the nominal confidence, in one analysis](img/honesty_single.png)

{single}

The cells have the observed share over all questions of the nine families with its interval, and the worst family.

## The paper's rule

The rule draws up to N*, estimated anew after every score, even after the target is reached. The table has questions
whose target can be reached within the cap, by an oracle that knows the distribution. So the promise is an easy one.
The confidence is 0.95:

{rules}

The rule is evaluated after every score and stops the first time that n >= N*. So the most optimistic of many analyses
decides, but later analyses also have more data. The alternative is a bound that is computed once, after three scores.
The list compares both by the share of questions that reached the target, as means over the families:

- at a confidence of 0.95: {many} for repeated analyses, {once} for a single one;
- at a confidence of 0.8: {many_80} for repeated analyses, {once_80} for a single one.

## Stopping for futility

`Futility` stops when the target is too unlikely to be reached within the cap, and is evaluated after every score. Of
the questions that it stopped, at most the set probability should still have been able to reach the target. Over all
targets:

{futility}

Without past scores the bound is anytime-valid and stops late, if at all. A prior learned from past questions stops
earlier, and relies on the new questions being like them. Intervals are wide where few questions were stopped.
Where an interval lies above the probability, the promise was broken.

## Certified answers

A [certificate](evaluation.md#certified-answers) is fitted to labelled questions, and then says of each further answer
whether it is certified as right. The promise here: with probability 90 % over the labelled questions, at most 10 % of
the certified answers are wrong. The tasks are simulated, with 300 sets of 300 labelled questions each, and checked on
2,700 other questions (`benchmarks.certificates`). "Promise broken" should be at most 10 %, in each of
{certified_rows} situations.

{certificates}

Where nothing separates right from wrong, as with an uninformative verifier or a misconception that most candidates
share, next to nothing is certified; that is the right outcome. The next table has recorded pools, with one search per
question. Certificates are fitted to one half and counted on the other; "with the whole cap" draws all candidates
before it answers:

{recorded}

A search that stops early answers as well, but knows less about how certain it is. If certified answers matter more
than candidates, spend more (`effort="high"`, or `stopping=MaxSamples(n)`), and fit the certificate with the same
setting.

## What calibration does

With a weak verifier best-of-N gets no better beyond some N. The pool of arithmetic questions (`tests/data/pools`)
has the policy's own confidence as its score. Its answers are left out here, since the default would use them.
Best-of-N is right most often at N = {peak}. The expected calibration error of the raw scores is {ece_raw:.2f}.
After a calibration that was fitted to the other half of the questions, it is {ece_isotonic:.2f} (isotonic) or
{ece_logistic:.2f} (logistic), over {splits} splits, both ways.

![Accuracy against samples: best-of-N, and rules that stop by price](img/calibration.png)

| | accuracy | samples |
| --- | --- | --- |
{calibration}

`optscale(0.9)` is the default with a target; the others are `TargetReached(0.9) | MarginalGain(price)` under
`Posterior`. On raw scores a price is a difference of scores, which is hard to choose. On calibrated scores it is a
difference of accuracy: at 0.02, a candidate that raises the probability of being right by less than two points is not
drawn. That ends the search where more candidates stop helping. The calibrated runs use a prior learned from the
calibrated scores of the fitting half. The accuracies differ by little more than the noise of 100 questions; the
numbers of samples differ clearly.
"""


def write(
    rows: Sequence[Row],
    single: Sequence[Row],
    stopped: Sequence[dict[str, Any]],
    calibration: dict[str, Any],
    certified: tuple[list[dict[str, Any]], list[dict[str, Any]]],
    *,
    cap: int,
    questions: int,
    played: int,
) -> str:
    """The page."""
    simulated, recorded = certified
    return PAGE.format(
        cap=cap,
        questions=questions,
        played=played,
        single=_table_of_single_analyses(single),
        rules=_table_of_rules(rows),
        futility=_table_of_futility(stopped),
        many=_means(rows, "the paper's rule", 0.95),
        once=_means(rows, "the paper's bound, computed once", 0.95),
        many_80=_means(rows, "the paper's rule", 0.8),
        once_80=_means(rows, "the paper's bound, computed once", 0.8),
        certified_rows=len(simulated),
        certificates="\n".join(certificates.table(simulated)),
        recorded="\n".join(certificates.recorded_table(recorded)),
        peak=max(_best_of(calibration), key=lambda point: point[1])[0],
        ece_raw=calibration["raw: calibration error"]["ece"],
        ece_isotonic=calibration["isotonic: calibration error"]["ece"],
        ece_logistic=calibration["logistic: calibration error"]["ece"],
        splits=calibration["splits"],
        calibration=_lines_of_calibration(calibration),
    )


def _means(rows: Sequence[Row], method: str, alpha: float) -> str:
    known = [row for row in rows if (row.method, row.alpha) == (method, alpha)]
    kept, drawn = (np.mean([getattr(row, name) for row in known]) for name in ("share", "drawn"))
    return f"{kept:.3f} with {drawn:.1f} draws"


def _best_of(calibration: dict[str, Any]) -> list[tuple[int, float]]:
    """N and accuracy."""
    found = [(key, value) for key, value in calibration.items() if key.startswith("best of")]
    return [(int(key.rpartition(" ")[2]), value["accuracy"]) for key, value in found]


def _lines_of_calibration(calibration: dict[str, Any]) -> str:
    shown = {
        "best of 4": "best of 4",
        "best of 64": "best of 64",
        "raw: optscale": "`optscale(0.9)`, raw scores",
        "raw: price 0.02": "price 0.02, raw scores",
        "isotonic: optscale": "`optscale(0.9)`, isotonic calibration",
        "isotonic: price 0.01": "price 0.01, isotonic calibration",
        "isotonic: price 0.02": "price 0.02, isotonic calibration",
        "logistic: optscale": "`optscale(0.9)`, logistic calibration",
        "logistic: price 0.01": "price 0.01, logistic calibration",
        "logistic: price 0.02": "price 0.02, logistic calibration",
    }
    known = {label: calibration[key] for key, label in shown.items()}
    return "\n".join(f"| {label} | {one['accuracy']:.3f} | {one['samples']:.1f} |" for label, one in known.items())


def draw_calibration(calibration: dict[str, Any], folder: Path) -> None:
    """Accuracy against samples on the arithmetic pool."""
    picture = Figure(figsize=(6.0, 4.0), layout="constrained")
    axes = picture.subplots()
    sizes, accuracy = zip(*_best_of(calibration), strict=True)
    axes.plot(sizes, accuracy, color="#666666", marker="X", markersize=5, linewidth=1.2, label="best-of-N, N fixed")
    series = {
        "raw": ("price, raw scores, weak prior", "#D55E00", "s"),
        "isotonic": ("price, isotonic calibration", "#0072B2", "o"),
        "logistic": ("price, logistic calibration", "#009E73", "^"),
    }
    for kind, (label, colour, mark) in series.items():
        known = {
            key.rpartition(" ")[2]: value for key, value in calibration.items() if key.startswith(f"{kind}: price")
        }
        x = [one["samples"] for one in known.values()]
        y = [one["accuracy"] for one in known.values()]
        axes.plot(x, y, color=colour, marker=mark, markersize=7, linewidth=0.8, linestyle=":", label=label)
        if kind == "isotonic":
            for price, at_x, at_y in zip(known, x, y, strict=True):
                axes.annotate(
                    price, (at_x, at_y), (0, 9), textcoords="offset points", fontsize=8, color=colour, ha="center"
                )
    default = calibration["raw: optscale"]
    axes.plot(
        [default["samples"]], [default["accuracy"]], color="#CC79A7", marker="D", markersize=8, linestyle="none",
        label="optscale(0.9), raw scores",
    )  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.set_xticks([1, 2, 4, 8, 16, 32, 64], ["1", "2", "4", "8", "16", "32", "64"])
    axes.set_xlabel("samples per question", fontsize=10)
    axes.set_ylabel("share of questions answered rightly", fontsize=10)
    axes.grid(color="#DDDDDD", linewidth=0.5)
    axes.legend(fontsize=9, loc="lower right")
    picture.savefig(folder / "calibration.png", dpi=DPI)


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *lines])


def _share(count: int, trials: int) -> str:
    if not trials:
        return "-"
    low, high = clopper_pearson(count, trials)
    return f"{count / trials:.3f} [{low:.3f}, {high:.3f}]"


def _table_of_single_analyses(single: Sequence[Row]) -> str:
    alphas = sorted({row.alpha for row in single})
    lines = []
    for method in STYLES:
        cells = []
        for alpha in alphas:
            known = [row for row in single if (row.method, row.alpha) == (method, alpha)]
            whole = _share(sum(row.kept for row in known), sum(row.questions for row in known))
            cells.append(f"{whole}, worst {min(row.share for row in known):.3f}")
        lines.append([method, *cells])
    return _table(["", *(f"alpha {alpha:g}" for alpha in alphas)], lines)


def _table_of_rules(rows: Sequence[Row]) -> str:
    lines = [
        [row.family, f"{row.questions}", f"{row.oracle:.1f}", f"{row.drawn:.1f}", _share(row.kept, row.questions)]
        for row in rows
        if (row.method, row.alpha) == ("the paper's rule", 0.95)
    ]
    return _table(["family", "questions by targets", "oracle's N*", "drawn", "reached [95 %]"], lines)


def _table_of_futility(stopped: Sequence[dict[str, Any]]) -> str:
    lines = [
        [
            row["family"],
            "learned" if row["learned"] else "none",
            f"{row['chance']:g}",
            f"{row['given_up']} of {row['count']}",
            _share(row["could"], row["given_up"]),
        ]
        for row in stopped
        if row["given_up"]
    ]
    return _table(["family", "prior", "probability", "stopped", "could have been reached [95 %]"], lines)
