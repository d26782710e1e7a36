"""Baselines beside the default on recorded pools: with its selection and with their own, and who is beaten by whom."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from benchmarks.decision_pools import by_kind, outcome_of
from langchain_optscale.answers import MostProbable
from langchain_optscale.evaluation.baselines import AdaptiveConsistency, ThresholdStopping, WeightedVote
from langchain_optscale.evaluation.index_policies import Beacon, PandoraBox
from langchain_optscale.evaluation.methods import SessionMethod
from langchain_optscale.evaluation.selection import place_of
from langchain_optscale.evaluation.vote_baselines import (
    BestOfMajority,
    ConfidenceFilteredVote,
    ConfidenceGuided,
    ModeCertificate,
)
from langchain_optscale.stopping import MaxSamples

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchmarks.decision_pools import Field
    from langchain_optscale.evaluation.methods import Outcome
    from langchain_optscale.evaluation.samples import Question

ANSWERED, SCORED = ("votes", "both"), ("both", "scores")
SHARES = (0.125, 0.25, 0.33, 0.5, 0.75)


@dataclass(frozen=True)
class WithSelection:
    """A baseline that ends where it does, and returns what the default would of the candidates so far."""

    method: Any

    def run(self, question: Question, max_samples: int) -> Outcome:
        """As the baseline, with the selection of the default."""
        outcome: Outcome = self.method.run(question, max_samples)
        return replace(outcome, chosen=place_of(MostProbable(), question.samples[: outcome.drawn]))


@dataclass(frozen=True)
class Remembered:
    """A method whose outcomes are computed once for each trial."""

    method: Any
    known: dict[int, Outcome] = field(default_factory=dict)

    def run(self, question: Question, max_samples: int) -> Outcome:
        """As the method; the trials of a pool live as long as the process."""
        if id(question) not in self.known:
            self.known[id(question)] = self.method.run(question, max_samples)
        return self.known[id(question)]


def baselines(pools: Sequence[Field]) -> dict[str, Any]:
    """Every baseline at several settings, summarised by kind of pool."""
    found: dict[str, Any] = {}
    for name, made, kinds in _methods():
        method, mine = Remembered(made), [one for one in pools if one.kind in kinds]
        found[f"{name}, own selection"] = by_kind([outcome_of(one, method) for one in mine])
        found[f"{name}, our selection"] = by_kind([outcome_of(one, WithSelection(method)) for one in mine])
    for share in SHARES:
        fixed = [outcome_of(one, _fixed(max(1, round(share * one.cap)))) for one in pools]
        found[f"fixed number, {share:g} of the cap, our selection"] = by_kind(fixed)
        for name, kind, kinds in (
            ("weighted vote", WeightedVote, ANSWERED),
            ("best of majority", BestOfMajority, ANSWERED),
        ):
            mine = [one for one in pools if one.kind in kinds]
            rows = [outcome_of(one, kind(max(1, round(share * one.cap)))) for one in mine]
            found[f"{name}, {share:g} of the cap"] = by_kind(rows)
    return found


def _methods() -> Iterator[tuple[str, Any, tuple[str, ...]]]:
    for threshold in (0.8, 0.85, 0.9, 0.95, 0.99):
        yield f"adaptive consistency {threshold}", AdaptiveConsistency(threshold), ANSWERED
    for error in (0.05, 0.2, 0.4):
        yield f"CITE {error}", ModeCertificate(error), ANSWERED
    for confidence in (0.8, 0.95):
        yield f"CGES {confidence}", ConfidenceGuided(confidence), ANSWERED
    for warm_up in (4, 16):
        yield f"DeepConf, warm-up {warm_up}", ConfidenceFilteredVote(warm_up), ("both",)
    for threshold in (0.8, 0.9, 0.95, 0.99):
        yield f"threshold {threshold}", ThresholdStopping(threshold), SCORED
    for price in (0.003, 0.01, 0.03):
        yield f"BEACON, price {price}", Beacon(price), SCORED
        yield f"Pandora's box, price {price}", PandoraBox(price), SCORED


def _fixed(number: int) -> SessionMethod:
    return SessionMethod(MaxSamples(number), "fixed", first_round=number, select="posterior")


def beaten_by(efforts: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, dict[str, list[str]]]:
    """For each kind of pool and effort, the baselines that are as accurate on average for as few candidates."""
    result: dict[str, dict[str, list[str]]] = {}
    for kind in ("votes", "both", "scores"):
        for effort, summaries in efforts.items():
            ours = summaries[kind]
            result.setdefault(kind, {})[effort] = [
                name
                for name, one in found.items()
                if (theirs := one[kind]) and theirs["pools"] == ours["pools"]
                if theirs["share"] <= ours["share"] and theirs["difference"] >= ours["difference"]
            ]
    return result
