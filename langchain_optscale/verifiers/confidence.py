"""The policy's own confidence as a score: no second model, no second request."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_optscale.errors import InvalidScoreError
from langchain_optscale.records import Candidate, Verdict
from langchain_optscale.verifiers.base import Verifier
from langchain_optscale.verifiers.coercion import is_finite

if TYPE_CHECKING:
    from langchain_core.prompt_values import PromptValue
    from langchain_core.runnables import RunnableConfig

__all__ = ["ConfidenceVerifier"]

# Servers add logits in single precision, so the log of a probability of 1 may come out a little above 0.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class ConfidenceVerifier(Verifier):
    """Scores a candidate by the geometric mean of its tokens' probabilities, exp(mean log-probability).

    The figure tells how sure the policy was of its wording, not whether it is right: good for ranking the
    candidates of one question, and in need of calibration before it is read as a probability. The verdict's
    `raw` has `tokens`, how many there were, and `mean_logprob`.

    The policy is called with `logprobs=True` and must answer in OpenAI's form,
    `message.response_metadata["logprobs"]["content"]`, as `ChatOpenAI` does.

    Example:
        ```python
        OptScale(policy=ChatOpenAI(model="gpt-4.1-mini"), verifier=ConfidenceVerifier())
        ```
    """

    @property
    def policy_kwargs(self) -> Mapping[str, Any]:
        """The policy must return log-probabilities."""
        return {"logprobs": True}

    def verify(self, prompt: PromptValue, candidate: Candidate, config: RunnableConfig | None = None) -> Verdict:
        """Score one candidate by its own log-probabilities.

        Returns:
            A score in (0, 1], or 0 where the probability underflows.

        Raises:
            InvalidScoreError: The message has no log-probabilities, or some that cannot be such.
        """
        logprobs = [_logprob(entry) for entry in _entries(candidate)]
        mean = math.fsum(logprobs) / len(logprobs)
        return Verdict(
            math.exp(mean),
            f"the {len(logprobs)} tokens have a geometric mean probability of {math.exp(mean):.4g}",
            raw={"tokens": len(logprobs), "mean_logprob": mean},
        )


def _entries(candidate: Candidate) -> list[Any]:
    logprobs = candidate.message.response_metadata.get("logprobs")
    content = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    if not isinstance(content, list) or not content:
        raise InvalidScoreError(
            f"candidate {candidate.index} carries no token log-probabilities: ConfidenceVerifier needs a "
            "policy that returns them for logprobs=True, in response_metadata['logprobs']['content']"
        )
    return content


def _logprob(entry: Any) -> float:
    value = entry.get("logprob") if isinstance(entry, Mapping) else None
    if not is_finite(value) or value > _ROUNDING:
        raise InvalidScoreError(
            f"the policy must return token log-probabilities, finite numbers of at most 0, got {value!r}"
        )
    return min(float(value), 0.0)
