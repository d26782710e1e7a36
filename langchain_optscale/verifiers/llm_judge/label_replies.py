"""What the routes reply that tell the probabilities of a judge's grades, see `labels`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_optscale.errors import InvalidReplyError
from langchain_optscale.records.usage import Usage
from langchain_optscale.verifiers.coercion import is_finite

if TYPE_CHECKING:
    from langchain_optscale.verifiers.llm_judge.scale import Scale

__all__ = [
    "CHAT",
    "QUESTION_ID",
    "SCORING",
    "SYSTEMONE",
    "LabelReading",
    "expected",
    "from_chat",
    "from_listed",
    "from_systemone",
    "item_score",
    "usage_of",
]

SYSTEMONE, CHAT, SCORING = "/v1/systemone", "/v1/chat/completions", "/generative_scoring"
QUESTION_ID = "grade"
_ROUNDING = 1e-6


@dataclass(frozen=True)
class LabelReading:
    """The grades' probabilities.

    Attributes:
        value: The expected grade.
        mass: The probability of all grades together among all tokens; None where the server does not say.
        probabilities: The normalised probability of each grade.
        route: The route that was asked.
        usage: What it consumed.
    """

    value: float
    mass: float | None
    probabilities: dict[str, float]
    route: str
    usage: Usage


def from_systemone(reply: Mapping[str, Any], scale: Scale) -> LabelReading:
    """The reading of an answered question.

    Raises:
        InvalidReplyError: It holds no probabilities.
    """
    answers = reply.get("answers")
    answer = answers.get(QUESTION_ID) if isinstance(answers, Mapping) else None
    if not isinstance(answer, Mapping):
        raise InvalidReplyError("the server's reply to /v1/systemone does not answer the question")
    found: Any = answer.get("probabilities")
    if "yes" in scale.grades and is_finite(answer.get("noul")):
        found = {"yes": answer["noul"], "no": 1 - answer["noul"]}
    if not isinstance(found, Mapping):
        raise InvalidReplyError("the server's reply to /v1/systemone has no probabilities")
    diagnostics = reply.get("diagnostics")
    own = diagnostics.get(QUESTION_ID) if isinstance(diagnostics, Mapping) else None
    mass = own.get("label_mass") if isinstance(own, Mapping) else None
    usage = usage_of(reply, "input_tokens", "output_tokens")
    return expected(found, scale, SYSTEMONE, usage, float(mass) if is_finite(mass) else None)


def from_chat(reply: Any, scale: Scale, ids: Mapping[str, int]) -> LabelReading | None:
    """The reading of a reply's first token; None where the server did not list the labels that it was asked for."""
    listed = dict(_first_token(reply))
    found = {grade: listed.get(f"token_id:{number}") for grade, number in ids.items()}
    if any(logprob is None for logprob in found.values()):
        return None
    shares = {grade: math.exp(logprob) for grade, logprob in found.items() if logprob is not None}
    usage = usage_of(reply, "prompt_tokens", "completion_tokens")
    return expected(shares, scale, CHAT, usage, min(1.0, math.fsum(shares.values())))


def from_listed(reply: Any, scale: Scale, labels: Mapping[str, str]) -> LabelReading:
    """The reading of a reply's first token by the texts of the likeliest tokens; "Yes" or " yes" is the label yes.

    A label that is not among them counts nothing: with `min_mass` the others have most of the probability.

    Args:
        reply: To a chat completion that lists log-probabilities.
        scale: The grades.
        labels: The grade of each label.

    Raises:
        InvalidReplyError: It lists no tokens, or no label among them.
    """
    shares = dict.fromkeys(labels.values(), 0.0)
    listed = _first_token(reply)
    if not listed:
        raise InvalidReplyError(f"the server's reply to {CHAT} lists no probabilities: set another method")
    for token, logprob in listed:
        label = token.strip()
        if (grade := labels.get(label, labels.get(label.casefold()))) is not None:
            shares[grade] = min(1.0, shares[grade] + math.exp(logprob))
    usage = usage_of(reply, "prompt_tokens", "completion_tokens")
    return expected(shares, scale, CHAT, usage, min(1.0, math.fsum(shares.values())))


def _first_token(reply: Any) -> list[tuple[str, float]]:
    """The tokens that are listed for the first one of a reply, with their log-probabilities, each once."""
    choices = reply.get("choices") if isinstance(reply, Mapping) else None
    logprobs = choices[0].get("logprobs") if isinstance(choices, list) and choices else None
    content = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    if not isinstance(content, list) or not content or not isinstance(content[0], Mapping):
        return []
    listed = {
        str(one.get("token")): float(one["logprob"])
        for one in [content[0], *(content[0].get("top_logprobs") or [])]
        if isinstance(one, Mapping) and is_finite(one.get("logprob")) and one["logprob"] <= _ROUNDING
    }
    return list(listed.items())


def expected(found: Mapping[str, Any], scale: Scale, route: str, usage: Usage, mass: float | None) -> LabelReading:
    """The expected grade under the probabilities that were found.

    Raises:
        InvalidReplyError: One is missing or none, or all are 0.
    """
    valid = {grade: found.get(grade) for grade in scale.grades}
    if not all(is_finite(p) and -_ROUNDING <= p <= 1 + _ROUNDING for p in valid.values()):
        raise InvalidReplyError(f"the server's reply to {route} lacks the probability of a grade: {_shown(found)}")
    total = math.fsum(float(p or 0.0) for p in valid.values())
    if total <= 0:
        raise InvalidReplyError(f"the server's reply to {route} gives no grade a probability")
    shares = {grade: max(0.0, float(p or 0.0)) / total for grade, p in valid.items()}
    mean = math.fsum(scale.grades[grade] * share for grade, share in shares.items())
    return LabelReading(min(max(mean, float(scale.low)), float(scale.high)), mass, shares, route, usage)


def item_score(reply: Any) -> float:
    """The probability of the one label of a request to `/generative_scoring`.

    Raises:
        InvalidReplyError: The reply holds none.
    """
    data = reply.get("data") if isinstance(reply, Mapping) else None
    score = data[0].get("score") if isinstance(data, list) and data and isinstance(data[0], Mapping) else None
    if not is_finite(score):
        raise InvalidReplyError("the server's reply to /generative_scoring contains no score")
    return float(score)


def usage_of(reply: Any, read: str, written: str) -> Usage:
    """What a reply says of its tokens, under these two names; 0 where it says nothing."""
    usage = reply.get("usage") if isinstance(reply, Mapping) else None
    counts = [usage.get(name) if isinstance(usage, Mapping) else None for name in (read, written)]
    tokens = [count if isinstance(count, int) and count >= 0 else 0 for count in counts]
    return Usage(tokens[0], tokens[1], 1)


def _shown(found: Mapping[str, Any]) -> str:
    text = str(dict(found))
    return text if len(text) <= 100 else f"{text[:100]}…"
