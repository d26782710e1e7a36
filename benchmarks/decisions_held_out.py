"""The default against best-of-N, majority and weighted vote at the cap, on recorded pools, and what it claims.

    python -m benchmarks.decisions_held_out                     every part; 2 to 5 minutes
    python -m benchmarks.decisions_held_out --orders 4          with less noise
    python -m benchmarks.decisions_held_out --only efforts      the default alone; half a minute
    python -m benchmarks.decisions_held_out --write             also writes docs/effort.md and the table of the README

Pools come from `tests/data/pools` and from OPTSCALE_SHARED_DATA (`field/` and `pools/`), without those whose cap is
below 5. Every question is replayed in several random orders of its samples, up to the cap (at most 32), through the
`Session` of production. For each pool: the difference to the better of best-of-N, majority and weighted vote at the
cap, in points, with its standard error over questions; candidates verified and asked for as shares of the cap, and
rounds; the claims made at 0.95 and how many of them hold.

"held_out": the scale of lambda is chosen anew for each pool from the others (the fewest candidates whose mean
difference is at least -0.3 points), and reported on the pool that was left out. "baselines" have their own selection,
and that of the default; "beaten_by" names those that are as accurate on average for as few candidates. "given_up":
targets at fixed scores, given up at 0.95 without past scores, and with a prior learned on the other half of a pool's
questions; how many could still have been reached.

Prints one JSON document.
"""

from __future__ import annotations

import argparse
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.decision_baselines import baselines, beaten_by
from benchmarks.decision_pools import ROOT, Field, by_kind, fields, outcome_of, summary
from langchain_optscale.evaluation.methods import SessionMethod
from langchain_optscale.stats import EmpiricalPrior
from langchain_optscale.stats.binomial import clopper_pearson
from langchain_optscale.stopping import Futility, Objective
from langchain_optscale.stopping.objective import EFFORTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PAGE, README = ROOT / "docs" / "effort.md", ROOT / "README.md"
PARTS = ("efforts", "held_out", "baselines", "given_up")
SCALES = (0.5, 0.75, 1.0, 1.4, 2.0)
SLACK = 0.3
TARGETS = (0.8, 0.9, 0.95, 0.99)
PAST_SCORES = 10
ENOUGH = 40
"""Claims or futile questions of a pool from which on their share is worth a figure."""


@dataclass(frozen=True)
class Scaled(Objective):
    """The default's rule with another lambda."""

    scale: float = 1.0

    def _price(self, cap: int, kind: int) -> float:
        return self.scale * super()._price(cap, kind)


def default(field: Field, effort: str, scale: float = 1.0) -> SessionMethod:
    """The default with this effort, lambda scaled."""
    rule = Scaled(effort=effort, answers=field.kind != "scores", scale=scale)  # type: ignore[arg-type]
    return SessionMethod(rule, f"optscale {effort}")


def held_out(pools: Sequence[Field]) -> dict[str, Any]:
    """Each pool by the scale of lambda that the others would have chosen."""
    rows = {scale: [outcome_of(field, default(field, "medium", scale)) for field in pools] for scale in SCALES}
    chosen = []
    for place in range(len(pools)):
        rest = {scale: summary([row for i, row in enumerate(found) if i != place]) for scale, found in rows.items()}
        good = [scale for scale in SCALES if rest[scale]["difference"] >= -SLACK] or [SCALES[0]]
        scale = min(good, key=lambda one: rest[one]["share"])
        chosen.append({**rows[scale][place], "scale": scale})
    return {**by_kind(chosen), "scales": [row["scale"] for row in chosen]}


def claims(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The claims of stability at 0.95: over all pools, and those that hold on pools with enough of them."""
    made, true = (sum(row[figure] for row in rows) for figure in ("claims", "true"))
    searches = sum(row["searches"] for row in rows)
    many = {
        row["pool"]: [row["true"] / row["claims"], *clopper_pearson(row["true"], row["claims"])]
        for row in rows
        if row["claims"] >= ENOUGH
    }
    return {"searches": searches, "claims": made, "true": true, "interval": clopper_pearson(true, made), "pools": many}


def given_up(pools: Sequence[Field]) -> list[dict[str, Any]]:
    """Of the questions given up at 0.95: how many could have been reached within the cap."""
    rows: list[dict[str, Any]] = []
    for field in pools:
        if field.kind == "votes":
            continue
        priors = _priors(field)
        for target in TARGETS:
            for learned in (False, True):
                gave, could = _given_up(field, target, priors if learned else None)
                if gave:
                    rows.append(
                        {"pool": field.name, "target": target, "prior": learned, "given_up": gave, "reachable": could}
                    )
    return rows


def _given_up(field: Field, target: float, priors: Sequence[EmpiricalPrior] | None) -> tuple[int, int]:
    gave = could = 0
    for number, question in field.trials:
        prior = None if priors is None else priors[1 - number % 2]
        method = SessionMethod(Futility(target, 0.05), "futility", prior=prior, first_round=1, round_size=1)
        outcome = method.run(question, field.cap)
        if outcome.claim == "target out of reach":
            gave += 1
            could += any((s.score or 0.0) >= target for s in question.samples[outcome.drawn : field.cap])
    return gave, could


def _priors(field: Field) -> list[EmpiricalPrior]:
    """Learned on the questions with even and with odd numbers, ten scores each."""
    lists: list[dict[int, list[float]]] = [{}, {}]
    for number, question in field.trials:
        lists[number % 2].setdefault(number, [float(s.score or 0.0) for s in question.samples[:PAST_SCORES]])
    return [EmpiricalPrior.fit(list(one.values())) for one in lists]


_NAMES = {"votes": "votes alone", "both": "scores and answers", "scores": "scores alone", "all": "all"}
_ROW = (
    "| {} | {difference:+.2f} ({low:+.2f} to {high:+.2f}) | {worst:+.1f} +- {se:.1f} ({name}) "
    "| {share:.3f} | {asked:.3f} | {rounds:.1f} |"
)


def page(document: Mapping[str, Any]) -> str:
    """docs/effort.md: efforts, the price that other pools choose, and baselines, a table for each kind of pool."""
    lines = [_HEAD]
    for kind, title in _NAMES.items():
        lines += [
            f"\n## {title.capitalize()}\n",
            "| | difference (95 % interval over pools) | worst pool | candidates | asked for | rounds |",
            "|---|---|---|--:|--:|--:|",
        ]
        named = {f'**effort="{effort}"**': found for effort, found in document["efforts"].items()}
        named["price chosen on the other pools"] = document["held_out"]
        if kind != "all":
            named |= _frontier(document["baselines"], kind)
        lines += [_row(name, found[kind]) for name, found in named.items()]
    return "\n".join([*lines, "", _claims_text(document)]) + "\n"


def _row(name: str, one: Mapping[str, Any]) -> str:
    (worst_name, worst, se), (low, high) = one["worst"], one["interval"]
    return _ROW.format(name, low=low, high=high, worst=worst, se=se, name=worst_name, **{
        figure: one[figure] for figure in ("difference", "share", "asked", "rounds")
    })  # fmt: skip


def _frontier(found: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """The baselines that no other baseline beats in both figures, the cheapest first."""
    known = {name: one for name, one in found.items() if one[kind]}
    most = max(one[kind]["pools"] for one in known.values())
    known = {name: one for name, one in known.items() if one[kind]["pools"] == most}
    kept: dict[str, Any] = {}
    best = float("-inf")
    for name, one in sorted(known.items(), key=lambda item: (item[1][kind]["share"], -item[1][kind]["difference"])):
        if one[kind]["difference"] > best:
            best = one[kind]["difference"]
            kept[name] = one
    return kept


def _claims_text(document: Mapping[str, Any]) -> str:
    made = document["claims"]["medium"]
    many = ", ".join(
        f"{name} {share:.3f} ({low:.2f} to {high:.2f})" for name, (share, low, high) in made["pools"].items()
    )
    holding = made["true"] / max(1, made["claims"])
    futile = [row for row in document["given_up"] if row["given_up"] >= ENOUGH]
    worst = max((row["reachable"] / row["given_up"] for row in futile), default=0.0)
    enough = f"{ENOUGH} claims or more"
    return f"""## What is claimed

At medium effort {made["claims"]} of {made["searches"]} searches claim, before the cap and with 0.95 or more, that the
whole cap would return the same answer; {holding:.3f} of the claims hold. On the pools with {enough}:
{many}.

Searches also claim, with 0.95, that a target is out of reach. Over {len(futile)} pairs of a pool and a target with
{ENOUGH} such searches or more, at most {worst:.3f} of them could still have reached the target."""


def readme_table(document: Mapping[str, Any]) -> str:
    """The table of the README: each pool with the price that the other pools choose."""
    found = document["held_out"]
    titles = {
        "votes": "answers alone, as in self-consistency",
        "both": "answers and a verifier's scores",
        "scores": "a verifier's scores alone",
    }
    lines = [
        f"| {document['pools']} recorded pools, each left out in turn | candidates drawn | quality, in points [95 %] |",
        "|---|---|---|",
    ]
    for kind, title in {**titles, "all": "all"}.items():
        one = found[kind]
        low, high = one["interval"]
        label = title if kind == "all" else f"{title} ({one['pools']})"
        lines.append(f"| {label} | {100 * one['asked']:.0f} % | {one['difference']:+.1f} [{low:+.1f}, {high:+.1f}] |")
    return "\n".join(lines)


_HEAD = """# Effort: what each level draws and loses

*Written by `python -m benchmarks.decisions_held_out --write`, figures and all.*

This page helps to choose `effort="low"`, `"medium"` or `"high"`. The effort says how much the whole cap may cost. Its
unit is that of the value: a share of the evidence if candidates carry answers, a difference of scores if not. The
price of one candidate is derived from it, or set by `price=`: see [objective, effort and
price](concepts/objective.md).

How to read the tables:

- **Difference** is the quality compared with the best of best-of-N, majority and weighted vote at the cap. It is in
  points of accuracy, or of 100 times the mean score.
- **Candidates** (verified) and **asked for** (with those cancelled at the end) are shares of the cap, geometric means
  over pools.
- **Price chosen on the other pools** leaves each pool out in turn. The pools informed the default's constants, so
  pools from elsewhere are the better judge.
- **Baselines**, below that row, are those that no other baseline beats in both figures. They come from adaptive
  consistency, CITE, CGES, DeepConf, thresholds, BEACON, Pandora's box, weighted votes, best-of-majority and fixed
  numbers. Each was tried at several settings, with its own selection and with ours, so each row is the best of many
  on the pools that it is reported on.
"""


def main() -> None:
    """Replay everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help="write docs/effort.md and the table of the README")
    parser.add_argument("--only", choices=PARTS, action="append")
    arguments = parser.parse_args()
    wanted = PARTS if arguments.write else arguments.only or PARTS
    pools = list(fields(arguments.orders, arguments.seed))
    document: dict[str, Any] = {"pools": len(pools), "orders": arguments.orders, "seed": arguments.seed}
    if "efforts" in wanted:
        rows = {effort: [outcome_of(one, default(one, effort)) for one in pools] for effort in EFFORTS}
        document["efforts"] = {effort: by_kind(found) for effort, found in rows.items()}
        document["claims"] = {effort: claims(found) for effort, found in rows.items()}
        document["by_pool"] = rows["medium"]
    if "held_out" in wanted:
        document["held_out"] = held_out(pools)
    if "baselines" in wanted:
        document["baselines"] = baselines(pools)
        if "efforts" in wanted:
            document["beaten_by"] = beaten_by(document["efforts"], document["baselines"])
    if "given_up" in wanted:
        document["given_up"] = given_up(pools)
    if arguments.write:
        PAGE.write_text(page(document), encoding="utf-8")
        block = re.compile(r"(<!-- held out: .*? -->\n).*?(<!-- /held out -->)", re.DOTALL)
        text = block.sub(lambda found: f"{found[1]}{readme_table(document)}\n{found[2]}", README.read_text("utf-8"))
        README.write_text(text, encoding="utf-8")
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
