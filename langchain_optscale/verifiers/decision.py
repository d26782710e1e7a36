"""Decision models as verifiers: the probability of a label is the score."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeGuard

from langchain_core.runnables.base import RunnableBindingBase

from langchain_optscale.errors import InvalidReplyError, MissingExtraError, SettingsError
from langchain_optscale.models.isolation import isolated
from langchain_optscale.records.candidates import Candidate, Verdict
from langchain_optscale.verifiers.base import Verifier
from langchain_optscale.verifiers.coercion import is_finite, kind
from langchain_optscale.verifiers.evaluators.signatures import derives
from langchain_optscale.verifiers.references import Reference, find_reference
from langchain_optscale.verifiers.usage import UsageCounter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.prompt_values import PromptValue
    from langchain_core.runnables import Runnable, RunnableConfig

__all__ = ["DecisionVerifier", "is_decision_model"]

_QUESTION = "Is `answer` a correct and complete answer to the last message of `conversation`?"
_WITH_REFERENCE = " `reference` is an answer that is known to be right."
_OVERALL = "answer"


class DecisionVerifier(Verifier):
    """Asks a decision model of langchain-core typed questions about a candidate; `verifier=model` makes one by itself.

    The model sees the state `{"conversation": messages, "answer": text}`, with "reference" where there is one. The
    score of a `Noul` is the probability of yes; that of a `Score` its expected level divided by the highest one; that
    of a `Choice` the mean of `values` under the probabilities of its labels. The verdict's `raw` has each answer with
    its distribution.

    Args:
        model: A `BaseDecisionModel`, also bound.
        question: What to ask: text for a yes/no question, a `Noul`, `Score` or `Choice`, or several of them by name. By
            default whether the answer is correct and complete.
        values: What each label of a `Choice` is worth, in [0, 1].
        weights: The weights of several questions by name; by default equal.
        reference: A correct answer, or a function of the prompt that returns it; a call may pass its own, see
            `EvaluatorVerifier`.

    Raises:
        SettingsError: It is no decision model, or a question or a number does not fit.
        MissingExtraError: The installed langchain-core has no decision models.

    Example:
        ```python
        questions = {"correct": "Is the answer correct?", "tone": Score(...)}
        DecisionVerifier(model, questions, weights={"correct": 3, "tone": 1})
        ```

        >>> from langchain_core.decisions import BaseDecisionModel, ClassifierResponse
        >>> from langchain_core.prompt_values import StringPromptValue
        >>> from langchain_optscale.verifiers.conformance import make_candidate
        >>> class Decider(BaseDecisionModel):
        ...     model: str = "decider"
        ...     _provider = "local"
        ...     def _classify(self, state, questions):
        ...         answer = {"type": "noul", "noul": 0.9 if "Paris" in state["answer"] else 0.1}
        ...         reply = {"model": "decider", "answers": dict.fromkeys(questions, answer)}
        ...         return ClassifierResponse.model_validate(reply)
        >>> verifier = DecisionVerifier(Decider(), "Is the answer right?")
        >>> verifier.verify(StringPromptValue(text="The capital of France?"), make_candidate("Paris")).score
        0.9
    """

    def __init__(
        self,
        model: Runnable[Any, Any],
        question: Any = None,
        *,
        values: Mapping[str, float] | None = None,
        weights: Mapping[str, float] | None = None,
        reference: Reference | None = None,
    ) -> None:
        if not is_decision_model(model):
            raise SettingsError(f"a decision model of langchain-core is needed, not {kind(model)}")
        self.model = model
        self._default = question is None
        asked = _QUESTION if question is None else question
        self._questions = {
            str(name): _question(one)
            for name, one in (asked if isinstance(asked, Mapping) else {_OVERALL: asked}).items()
        }
        self._values = _checked_values(values, self._questions)
        self._weights = _checked_weights(weights, self._questions)
        self._reference = reference
        self._isolated = isolated(model)

    @property
    def name(self) -> str:
        """The model's name."""
        return str(self.model.get_name())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name}, {', '.join(self._questions)})"

    def verify(self, prompt: PromptValue, candidate: Candidate, config: RunnableConfig | None = None) -> Verdict:
        """Ask about one candidate, in one request.

        Raises:
            InvalidReplyError: An answer is missing, or its distribution is empty.
        """
        counter = UsageCounter()
        request = self._request(prompt, candidate, config)
        return self._verdict(self.model.invoke(request, counter.attach(config)), counter)

    async def averify(self, prompt: PromptValue, candidate: Candidate, config: RunnableConfig | None = None) -> Verdict:
        """As `verify`, without blocking the event loop."""
        counter = UsageCounter()
        request = self._request(prompt, candidate, config)
        return self._verdict(await self._isolated.ainvoke(request, counter.attach(config)), counter)

    def _request(self, prompt: PromptValue, candidate: Candidate, config: RunnableConfig | None) -> dict[str, Any]:
        state: dict[str, Any] = {"conversation": prompt.to_messages(), "answer": candidate.text}
        questions = self._questions
        reference = find_reference(self._reference, prompt, config)
        if reference is not None:
            state["reference"] = reference
            if self._default:
                questions = {_OVERALL: _question(_QUESTION + _WITH_REFERENCE)}
        return {"state": state, "questions": questions}

    def _verdict(self, response: Any, counter: UsageCounter) -> Verdict:
        answers = getattr(response, "answers", None)
        if not isinstance(answers, Mapping):
            raise InvalidReplyError(f"a decision model must answer with a ClassifierResponse, not {kind(response)}")
        scores = {}
        for name in self._questions:
            if name not in answers:
                raise InvalidReplyError(f"the decision model did not answer the question {name!r}")
            scores[name] = self._score(name, answers[name])
        total = math.fsum(self._weights.values())
        mean = math.fsum(weight * scores[name] for name, weight in self._weights.items()) / total
        raw = {name: answers[name].model_dump(mode="json") for name in scores}
        said = "; ".join(f"{name} {score:.2f}" for name, score in scores.items()) if len(scores) > 1 else None
        return Verdict(min(max(mean, 0.0), 1.0), said, counter.usage, {"answers": raw})

    def _score(self, name: str, answer: Any) -> float:
        if answer.type == "noul":
            return float(answer.noul)
        levels: Mapping[Any, float] = (
            self._values if answer.type == "choice" else _levels(len(self._questions[name].criteria))
        )
        found = {level: float(answer.probabilities.get(level, 0.0)) for level in levels}
        mass = math.fsum(found.values())
        if not mass > 0 or any(p < 0 for p in found.values()):
            raise InvalidReplyError(f"the decision model gave no label of the question {name!r} a probability")
        return math.fsum(levels[level] * p for level, p in found.items()) / mass


def is_decision_model(value: object) -> TypeGuard[Runnable[Any, Any]]:
    """Whether it is a decision model of langchain-core, possibly bound or with a config."""
    while isinstance(value, RunnableBindingBase):
        value = value.bound
    return derives(value, "langchain_core", "BaseDecisionModel")


def _levels(count: int) -> dict[int, float]:
    return {level: level / (count - 1) for level in range(count)}


def _question(question: Any) -> Any:
    try:
        from langchain_core.decisions import Noul
    except ImportError as error:
        raise MissingExtraError("A decision model", 'pip install "langchain-core>=1.8"') from error
    if isinstance(question, str):
        return Noul(instructions=question)
    if derives(question, "langchain_core", "Noul", "Score", "Choice"):
        return question
    raise SettingsError(f"a question must be text, a Noul, a Score or a Choice, not {kind(question)}")


def _checked_values(values: Mapping[str, float] | None, questions: Mapping[str, Any]) -> dict[str, float]:
    labels = {str(label) for one in questions.values() if one.type == "choice" for label in one.criteria}
    given = dict(values or {})
    if given.keys() != labels:
        raise SettingsError(
            f"values must say what each label of a Choice is worth, from 0 to 1: expected {_listed(sorted(labels))}, "
            f"got {_listed(sorted(given))}"
        )
    if not all(is_finite(one) and 0 <= one <= 1 for one in given.values()):
        raise SettingsError(f"values must lie in [0, 1], got {given}")
    return given


def _checked_weights(weights: Mapping[str, float] | None, questions: Mapping[str, Any]) -> dict[str, float]:
    if not questions:
        raise SettingsError("question must hold at least one question")
    given = dict.fromkeys(questions, 1.0) if weights is None else dict(weights)
    if given.keys() != questions.keys() or not all(is_finite(one) and one > 0 for one in given.values()):
        raise SettingsError(f"weights must map each question to a number above 0, got {given}")
    return given


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
