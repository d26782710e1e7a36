"""Whether a server can draw candidates, found by drawing some."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar

import openai
from langchain_core.messages import HumanMessage

from langchain_optscale.endpoints.doctor.report import Examination, Finding, Task, describe
from langchain_optscale.endpoints.vllm.discovery import POLICY_KEY
from langchain_optscale.endpoints.vllm.policy import vllm_policy

if TYPE_CHECKING:
    from openai.types.chat.chat_completion import Choice
    from pydantic import SecretStr

__all__ = ["PolicyExamination"]

_CHOICES = 4
_TOKENS = 24
# The longest answer that is begun in order to be dropped, and what its question may take of the model's length.
_LONG = 8192
_ROOM = 256
# A small model on a busy machine may be done before one can look.
_TRIES = 3
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
        self, url: str, model: str | None = None, api_key: SecretStr | str | None = None, timeout_s: float = 60.0
    ) -> None:
        super().__init__("policy", url, model, api_key, POLICY_KEY, timeout_s)

    def answer(self) -> str:
        """It answers a question, asked for as a search asks for it."""
        # A key is always given, so that none is looked for elsewhere.
        key = self.api_key or "not-needed"
        policy = vllm_policy(self.root, self.model, api_key=key, max_tokens=_TOKENS, timeout_s=self.timeout_s)
        began = time.perf_counter()
        try:
            message = policy.invoke([HumanMessage(_QUESTION)])
        except openai.NotFoundError as error:
            hint = "this server answers no chat: is it the verifier's? a policy is served without --runner pooling"
            raise Finding(describe(error)[0], hint) from error
        seconds = time.perf_counter() - began
        took = (
            f"{_count(message.usage_metadata and message.usage_metadata['output_tokens'], 'token')} in {seconds:.2f} s"
        )
        if message.text:
            return took
        said = message.response_metadata.get("finish_reason")
        if _words(self._draw()[0]):
            return f"{took}, all of them thoughts: a search with this model needs a max_tokens of thousands"
        hint = (
            "a reasoning model may have thought for all of its tokens: raise max_tokens in your own searches"
            if said == "length"
            else "does the model have a chat template? see vllm serve --chat-template"
        )
        raise Finding(f"an empty answer (finish_reason {said!r})", hint, None if said != "length" else "warning")

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
        different = len({_words(choice) for choice in drawn})
        if different == 1:
            raise Finding(
                f"{_CHOICES} candidates at temperature 1 are all the same",
                "does a proxy cache the answers, or set the temperature to 0? a search needs candidates that differ",
            )
        return f"{different} different texts among {_CHOICES}"

    def seeds(self) -> str:
        """The same seed gives the same text, another seed another."""
        first, again = (_words(self._draw(seed=11)[0]) for _ in range(2))
        if first != again:
            hint = "searches cannot be repeated exactly; vLLM takes seeds, a proxy may drop them"
            raise Finding("the same seed gave different texts", hint)
        others = {_words(self._draw(seed=seed)[0]) for seed in (1011, 2011, 3011)}
        if others == {first}:
            hint = "leave seed=None in your searches, or candidates repeat"
            raise Finding("different seeds gave the same text", hint)
        return "the same seed gives the same text"

    def logprobs(self) -> str:
        """Answers carry log-probabilities."""
        (choice,) = self._draw(logprobs=True)
        entries = choice.logprobs and choice.logprobs.content
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
        before = self._drop()
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

    def _drop(self) -> float | None:
        """Begin a long answer and drop it; how many requests ran just before, None where it was too short for that."""
        longest = min(_LONG, (self.max_length or _LONG) - _ROOM)
        for _ in range(_TRIES):
            with self.client.chat.completions.create(
                model=self.model or "",
                messages=[{"role": "user", "content": _QUESTION}],
                max_tokens=max(1, longest),
                stream=True,
                extra_body={"ignore_eos": True},
            ) as stream:
                next(iter(stream))
                if before := self._running():
                    return before
        return None

    def _draw(self, **kwargs: Any) -> list[Choice]:
        """Choices as they came: a chat model of LangChain would keep the answers, and lose the thoughts."""
        drawn = self.client.chat.completions.create(
            model=self.model or "",
            messages=[{"role": "user", "content": _QUESTION}],
            max_completion_tokens=_TOKENS,
            temperature=1.0,
            **kwargs,
        )
        if not drawn.choices:
            hint = "this is no answer of vLLM's: look at what stands before it, a router or a proxy"
            raise Finding("an answer without any choice", hint)
        return list(drawn.choices)

    def _running(self) -> float | None:
        """How many requests vLLM computes at this moment; None where it does not say."""
        try:
            text = self.client.get(f"{self.root}/metrics", cast_to=str)
        except openai.OpenAIError:
            return None
        lines = [line for line in str(text).splitlines() if line.startswith(_RUNNING)]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines) if lines else None


def _words(choice: Choice) -> str:
    """Thoughts and answer: a model that thinks for longer than this examination has thoughts only."""
    further = choice.message.model_extra or {}
    return f"{further.get('reasoning') or further.get('reasoning_content') or ''}{choice.message.content or ''}"


def _count(number: object, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
