"""The usage of a verifier's model calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from langchain_core.callbacks import BaseCallbackHandler, BaseCallbackManager
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration
from langchain_core.runnables.config import ensure_config

from langchain_optscale.models.token_usage import Estimation, choice_usages
from langchain_optscale.records.usage import Usage

if TYPE_CHECKING:
    from uuid import UUID

    from langchain_core.messages import BaseMessage
    from langchain_core.outputs import LLMResult
    from langchain_core.runnables import RunnableConfig

__all__ = ["UsageCounter"]

_COMPLETE = frozenset({"tags", "metadata", "callbacks", "recursion_limit", "configurable"})


class UsageCounter(BaseCallbackHandler):
    """Adds up the tokens and requests of every model call below one config.

    Args:
        owner: Whose calls they are: a warning about counts that cannot be trusted is given once for it.
        fills_gaps: Whether counts that are missing are estimated, as a budget needs it.

    Example:
        ```python
        counter = UsageCounter()
        chain.invoke("question", counter.attach(config))
        counter.usage  # Usage(input_tokens=12, output_tokens=3, requests=1), or None if no model was called
        ```
    """

    # Inline, so that the count is complete when an async call returns.
    run_inline = True

    def __init__(self, owner: object = None, *, fills_gaps: bool = False) -> None:
        # Several threads may append at once: appending is atomic, adding to a number is not.
        self._usages: list[Usage] = []
        self._owner = owner
        self._fills_gaps = fills_gaps
        self._prompt_lengths: dict[UUID, int] = {}
        self._decisions: set[UUID] = set()
        # Runs of searching chat models, whose requests are the runs below them.
        self._searches: set[UUID] = set()

    @property
    def usage(self) -> Usage | None:
        """The total so far; None where no model was called."""
        return sum(self._usages, Usage()) if self._usages else None

    def attach(self, config: RunnableConfig | None) -> RunnableConfig:
        """A copy of `config` with this counter among its callbacks; None takes the ambient config."""
        # A complete config, such as that of a search, already includes the ambient one.
        complete = config is not None and config.keys() >= _COMPLETE
        attached = cast("RunnableConfig", {**(config or {})}) if complete else ensure_config(config)
        callbacks = attached.get("callbacks")
        if isinstance(callbacks, BaseCallbackManager):
            manager = callbacks.copy()
            manager.add_handler(self, inherit=True)
            attached["callbacks"] = manager
        else:
            attached["callbacks"] = [*(callbacks or []), self]
        return attached

    def on_chat_model_start(
        self, serialized: Any, messages: list[list[BaseMessage]], *, run_id: UUID, **kwargs: Any
    ) -> None:
        """Note the length of the prompt, and whether it is the model or a search with models below it."""
        kind = (kwargs.get("invocation_params") or {}).get("_type")
        package = ((serialized or {}).get("id") or [""])[0]
        if kind == "optscale" or package == "langchain_optscale":
            self._searches.add(run_id)
            return
        self._prompt_lengths[run_id] = sum(len(message.text) for prompt in messages for message in prompt)

    def on_chain_start(self, serialized: Any, inputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Note a run that calls a decision model; langchain-core reports it as a chain of the type "llm"."""
        if kwargs.get("run_type") == "llm":
            self._decisions.add(run_id)

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Count one request of a decision model."""
        if run_id in self._decisions:
            self._decisions.discard(run_id)
            told = getattr(outputs, "usage", None) or {}
            self._usages.append(Usage(int(told.get("input_tokens", 0)), int(told.get("output_tokens", 0)), 1))

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Discard what was noted."""
        self._decisions.discard(run_id)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Discard what was noted."""
        self._searches.discard(run_id)
        self._prompt_lengths.pop(run_id, None)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID | None = None, **kwargs: Any) -> None:
        """Count one request; that of a search has been counted by the runs below it."""
        if run_id in self._searches:
            self._searches.discard(run_id)
            return
        length = 0 if run_id is None else self._prompt_lengths.pop(run_id, 0)
        estimation = Estimation(self._owner or self, "the server of the verifier", lambda: length, self._fills_gaps)
        for generations in response.generations:
            messages = [
                generation.message
                for generation in generations
                if isinstance(generation, ChatGeneration) and isinstance(generation.message, AIMessage)
            ]
            self._usages.append(sum(choice_usages(messages, estimation), Usage()) if messages else Usage(requests=1))
