"""What `docs/benchmarks.md` compares: each method at up to four settings that were not chosen on these pools.

Settings are those of the papers, or round numbers. Every method returns what its source returns, and, in a second row,
what our default's selection returns of the same samples ("same selection"), so that stopping and selecting can be told
apart.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from langchain_optscale.evaluation.baselines import (
    AdaptiveConsistency,
    BestOfN,
    EarlyStoppingConsistency,
    SelfConsistency,
    ThresholdStopping,
    WeightedVote,
    optscale_0,
)
from langchain_optscale.evaluation.index_policies import Beacon, PandoraBox
from langchain_optscale.evaluation.methods import SessionMethod
from langchain_optscale.evaluation.replay import fits
from langchain_optscale.evaluation.vote_baselines import (
    BestOfMajority,
    ConfidenceFilteredVote,
    ConfidenceGuided,
    ModeCertificate,
)
from langchain_optscale.stopping import optscale

if TYPE_CHECKING:
    from langchain_optscale.evaluation.methods import Method
    from langchain_optscale.evaluation.pools import Pool

__all__ = ["EFFORTS", "SAME", "compared", "references"]

EFFORTS = ("low", "medium", "high")
SAME = "same selection"


def references(pool: Pool) -> list[Method]:
    """What may serve as the reference: everything that the whole cap can return."""
    return [one for one in (BestOfN(), SelfConsistency(), WeightedVote()) if fits(one, pool)]


def compared(pool: Pool) -> dict[str, Method]:
    """The methods that the pool has data for, ours first, by the name of their row."""
    cap, answers = pool.cap, pool.has_answers
    select: Any = "posterior" if answers else "best"
    rows: dict[str, Method] = {
        f"optscale, {effort}": SessionMethod(
            optscale(max_samples=cap, effort=effort, answers=answers),  # type: ignore[arg-type]
            "optscale",
            select=select,
        )
        for effort in EFFORTS
    }
    for share in (0.25, 0.33, 0.5, 0.75):
        n = max(1, round(share * cap))
        rows[f"fixed n, {share:.2f} of the cap"] = BestOfN(n)
        rows[f"fixed n, {share:.2f} of the cap, vote"] = SelfConsistency(n)
        rows[f"fixed n, {share:.2f} of the cap, {SAME}"] = BestOfN(n, select)
    adaptive = {f"adaptive consistency {c:g}": AdaptiveConsistency(c) for c in (0.8, 0.85, 0.9, 0.95)}
    threshold = {f"threshold {t:g}": ThresholdStopping(t) for t in (0.8, 0.9, 0.95, 0.99)}
    early = {f"early-stopping consistency {w}": EarlyStoppingConsistency(w) for w in (3, 4, 5, 8) if w <= cap // 2}
    beacon = {f"BEACON, price {p:g}": Beacon(p) for p in (0.001, 0.003, 0.01, 0.03)}
    pandora = {f"Pandora's box, price {p:g}": PandoraBox(p) for p in (0.001, 0.003, 0.01, 0.03)}
    for name, method in {**adaptive, **threshold, **early, **beacon, **pandora}.items():
        rows[name] = method
        rows[f"{name}, {SAME}"] = replace(method, select=select)  # type: ignore[type-var]
    rows |= {f"CGES {c:g}": ConfidenceGuided(c) for c in (0.8, 0.9, 0.95, 0.99)}
    rows |= {f"CITE {error:g}": ModeCertificate(error) for error in (0.2, 0.1, 0.05, 0.01)}
    for warm_up in sorted({max(1, cap // 4), max(1, cap // 2)}):
        rows |= {
            f"DeepConf, warm-up {warm_up / cap:.2f}, keep {k:g}": ConfidenceFilteredVote(warm_up, k) for k in (0.1, 0.9)
        }
    rows |= {
        f"best-of-majority, {share:.2f} of the cap": BestOfMajority(max(1, round(share * cap))) for share in (0.5, 1.0)
    }
    rows |= {
        f"paper's rule, target {target:g}": optscale_0(target, 0.95, min(3 if cap <= 8 else 5, cap))
        for target in (0.9, 0.95)
    }
    votes_alone = all(len({sample.score for sample in question.samples}) == 1 for question in pool)
    return {
        name: method
        for name, method in rows.items()
        # Where all scores are equal, a method that reads nothing else has nothing to go by.
        if fits(method, pool) and (not votes_alone or name.startswith("optscale") or "answers" in _reads(method))
    }


def _reads(method: Method) -> frozenset[str]:
    """What the method reads, with what its selection reads."""
    selects = getattr(method, "select", None) in ("vote", "weighted_vote", "posterior")
    return method.needs | (frozenset({"answers"}) if selects and isinstance(method, BestOfN) else frozenset())
