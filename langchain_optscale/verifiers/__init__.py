"""Verifiers: whatever tells how good a candidate is, as a score in [0, 1].

`base` has the interface, `adapters` make a verifier of what already exists (a function, a Runnable),
`checks` and `json_check` score constraints that a program can decide, `confidence` asks the policy's own
token probabilities, `judge` asks a chat model, `reward` a reward model on a server, `combined` makes one
verifier of several. `conformance`, imported by its own path, is a
test class for verifiers of your own.
"""

from langchain_optscale.verifiers.adapters import CallableVerifier, RunnableVerifier, as_verifier
from langchain_optscale.verifiers.base import Verifier
from langchain_optscale.verifiers.calibrated import CalibratedVerifier
from langchain_optscale.verifiers.checks import LengthCheck, NumberCheck, RegexCheck, RequiredWords
from langchain_optscale.verifiers.coercion import to_verdict
from langchain_optscale.verifiers.combined import EnsembleVerifier
from langchain_optscale.verifiers.confidence import ConfidenceVerifier
from langchain_optscale.verifiers.json_check import JSONCheck
from langchain_optscale.verifiers.judge import LLMJudge
from langchain_optscale.verifiers.judge_criteria import Criterion, JudgeExample
from langchain_optscale.verifiers.reward import RewardModelVerifier
from langchain_optscale.verifiers.reward_logistic import Logistic

__all__ = [
    "CalibratedVerifier",
    "CallableVerifier",
    "ConfidenceVerifier",
    "Criterion",
    "EnsembleVerifier",
    "JSONCheck",
    "JudgeExample",
    "LLMJudge",
    "LengthCheck",
    "Logistic",
    "NumberCheck",
    "RegexCheck",
    "RequiredWords",
    "RewardModelVerifier",
    "RunnableVerifier",
    "Verifier",
    "as_verifier",
    "to_verdict",
]
