"""The prior of one search: one for all questions, or what a function says of this one, asked once."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
from typing import TYPE_CHECKING, Any, Protocol

from langchain_optscale.engine.serialisation import from_spec
from langchain_optscale.errors import InvalidRecordError, SettingsError
from langchain_optscale.learning.features import question_text
from langchain_optscale.models.daemon_threads import run_in_thread
from langchain_optscale.stats.priors import FixedPrior, prior_to_dict
from langchain_optscale.stopping.trained import NUMBERS, carried_prior, check_prior, is_prior, prior_for

if TYPE_CHECKING:
    from langchain_core.prompt_values import PromptValue

    from langchain_optscale.stats.estimation import ScorePrior
    from langchain_optscale.stopping.base import Rule

__all__ = ["afind_prior", "depends_on_question", "find_prior", "is_slow", "prior_form", "read_prior", "stand_in"]

_logger = logging.getLogger(__name__)


class PriorSettings(Protocol):
    """What a search's prior depends on: `SearchSettings`."""

    stopping: Rule | None
    prior: Any
    deadline_s: float | None


# Settings are checked with it where the prior is a function of the question: the start of the paper's estimates.
_START = FixedPrior(0.8, 0.2)


def read_prior(value: Any) -> Any:
    """A prior as it is given: a prior, a function of the question, or the file of a learned one.

    Raises:
        SettingsError: It is none of these, or the file cannot be read.
    """
    if isinstance(value, str | os.PathLike):
        from langchain_optscale.learning.learned_prior import LearnedPrior

        return LearnedPrior.load(value)
    value = from_spec(value)
    function = value if inspect.isroutine(value) else getattr(value, "__call__", None)  # noqa: B004 - to look at it
    if inspect.iscoroutinefunction(function):
        raise SettingsError(
            "prior must be a plain function of the question, and this one is async; a plain one is called off the "
            "event loop"
        )
    if not callable(value):
        check_prior(value)
    return value


def _prior_of(settings: PriorSettings) -> Any:
    """The prior that is given, by itself or by the rule, else the one that was learned."""
    given = carried_prior(settings.stopping, settings.prior)
    return getattr(settings, "learned_prior", None) if given is None else given


def _without_prior(settings: PriorSettings) -> bool:
    """Whether there is none to look for: most searches."""
    return settings.prior is None and settings.stopping is None and getattr(settings, "learned_prior", None) is None


def stand_in(settings: PriorSettings) -> ScorePrior | None:
    """The prior of a session for no question in particular, by which settings are checked."""
    prior = _prior_of(settings)
    return getattr(prior, "population", _START) if _is_function(prior) else check_prior(prior)


def find_prior(settings: PriorSettings, prompt: PromptValue) -> ScorePrior | None:
    """The prior of a question where it differs from that of all, None where it does not.

    Raises:
        SettingsError: The function gave something else than a prior.
        Exception: Whatever the function raises.
    """
    if _without_prior(settings):
        return None
    prior = _prior_of(settings)
    return prior_for(prior, question_text(prompt)) if _is_function(prior) else None


async def afind_prior(settings: PriorSettings, prompt: PromptValue) -> ScorePrior | None:
    """As `find_prior`, off the event loop where the function may be slow, and no longer than the search's deadline.

    Raises:
        SettingsError: It took longer, and there is no prior of all questions to take in its place.
    """
    if _without_prior(settings) or not is_slow(settings):
        return find_prior(settings, prompt)
    try:
        async with asyncio.timeout(settings.deadline_s) as limit:
            return await run_in_thread(find_prior, settings, prompt)
    except TimeoutError:
        population = getattr(_prior_of(settings), "population", None)
        if not limit.expired():
            raise
        if population is None:
            raise SettingsError(f"prior gave nothing within the deadline of {settings.deadline_s} s") from None
        _logger.warning("The question's prior took longer than the search's deadline; the population's is used")
        return check_prior(population)


def is_slow(settings: PriorSettings) -> bool:
    """Whether the prior is a function that may take long; one that says it does not has `is_slow` False."""
    prior = _prior_of(settings)
    return _is_function(prior) and bool(getattr(prior, "is_slow", True))


def depends_on_question(settings: PriorSettings) -> bool:
    """Whether each question has a prior of its own."""
    return _is_function(_prior_of(settings))


def prior_form(prior: Any) -> dict[str, Any]:
    """The JSON form of a question's prior; of another package's prior its four numbers, where it has nothing else.

    Raises:
        SettingsError: It has a density of its own and no JSON form.
    """
    try:
        return prior_to_dict(prior)
    except InvalidRecordError as error:
        if hasattr(prior, "log_density"):
            raise SettingsError(f"a graph cannot store the prior of a question: {error}") from error
        return prior_to_dict(FixedPrior(*(float(getattr(prior, name)) for name in NUMBERS)))


def _is_function(prior: Any) -> bool:
    return callable(prior) and not is_prior(prior)
