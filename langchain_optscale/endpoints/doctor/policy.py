"""Checks of a policy's server: it draws candidates."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar

import openai
from langchain_core.messages import HumanMessage

from langchain_optscale.endpoints.doctor.report import Examination, Finding, Task, describe
from langchain_optscale.endpoints.vllm.discovery import POLICY_KEY
from langchain_optscale.endpoints.vllm.policy import vllm_policy
from langchain_optscale.records.endings import EndReason, end_reason_of, end_spelling
from langchain_optscale.records.reasoning import split_message

if TYPE_CHECKING:
    from openai.types.chat.chat_completion import Choice

__all__ = ["PolicyExamination"]

_CHOICES = 4
_TOKENS = 24
# The longest answer that is begun in order to be cancelled, and the tokens reserved for its question.
_LONG = 8192
_QUESTION_TOKENS = 256
# A small model may finish its answer before the check.
_ATTEMPTS = 3
_QUESTION = "Write one sentence about the sea."
_RUNNING = "vllm:num_requests_running"
_CANCEL_WAIT_S = 5.0
_POLL_S = 0.1


class PolicyExamination(Examination):
    """Examines a server as the policy of a search."""

    role = "policy"
    key_variable = POLICY_KEY
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

    def answer(self) -> str:
        """It answers a question."""
        # Always given, so that no environment variable is read.
        key = self.api_key or "not-needed"
        policy = vllm_policy(self.root, self.model, api_key=key, max_tokens=_TOKENS, timeout_s=self.timeout_s)
        began = time.perf_counter()
        try:
            message = policy.invoke([HumanMessage(_QUESTION)])
        except openai.NotFoundError as error:
            hint = "this server has no chat route: is it the verifier's? serve a policy without --runner pooling"
            raise Finding(describe(error)[0], hint) from error
        seconds = time.perf_counter() - began
        took = (
            f"{_count(message.usage_metadata and message.usage_metadata['output_tokens'], 'token')} in {seconds:.2f} s"
        )
        if split_message(message)[0].strip():
            return took
        finish = end_reason_of(message)
        if _text(self._draw()[0]):
            return f"{took}, all of them reasoning: a search with this model needs a max_tokens of thousands"
        hint = (
            "a reasoning model may have used all of its tokens for reasoning: raise max_tokens in your searches"
            if finish is EndReason.LENGTH
            else "does the model have a chat template? see vllm serve --chat-template"
        )
        detail = f"an empty answer (finish_reason {end_spelling(message)!r})"
        raise Finding(detail, hint, "warning" if finish is EndReason.LENGTH else None)

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
        different = len({_text(choice) for choice in drawn})
        if different == 1:
            raise Finding(
                f"{_CHOICES} candidates at temperature 1 are all the same",
                "does a proxy cache the answers, or set the temperature to 0? a search needs candidates that differ",
            )
        return f"{different} different texts among {_CHOICES}"

    def seeds(self) -> str:
        """The same seed gives the same text, another seed another."""
        first, again = (_text(self._draw(seed=11)[0]) for _ in range(2))
        if first != again:
            hint = "searches cannot be repeated exactly; vLLM takes seeds, a proxy may drop them"
            raise Finding("the same seed gave different texts", hint)
        others = {_text(self._draw(seed=seed)[0]) for seed in (1011, 2011, 3011)}
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
        """A cancelled request frees its slot."""
        if self._running() is None:
            raise Finding(
                "the server shows no vllm:num_requests_running at /metrics",
                "to check cancellation, give the address of the server itself instead of its router",
                "skipped",
            )
        before = self._cancel()
        if not before:
            hint = "no action needed; only a longer answer could be checked"
            raise Finding("the answer was finished before it could be cancelled", hint, "skipped")
        began = time.perf_counter()
        while time.perf_counter() - began < _CANCEL_WAIT_S:
            now = self._running()
            if now is not None and now < before:
                return f"the slot was free {time.perf_counter() - began:.1f} s after the request was cancelled"
            time.sleep(_POLL_S)
        raise Finding(
            f"{_CANCEL_WAIT_S:.0f} s after the request was cancelled, as many requests ran as before",
            "does a proxy keep the connection to the server open? cancelled draws would go on at your expense",
        )

    def _cancel(self) -> float | None:
        """Begin and cancel a long answer; the number of requests just before, None where the answer was too short."""
        longest = min(_LONG, (self.max_length or _LONG) - _QUESTION_TOKENS)
        for _ in range(_ATTEMPTS):
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
        """Choices by the SDK, since LangChain's chat model drops the reasoning."""
        drawn = self.client.chat.completions.create(
            model=self.model or "",
            messages=[{"role": "user", "content": _QUESTION}],
            max_completion_tokens=_TOKENS,
            temperature=1.0,
            **kwargs,
        )
        if not drawn.choices:
            hint = "vLLM always returns a choice: check the router or proxy before it"
            raise Finding("an answer without any choice", hint)
        return list(drawn.choices)

    def _running(self) -> float | None:
        """The number of requests that vLLM is computing; None where it does not say."""
        try:
            text = self.client.get(f"{self.root}/metrics", cast_to=str)
        except openai.OpenAIError:
            return None
        lines = [line for line in str(text).splitlines() if line.startswith(_RUNNING)]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines) if lines else None


def _text(choice: Choice) -> str:
    """Reasoning and answer."""
    further = choice.message.model_extra or {}
    return f"{further.get('reasoning') or further.get('reasoning_content') or ''}{choice.message.content or ''}"


def _count(number: object, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
