"""Verifiers score candidates in [0, 1].

`base` has the interface and `adapters` convert functions and Runnables. `checks` score constraints that a program can
decide, `llm_judge` uses a chat model, `decision` a decision model, `reward_model` a reward model on a server,
`confidence` the policy's token probabilities, `agreement` the answers of the other candidates; `tool_calls` verify an
agent's next step. `evaluators` adapts the evaluators of other packages. `composite` has the verifiers made of others,
`comparison` the judges that compare candidates. `conformance`, imported by its own path, is a test class for your own
verifiers.
"""

from langchain_optscale.verifiers.adapters import CallableVerifier, RunnableVerifier, as_verifier
from langchain_optscale.verifiers.agreement import AgreementVerifier
from langchain_optscale.verifiers.base import Verifier
from langchain_optscale.verifiers.checks.json_check import JSONCheck
from langchain_optscale.verifiers.checks.text_checks import LengthCheck, NumberCheck, RegexCheck, RequiredWords
from langchain_optscale.verifiers.coercion import to_verdict
from langchain_optscale.verifiers.comparison.adapters import CallableComparison
from langchain_optscale.verifiers.comparison.base import ComparisonJudge
from langchain_optscale.verifiers.comparison.judge import GroupwiseJudge, PairwiseJudge
from langchain_optscale.verifiers.comparison.selection import TournamentSelection
from langchain_optscale.verifiers.composite.cached import CachedVerifier
from langchain_optscale.verifiers.composite.calibrated import CalibratedVerifier
from langchain_optscale.verifiers.composite.combined import EnsembleVerifier
from langchain_optscale.verifiers.composite.fallback import FallbackVerifier
from langchain_optscale.verifiers.composite.stacked import StackedVerifier
from langchain_optscale.verifiers.confidence import ConfidenceVerifier
from langchain_optscale.verifiers.decision import DecisionVerifier
from langchain_optscale.verifiers.evaluators.verifier import EvaluatorVerifier
from langchain_optscale.verifiers.llm_judge.criteria import Criterion, JudgeExample
from langchain_optscale.verifiers.llm_judge.judge import LLMJudge
from langchain_optscale.verifiers.reward_model.logistic import Logistic
from langchain_optscale.verifiers.reward_model.verifier import RewardModelVerifier
from langchain_optscale.verifiers.tool_calls import ToolCallAgreement, ToolCallCheck, ToolCallJudge

__all__ = [
    "AgreementVerifier",
    "CachedVerifier",
    "CalibratedVerifier",
    "CallableComparison",
    "CallableVerifier",
    "ComparisonJudge",
    "ConfidenceVerifier",
    "Criterion",
    "DecisionVerifier",
    "EnsembleVerifier",
    "EvaluatorVerifier",
    "FallbackVerifier",
    "GroupwiseJudge",
    "JSONCheck",
    "JudgeExample",
    "LLMJudge",
    "LengthCheck",
    "Logistic",
    "NumberCheck",
    "PairwiseJudge",
    "RegexCheck",
    "RequiredWords",
    "RewardModelVerifier",
    "RunnableVerifier",
    "StackedVerifier",
    "ToolCallAgreement",
    "ToolCallCheck",
    "ToolCallJudge",
    "TournamentSelection",
    "Verifier",
    "as_verifier",
    "to_verdict",
]
