"""LangGraph's own retries and timeouts, set up for draws and verifications."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from langgraph.errors import NodeTimeoutError
from langgraph.types import RetryPolicy, TimeoutPolicy

from langchain_optscale.errors import SettingsError
from langchain_optscale.models.retry import is_transient

if TYPE_CHECKING:
    from datetime import timedelta

    from langchain_optscale.engine.settings import SearchSettings

__all__ = ["Retries"]

_FIRST_WAIT_S = 0.25
_LONGEST_WAIT_S = 20.0


class Retries:
    """Number and timeout of the attempts at a task of `draw` or `candidate`.

    Args:
        settings: What the graph is built with; `max_retries` counts where no policy is given.
        policy: The caller's own retry policy.
        timeout: Limit of one attempt: seconds, or a policy.

    Raises:
        SettingsError: Both `policy` and `max_retries` are given, or the timeout is not above 0.
    """

    def __init__(
        self,
        settings: SearchSettings,
        policy: RetryPolicy | None = None,
        timeout: float | timedelta | TimeoutPolicy | None = None,
    ) -> None:
        if policy is not None and "max_retries" in settings.model_fields_set:
            raise SettingsError("max_retries and retry_policy exclude each other; give one of them")
        try:
            self.timeout = TimeoutPolicy.coerce(timeout)
        except (TypeError, ValueError) as error:
            raise SettingsError(f"timeout must be seconds above 0, got {timeout!r}") from error
        self._own = policy is not None
        self._policy = policy or RetryPolicy(
            initial_interval=_FIRST_WAIT_S,
            backoff_factor=2.0,
            max_interval=_LONGEST_WAIT_S,
            max_attempts=settings.max_retries + 1,
            jitter=True,
            retry_on=is_transient,
        )
        self.policy = self._policy._replace(retry_on=self.is_retryable)

    @property
    def max_attempts(self) -> int:
        """The most attempts at any task."""
        return self._policy.max_attempts

    def max_attempts_for(self, settings: SearchSettings) -> int:
        """The most attempts under the settings of one run, which may lower `max_retries`."""
        return self.max_attempts if self._own else min(self.max_attempts, settings.max_retries + 1)

    def is_retryable(self, error: BaseException) -> bool:
        """Whether the task may be tried again after this error; after `timeout` it may."""
        if isinstance(error, NodeTimeoutError) and not self._own:
            return True
        retry_on: Any = self._policy.retry_on
        if isinstance(retry_on, type | Sequence):
            return isinstance(error, retry_on if isinstance(retry_on, type) else tuple(retry_on))
        return bool(retry_on(error))
