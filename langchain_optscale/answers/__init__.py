"""Answers: extraction from candidates, equivalence, and the selection of a candidate.

`extraction` and `structured` have the extractors, `catalogue` their names; `equivalence` compares answers, `book` keeps
those of one search, and `selection` chooses the candidate to return. `AnswerPosterior` is the probability of each
answer given the candidates so far, under an `AnswerModel`, which `fit_labelled` and `fit_unlabelled` fit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_optscale.answers.base import Compared, Extractor, FirstOf, Found, FunctionAnswer, as_extractor
from langchain_optscale.answers.book import Agreement, AnswerBook
from langchain_optscale.answers.catalogue import EXTRACTORS
from langchain_optscale.answers.equivalence import Equivalence, ExactText, NormalForm, SameMath, same_answer
from langchain_optscale.answers.evidence import EvidenceVote
from langchain_optscale.answers.extraction import (
    BoxedAnswer,
    ChoiceLetter,
    LastNumber,
    RegexAnswer,
    StateAnswer,
    WholeText,
)
from langchain_optscale.answers.model import CALIBRATED_SCORES, DEFAULT, AnswerModel
from langchain_optscale.answers.selection import (
    SELECTIONS,
    BestScore,
    MostProbable,
    Selection,
    Vote,
    WeightedVote,
    as_selection,
    choose,
)
from langchain_optscale.answers.stated import StatedAnswer
from langchain_optscale.answers.structured import JsonField, ToolCallAnswer, canonical_json

if TYPE_CHECKING:
    from langchain_optscale.answers.fitting import fit_labelled
    from langchain_optscale.answers.posterior import AnswerPosterior, select_posterior
    from langchain_optscale.answers.unlabelled import fit_unlabelled

__all__ = [
    "CALIBRATED_SCORES",
    "DEFAULT",
    "EXTRACTORS",
    "SELECTIONS",
    "Agreement",
    "AnswerBook",
    "AnswerModel",
    "AnswerPosterior",
    "BestScore",
    "BoxedAnswer",
    "ChoiceLetter",
    "Compared",
    "Equivalence",
    "EvidenceVote",
    "ExactText",
    "Extractor",
    "FirstOf",
    "Found",
    "FunctionAnswer",
    "JsonField",
    "LastNumber",
    "MostProbable",
    "NormalForm",
    "RegexAnswer",
    "SameMath",
    "Selection",
    "StateAnswer",
    "StatedAnswer",
    "ToolCallAnswer",
    "Vote",
    "WeightedVote",
    "WholeText",
    "as_extractor",
    "as_selection",
    "canonical_json",
    "choose",
    "fit_labelled",
    "fit_unlabelled",
    "same_answer",
    "select_posterior",
]

# Imported on first use, since these need NumPy and SciPy.
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
