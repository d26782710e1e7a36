"""Evaluators of other packages as a verifier."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from langchain_core.runnables.config import set_config_context

from langchain_optscale.errors import OptScaleError, SettingsError
from langchain_optscale.models.daemon_threads import run_in_thread
from langchain_optscale.verifiers._loop_thread import as_coroutine, run_awaitable
from langchain_optscale.verifiers.base import Verifier
from langchain_optscale.verifiers.coercion import is_finite, kind
from langchain_optscale.verifiers.evaluators.case import Adapter, Case
from langchain_optscale.verifiers.evaluators.known import find_adapter
from langchain_optscale.verifiers.evaluators.results import Metric, Told, choose, read_results
from langchain_optscale.verifiers.evaluators.signatures import package_of, unwrapped
from langchain_optscale.verifiers.references import Reference, find_reference
from langchain_optscale.verifiers.usage import UsageCounter

if TYPE_CHECKING:
    from langchain_core.prompt_values import PromptValue
    from langchain_core.runnables import RunnableConfig

    from langchain_optscale.records.candidates import Candidate, Verdict

__all__ = ["EvaluatorVerifier"]

# Packages whose evaluators fill a prompt with what they are called with.
_WITH_PROMPTS = frozenset({"agentevals", "openevals"})
_ABOUT_REFERENCES = re.compile(r"reference|ground.truth|expected.(?:output|value)", re.IGNORECASE)
View = Callable[["PromptValue", "Candidate"], Any]


class EvaluatorVerifier(Verifier):
    """An evaluator of another package as a verifier; `verifier=evaluator` makes one by itself.

    Known are functions with keyword arguments `outputs` and perhaps `inputs` and `reference_outputs` (openevals,
    agentevals, LangSmith), LangSmith's `RunEvaluator` and functions of `run` and `example`, evaluators of
    pydantic_evals, metrics of deepeval, scorers of autoevals, Inspect and Braintrust, reward models and judges of
    reward-hub, and LangChain's string evaluators. Nothing is imported that the evaluator has not imported.

    The reference of a question is `config["configurable"]["reference"]` of its call, else `reference`. The verdict has
    the evaluator's comment or reason as its explanation, and all metrics in `raw`. Tokens are counted where LangChain
    models are called, or the evaluator reports them. An evaluator that is async works on the sync path, too: it runs in
    an event loop of its own thread.

    Args:
        evaluator: The evaluator.
        reference: A correct answer in the form that the evaluator expects, or a function of the prompt that returns it.
        metric: The name of the metric that is the score, where the evaluator returns several.
        weights: The weights of the metrics whose weighted mean is the score; all above 0.
        rescale: Maps a score to [0, 1], such as `Logistic()` for logits.
        inputs: A function of prompt and candidate that makes the evaluator's inputs, in place of the question.
        outputs: The same for its outputs, in place of the answer.

    Raises:
        SettingsError: The evaluator is not known or cannot score one candidate, or a setting is invalid.

    Example:
        >>> from langchain_core.prompt_values import StringPromptValue
        >>> from langchain_optscale.verifiers.conformance import make_candidate
        >>> def exact(*, outputs, reference_outputs):
        ...     return {"key": "exact", "score": outputs == reference_outputs, "comment": "letter by letter"}
        >>> verifier = EvaluatorVerifier(exact, reference="Paris")
        >>> verdict = verifier.verify(StringPromptValue(text="The capital of France?"), make_candidate("Paris"))
        >>> verdict.score, verdict.explanation
        (1.0, 'letter by letter')
    """

    def __init__(
        self,
        evaluator: Any,
        *,
        reference: Reference | None = None,
        metric: str | None = None,
        weights: Mapping[str, float] | None = None,
        rescale: Callable[[float], float] | None = None,
        inputs: View | None = None,
        outputs: View | None = None,
    ) -> None:
        self._adapter = _adapter_of(evaluator)
        if metric is not None and weights is not None:
            raise SettingsError("metric and weights exclude each other: set one of them")
        if weights is not None and not (weights and all(is_finite(one) and one > 0 for one in weights.values())):
            raise SettingsError(f"weights must map names of metrics to numbers above 0, got {weights!r}")
        for name, value in (("rescale", rescale), ("inputs", inputs), ("outputs", outputs)):
            if value is not None and not callable(value):
                raise SettingsError(f"{name} must be a function, not {kind(value)}")
        self.evaluator = evaluator
        self._reference = reference
        self._metric = metric
        self._weights = None if weights is None else dict(weights)
        self._rescale = rescale
        self._inputs = inputs
        self._outputs = outputs

    @property
    def name(self) -> str:
        """The evaluator's name."""
        return self._adapter.name

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name})"

    def __getstate__(self) -> dict[str, Any]:
        # How the evaluator is called is found again where it arrives.
        return {name: value for name, value in vars(self).items() if name != "_adapter"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._adapter = _adapter_of(self.evaluator)

    def verify(self, prompt: PromptValue, candidate: Candidate, config: RunnableConfig | None = None) -> Verdict:
        """Call the evaluator.

        Raises:
            SettingsError: It needs a reference and there is none, or it returns several metrics.
            InvalidScoreError: Its result is not a score.
        """
        counter = UsageCounter()
        case = self._case(prompt, candidate, config)
        try:
            value = self._call(case, counter.attach(config))
        except Exception as error:
            self._explain(error, case)
            raise
        return self._verdict(value, counter)

    async def averify(self, prompt: PromptValue, candidate: Candidate, config: RunnableConfig | None = None) -> Verdict:
        """As `verify`; an evaluator without an async method runs in a thread."""
        counter = UsageCounter()
        case = await run_in_thread(self._case, prompt, candidate, config)
        try:
            value = await self._acall(case, counter.attach(config))
        except Exception as error:
            self._explain(error, case)
            raise
        return self._verdict(value, counter)

    def _case(self, prompt: PromptValue, candidate: Candidate, config: RunnableConfig | None) -> Case:
        reference = find_reference(self._reference, prompt, config)
        if reference is None and self._adapter.needs_reference:
            raise self._no_reference()
        own_inputs = None if self._inputs is None else self._inputs(prompt, candidate)
        own_outputs = None if self._outputs is None else self._outputs(prompt, candidate)
        return Case(prompt, candidate, reference, own_inputs, own_outputs)

    def _call(self, case: Case, config: RunnableConfig) -> Any:
        with set_config_context(config) as context:
            try:
                value = context.run(self._adapter.call, case)
            except NotImplementedError:  # it has its asynchronous method alone
                if self._adapter.acall is None:
                    raise
                value = context.run(self._adapter.acall, case)
            return context.run(run_awaitable, value) if inspect.isawaitable(value) else value

    async def _acall(self, case: Case, config: RunnableConfig) -> Any:
        with set_config_context(config) as context:
            if self._adapter.acall is not None:
                with suppress(NotImplementedError):  # it has its synchronous method alone
                    return await asyncio.create_task(as_coroutine(self._adapter.acall(case)), context=context)
            value = await run_in_thread(context.run, self._adapter.call, case)
            if not inspect.isawaitable(value):
                return value
            return await asyncio.create_task(as_coroutine(value), context=context)

    def _verdict(self, value: Any, counter: UsageCounter) -> Verdict:
        told = value if isinstance(value, Told) else Told(value)
        result = self._adapter.read(told.result)
        metrics = [result] if isinstance(result, Metric) else result
        if not (isinstance(metrics, list) and all(isinstance(one, Metric) for one in metrics)):
            metrics = read_results(result)
        verdict = choose(metrics, self.name, metric=self._metric, weights=self._weights, rescale=self._rescale)
        return replace(verdict, usage=counter.usage or told.usage)

    def _no_reference(self) -> SettingsError:
        return SettingsError(
            f"the evaluator {self.name} needs a reference: give EvaluatorVerifier(evaluator, reference=...), or "
            'config={"configurable": {"reference": ...}} with each call'
        )

    def _explain(self, error: Exception, case: Case) -> None:
        """Say what is missing, where the evaluator complains of a reference or of a variable of its prompt."""
        is_about_input = isinstance(error, ValueError | LookupError | TypeError) or "Missing" in type(error).__name__
        is_own = isinstance(error, OptScaleError)
        if case.reference is None and is_about_input and not is_own and _ABOUT_REFERENCES.search(str(error)):
            raise self._no_reference() from error
        if isinstance(error, KeyError) and package_of(unwrapped(self.evaluator)) in _WITH_PROMPTS:
            raise SettingsError(
                f"the prompt of the evaluator {self.name} has the variable {error}: bind it by "
                f"functools.partial(evaluator, {error.args[0]}=...)"
            ) from error


def _adapter_of(evaluator: Any) -> Adapter:
    if isinstance(evaluator, type):
        raise SettingsError(f"an evaluator must be an instance, not the class {evaluator.__name__} itself")
    adapter = find_adapter(evaluator)
    if adapter is None:
        raise SettingsError(
            f"{kind(evaluator)} is not a known evaluator: give a function with the keyword argument outputs, or "
            "a function (prompt, candidate) as verifier="
        )
    return adapter
