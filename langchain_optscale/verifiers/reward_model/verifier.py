"""Reward models on a pooling server, such as `vllm serve MODEL --runner pooling`."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias, get_args

from langchain_optscale.errors import InvalidReplyError, SettingsError
from langchain_optscale.models.keys import bearer_key
from langchain_optscale.records.candidates import Candidate, Verdict
from langchain_optscale.verifiers.base import Verifier
from langchain_optscale.verifiers.coercion import is_finite
from langchain_optscale.verifiers.reward_model.client import PoolingClient
from langchain_optscale.verifiers.reward_model.logistic import Logistic
from langchain_optscale.verifiers.reward_model.prompt import answer, conversation, question, without_marker
from langchain_optscale.verifiers.reward_model.reply import (
    Aggregate,
    aggregated,
    only_row,
    read_row,
    read_steps,
    read_usage,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.prompt_values import PromptValue
    from langchain_core.runnables import RunnableConfig
    from pydantic import SecretStr

__all__ = ["RewardKind", "RewardModelVerifier"]

RewardKind = Literal["classify", "prm", "score", "pooling"]
"""Which route is asked, and what its rows mean."""

AsText: TypeAlias = Callable[[str, str], str]

_ROUTES = {"classify": "/classify", "pooling": "/pooling", "prm": "/pooling", "score": "/score"}
_BLANK_LINES = re.compile(r"\n[ \t]*\n\s*")


class RewardModelVerifier(Verifier):
    r"""Scores candidates by a reward model behind an HTTP server.

    - "classify": an outcome reward model behind `/classify`, with one value or one for each class.
    - "pooling": the same behind `/pooling`.
    - "score": a reranker behind `/score`, which joins question and answer without a chat template.
    - "prm": a process reward model behind `/pooling`, with a value for each step.

    Transport errors and error statuses are raised as the `openai` package's exceptions, and the search retries those
    that may pass; the verifier does not retry. A reply without a finite value for the candidate, or for each of its
    steps, raises `InvalidReplyError`. Control tokens and step markers that a candidate writes are broken up before they
    are sent, so a candidate can neither end its turn nor add a step. A tool call is sent between `<tool_call>` tags,
    which no text of a candidate can write.

    The verdict's `raw` has "kind" and "value" (the logit with `from_logits`, else the score), for "prm" instead of
    "value" the "steps" (score of each) and their "values".

    Close it with `close` or `aclose`, or use it as a context manager; otherwise its idle connections stay open as long
    as it exists.

    Args:
        base_url: The server's root, such as "http://localhost:8000", without "/v1".
        model: The name under which the server knows the model.
        kind: "classify", "pooling", "score" or "prm".
        api_key: Sent as a bearer token, if given. No key of the environment is ever sent.
        from_logits: Ask for raw logits and map them by this; None leaves the activation to the server (sigmoid for one
            value, softmax for several).
        positive: Which of several classes means good, as an index; the last by default.
        step_marker: What ends each step for a "prm".
        split_steps: Divides an answer into steps; at blank lines by default.
        aggregate: How the steps' scores become one: "mean", "min", "last" or "product".
        as_text: Joins question and answer into one text, for a model without a chat template; for a "prm" the answer
            already has its markers.
        timeout_s: Timeout of a request in seconds, above 0.
        http_client: An `httpx.Client` for the sync path; the caller closes it.
        http_async_client: An `httpx.AsyncClient` for the async path, usable from several event loops; the caller
            closes it.

    Raises:
        SettingsError: A setting is out of range or contradicts another.

    Example:
        ```python
        RewardModelVerifier("http://localhost:8000", "reward", from_logits=Logistic(location=1.0, scale=4.0))
        RewardModelVerifier("http://localhost:8001", "Qwen2.5-Math-PRM-7B", kind="prm", aggregate="min")
        ```

        >>> import httpx
        >>> from langchain_core.prompt_values import StringPromptValue
        >>> from langchain_optscale.verifiers.conformance import make_candidate
        >>> server = httpx.MockTransport(lambda request: httpx.Response(200, json={"data": [{"probs": [0.2, 0.8]}]}))
        >>> client = httpx.Client(transport=server)
        >>> verifier = RewardModelVerifier("http://localhost:8000", "reward", http_client=client)
        >>> verifier.verify(StringPromptValue(text="The capital of France?"), make_candidate("Paris")).score
        0.8
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        kind: RewardKind = "classify",
        *,
        api_key: SecretStr | str | None = None,
        from_logits: Logistic | None = None,
        positive: int = -1,
        step_marker: str = "<extra_0>",
        split_steps: Callable[[str], Sequence[str]] | None = None,
        aggregate: Aggregate = "mean",
        as_text: AsText | None = None,
        timeout_s: float = 60.0,
        http_client: Any = None,
        http_async_client: Any = None,
    ) -> None:
        if kind not in get_args(RewardKind):
            raise SettingsError(f"kind must be 'classify', 'prm', 'score' or 'pooling', got {kind!r}")
        if aggregate not in get_args(Aggregate):
            raise SettingsError(f"aggregate must be 'mean', 'min', 'last' or 'product', got {aggregate!r}")
        if from_logits is not None and not isinstance(from_logits, Logistic):
            raise SettingsError(f"from_logits must be a Logistic, such as Logistic(), got {from_logits!r}")
        if kind == "score" and as_text is not None:
            raise SettingsError("kind='score' sends question and answer as two texts: leave as_text out")
        for name, text in (("model", model), ("step_marker", step_marker)):
            if not isinstance(text, str) or not text.strip():
                raise SettingsError(f"{name} must be a text that is not blank, got {text!r}")
        for name, function in (("as_text", as_text), ("split_steps", split_steps)):
            if function is not None and not callable(function):
                raise SettingsError(f"{name} must be a function, got {function!r}")
        if isinstance(positive, bool) or not isinstance(positive, int):
            raise SettingsError(f"positive must be the index of a class, got {positive!r}")
        if not is_finite(timeout_s) or timeout_s <= 0:
            raise SettingsError(f"timeout_s must be a positive number of seconds, got {timeout_s!r}")
        self.model = model
        self.kind = kind
        self.from_logits = from_logits
        self.aggregate: Aggregate = aggregate
        self._positive = positive
        self._step_marker = step_marker
        self._split = split_steps
        self._as_text = as_text
        self._client = PoolingClient(base_url, bearer_key(api_key), timeout_s, http_client, http_async_client)

    def __repr__(self) -> str:
        mapped = f", from_logits={self.from_logits}" if self.from_logits else ""
        how = f", aggregate={self.aggregate!r}" if self.kind == "prm" else ""
        return f"RewardModelVerifier({self._client.root!r}, {self.model!r}, kind={self.kind!r}{mapped}{how})"

    @property
    def content(self) -> Any:
        """The server, the model, and how its values are read."""
        how = [self.kind, self.from_logits, self.aggregate, self._positive, self._step_marker]
        return [type(self).__name__, self._client.root, self.model, *how, self._as_text, self._split]

    @property
    def endpoint(self) -> Hashable:
        """What is asked: verifiers that ask the same model at the same address share their `verifier_limit`."""
        return (type(self).__name__, self._client.root, self.model)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self.aclose()

    def close(self) -> None:
        """Close idle connections; a later verification opens new ones."""
        self._client.close()

    async def aclose(self) -> None:
        """Close everything that this event loop and the threads have opened."""
        await self._client.aclose()

    @property
    def deterministic(self) -> bool:
        """Equal candidates get equal scores."""
        return True

    def verify(self, prompt: PromptValue, candidate: Candidate, config: RunnableConfig | None = None) -> Verdict:
        """Score one candidate with one request.

        Raises:
            openai.APIStatusError: The server answered with an error status.
            openai.APIConnectionError: The server could not be reached, or timed out.
            InvalidReplyError: The reply holds no score for the candidate.
        """
        steps = self._steps(candidate)
        reply = self._client.post(_ROUTES[self.kind], self._body(prompt, steps))
        return self._verdict(reply, steps)

    async def averify(self, prompt: PromptValue, candidate: Candidate, config: RunnableConfig | None = None) -> Verdict:
        """As `verify`, without blocking the event loop; cancelling it closes the connection."""
        steps = self._steps(candidate)
        reply = await self._client.apost(_ROUTES[self.kind], self._body(prompt, steps))
        return self._verdict(reply, steps)

    def _steps(self, candidate: Candidate) -> list[str]:
        """What is sent of a candidate: its steps for a process reward model, else all of it as one."""
        marker = self._step_marker
        text = answer(candidate)
        if self.kind != "prm":
            return [text]
        steps = [without_marker(step, marker).strip() for step in (self._split or _BLANK_LINES.split)(text)]
        steps = [step for step in steps if step]
        if not steps:
            raise InvalidReplyError(f"candidate {candidate.index} has no text, so there is no step to score")
        return steps

    def _body(self, prompt: PromptValue, steps: list[str]) -> dict[str, Any]:
        body: dict[str, Any] = {"model": self.model, "use_activation": self.from_logits is None}
        marker = self._step_marker if self.kind == "prm" else ""
        text = "".join(f"{step}{marker}" for step in steps)
        if self.kind == "score":
            return body | {"text_1": question(prompt, marker), "text_2": [text]}
        if self._as_text is not None:
            return body | {"input": self._as_text(question(prompt, marker), text)}
        return body | {"messages": [*conversation(prompt, marker), {"role": "assistant", "content": text}]}

    def _verdict(self, reply: Mapping[str, Any], steps: list[str]) -> Verdict:
        row, usage = only_row(reply), read_usage(reply)
        if self.kind != "prm":
            score, value = read_row(row, self.kind, self._positive, self.from_logits)
            said = f"logit {value:.4g}" if self.from_logits else None
            return Verdict(score, said, usage, {"kind": self.kind, "value": value})
        read = read_steps(row, len(steps), self._positive, self.from_logits)
        scores = [score for score, _ in read]
        lowest = min(range(len(scores)), key=scores.__getitem__)
        said = f"{self.aggregate} of {len(scores)} steps; the lowest is step {lowest + 1} with {scores[lowest]:.3f}"
        raw = {"kind": self.kind, "steps": scores, "values": [value for _, value in read]}
        return Verdict(aggregated(scores, self.aggregate), said, usage, raw)
