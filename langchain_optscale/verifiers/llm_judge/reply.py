"""Parsing of a judge's reply: only a grade with the code of the grading counts.

A judge may quote the candidate, whose text cannot contain the code, since it was written before the code was drawn.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from langchain_optscale.errors import InvalidReplyError
from langchain_optscale.records.endings import EndReason, end_reason_of, end_spelling, refusal_of
from langchain_optscale.records.reasoning_marks import answer_spans, is_enclosed
from langchain_optscale.verifiers.coercion import kind
from langchain_optscale.verifiers.llm_judge.forms import form_in_text, grade_of, repeats
from langchain_optscale.verifiers.logprobs import read_logprob

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.messages import BaseMessage

    from langchain_optscale.verifiers.llm_judge.scale import Scale

__all__ = [
    "ExpectedGrade",
    "expected_grade",
    "read_structured",
    "read_text",
    "refuse_incomplete",
    "without_end_token",
]

_EMPHASIS = "*_`"
# Around a grade in a token: white space (also as tokenizers write it), quotes, emphasis, punctuation.
_TRIMMINGS = " \t\r\n▁Ġ\"'“”*_`.,:;/)("
_TWO_DIGITS = 10
# With any code: compiling a pattern for each code takes longer than all else that is done with a reply. No word may
# stand before the code, since a judge may repeat its instructions; after it, whatever joins a code and a grade.
_DASHES = r"\-‐‑–—_"
_BEFORE_CODE = (
    rf"(?:[ \t>#|\[({{{_EMPHASIS}-]|\d{{1,2}}[.)](?=[ \t])|<\w{{1,20}}>|\\(?:boxed|fbox|text\w{{0,4}})\b){{0,40}}"
    rf"(?:GRADE[ \t{_DASHES}]{{1,3}})?[<(\[{{]?"
)
_JOINED = (
    rf"(?:[ \t]?(?:[:：=]|[{_DASHES}](?=[ \t])|is\b)(?:[ \t{_EMPHASIS}]|\r?\n(?!.*GRADE)){{0,20}}"
    rf"|[ \t{_EMPHASIS}]{{1,20}})"
)
_GRADE_LINE = re.compile(
    rf"^{_BEFORE_CODE}(?P<code>[0-9a-z]{{1,64}})\b[>)\]}}]?[{_EMPHASIS}]*{_JOINED}"
    rf"(?P<said>[^\s{_EMPHASIS}:：=][^\n]{{0,240}})$",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass(frozen=True)
class ExpectedGrade:
    """The mean grade under the judge's own probabilities.

    Attributes:
        value: The expectation, between the lowest and the highest grade.
        mass: The total probability of the valid grades before normalisation.
        probabilities: The normalised probabilities of the grades.
    """

    value: float
    mass: float
    probabilities: dict[str, float]


def refuse_incomplete(message: BaseMessage) -> None:
    """Raise for a reply that is not complete: where it was cut off, a 1 may be the start of a 10.

    Raises:
        InvalidReplyError: The reply was cut off, stopped by a filter or an error, or is a refusal.
    """
    ended = end_reason_of(message)
    if ended is None or ended.complete:
        return
    name = end_spelling(message)
    if ended is EndReason.LENGTH:
        raise InvalidReplyError(
            f"the judge's reply was cut off at its token limit ({name}): raise the judge's max_tokens"
        )
    if ended is EndReason.REFUSAL:
        raise InvalidReplyError(f"the judge refused to grade: {refusal_of(message) or 'it gave no reason'}")
    raise InvalidReplyError(f"the judge's reply was stopped by its provider ({name})")


def without_end_token(entries: Sequence[Any], text: str) -> Sequence[Any]:
    """The entries without the end token, which vLLM lists as well."""
    last = str(entries[-1].get("token", "")) if entries and isinstance(entries[-1], Mapping) else ""
    ended = bool(last.strip()) and not text.rstrip().endswith(last.strip())
    return entries[:-1] if ended and len(entries) > 1 else entries


def read_text(reply: str, scale: Scale, code: str) -> tuple[float, str]:
    """The last grade with the code, and the text before it.

    A grade has a line of its own, `GRADE-<code>: 7`, possibly emphasised or in a code block, or stands in a form with
    the code, see `forms`. Of several the last counts; one that the judge only considered in its reasoning does not.

    Raises:
        InvalidReplyError: There is no such line, or its grade is not on the scale.
    """
    answer = _without_reasoning(reply)
    lines = _grade_lines(answer, code)
    if not lines:
        if (form := form_in_text(answer, code)) is not None:
            return read_structured(form, scale, code)
        raise InvalidReplyError("the judge's reply has no line with the code of this grading and a grade")
    last = lines[-1]
    said = last["said"].strip(_TRIMMINGS)
    value = scale.read(said)
    if value is None:
        raise InvalidReplyError(f"the judge's grade {_quoted(said)} is not on the scale {scale}")
    return value, answer[: last.start()].strip()


def read_structured(reply: Any, scale: Scale, code: str) -> tuple[float, str]:
    """The grade of a structured reply, and its explanation.

    Args:
        reply: A mapping with `explanation`, `code` and `grade`.
        scale: The valid grades.
        code: The code that the reply must repeat.

    Raises:
        InvalidReplyError: The code is missing or wrong, or the grade is not on the scale.
    """
    if not isinstance(reply, Mapping):
        raise InvalidReplyError(f"the judge must reply with a mapping, not with {kind(reply)}")
    if not repeats(reply, code):
        raise InvalidReplyError("the judge's reply does not repeat the code of this grading")
    grade, explanation = grade_of(reply)
    value = scale.read(grade)
    if value is None:
        raise InvalidReplyError(f"the judge's grade {_quoted(grade)} is not on the scale {scale}")
    return value, explanation


def expected_grade(entries: Sequence[Any], scale: Scale, code: str, min_mass: float) -> ExpectedGrade:
    """The expected grade under the token probabilities at the position of the grade.

    With p_g the probability of grade g among the listed tokens, E = sum g p_g / sum p_g (for yes and no it is
    P(yes) / (P(yes) + P(no))). Variants of a grade (" Yes", "yes", "YES") add up. Where a tokenizer splits 10 into two
    tokens, P("1") includes 1 and 10: it is split by the next token's P("0") where the reply is 1 or 10. For other
    replies that probability is unknown; then P("1") is split in proportion to the neighbours of 10 (P(9)) and of 1
    (P(0) + P(2)), and omitted where these are 0.

    Args:
        entries: The tokens of the reply, with `token`, `logprob` and `top_logprobs`.
        scale: The valid grades.
        code: The grade follows the last `GRADE-<code>:`.
        min_mass: The least total probability of the valid grades, in [0, 1].

    Raises:
        InvalidReplyError: The reply has no grade with the code, or the listed grades have too little probability.
        InvalidScoreError: The log-probabilities are invalid.
    """
    tokens = [str(entry.get("token", "")) if isinstance(entry, Mapping) else "" for entry in entries]
    text = _without_reasoning("".join(tokens))
    line = next(reversed(_grade_lines(text, code)), None)
    found = None if line is None else scale.find(line["said"])
    if line is None or found is None:
        read_text(text, scale, code)  # says what is wrong with it
        raise InvalidReplyError("the judge's grade stands in no line of its own, where its probability could be read")
    value, offset = found
    place = _place_of(tokens, line.start("said") + offset)
    probabilities: defaultdict[str, float] = defaultdict(float)
    for other in _listed(entries[place]):
        probabilities[_bare(other)] += math.exp(_logprob(other))
    if "1" in probabilities and scale.high == _TWO_DIGITS:
        following = entries[place + 1 : place + 2]
        _divide_one_and_ten(probabilities, said_one=_bare(entries[place]) == "1", following=following)
    valid = {grade: probabilities[grade] for grade in scale.grades if probabilities.get(grade)}
    mass = math.fsum(valid.values())
    if not valid or mass < min_mass:
        raise InvalidReplyError(
            f"the grades of the scale {scale} have a probability of {mass:.3g} together where the judge replied "
            f"{value:g}, below min_mass={min_mass:g}: raise top_logprobs, lower min_mass or set another method"
        )
    mean = math.fsum(scale.grades[grade] * p for grade, p in valid.items()) / mass
    bounded = min(max(mean, float(scale.low)), float(scale.high))
    return ExpectedGrade(bounded, min(mass, 1.0), {grade: p / mass for grade, p in valid.items()})


def _without_reasoning(reply: str) -> str:
    """The reply with line breaks in place of the reasoning that it begins with, so that places stay what they are.

    Other marks, and one that stands alone, may be quoted from a candidate and hide nothing.
    """
    spans = answer_spans(reply, ())
    if spans is None:
        return reply
    end = next((start for start, _ in spans if start), len(reply))
    begin = len(reply) - len(reply.lstrip())
    return "\n" * end + reply[end:] if is_enclosed(reply[begin:end]) else reply


def _grade_lines(reply: str, code: str) -> list[re.Match[str]]:
    """The lines with the code of a grading, in order."""
    return [line for line in _GRADE_LINE.finditer(reply) if line["code"].lower() == code.lower()]


def _place_of(tokens: Sequence[str], start: int) -> int:
    """The index of the token with the character at `start`."""
    ends = accumulate(len(token) for token in tokens)
    return next(place for place, end in enumerate(ends) if end > start)


def _listed(entry: Any) -> list[Any]:
    """The alternatives of a token, with the chosen one, which some servers omit."""
    listed = [other for other in entry.get("top_logprobs") or [] if isinstance(other, Mapping)]
    return listed if any(other.get("token") == entry.get("token") for other in listed) else [*listed, entry]


def _bare(entry: Any) -> str:
    return str(entry.get("token", "")).strip(_TRIMMINGS).casefold()


def _logprob(entry: Any) -> float:
    # Some servers list tokens that a grammar or a filter excludes, with probability 0.
    return -math.inf if entry.get("logprob") == -math.inf else read_logprob(entry)


def _divide_one_and_ten(probabilities: dict[str, float], *, said_one: bool, following: Sequence[Any]) -> None:
    one = probabilities.pop("1")
    ten = probabilities.get("10", 0.0)
    if said_one:
        share = _share_of_zero(following[0]) if following else 0.0
    elif ten:
        share = 0.0
    else:
        above = probabilities.get("9", 0.0)
        beside = above + probabilities.get("0", 0.0) + probabilities.get("2", 0.0)
        if not beside:
            return
        share = above / beside
    probabilities["1"] = one * (1.0 - share)
    probabilities["10"] = ten + one * share


def _share_of_zero(entry: Any) -> float:
    """P(the next token starts with 0, without a blank before it): the share of 10 in P("1")."""
    zeros = [other for other in _listed(entry) if re.match(r"0(?!\d)", str(other.get("token", "")))]
    return min(1.0, math.fsum(math.exp(_logprob(other)) for other in zeros))


def _quoted(said: Any) -> str:
    text = repr(said)
    return text if len(text) <= 40 else f"{text[:40]}…"
