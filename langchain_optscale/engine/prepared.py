"""What follows from the settings of a search, and is computed once for all searches with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_optscale.answers.selection import SelectionLike
    from langchain_optscale.engine.sampler import Sampler
    from langchain_optscale.learning.rows import Fingerprint
    from langchain_optscale.stopping import Price
    from langchain_optscale.stopping.session import Session
    from langchain_optscale.verifiers.comparison.selection import TournamentSelection

__all__ = ["Prepared"]


class Prepared(NamedTuple):
    """What all searches with the same settings share.

    Attributes:
        session: One that has not begun.
        sampler: One without arguments of a call.
        prices: The models' price by role; an unknown one is left out.
        selection: Chooses the candidate to return by scores and answers.
        tournament: Chooses among the leading candidates by comparing them; None where `selection` does.
        has_usage_budget: Whether a budget of tokens or money ends a search, so that usage must be known.
        has_question_prior: Whether each question has a prior of its own.
        facts: What a store records of them, by the arguments of a call; filled when it is first needed.
        untried: The roles "policy", "verifier" and "extract", without those that have done their work once.
    """

    session: Session
    sampler: Sampler
    prices: Mapping[str, Price]
    selection: SelectionLike
    tournament: TournamentSelection | None
    has_usage_budget: bool
    has_question_prior: bool
    facts: dict[tuple[Any, ...], tuple[Fingerprint, Fingerprint, dict[str, Any]]]
    untried: set[str]
