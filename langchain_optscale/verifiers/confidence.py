"""The policy's own confidence as a score, without a further request."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from langchain_optscale.errors import MissingLogprobsError, SettingsError
from langchain_optscale.records.candidates import Candidate, Verdict
from langchain_optscale.verifiers.base import Verifier
from langchain_optscale.verifiers.coercion import is_finite
from langchain_optscale.verifiers.logprobs import read_logprob, token_entries

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.prompt_values import PromptValue
    from langchain_core.runnables import RunnableConfig

__all__ = ["ConfidenceVerifier", "Statistic"]

Statistic = Literal["mean", "minimum", "lowest", "last"]
"""The tokens that count: all, the least probable one, the tail of the least probable, or the tail of the text."""


@dataclass(frozen=True, repr=False)
class ConfidenceVerifier(Verifier):
    """Scores a candidate by the geometric mean of its tokens' probabilities, exp(mean log-probability).

    The score measures the policy's confidence in its wording, not correctness: it ranks candidates of one question, and
    needs calibration before it is read as a probability. In the mean a long answer dilutes a weak part; in the tail of
    the least probable tokens it does not, and the tail of the text usually holds the final answer. The verdict's `raw`
    has `tokens` (their number), `mean_logprob` and `minimum_logprob`, and for the tails `tail_tokens` and
    `tail_logprob`, their mean.

    The policy is called with `logprobs=True` and must return OpenAI's form,
    `message.response_metadata["logprobs"]["content"]`, as `ChatOpenAI` does.

    Attributes:
        statistic: "mean" over all tokens, "minimum" for the least probable token, "lowest" or "last" for the mean over
            the least probable or the last tokens.
        tail: Length of the tail for "lowest" and "last": a whole number from 1, or a share in (0, 1) of all tokens,
            rounded up.

    Raises:
        SettingsError: A setting is out of range.

    Example:
        ```python
        OptScale(policy=ChatOpenAI(model="gpt-4.1-mini"), verifier=ConfidenceVerifier("lowest", tail=0.1))
        ```

        >>> from langchain_core.prompt_values import StringPromptValue
        >>> from langchain_optscale.verifiers.conformance import make_candidate
        >>> tokens = [{"token": "Paris", "logprob": -0.1}, {"token": ".", "logprob": -0.3}]
        >>> candidate = make_candidate("Paris.", logprobs={"content": tokens})
        >>> round(ConfidenceVerifier().verify(StringPromptValue(text="The capital of France?"), candidate).score, 3)
        0.819
    """

    statistic: Statistic = "mean"
    tail: int | float = 0.1

    def __post_init__(self) -> None:
        if self.statistic not in get_args(Statistic):
            raise SettingsError(f"statistic must be 'mean', 'minimum', 'lowest' or 'last', got {self.statistic!r}")
        if not is_finite(self.tail) or not (0 < self.tail < 1 or (isinstance(self.tail, int) and self.tail >= 1)):
            raise SettingsError(f"tail must be a whole number from 1, or a share in (0, 1), got {self.tail!r}")

    def __repr__(self) -> str:
        if self.statistic == "mean":
            return "ConfidenceVerifier()"
        tail = f", tail={self.tail}" if self.statistic in ("lowest", "last") else ""
        return f"ConfidenceVerifier({self.statistic!r}{tail})"

    @property
    def policy_kwargs(self) -> Mapping[str, Any]:
        """`logprobs=True`."""
        return {"logprobs": True}

    def verify(self, prompt: PromptValue, candidate: Candidate, config: RunnableConfig | None = None) -> Verdict:
        """Score one candidate by its log-probabilities.

        Raises:
            MissingLogprobsError: The message has no log-probabilities.
            InvalidScoreError: It has invalid ones.
        """
        entries = token_entries(candidate.message)
        if not entries:
            raise MissingLogprobsError(
                f"the policy's message {candidate.index} has no token log-probabilities, by which ConfidenceVerifier "
                "scores; give another verifier, such as LLMJudge or a function, or a policy that returns them in "
                "response_metadata['logprobs']['content']"
            )
        logprobs = [read_logprob(entry) for entry in entries]
        count = len(logprobs)
        mean, minimum = _mean(logprobs), min(logprobs)
        raw = {"tokens": count, "mean_logprob": mean, "minimum_logprob": minimum}
        if self.statistic == "mean":
            said, value = f"the {count} tokens have a geometric mean probability of", mean
        elif self.statistic == "minimum":
            said, value = f"the least probable of {count} tokens has probability", minimum
        else:
            size = min(count, self.tail if isinstance(self.tail, int) else math.ceil(self.tail * count))
            tail = logprobs[-size:] if self.statistic == "last" else heapq.nsmallest(size, logprobs)
            value = _mean(tail)
            which = "last" if self.statistic == "last" else "least probable"
            said = f"the {size} {which} of {count} tokens have a geometric mean probability of"
            raw |= {"tail_tokens": size, "tail_logprob": value}
        return Verdict(math.exp(value), f"{said} {math.exp(value):.4g}", raw=raw)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
