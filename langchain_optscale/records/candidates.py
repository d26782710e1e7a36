"""A candidate and what became of it: its verdict, or why it has none.

A search draws `Candidate`s from the policy; the verifier answers each with a `Verdict` or, where drawing or verifying
went wrong, a `Failure`. A candidate that was cut off, blocked, refused or lost in transport, or that has nothing but
reasoning, is no answer: `shortcomings.shortcoming_of` says why.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from langchain_optscale.errors import InvalidRecordError, InvalidScoreError
from langchain_optscale.records.endings import end_reason_of
from langchain_optscale.records.reasoning import split_message, without_reasoning
from langchain_optscale.records.reasoning_marks import ReasoningTag, may_have_marks
from langchain_optscale.records.stored import Fields, reading
from langchain_optscale.records.tool_calls import render_calls
from langchain_optscale.records.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.messages import AIMessage, BaseMessage

    from langchain_optscale.records.endings import EndReason

__all__ = [
    "Candidate",
    "Failure",
    "Recurrence",
    "Verdict",
    "without_numbers",
]

_NUMBER = re.compile(r"\d+(?:\.\d+)?")

Recurrence = Literal["possible", "likely", "certain"]
"""Whether another candidate would fail in the same way; see `Failure`."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One answer drawn from the policy.

    Attributes:
        index: Its number within the search, from 0, in the order in which draws were asked for.
        message: What the policy answered; without its reasoning, unless `keep_reasoning` is set.
        round: The round in which it was asked for, from 0.
        usage: What it consumed; the prompt of a request with several choices is counted at its first choice.
        latency_s: Seconds from the request to its answer.
        answer: The canonical form that `extract` found in it, None where the task has none.
        reasoning: What the policy thought before it answered; "" where that cannot be read, None where there is none.
        reasoning_tags: Tags around reasoning in the message's text, beside those that are known.
        parsed: The object that a policy with structured output made of it, such as a pydantic model; None for any other
            policy. It is not compared, and read back as plain data.
        state: What a policy that is an agent, or another graph, ended in: the mapping as it returned it; None for any
            other policy. It is not compared. `to_dict` writes messages and plain data; of other objects it writes the
            fields where they have some, else the type alone.
        answer_text: The text of the message without reasoning.

    Example:
        >>> from langchain_core.messages import AIMessage
        >>> candidate = Candidate(0, AIMessage("It is 4."), round=0, answer="4")
        >>> candidate.text, candidate.answer
        ('It is 4.', '4')
    """

    index: int
    message: AIMessage
    round: int
    usage: Usage = field(default_factory=Usage)
    latency_s: float = 0.0
    answer: str | None = None
    reasoning: str | None = None
    reasoning_tags: tuple[ReasoningTag, ...] = ()
    parsed: Any = field(default=None, compare=False)
    state: Any = field(default=None, compare=False, repr=False)
    answer_text: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        message, content = self.message, self.message.content
        text, reasoning = content, None
        # Most messages are plain text, for which there is nothing to separate.
        plain = isinstance(content, str) and not message.additional_kwargs and not self.reasoning_tags
        if not plain or may_have_marks(content):  # type: ignore[arg-type]
            text, reasoning = split_message(message, self.reasoning_tags)
        object.__setattr__(self, "answer_text", text)
        if self.reasoning is None:
            object.__setattr__(self, "reasoning", reasoning)

    @property
    def end_reason(self) -> EndReason | None:
        """How the policy's message ended, in one vocabulary for all providers; None where its metadata do not say."""
        return end_reason_of(self.message)

    @property
    def answer_message(self) -> AIMessage:
        """The message without reasoning."""
        return self.message if self.reasoning is None else without_reasoning(self.message, self.reasoning_tags)

    @property
    def text(self) -> str:
        """What a verifier reads: the text of the answer, and its tool calls as `tool_calls.render_calls` writes them.

        Without reasoning and tool calls it is the text exactly as the policy wrote it.
        """
        text = self.answer_text
        if not (self.message.tool_calls or self.message.invalid_tool_calls):
            return text
        calls = render_calls(self.message)
        return f"{text}\n\n{calls}" if text.strip() and calls else calls or text

    @property
    def trajectory(self) -> tuple[BaseMessage, ...]:
        """All messages of an agent's run, the question first, its tool calls and their results among them.

        Empty for a policy that answers with a message, and for a state without `messages`.
        """
        from langchain_optscale.records.states import messages_in

        return () if self.state is None else messages_in(self.state)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; `from_dict` gives an equal candidate back."""
        from langchain_core.messages import message_to_dict

        from langchain_optscale.records.states import state_to_json

        parsed = self.parsed.model_dump(mode="json") if hasattr(self.parsed, "model_dump") else self.parsed
        return {
            "index": self.index,
            "message": message_to_dict(self.message),
            "round": self.round,
            "usage": self.usage.to_dict(),
            "latency_s": self.latency_s,
            "answer": self.answer,
            **({} if parsed is None else {"parsed": parsed}),
            **({} if self.state is None else {"state": state_to_json(self.state)}),
            **({} if self.reasoning is None else {"reasoning": self.reasoning}),
            **({"reasoning_tags": list(self.reasoning_tags)} if self.reasoning_tags else {}),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Candidate:
        """Read what `to_dict` wrote.

        Raises:
            InvalidRecordError: A field is missing or of another type; so it is for every record here.
        """
        from langchain_core.messages import AIMessage, messages_from_dict

        from langchain_optscale.records.states import state_from_json

        fields = Fields(data, "a candidate")
        fields.whole("index")
        fields.whole("round")
        fields.seconds("latency_s", 0.0)
        fields.optional_text("answer")
        fields.optional_text("reasoning")
        usage = Usage.from_dict(fields.get("usage", {}))
        tags = tuple(map(_tag, fields.items("reasoning_tags", ())))
        with reading("a candidate"):
            (message,) = messages_from_dict([data["message"]])
            if not isinstance(message, AIMessage):
                raise InvalidRecordError(f"a candidate's message must be an AI message, not {message.type!r}")
            read = {"message": message, "usage": usage, "reasoning_tags": tags}
            state = {"state": state_from_json(data["state"])} if "state" in data else {}
            candidate = cls(**{**data, **read, **state})
            # What a verifier reads is made of the message's parts.
            str(message.text + candidate.text)
            return candidate


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the verifier thinks of one candidate.

    Attributes:
        score: A finite number in [0, 1]; higher is better.
        explanation: Why, where the verifier says so.
        usage: What the verification itself consumed, None where it called no model.
        raw: The verifier's unprocessed answer (JSON-ready), for debugging and recalibration.

    Raises:
        InvalidScoreError: The score is not a real number, not finite, or outside [0, 1]. Scores are never clipped.

    Example:
        >>> Verdict(0.75, "right, but long").score
        0.75
    """

    score: float
    explanation: str | None = None
    usage: Usage | None = None
    raw: Any = None

    def __post_init__(self) -> None:
        try:
            score = float(self.score) if not isinstance(self.score, str | bytes) else math.nan
        except (TypeError, ValueError, OverflowError):
            score = math.nan
        if not 0.0 <= score <= 1.0:
            raise InvalidScoreError(
                f"a verifier's score must be a finite number in [0, 1], got {self.score!r}; rescale it in the verifier"
            )
        object.__setattr__(self, "score", score)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Verdict:
        """Read what `to_dict` wrote."""
        fields = Fields(data, "a verdict")
        score = fields.real("score")
        fields.optional_text("explanation")
        usage = data.get("usage")
        with reading("a verdict"):
            return cls(**{**data, "score": score, "usage": None if usage is None else Usage.from_dict(usage)})

    def to_dict(self) -> dict[str, Any]:
        """Plain form; JSON-ready where `raw` is."""
        usage = self.usage and self.usage.to_dict()
        return {"score": self.score, "explanation": self.explanation, "usage": usage, "raw": self.raw}


class _Caused:
    """Room for an exception that is no part of a record: neither compared nor serialised."""

    __slots__ = ("_cause",)


@dataclass(frozen=True, slots=True)
class Failure(_Caused):
    """A candidate that could not be drawn or not be verified: a value, never a score of zero.

    Attributes:
        stage: Where it went wrong.
        error: The error's type and message.
        attempts: How often it was tried, at least 1.
        kind: The name of langchain-core's error that it was, such as "ModelRefusalError", or "SettingsError"; None for
            any other.
        recurrence: Whether another candidate would fail in the same way. "certain", as for a rejected key, ends the
            search; "likely" ends it where all candidates of a round, and at least two, fail so with equal errors.

    Example:
        >>> Failure("verify", "TimeoutError: no reply", attempts=4).to_dict()
        {'stage': 'verify', 'error': 'TimeoutError: no reply', 'attempts': 4}
    """

    stage: Literal["draw", "verify"]
    error: str
    attempts: int = 1
    kind: str | None = None
    recurrence: Recurrence = "possible"

    @property
    def cause(self) -> Exception | None:
        """The exception itself, in the process where it was raised; no part of the serialised record."""
        return getattr(self, "_cause", None)

    def caused_by(self, error: Exception | None) -> Failure:
        """An equal failure that holds its exception."""
        failure = replace(self)
        object.__setattr__(failure, "_cause", error)
        return failure

    def resembles(self, other: Failure) -> bool:
        """Whether both have the same stage and, apart from numbers in the message, the same error."""
        return self.stage == other.stage and without_numbers(self.error) == without_numbers(other.error)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; `from_dict` reads it."""
        kind = {} if self.kind is None else {"kind": self.kind}
        recurrence = {} if self.recurrence == "possible" else {"recurrence": self.recurrence}
        return {"stage": self.stage, "error": self.error, "attempts": self.attempts, **kind, **recurrence}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Failure:
        """Read what `to_dict` wrote."""
        fields = Fields(data, "a failure")
        if fields.text("stage") not in {"draw", "verify"}:
            raise InvalidRecordError(f"stage of a failure must be draw or verify, got {data['stage']!r}")
        fields.text("error")
        fields.whole("attempts", 1)
        fields.optional_text("kind")
        recurrence = fields.text("recurrence", "possible")
        if recurrence not in get_args(Recurrence):
            known = ", ".join(get_args(Recurrence))
            raise InvalidRecordError(f"recurrence of a failure must be one of {known}, got {recurrence[:100]!r}")
        with reading("a failure"):
            return cls(**data)


def without_numbers(text: str) -> str:
    """The text with every number replaced, so that messages about different candidates compare equal."""
    return _NUMBER.sub("#", text)


def _tag(data: object) -> ReasoningTag:
    """A tag around reasoning: its name, or what begins and ends it."""
    if isinstance(data, str):
        return data
    fields = Fields({"tag": data}, "a candidate")
    begin, end = (Fields(dict(enumerate(fields.items("tag", most=2))), "a tag").text(place) for place in (0, 1))
    return begin, end
