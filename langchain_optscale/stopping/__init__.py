"""When to stop: small rules over the history of a search, joined by `|` (either) and `&` (both)."""

from langchain_optscale.stopping.answer_rules import AnswerConfidence
from langchain_optscale.stopping.base import Both, Either, History, Rule
from langchain_optscale.stopping.budgets import (
    CostBudget,
    Deadline,
    MaxFailures,
    MaxSamples,
    MinSamples,
    Price,
    TokenBudget,
    prices_by_role,
)
from langchain_optscale.stopping.certificate import Certificate, Certification
from langchain_optscale.stopping.futility import Futility
from langchain_optscale.stopping.learned.fitted import CandidatePrice, FittedStopping
from langchain_optscale.stopping.objective import Objective
from langchain_optscale.stopping.presets import optscale, paper
from langchain_optscale.stopping.score_rules import MarginalGain, OptimalN, TargetReached
from langchain_optscale.stopping.trained import TrainedOptimalN

__all__ = [
    "AnswerConfidence",
    "Both",
    "CandidatePrice",
    "Certificate",
    "Certification",
    "CostBudget",
    "Deadline",
    "Either",
    "FittedStopping",
    "Futility",
    "History",
    "MarginalGain",
    "MaxFailures",
    "MaxSamples",
    "MinSamples",
    "Objective",
    "OptimalN",
    "Price",
    "Rule",
    "TargetReached",
    "TokenBudget",
    "TrainedOptimalN",
    "optscale",
    "paper",
    "prices_by_role",
]
