"""What follows from the settings of a search, and is computed once for all searches with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from langchain_optscale.engine.defaults import pointwise_selection
from langchain_optscale.engine.prices import known_prices
from langchain_optscale.engine.priors import PriorSettings, depends_on_question, stand_in
from langchain_optscale.engine.rule_settings import RuleSettings, counts_usage
from langchain_optscale.engine.sampler import Sampler
from langchain_optscale.stopping.session import Session
from langchain_optscale.verifiers.comparison.selection import tournament_in

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from langchain_optscale.answers.selection import SelectionLike
    from langchain_optscale.learning.rows import Fingerprint
    from langchain_optscale.models.policy import Fanout, Policy
    from langchain_optscale.stopping import Price, Rule
    from langchain_optscale.verifiers.comparison.selection import TournamentSelection

__all__ = ["Prepared", "new_sampler", "new_session", "prepare"]


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


class PreparedSettings(RuleSettings, PriorSettings, Protocol):
    """What a search is prepared from: `SearchSettings`."""

    estimator: Callable[..., Any] | None
    round_size: int
    fanout: Fanout
    seed: int | None


def prepare(settings: PreparedSettings, rule: Rule, sampler: Sampler) -> Prepared:
    """What all searches with these settings share.

    Args:
        settings: As the user gave them.
        rule: The stopping rule that they describe.
        sampler: One without arguments of a call.
    """
    return Prepared(
        session=new_session(settings, rule),
        sampler=sampler,
        prices=known_prices(settings.price, settings.policy, settings.verifier),
        selection=pointwise_selection(settings.select, settings.stopping, settings.extract),
        tournament=tournament_in(settings.select, settings.verifier),
        has_usage_budget=counts_usage(settings),
        has_question_prior=depends_on_question(settings),
        facts={},
        untried={"policy", "verifier", "extract"},
    )


def new_sampler(
    settings: PreparedSettings, policy: Policy, call_kwargs: Mapping[str, Any], names: Collection[str]
) -> Sampler:
    """What draws the candidates of one search.

    Args:
        settings: How, and for which verifier.
        policy: Their policy, ready to be asked.
        call_kwargs: Go to the policy.
        names: Of all settings; in a configuration they are not the policy's.
    """
    return Sampler(
        policy,
        fanout=settings.fanout,
        several=settings.cap > 1,
        seed=settings.seed,
        model_kwargs=settings.verifier.policy_kwargs,
        call_kwargs=call_kwargs,
        hidden=names,
        estimates_usage=counts_usage(settings),
    )


def new_session(settings: PreparedSettings, rule: Rule) -> Session:
    """A session that has not begun; it checks what the rule, the estimator and the prior need of one another.

    Args:
        settings: Sizes of rounds, estimator and prior.
        rule: Decides; with the budgets that are set beside it.
    """
    return Session(
        rule,
        estimator=settings.estimator,
        prior=stand_in(settings),
        max_samples=settings.cap,
        first_round=min(settings.first_round, settings.cap) if "first_round" in settings.model_fields_set else None,
        round_size=settings.round_size,
    )
