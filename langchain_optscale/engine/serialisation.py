"""Settings as plain data: for LangChain's `dumpd` and `load`, for pickling, and for cache keys.

What has a JSON form is written as one: stopping rules, estimators, priors, the checks among the verifiers, and
LangChain's own serialisable objects, whose secrets LangChain leaves out. A function has none.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any
from uuid import uuid4

from langchain_core.load import dumpd
from langchain_core.load.serializable import Serializable

from langchain_optscale import answers, verifiers
from langchain_optscale.errors import InvalidRecordError, OptScaleError
from langchain_optscale.learning.store import ScoreStore
from langchain_optscale.models.private_names import make_loadable
from langchain_optscale.stats.estimators import estimator_fields
from langchain_optscale.stats.priors import FixedPrior
from langchain_optscale.stopping import Certificate, Rule
from langchain_optscale.verifiers import RunnableVerifier, Verifier

__all__ = ["NoJSONForm", "admit", "from_spec", "identity", "to_spec"]

_KIND = "optscale"
_PRIORS = ("EmpiricalPrior", "QuestionPrior")
_tokens: dict[int, str] = {}


class NoJSONForm(OptScaleError):  # noqa: N818 - it says what is missing
    """A setting cannot be written as plain data."""


def to_spec(value: Any) -> Any:
    """A setting as plain data, in which only LangChain's serialisable objects remain objects.

    Raises:
        NoJSONForm: It has no such form, as a function has none.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Rule):
        return value.to_dict()
    if isinstance(value, ScoreStore) and value.redact is None:
        return {_KIND: "ScoreStore", **value.to_dict()}
    if isinstance(value, RunnableVerifier):
        return to_spec(value.runnable)
    if isinstance(value, Serializable):
        if "not_implemented" in str(_kinds(dumpd(value))):
            raise NoJSONForm(f"{type(value).__name__} is not serialisable by LangChain")
        return value
    if isinstance(value, list | tuple):
        return [to_spec(item) for item in value]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: to_spec(item) for key, item in value.items()}
    if type(value).__name__ in _PRIORS and (form := _prior_form(value)) is not None:
        return form
    if is_dataclass(value) and type(value).__name__ in _known():
        return {
            _KIND: type(value).__name__,
            **{f.name: to_spec(getattr(value, f.name)) for f in fields(value) if f.init},
        }
    raise NoJSONForm(f"{_name(value)} has no form as plain data")


def from_spec(data: Any) -> Any:
    """Read what `to_spec` wrote.

    Raises:
        InvalidRecordError: It names something unknown, or settings that do not fit it.
    """
    if isinstance(data, list):
        return [from_spec(item) for item in data]
    if not isinstance(data, Mapping):
        return data
    if isinstance(data.get("rule"), str):
        return Rule.from_dict(data)
    settings = {key: from_spec(item) for key, item in data.items() if key != _KIND}
    if not isinstance(data.get(_KIND), str):
        return {**settings, _KIND: from_spec(data[_KIND])} if _KIND in data else settings
    if data[_KIND] not in _known():
        raise InvalidRecordError(
            f"unknown part {data[_KIND]!r} in serialised settings; known are {', '.join(_known())}"
        )
    try:
        # JSON has no tuples, and the settings of frozen parts have no lists.
        frozen = {key: tuple(item) if isinstance(item, list) else item for key, item in settings.items()}
        return _known()[data[_KIND]](**estimator_fields(frozen))
    except (TypeError, OptScaleError) as error:
        raise InvalidRecordError(f"{data[_KIND]} in serialised settings: {error}") from error


def identity(value: Any) -> str:
    """What tells two settings apart in a cache key: equal for equal plain data, else of this one object alone.

    A function has no value to compare, so it gets a random token for as long as it lives: a key that holds it is
    never met again by another function, nor in another process.
    """
    try:
        return str(dumpd(to_spec(value)))
    except NoJSONForm:
        return f"{_name(value)}#{_token(getattr(value, 'function', value))}"


def admit(cls: type[Serializable], *former_ids: tuple[str, ...]) -> None:
    """Make a class loadable with `load(..., allowed_objects="all", valid_namespaces=["langchain_optscale"])`.

    Args:
        cls: The class.
        former_ids: Serialised names that earlier versions wrote for it.
    """
    path = (*cls.__module__.split("."), cls.__name__)
    for name in (tuple(cls.lc_id()), *former_ids):
        make_loadable(name, path)


def _prior_form(prior: Any) -> dict[str, Any] | None:
    """The form of a learned prior: all of it, or for one that was read from a file the file's name; None if neither."""
    if type(prior).__name__ == "EmpiricalPrior":
        return {_KIND: "EmpiricalPrior", "form": prior.to_dict()}
    if prior.path is None:
        raise NoJSONForm("a QuestionPrior that was not read from a file has no form as plain data: save and load it")
    return {_KIND: "QuestionPrior", "path": prior.path, "fingerprint": prior.fingerprint}


def _empirical_prior(form: Mapping[str, Any]) -> Any:
    from langchain_optscale.stats import EmpiricalPrior

    return EmpiricalPrior.from_dict(form)


def _question_prior(path: str, fingerprint: str) -> Any:
    from langchain_optscale.learning.question_prior import QuestionPrior

    prior = QuestionPrior.load(path)
    if prior.fingerprint != fingerprint:
        raise InvalidRecordError(f"{path} is another prior than the one that was serialised")
    return prior


def _known() -> dict[str, Any]:
    """The classes that may be rebuilt from plain data, by name; nothing else is ever called."""
    from langchain_optscale.stats import MaximumAPosteriori, MaximumLikelihood, Posterior

    ours = (getattr(home, name) for home in (verifiers, answers) for name in home.__all__)
    plain = (Verifier, answers.Extractor, answers.Selection, answers.Equivalence)
    parts = [item for item in ours if isinstance(item, type) and issubclass(item, plain) and is_dataclass(item)]
    known = {
        item.__name__: item
        for item in (*parts, Certificate, FixedPrior, MaximumLikelihood, MaximumAPosteriori, Posterior)
    }
    learned = {"EmpiricalPrior": _empirical_prior, "QuestionPrior": _question_prior}
    return {**known, **learned, "FirstOf": lambda extractors: answers.FirstOf(*extractors)}


def _kinds(data: Any) -> set[str]:
    """Every "type" of LangChain's serialised objects within."""
    if isinstance(data, list):
        return set().union(*map(_kinds, data))
    if not isinstance(data, Mapping):
        return set()
    own = {str(data["type"])} if data.get("lc") == 1 and "type" in data else set()
    return own.union(*map(_kinds, data.values()))


def _name(value: Any) -> str:
    return value.name if isinstance(value, Verifier) else getattr(value, "__name__", type(value).__name__)


def _token(value: Any) -> str:
    if id(value) not in _tokens:
        token = uuid4().hex
        try:
            weakref.finalize(value, _tokens.pop, id(value), None)
        except TypeError:
            return token  # it cannot be watched, so its address says nothing for long
        _tokens[id(value)] = token
    return _tokens[id(value)]
