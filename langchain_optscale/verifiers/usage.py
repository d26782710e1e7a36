"""Counting what a verifier's own model calls consume."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from langchain_core.callbacks import BaseCallbackHandler, BaseCallbackManager
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration
from langchain_core.runnables.config import ensure_config

from langchain_optscale.models.token_usage import choice_usages
from langchain_optscale.records.types import Usage

if TYPE_CHECKING:
    from langchain_core.outputs import LLMResult
    from langchain_core.runnables import RunnableConfig

__all__ = ["UsageCounter"]

_COMPLETE = frozenset({"tags", "metadata", "callbacks", "recursion_limit", "configurable"})


class UsageCounter(BaseCallbackHandler):
    """Adds up the tokens and requests of every model call below one config.

    Example:
        ```python
        counter = UsageCounter()
        chain.invoke("question", counter.attach(config))
        counter.usage  # Usage(input_tokens=12, output_tokens=3, requests=1), or None if no model was called
        ```
    """

    # Inline, so that the count is complete when the call returns, on the async path too.
    run_inline = True

    def __init__(self) -> None:
        # Models may answer in several threads at once: appending to a list is atomic, adding to a number is
        # not.
        self._answered: list[Usage] = []

    @property
    def usage(self) -> Usage | None:
        """Everything counted so far, None where no model was called."""
        return sum(self._answered, Usage()) if self._answered else None

    def attach(self, config: RunnableConfig | None) -> RunnableConfig:
        """A copy of `config` whose callbacks include this counter; None stands for the ambient config."""
        # A complete config, such as that of a search, has taken over what is ambient: copying it again is vain.
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

    def on_llm_end(self, response: LLMResult, **kwargs: Any) -> None:
        """Count one answered request."""
        for generations in response.generations:
            messages = [
                generation.message
                for generation in generations
                if isinstance(generation, ChatGeneration) and isinstance(generation.message, AIMessage)
            ]
            self._answered.append(sum(choice_usages(messages), Usage()) if messages else Usage(requests=1))
