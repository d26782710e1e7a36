"""Answers: how probable it is that each answer seen so far is right, and learning the law behind it.

`AnswerPosterior` says it, `AnswerModel` holds the constants of the law, `fit_labelled` and `fit_unlabelled` learn them
from recorded candidates, and `select_posterior` names the candidate to return.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_optscale.answers.model import CALIBRATED_SCORES, DEFAULT, AnswerModel

if TYPE_CHECKING:
    from langchain_optscale.answers.fitting import fit_labelled
    from langchain_optscale.answers.posterior import AnswerPosterior, select_posterior
    from langchain_optscale.answers.unlabelled import fit_unlabelled

__all__ = [
    "CALIBRATED_SCORES",
    "DEFAULT",
    "AnswerModel",
    "AnswerPosterior",
    "fit_labelled",
    "fit_unlabelled",
    "select_posterior",
]

# NumPy and SciPy stand behind these, and the stopping rules import this package where nothing is computed yet.
_LATER = {
    "AnswerPosterior": "posterior",
    "fit_labelled": "fitting",
    "fit_unlabelled": "unlabelled",
    "select_posterior": "posterior",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
    globals()[name] = value
    return value
