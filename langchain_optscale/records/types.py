"""The frozen dataclasses of a search.

A search draws `Candidate`s from the policy; the verifier answers each with a `Verdict` or, where drawing or verifying
went wrong, a `Failure`. After each of them the session takes a `Decision` from the current `Estimate` of the score
distribution. `OptScaleResult` keeps all of it.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal, get_args

from langchain_optscale.errors import InvalidRecordError, InvalidScoreError
from langchain_optscale.records.endings import EndReason, end_reason_of
from langchain_optscale.records.reasoning import MAY_HAVE_MARKS, ReasoningTag, split_message, without_reasoning
from langchain_optscale.records.stored import MOST_CANDIDATES, Fields, reading
from langchain_optscale.records.tool_calls import render_calls
from langchain_optscale.records.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.messages import AIMessage

__all__ = [
    "Candidate",
    "Decision",
    "Estimate",
    "Failure",
    "Observation",
    "Recurrence",
    "Round",
    "StopReason",
    "Usage",
    "Verdict",
    "without_numbers",
]

_NUMBER = re.compile(r"\d+(?:\.\d+)?")

Recurrence = Literal["possible", "likely", "certain"]
"""Whether another candidate would fail in the same way; see `Failure`."""


class StopReason(Enum):
    """Why a search ended; the value is a sentence that a person understands."""

    TARGET_REACHED = "a candidate reached the target score"
    OPTIMAL_N = "as many candidates were drawn as the bound asks for"
    ANSWER_CONFIDENT = "the leading answer is probable enough to be right"
    ANSWER_STABLE = "the candidates still allowed would hardly change the answer"
    ANSWER_SETTLED = "no allowed number of further candidates is worth its price in a surer answer"
    MARGINAL_GAIN = "one more candidate is not expected to improve the best score enough"
    FUTILITY = "the target is too unlikely to be reached within what may still be drawn"
    MIN_SAMPLES = "the least number of candidates was drawn and nothing asked for more"
    MAX_SAMPLES = "the largest allowed number of candidates was drawn"
    TOKEN_BUDGET = "the token budget is spent"  # noqa: S105 - tokens of text
    COST_BUDGET = "the money budget is spent"
    DEADLINE = "the time is up"
    FAILURES = "too many candidates failed"

    @classmethod
    def of(cls, name: str) -> StopReason:
        """The reason of that name; also of a name that version 0.1.0 wrote."""
        return cls[_FORMER_REASONS.get(name, name)]


_FORMER_REASONS = {"HOPELESS": "FUTILITY"}


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
        answer_text: The text of the message without reasoning.
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
    answer_text: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        message, content = self.message, self.message.content
        text, reasoning = content, None
        # Most messages are plain text, for which there is nothing to separate.
        plain = isinstance(content, str) and not message.additional_kwargs and not self.reasoning_tags
        if not plain or MAY_HAVE_MARKS.search(content):  # type: ignore[arg-type]
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

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; `from_dict` gives an equal candidate back."""
        from langchain_core.messages import message_to_dict

        parsed = self.parsed.model_dump(mode="json") if hasattr(self.parsed, "model_dump") else self.parsed
        return {
            "index": self.index,
            "message": message_to_dict(self.message),
            "round": self.round,
            "usage": self.usage.to_dict(),
            "latency_s": self.latency_s,
            "answer": self.answer,
            **({} if parsed is None else {"parsed": parsed}),
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
            candidate = cls(**{**data, "message": message, "usage": usage, "reasoning_tags": tags})
            # What a verifier reads is made of the message's parts.
            render_calls(message)
            str(message.text)
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
        if fields.text("recurrence", "possible") not in get_args(Recurrence):
            raise InvalidRecordError(f"recurrence of a failure must be one of {', '.join(get_args(Recurrence))}")
        with reading("a failure"):
            return cls(**data)


def without_numbers(text: str) -> str:
    """The text with every number replaced, so that messages about different candidates compare equal."""
    return _NUMBER.sub("#", text)


@dataclass(frozen=True, slots=True)
class Estimate:
    """The estimated distribution of the verifier's scores: a normal truncated to [0, 1].

    Attributes:
        mu: Location of the *untruncated* normal; it may lie outside [0, 1].
        sigma: Scale of the untruncated normal, > 0.
        method: Name of the estimator.
        n: Number of scores it rests on.
        at_bound: True where the estimate sits on a bound of the estimator's parameter space, as it does for
            saturated or constant scores, whose likelihood has no interior maximum.
    """

    mu: float
    sigma: float
    method: str
    n: int
    at_bound: bool = False

    def summary(self) -> Estimate:
        """The numbers alone; an estimator's own kind of estimate may hold a whole posterior beside them."""
        return Estimate(self.mu, self.sigma, self.method, self.n, self.at_bound)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form of the numbers; `from_dict` reads it."""
        return {"mu": self.mu, "sigma": self.sigma, "method": self.method, "n": self.n, "at_bound": self.at_bound}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Estimate:
        """Read what `to_dict` wrote."""
        fields = Fields(data, "an estimate")
        fields.real("mu")
        fields.real("sigma")
        fields.text("method")
        fields.whole("n")
        fields.flag("at_bound", default=False)
        with reading("an estimate"):
            return cls(**data)


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether to stop and why, or how many candidates to draw next.

    Attributes:
        stop: True where the search should end.
        reason: Why it should end, None while it goes on.
        draw: How many more candidates the rule requests next; None where it leaves that open. 0 when stopping.
        optimal_n: The computed optimal number of candidates in total (the bound's N*), None where no bound was
            computed or no finite N reaches the target.
        rule: The rule that spoke.
        figures: The numbers that were compared.
        claim: What is promised with the rule's confidence when it stops: "stable" (the whole cap would return the same
            answer), "target reached", "target out of reach", or "not sure".
        probability: The probability of what could be claimed, None where nothing can.
    """

    stop: bool = False
    reason: StopReason | None = None
    draw: int | None = None
    optimal_n: int | None = None
    rule: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)
    claim: str = "not sure"
    probability: float | None = None

    def __str__(self) -> str:
        known = self.figures if self.optimal_n is None else {"N*": self.optimal_n, **self.figures}
        figures = ", ".join(f"{name} {value:.4g}" for name, value in known.items())
        if self.reason is not None:
            return f"stop: {self.reason.value}" + (f" ({figures})" if figures else "")
        request = "more" if self.draw is None else f"{self.draw} more"
        return f"draw {request}" + (f" ({figures})" if figures else "")

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; the reason stands by its name."""
        return {
            "stop": self.stop,
            "reason": self.reason and self.reason.name,
            "draw": self.draw,
            "optimal_n": self.optimal_n,
            "rule": self.rule,
            "figures": dict(self.figures),
            **({} if self.probability is None else {"claim": self.claim, "probability": self.probability}),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Decision:
        """Read what `to_dict` wrote."""
        fields = Fields(data, "a decision")
        fields.flag("stop")
        for name in ("draw", "optimal_n"):
            if not fields.is_null(name):
                fields.whole(name)
        fields.text("rule")
        figures = Fields(fields.mapping("figures"), "the figures of a decision")
        for name, value in figures.data.items():
            if not isinstance(value, bool):
                figures.real(name)
        reason = fields.get("reason", None)
        with reading("a decision"):
            return cls(**{**data, "reason": None if reason is None else StopReason.of(reason)})


@dataclass(frozen=True, slots=True)
class Observation:
    """The estimate and the decision after one candidate's outcome.

    Attributes:
        index: The candidate.
        score: Its score, None for a failure.
        estimate: The estimate after it, None where no rule asked for one, as after the end of the search.
        decision: The decision after it.
    """

    index: int
    score: float | None
    estimate: Estimate | None
    decision: Decision

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; `from_dict` gives an equal observation back."""
        return {
            "index": self.index,
            "score": self.score,
            "estimate": self.estimate and self.estimate.to_dict(),
            "decision": self.decision.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Observation:
        """Read what `to_dict` wrote."""
        fields = Fields(data, "an observation")
        return cls(
            index=fields.whole("index"),
            score=None if fields.is_null("score") else Verdict(fields.real("score")).score,
            estimate=None if fields.is_null("estimate") else Estimate.from_dict(data["estimate"]),
            decision=Decision.from_dict(fields.get("decision")),
        )


@dataclass(frozen=True, slots=True)
class Round:
    """One round of a search.

    Attributes:
        number: From 0.
        indexes: The candidates that were asked for in it.
        observations: One for each of them whose outcome is known, in the order of arrival.
    """

    number: int
    indexes: tuple[int, ...]
    observations: tuple[Observation, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; `from_dict` gives an equal round back."""
        return {
            "number": self.number,
            "indexes": list(self.indexes),
            "observations": [observation.to_dict() for observation in self.observations],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Round:
        """Read what `to_dict` wrote, in version 0.1.0 as well."""
        fields = Fields(data, "a round")
        indexes = fields.wholes("indexes", most=MOST_CANDIDATES)
        observations = fields.items("observations" if "observations" in data else "looks", most=MOST_CANDIDATES)
        with reading("a round"):
            return cls(
                fields.whole("number"),
                indexes,
                tuple(map(Observation.from_dict, observations)),
            )


def _tag(data: object) -> ReasoningTag:
    """A tag around reasoning: its name, or what begins and ends it."""
    if isinstance(data, str):
        return data
    fields = Fields({"tag": data}, "a candidate")
    begin, end = (Fields(dict(enumerate(fields.items("tag", most=2))), "a tag").text(place) for place in (0, 1))
    return begin, end
