"""Answers: finding them in candidates, telling which are the same, and choosing a candidate by them.

`extraction` and `structured` have the extractors, `catalogue` their names; `equivalence` says when two answers are the
same, and `book` keeps the answers of one search. `selection` chooses the candidate to return.
"""

from langchain_optscale.answers.base import Compared, Extractor, FirstOf, Found, FunctionAnswer
from langchain_optscale.answers.book import Agreement, AnswerBook
from langchain_optscale.answers.catalogue import EXTRACTORS, as_extractor
from langchain_optscale.answers.equivalence import Equivalence, ExactText, NormalForm, SameMath, same_answer
from langchain_optscale.answers.extraction import BoxedAnswer, ChoiceLetter, LastNumber, RegexAnswer, WholeText
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
from langchain_optscale.answers.structured import JsonField, ToolCallAnswer, canonical_json

__all__ = [
    "EXTRACTORS",
    "SELECTIONS",
    "Agreement",
    "AnswerBook",
    "BestScore",
    "BoxedAnswer",
    "ChoiceLetter",
    "Compared",
    "Equivalence",
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
    "ToolCallAnswer",
    "Vote",
    "WeightedVote",
    "WholeText",
    "as_extractor",
    "as_selection",
    "canonical_json",
    "choose",
    "same_answer",
]
