"""The pictures and the page of the study in `docs/honesty.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from docs.honesty import Row

# Okabe and Ito's colours; series differ by their marks and lines as well.
STYLES = {
    "the paper's rule": ("#D55E00", "s", "-"),
    "plug-in": ("#D55E00", "s", "-"),
    "the paper's bound, computed once": ("#E69F00", "D", "--"),
    "posterior, weak prior": ("#56B4E9", "v", "--"),
    "ours, one by one": ("#0072B2", "o", "-"),
    "posterior, learned prior": ("#0072B2", "o", "-"),
    "ours, rounds of up to 8": ("#009E73", "^", ":"),
}
SIZE, DPI = (6.0, 4.6), 150


def draw(rows: Sequence[Row], single: Sequence[Row], folder: Path) -> None:
    """Write the three pictures."""
    _panels(single, "kept", "share that reached the target", folder / "honesty_single.png")
    _panels(rows, "kept", "share that reached the target", folder / "honesty_rules.png")
    by_rule = [row for row in rows if row.method != "the paper's bound, computed once"]
    _panels(by_rule, "ratio", "scores drawn / the oracle's N*", folder / "honesty_cost.png")


def _panels(rows: Sequence[Row], figure: str, label: str, path: Path) -> None:
    families = list(dict.fromkeys(row.family for row in rows))
    methods = list(dict.fromkeys(row.method for row in rows))
    alphas = sorted({row.alpha for row in rows})
    places = np.arange(len(alphas))
    picture = Figure(figsize=SIZE, layout="constrained")
    panels = picture.subplots(2, 3, sharex=True, sharey=True).ravel()
    for axes, family in zip(panels, families, strict=True):
        if figure == "kept":
            axes.plot(places, alphas, color="#666666", linewidth=1.0, linestyle=(0, (1, 1)), label="nominal")
        else:
            axes.axhline(1.0, color="#666666", linewidth=1.0, linestyle=(0, (1, 1)), label="as many as the oracle")
        for method in methods:
            known = {row.alpha: getattr(row, figure) for row in rows if (row.family, row.method) == (family, method)}
            colour, mark, line = STYLES[method]
            axes.plot(
                places, [known[a] for a in alphas], color=colour, marker=mark, markersize=4.5, linewidth=1.3,
                linestyle=line, label=method,
            )  # fmt: skip
        axes.set_title(family, fontsize=9)
        axes.set_xticks(places, [f"{alpha:g}" for alpha in alphas], fontsize=8)
        axes.tick_params(axis="y", labelsize=8)
        axes.grid(color="#DDDDDD", linewidth=0.5)
    if figure == "ratio":
        panels[0].set_yscale("log")
        ticks = [0.25, 0.5, 1, 2, 4]
        panels[0].set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        panels[0].minorticks_off()
    picture.supxlabel("nominal confidence", fontsize=9)
    picture.supylabel(label, fontsize=9)
    handles, labels = panels[0].get_legend_handles_labels()
    picture.legend(handles, labels, loc="outside upper center", ncols=3, fontsize=8, frameon=False)
    picture.savefig(path, dpi=DPI)


PAGE = """# Do the rules keep their confidence?

*Written by `python -m docs.honesty` (or `make study`), figures and all. Nothing is tuned on these simulations.*

A rule with a confidence of 95 % should be right in 95 of 100 cases. Here every question's law of scores is known, so
that this can be counted. Six families of questions: truncated normal laws, as the paper assumes; Beta laws with the
moments of a real process reward model (or a law like it, where `data/prior` is missing); broad Beta laws; a mixture of
right and wrong candidates with a peak each; and judges who answer in steps of 0.05 or 0.1. Targets of 0.8, 0.9 and
0.95, a cap of {cap} candidates, {questions} questions a family. The learned prior is fitted to other questions of the
same family, ten scores each.

## A single analysis

After three scores: how many *more* draws reach the target with confidence alpha? Draw as many, and count. The plug-in
estimate ignores the uncertainty after three scores, and reaches the target less often than its confidence. The
posterior predictive averages over every law that the scores leave plausible.

![Share of questions that reached the target, against the nominal confidence, in one analysis](img/honesty_single.png)

{single}

Shortfall: the nominal confidence less the observed share, where that is positive; mean and worst over the six
families. Questions that need more than the cap by the estimate are left out.

## The rules

Now the rules themselves, on the questions whose target can be reached: those where an oracle that knows the law fixes
an N* within the cap. The paper's rule draws to N*, estimated anew after every score, even when the target is
reached. Ours is `OptimalN(target, alpha) | TargetReached(target)` under `Posterior`: it stops when the
target is reached.

![Share of questions that reached the target, against the nominal confidence, for the rules](img/honesty_rules.png)

![Scores drawn, as a multiple of the oracle's N*](img/honesty_cost.png)

Confidence 0.95, by family; "drawn" is the mean number of scores:

{rules}

Our rule exceeded its confidence in every family and at every alpha, by {margin:.3f} at least. Drawn one by one it takes
{low:.2f} to {high:.2f} of the oracle's N* at alpha = 0.95, and {worst:.2f} at worst, at alpha = 0.8 in the family
"{where}", where N* itself is {short:.1f}. It needs fewer than the oracle, which fixes N* in advance
and draws it even when the first candidate has the target.

The posterior never ends the search by itself here. While the target has not been reached at
least one more candidate is needed, so the rule continues to the target or to the cap, and one by one every prior gives
the same search. The posterior sizes the rounds. Rounds of up to 8 save waiting and cost candidates that are in progress
when the target is reached: {rounds_low:.2f} to {rounds_high:.2f} of N* at alpha = 0.95.

## Repeated interim analyses

- **The paper's rule** is evaluated after every score and stops the first time that n >= N*. The most optimistic of many
  analyses decides, but each also has more data. Against a bound that is computed once, after three scores, on the
  same questions, means over the families: at a confidence of 0.95 repeated analyses reached the
  target in {many}, a single one in {once}; for 0.8 it is {many_80} and {once_80}.
  Here repeated analyses save draws and keep the confidence.
  Both exceed their confidence, since these are the questions whose target can be reached, and a plug-in bound errs by
  a factor in both directions.
- **`OptimalN | TargetReached` under the posterior**: an interim analysis can only request more draws. The confidence
  is a lower bound.
- **`Futility`** stops when the probability of reaching the target within the cap is below its own, and is evaluated
  after every score. Of the questions stopped for futility, so many would have reached the target within the cap:

{futility}

  A single analysis of a calibrated posterior would lose at most its probability. With repeated ones it may be more
  where few questions are stopped: those with a pessimistic estimate at some moment. It was at most
  {worst_futility:.1f} times the probability, and less than it in most families.

## What calibration does

A weak verifier makes best-of-N worse beyond some N. Our pool of arithmetic questions (`tests/data/pools`) has the
policy's own confidence as its score; its answers are left out here, since the default would use them. Best-of-N is
right most often at N = {peak}, and never better beyond. The scores are {ece_raw:.2f} off the share that is right
(expected calibration error); after a calibration that was fitted to the other half of the questions,
{ece_isotonic:.2f} (isotonic) or {ece_logistic:.2f} (logistic). {splits} splits, both ways.

![Accuracy against samples: best-of-N, and rules that stop by price](img/calibration.png)

| | accuracy | samples |
| --- | --- | --- |
{calibration}

`optscale(0.9)` is the default, the others are `TargetReached(0.9) | MarginalGain(price)` under `Posterior`. On raw
scores a price is one in score, which is hard to set. On calibrated scores it is one in accuracy: a candidate
that raises the chance of being right by less than two in a hundred is not drawn, which ends the search where more
candidates stop helping. The calibrated runs have a prior learned from the calibrated scores of the half that the
calibration was fitted to. The accuracies differ by little more than the noise of 100 questions; the samples do not.
"""


def write(
    rows: Sequence[Row],
    single: Sequence[Row],
    stopped: Sequence[dict[str, Any]],
    calibration: dict[str, Any],
    *,
    cap: int,
    questions: int,
) -> str:
    """The page."""
    families = list(dict.fromkeys(row.family for row in rows))
    ours = [row for row in rows if row.method == "ours, one by one"]
    at_95 = [row for row in ours if row.alpha == 0.95]
    rounds = [row.ratio for row in rows if row.method == "ours, rounds of up to 8" and row.alpha == 0.95]
    worst = max(ours, key=lambda row: row.ratio)
    return PAGE.format(
        cap=cap,
        questions=questions,
        single=_table_of_single_analyses(single),
        rules=_table_of_rules(rows, families),
        futility=_table_of_futility(stopped, families),
        margin=min(row.kept - row.alpha for row in ours),
        low=min(row.ratio for row in at_95),
        high=max(row.ratio for row in at_95),
        worst=worst.ratio,
        where=worst.family,
        short=worst.oracle,
        rounds_low=min(rounds),
        rounds_high=max(rounds),
        many=_means(rows, "the paper's rule", 0.95),
        once=_means(rows, "the paper's bound, computed once", 0.95),
        many_80=_means(rows, "the paper's rule", 0.8),
        once_80=_means(rows, "the paper's bound, computed once", 0.8),
        worst_futility=max(row["wrongly"] / row["chance"] for row in stopped),
        peak=max(_best_of(calibration), key=lambda point: point[1])[0],
        ece_raw=calibration["raw: calibration error"]["ece"],
        ece_isotonic=calibration["isotonic: calibration error"]["ece"],
        ece_logistic=calibration["logistic: calibration error"]["ece"],
        splits=calibration["splits"],
        calibration=_lines_of_calibration(calibration),
    )


def _means(rows: Sequence[Row], method: str, alpha: float) -> str:
    known = [row for row in rows if (row.method, row.alpha) == (method, alpha)]
    return f"{np.mean([row.kept for row in known]):.3f} with {np.mean([row.drawn for row in known]):.1f} draws"


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


def _table_of_single_analyses(single: Sequence[Row]) -> str:
    alphas = sorted({row.alpha for row in single})
    lines = []
    for method in dict.fromkeys(row.method for row in single):
        short = {
            a: [max(a - row.kept, 0.0) for row in single if (row.method, row.alpha) == (method, a)] for a in alphas
        }
        lines.append([method, *(f"{np.mean(short[a]):.3f} / {max(short[a]):.3f}" for a in alphas)])
    return _table(["shortfall, mean / worst", *(f"alpha {a:g}" for a in alphas)], lines)


def _table_of_rules(rows: Sequence[Row], families: Sequence[str]) -> str:
    lines = []
    for family in families:
        known = {row.method: row for row in rows if (row.family, row.alpha) == (family, 0.95)}
        paper, ours, rounds = (known[m] for m in ("the paper's rule", "ours, one by one", "ours, rounds of up to 8"))
        cells = [f"{row.drawn:.1f} ({row.ratio:.2f} N*), {row.kept:.3f}" for row in (paper, ours, rounds)]
        lines.append([family, f"{paper.questions}", f"{paper.oracle:.1f}", *cells])
    head = ["family", "questions by targets", "oracle's N*", "the paper's rule: drawn, reached"]
    return _table([*head, "ours, one by one", "ours, rounds of up to 8 (asked for)"], lines)


def _table_of_futility(stopped: Sequence[dict[str, Any]], families: Sequence[str]) -> str:
    chances = sorted({row["chance"] for row in stopped})
    known = {(row["family"], row["chance"]): row for row in stopped}
    lines = [
        [family, *(f"{known[family, p]['wrongly']:.1%} of {known[family, p]['stopped']:.1%}" for p in chances)]
        for family in families
    ]
    return _table(["wrongly stopped, of all stopped for futility", *(f"below {p:g}" for p in chances)], lines)
