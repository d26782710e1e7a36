"""`OptScaleMiddleware`: adaptive best-of-N for every step of an agent."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Annotated, Any, NotRequired, cast

from langchain.agents.middleware import AgentMiddleware, AgentState, ExtendedModelResponse
from langchain.agents.middleware.internal_call_transformer import InternalCallTransformer, internal_call_metadata
from langchain.agents.middleware.types import PrivateStateAttr
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage
from langgraph.types import Command, Overwrite

from langchain_optscale.agents.step_model import StepModel
from langchain_optscale.agents.when import Gate, When
from langchain_optscale.errors import SettingsError
from langchain_optscale.models.token_usage import choice_usages
from langchain_optscale.runnables.chat_model import ChatOptScale
from langchain_optscale.verifiers import ToolCallJudge
from langchain_optscale.verifiers.adapters import is_chat_model

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from langchain.agents.middleware import ModelRequest, ModelResponse
    from langgraph.runtime import Runtime

    from langchain_optscale.agents.when import WhenLike
    from langchain_optscale.verifiers.adapters import VerifierLike

__all__ = ["OptScaleMiddleware", "OptScaleState"]

# Settings that can only be checked against the agent's own model.
_MODEL_SETTINGS = frozenset({"seed", "fanout"})


class OptScaleState(AgentState[Any]):
    """The agent's state with the token usage of its searches.

    Attributes:
        optscale_tokens: Tokens of policy and verifier since the run began; a private field of the state.
    """

    optscale_tokens: NotRequired[Annotated[int, PrivateStateAttr, operator.add]]


class OptScaleMiddleware(AgentMiddleware[OptScaleState, Any, Any]):
    """Searches adaptively for the best next step of an agent.

    A candidate is the model's next message: a final answer, or tool calls. Only the chosen one enters the conversation
    and is executed. It has the figures of the search under `response_metadata["optscale"]`, as with `ChatOptScale`.

    For the step the request's model is replaced by one that searches. The agent binds tools, structured output and
    model settings as usual, candidates share a prefill where the model accepts `n`, and other middleware sees a single
    model call. Middleware before this one in the list (outside) wraps the whole search: a retry searches again, a
    fallback searches with the other model. Middleware after it (inside) sees the searching model: a retry searches
    again too, while a fallback, or anything else that replaces the model, draws one plain answer.

    Each step is a node of the graph: after an interrupt, as for human review of tool calls, a run with a checkpointer
    continues from the chosen step and draws nothing again.

    Args:
        verifier: Scores a step: a `Verifier`, a chat model (it becomes a `ToolCallJudge`), a Runnable, or a function
            `(prompt, candidate) -> float`. Verifiers of tool calls read the offered tools from the step.
        when: Which steps are searched: "always"; "final_answers" or "tool_calls", by the first candidate, which is also
            the search's first; a number: those whose first candidate scores below it; a function `(request)`, or
            `(request, first_message)`, which is called after the first candidate.
        run_token_budget: Tokens of policy and verifier that a run of the agent may spend on searches; afterwards it
            continues with plain model calls. None sets no such budget.
        **settings: Those of `SearchSettings` but the policy, such as `target`, `max_samples` and `stopping`, for each
            step. `config={"configurable": {...}}` of a run changes them for that run.

    Raises:
        SettingsError: A setting is unknown, out of range or contradicts another.

    Example:
        ```python
        agent = create_agent(
            policy, tools, middleware=[OptScaleMiddleware(verifier=ToolCallJudge(judge), when="tool_calls")]
        )
        ```

        >>> from langchain.agents import create_agent
        >>> from langchain_core.language_models import FakeListChatModel
        >>> policy = FakeListChatModel(responses=["four", "3 + 1 is 4"])
        >>> search = OptScaleMiddleware(verifier=lambda prompt, candidate: "4" in candidate.text)
        >>> agent = create_agent(policy, middleware=[search])
        >>> agent.invoke({"messages": [("human", "What is 2 + 2?")]})["messages"][-1].text
        '3 + 1 is 4'
    """

    state_schema = OptScaleState
    transformers = (InternalCallTransformer,)

    def __init__(
        self,
        *,
        verifier: VerifierLike,
        when: WhenLike = "always",
        run_token_budget: int | None = None,
        **settings: Any,
    ) -> None:
        super().__init__()
        if "policy" in settings:
            raise SettingsError("the policy is the agent's own model; leave policy= out")
        if run_token_budget is not None and (type(run_token_budget) is not int or run_token_budget < 1):
            raise SettingsError(f"run_token_budget must be a whole number of at least 1, got {run_token_budget!r}")
        self.when = When(when)
        self.run_token_budget = run_token_budget
        judge = ToolCallJudge(verifier) if is_chat_model(verifier) else verifier
        stand_in = FakeListChatModel(responses=[""])
        known = {name: value for name, value in settings.items() if name not in _MODEL_SETTINGS}
        checked = ChatOptScale(policy=stand_in, verifier=judge, **known)
        opened = {"store": checked.store} if "store" in settings else {}
        self._settings = {**settings, "verifier": checked.verifier, **opened}

    def before_agent(self, state: OptScaleState, runtime: Runtime[Any]) -> dict[str, Any] | None:
        """Reset the spent tokens when a run begins; a resumed run keeps them."""
        return None if self.run_token_budget is None else {"optscale_tokens": Overwrite(0)}

    async def abefore_agent(self, state: OptScaleState, runtime: Runtime[Any]) -> dict[str, Any] | None:
        """As `before_agent`."""
        return self.before_agent(state, runtime)

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any] | ExtendedModelResponse[Any]:
        """Replace the model by one that searches, where the step is to be searched.

        Raises:
            AllCandidatesFailed: No candidate of the step could be scored.
            SettingsError: The settings do not fit the agent's model.
        """
        step = self._step(request)
        return self._with_usage(handler(request if step is None else request.override(model=step)), step)

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ModelResponse[Any] | ExtendedModelResponse[Any]:
        """As `wrap_model_call`, without blocking the event loop."""
        step = self._step(request)
        return self._with_usage(await handler(request if step is None else request.override(model=step)), step)

    def _step(self, request: ModelRequest[Any]) -> StepModel | None:
        """The model that searches this step; None for a plain call."""
        if isinstance(request.model, ChatOptScale):
            raise SettingsError(
                "the agent's model is a ChatOptScale, which searches by itself; pass its policy to create_agent, or "
                "leave OptScaleMiddleware out"
            )
        left = None
        if self.run_token_budget is not None:
            left = self.run_token_budget - int(cast("Any", request.state).get("optscale_tokens") or 0)
            if left <= 0:
                return None
        gate = self.when.gate(request)
        if gate is False:
            return None
        return StepModel.of(
            {**self._settings, "policy": request.model},
            gate=gate if isinstance(gate, Gate) else None,
            good_enough=self.when.threshold,
            most_tokens=left,
            metadata=internal_call_metadata(),
        )

    def _with_usage(
        self, response: ModelResponse[Any], step: StepModel | None
    ) -> ModelResponse[Any] | ExtendedModelResponse[Any]:
        if self.run_token_budget is None:
            return response
        spent = step.spent if step is not None else None
        tokens = _reported(response) if spent is None else spent.total_tokens
        return ExtendedModelResponse(model_response=response, command=Command(update={"optscale_tokens": tokens}))


def _reported(response: ModelResponse[Any]) -> int:
    """The tokens that a plain call reports."""
    messages = [message for message in response.result if isinstance(message, AIMessage)]
    return sum(choice_usages([message])[0].total_tokens for message in messages)
