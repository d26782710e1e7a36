"""Functions and Runnables as verifiers."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

from langchain_core.runnables import Runnable
from langchain_core.runnables.config import set_config_context

from langchain_optscale.answers.base import accepts
from langchain_optscale.errors import SettingsError
from langchain_optscale.models.clients import without_client_retries_in
from langchain_optscale.models.daemon_threads import run_in_thread
from langchain_optscale.models.isolation import isolated
from langchain_optscale.models.named import is_configurable_model, named_model
from langchain_optscale.models.travel import Parcel, content_of
from langchain_optscale.records.candidates import Candidate, Verdict
from langchain_optscale.verifiers.base import Verifier
from langchain_optscale.verifiers.coercion import kind, to_verdict
from langchain_optscale.verifiers.decision import DecisionVerifier, is_decision_model
from langchain_optscale.verifiers.evaluators.known import find_adapter
from langchain_optscale.verifiers.evaluators.signatures import function_name, is_async
from langchain_optscale.verifiers.evaluators.verifier import EvaluatorVerifier
from langchain_optscale.verifiers.references import last_question
from langchain_optscale.verifiers.usage import UsageCounter

if TYPE_CHECKING:
    from langchain_core.prompt_values import PromptValue
    from langchain_core.runnables import RunnableConfig

    from langchain_optscale.records.candidates import Candidate, Verdict

__all__ = ["CallableVerifier", "RunnableVerifier", "VerifierLike", "as_verifier", "is_chat_model"]


class CallableVerifier(Verifier):
    """A function as a verifier.

    Runnables that it calls are traced below the verification, and the tokens of their models are counted.

    Args:
        function: `(prompt, candidate)`, sync or async; returns anything that `to_verdict` accepts. It gets a
            `PromptValue` (the question as a string: `prompt.to_string()`) and a `Candidate` (`candidate.text`). A sync
            function runs in a thread on the async path.

    Raises:
        SettingsError: It does not take two positional arguments, is a generator, or is an evaluator (see
            `EvaluatorVerifier`).

    Example:
        >>> from langchain_core.prompt_values import StringPromptValue
        >>> from langchain_optscale.verifiers.conformance import make_candidate
        >>> verifier = CallableVerifier(lambda prompt, candidate: "because" in candidate.text)
        >>> verifier.verify(StringPromptValue(text="Why?"), make_candidate("Just because.")).score
        1.0
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        if find_adapter(function) is not None:
            raise SettingsError(
                f"{function_name(function)} is an evaluator of another package: give it as verifier=, or to "
                "EvaluatorVerifier"
            )
        if not accepts(function, 2):
            raise SettingsError(
                f"the verifier function {function_name(function)} must accept two positional arguments, "
                "the prompt and the candidate, or the keyword argument outputs"
            )
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise SettingsError(
                f"the verifier function {function_name(function)} is a generator: write return in place of yield"
            )
        self.function = function
        self._name = function_name(function)
        self._is_async = is_async(function)

    def __reduce__(self) -> Any:
        return _adapted, (type(self), Parcel(self.function))

    @property
    def name(self) -> str:
        """The function's name, where it has one."""
        return self._name if self._name.isidentifier() else super().name

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._name})"

    def check_sync(self) -> None:
        """Check that the function is not async.

        Raises:
            SettingsError: It is.
        """
        if self._is_async:
            raise self._only_async()

    def verify(self, prompt: PromptValue, candidate: Candidate, config: RunnableConfig | None = None) -> Verdict:
        """Call the function.

        Raises:
            SettingsError: The function is async.
            InvalidScoreError: Its result is not a score.
        """
        self.check_sync()
        counter = UsageCounter()
        answer = self._call(prompt, candidate, counter.attach(config))
        if inspect.isawaitable(answer):
            if inspect.iscoroutine(answer):
                answer.close()
            raise self._only_async()
        return _counted(to_verdict(answer), counter)

    async def averify(self, prompt: PromptValue, candidate: Candidate, config: RunnableConfig | None = None) -> Verdict:
        """Await an async function, or call a sync one in a thread.

        Raises:
            InvalidScoreError: Its result is not a score.
        """
        counter = UsageCounter()
        counted = counter.attach(config)
        if self._is_async:
            with set_config_context(counted) as context:
                answer = await asyncio.create_task(self._begin(prompt, candidate), context=context)
        else:
            answer = await run_in_thread(self._call, prompt, candidate, counted)
            if inspect.isawaitable(answer):
                answer = await answer
        return _counted(to_verdict(answer), counter)

    def _call(self, prompt: PromptValue, candidate: Candidate, config: RunnableConfig) -> Any:
        with set_config_context(config) as context:
            return context.run(self._begin, prompt, candidate)

    def _begin(self, prompt: PromptValue, candidate: Candidate) -> Any:
        return self.function(prompt, candidate)

    def _only_async(self) -> SettingsError:
        return SettingsError(
            f"the verifier function {self._name} is async: use ainvoke or another async method, or pass a sync function"
        )


class RunnableVerifier(Verifier):
    r"""Any Runnable as a verifier: a prompt with a judging model and a parser, a reward model, a graph.

    The Runnable's input is a mapping with `prompt`, the text of the last human message (of the whole conversation where
    there is none), `candidate`, the candidate's text, `conversation`, the list of messages, and `message`, the
    candidate's `AIMessage` without reasoning. The tokens of its models are counted.

    Args:
        runnable: Returns anything that `to_verdict` accepts.

    Raises:
        SettingsError: It is not a Runnable.

    Example:
        >>> from langchain_core.language_models import FakeListChatModel
        >>> from langchain_core.output_parsers import StrOutputParser
        >>> from langchain_core.prompt_values import StringPromptValue
        >>> from langchain_core.prompts import ChatPromptTemplate
        >>> from langchain_optscale.verifiers.conformance import make_candidate
        >>> rate = ChatPromptTemplate.from_template("Rate the answer, 0 to 10. Question: {prompt} Answer: {candidate}")
        >>> model = FakeListChatModel(responses=["8"])
        >>> verifier = RunnableVerifier(rate | model | StrOutputParser() | (lambda text: float(text) / 10))
        >>> verifier.verify(StringPromptValue(text="The capital of France?"), make_candidate("Paris")).score
        0.8
    """

    def __init__(self, runnable: Runnable[Any, Any]) -> None:
        if not isinstance(runnable, Runnable):
            raise SettingsError(f"a Runnable is needed, not {kind(runnable)}")
        self.runnable = runnable
        # The search retries.
        self._single = isolated(without_client_retries_in(runnable))

    def __reduce__(self) -> Any:
        return _adapted, (type(self), Parcel(self.runnable))

    @property
    def name(self) -> str:
        """The Runnable's name."""
        return self.runnable.get_name()

    def __repr__(self) -> str:
        # The Runnable's own repr may contain prompts, function sources and secrets.
        return f"{type(self).__name__}({self.name})"

    def verify(self, prompt: PromptValue, candidate: Candidate, config: RunnableConfig | None = None) -> Verdict:
        """Invoke the Runnable.

        Raises:
            InvalidScoreError: Its result is not a score.
        """
        counter = UsageCounter()
        answer = self._single.invoke(_question(prompt, candidate), counter.attach(config))
        return _counted(to_verdict(answer), counter)

    async def averify(self, prompt: PromptValue, candidate: Candidate, config: RunnableConfig | None = None) -> Verdict:
        """As `verify`, without blocking the event loop."""
        counter = UsageCounter()
        answer = await self._single.ainvoke(_question(prompt, candidate), counter.attach(config))
        return _counted(to_verdict(answer), counter)


VerifierLike: TypeAlias = Verifier | Runnable[Any, Any] | Callable[..., Any] | str | Any
"""What `as_verifier` accepts; evaluators of other packages have no common type."""


def as_verifier(value: VerifierLike) -> Verifier:
    """Convert to a verifier.

    Args:
        value: A `Verifier` (returned unchanged), a chat model or its name such as "openai:gpt-5-mini" (becomes an
            `LLMJudge`), a decision model (a `DecisionVerifier`), an evaluator of another package (an
            `EvaluatorVerifier`), another Runnable, or a function, see `CallableVerifier`.

    Raises:
        SettingsError: It is none of them, or a language model that is no chat model.

    Example:
        >>> from langchain_core.runnables import RunnableLambda
        >>> as_verifier(lambda prompt, candidate: len(candidate.text) < 500).name
        'CallableVerifier'
        >>> as_verifier(RunnableLambda(lambda given: "4" in given["candidate"])).name
        'RunnableLambda'
    """
    from langchain_core.language_models import BaseLanguageModel

    if isinstance(value, Verifier):
        return value
    if isinstance(value, str) or is_chat_model(value):
        from langchain_optscale.verifiers.llm_judge.judge import LLMJudge

        return LLMJudge(named_model(value, "verifier") if isinstance(value, str) else value)
    if is_decision_model(value):
        return DecisionVerifier(value)
    if not isinstance(value, type) and find_adapter(value) is not None:
        return EvaluatorVerifier(value)
    if isinstance(value, BaseLanguageModel):
        raise SettingsError(
            f"the model {type(value).__name__} returns text, not a score: make a Runnable that "
            "returns a number in [0, 1], such as ChatPromptTemplate.from_template('Rate this answer to "
            "{prompt} from 0 to 1: {candidate}') | model | StrOutputParser() | (lambda text: float(text))"
        )
    if isinstance(value, Runnable):
        return RunnableVerifier(value)
    if isinstance(value, type):
        raise SettingsError(f"a verifier must be an instance, not the class {value.__name__} itself")
    if callable(value):
        return CallableVerifier(value)
    raise SettingsError(
        f"a verifier must be a Verifier, a Runnable or a function (prompt, candidate), not {kind(value)}"
    )


def is_chat_model(value: object) -> TypeGuard[Runnable[Any, Any]]:
    """Whether it is a chat model, possibly a configurable one, or with bound arguments or a config."""
    from langchain_core.language_models import BaseChatModel
    from langchain_core.runnables import RunnableBinding

    while isinstance(value, RunnableBinding):
        value = value.bound
    return isinstance(value, BaseChatModel) or is_configurable_model(value)


def _adapted(verifier: type[Any], thing: Any) -> Verifier:
    """A verifier as another process makes it anew."""
    made: Verifier = verifier(content_of(thing))
    return made


def _question(prompt: PromptValue, candidate: Candidate) -> dict[str, Any]:
    return {
        "prompt": last_question(prompt),
        "candidate": candidate.text,
        "conversation": prompt.to_messages(),
        "message": candidate.answer_message,
    }


def _counted(verdict: Verdict, counter: UsageCounter) -> Verdict:
    """The verdict with the counted usage, unless it has its own."""
    return replace(verdict, usage=counter.usage) if verdict.usage is None else verdict
