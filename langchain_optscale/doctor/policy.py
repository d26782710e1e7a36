"""Whether a server can draw candidates, found by drawing some."""

from __future__ import annotations

import time
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import openai
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import ChatGeneration

from langchain_optscale.doctor.report import Examination, Finding, Task
from langchain_optscale.vllm.discovery import POLICY_KEY
from langchain_optscale.vllm.policy import vllm_policy

if TYPE_CHECKING:
    from langchain_openai import ChatOpenAI
    from pydantic import SecretStr

__all__ = ["PolicyExamination"]

_CHOICES = 4
_TOKENS = 24
_LONG = 2048
_QUESTION = "Write one sentence about the sea."
_RUNNING = "vllm:num_requests_running"
_PATIENCE_S = 5.0
_LOOK_EVERY_S = 0.1


class PolicyExamination(Examination):
    """Examines a server as the policy of a search.

    Args:
        url: The server's URL, with or without `/v1`.
        model: The model to ask for; None takes the only one that is served.
        api_key: The server's key.
        timeout_s: How long one answer may take, in seconds.
    """

    tasks: ClassVar[tuple[Task, ...]] = (
        Task("reachable"),
        Task("authorised", needs="reachable"),
        Task("served", needs="authorised"),
        Task("answer", needs="served"),
        Task("choices", required=False, needs="answer"),
        Task("variety", needs="answer"),
        Task("seeds", required=False, needs="answer"),
        Task("logprobs", required=False, needs="answer"),
        Task("cancellation", required=False, needs="answer"),
    )

    def __init__(
        self, url: str, model: str | None = None, api_key: SecretStr | None = None, timeout_s: float = 60.0
    ) -> None:
        super().__init__("policy", url, model, api_key, POLICY_KEY, timeout_s)

    @cached_property
    def _policy(self) -> ChatOpenAI:
        # A key is always given, so that none is looked for elsewhere.
        key = self.api_key or "not-needed"
        return vllm_policy(self.root, self.model, api_key=key, max_tokens=_TOKENS, timeout_s=self.timeout_s)

    def answer(self) -> str:
        """It answers a question."""
        began = time.perf_counter()
        (message,) = self._draw()
        seconds = time.perf_counter() - began
        if not message.text:
            said = message.response_metadata.get("finish_reason")
            hint = (
                "a reasoning model may have thought for all of its tokens: raise max_tokens in your own searches"
                if said == "length"
                else "does the model have a chat template? see vllm serve --chat-template"
            )
            raise Finding(f"an empty answer (finish_reason {said!r})", hint, None if said != "length" else "warning")
        return (
            f"{_count(message.usage_metadata and message.usage_metadata['output_tokens'], 'token')} in {seconds:.2f} s"
        )

    def choices(self) -> str:
        """One request gives several choices."""
        drawn = self._draw(n=_CHOICES)
        if len(drawn) != _CHOICES:
            raise Finding(
                f"asked for {_CHOICES} choices, got {len(drawn)}",
                "the server ignores n, so each candidate is a request of its own (fanout='calls') and pays for its "
                "own prefill",
            )
        return f"{_CHOICES} in one request"

    def variety(self) -> str:
        """Candidates differ: choices of one request, or else requests."""
        drawn = self._draw(n=_CHOICES)
        while len(drawn) < _CHOICES:
            drawn += self._draw()
        different = len({message.text for message in drawn})
        if different == 1:
            raise Finding(
                f"{_CHOICES} candidates at temperature 1 are all the same",
                "does a proxy cache the answers, or set the temperature to 0? a search needs candidates that differ",
            )
        return f"{different} different texts among {_CHOICES}"

    def seeds(self) -> str:
        """The same seed gives the same text, another seed another."""
        first, again = self._draw(seed=11), self._draw(seed=11)
        if first[0].text != again[0].text:
            hint = "searches cannot be repeated exactly; vLLM takes seeds, a proxy may drop them"
            raise Finding("the same seed gave different texts", hint)
        others = [self._draw(seed=seed)[0].text for seed in (1011, 2011, 3011)]
        if set(others) == {first[0].text}:
            hint = "leave seed=None in your searches, or candidates repeat"
            raise Finding("different seeds gave the same text", hint)
        return "the same seed gives the same text"

    def logprobs(self) -> str:
        """Answers carry log-probabilities."""
        (message,) = self._draw(logprobs=True)
        entries: Any = (message.response_metadata.get("logprobs") or {}).get("content")
        if not entries:
            hint = "ConfidenceVerifier, and a judge read by log-probabilities, cannot work with this server"
            raise Finding("no log-probabilities in the answer", hint)
        return f"one for each of {_count(len(entries), 'token')}"

    def cancellation(self) -> str:
        """A request that is dropped frees its slot."""
        if self._running() is None:
            raise Finding(
                "the server shows no vllm:num_requests_running at /metrics",
                "ask the server itself, not the router before it, if you want to know",
                "skipped",
            )
        longest = min(_LONG, (self.max_length or _LONG) // 2)
        with self.client.chat.completions.create(
            model=self.model or "",
            messages=[{"role": "user", "content": _QUESTION}],
            max_tokens=longest,
            stream=True,
            extra_body={"ignore_eos": True},
        ) as stream:
            next(iter(stream))
            before = self._running()
        if not before:
            hint = "nothing to worry about; a longer answer would show it"
            raise Finding("the answer was finished before it could be dropped", hint, "skipped")
        began = time.perf_counter()
        while time.perf_counter() - began < _PATIENCE_S:
            now = self._running()
            if now is not None and now < before:
                return f"the slot was free {time.perf_counter() - began:.1f} s after the request was dropped"
            time.sleep(_LOOK_EVERY_S)
        raise Finding(
            f"{_PATIENCE_S:.0f} s after the request was dropped, as many requests ran as before",
            "does a proxy keep the connection to the server open? dropped draws would go on at your expense",
        )

    def _draw(self, **kwargs: Any) -> list[AIMessage]:
        result = self._policy.generate([[HumanMessage(_QUESTION)]], **kwargs)
        generations = [one for one in result.generations[0] if isinstance(one, ChatGeneration)]
        return [one.message for one in generations if isinstance(one.message, AIMessage)]

    def _running(self) -> float | None:
        """How many requests vLLM computes at this moment; None where it does not say."""
        try:
            text = self.client.get(f"{self.root}/metrics", cast_to=str)
        except openai.OpenAIError:
            return None
        lines = [line for line in str(text).splitlines() if line.startswith(_RUNNING)]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines) if lines else None


def _count(number: object, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
