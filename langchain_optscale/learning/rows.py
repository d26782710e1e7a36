"""The row that one search leaves in a store: figures, and texts only where they are asked for.

Scores stand in the order of arrival, which is the order that decisions are made of. Answers stand as numbers of their
class: the first answer and all that are equal to it are 0, the next other one is 1.

    >>> answer_classes(["4", "5", None, "4"])
    (0, 1, None, 0)
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from langchain_optscale.errors import InvalidRecordError
from langchain_optscale.records.stored import Fields, is_number, reading

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Features: TypeAlias = tuple[NDArray[np.uint32], NDArray[np.float32]]

__all__ = ["FITTED", "Fingerprint", "Label", "SearchRow", "answer_classes"]

FITTED = "FittedStopping"
"""What the settings of a row have under "learned_rule" where a rule learned from explored searches decided."""

_DIGITS = 16
_LARGEST = 1e38


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a policy or a verifier is, as far as scores depend on it.

    Attributes:
        facts: JSON-ready: such as "class", "model" and "temperature" of a policy, "class", "model", "content" (the
            digest of a rubric or a check's settings) and "extract" of a verifier. No secrets and no addresses.
        digest: 16 hexadecimal digits, equal for equal facts.

    Example:
        >>> Fingerprint({"class": "ChatOpenAI", "model": "small", "temperature": 0.7}).digest
        '0b6685c957f9e46f'
    """

    facts: Mapping[str, Any] = field(default_factory=dict, hash=False)
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        written = json.dumps(dict(self.facts), sort_keys=True, default=str)
        object.__setattr__(self, "digest", hashlib.sha256(written.encode()).hexdigest()[:_DIGITS])

    def __str__(self) -> str:
        named = [str(self.facts[name]) for name in ("class", "model") if self.facts.get(name)]
        if self.facts.get("temperature") is not None:
            named.append(f"T={self.facts['temperature']:g}")
        return " ".join([*named, self.digest[:6]])


@dataclass(frozen=True, slots=True)
class Label:
    """What became known about the returned answer after the search.

    Attributes:
        correct: Whether it is right; None where nobody said.
        score: How good it is, in [0, 1]; None where nobody said.
        time: When the label arrived, in seconds since 1970 UTC.

    Raises:
        InvalidRecordError: Both are missing, or one is out of range.
    """

    correct: bool | None = None
    score: float | None = None
    time: float = 0.0

    def __post_init__(self) -> None:
        if self.correct is None and self.score is None:
            raise InvalidRecordError("a label needs correct=True or False, or a score in [0, 1]")
        if self.correct is not None and not isinstance(self.correct, bool):
            raise InvalidRecordError(f"correct must be True or False, got {self.correct!r}")
        if self.score is not None and not (is_number(self.score) and 0.0 <= self.score <= 1.0):
            raise InvalidRecordError(f"the score of a label must be a number in [0, 1], got {self.score!r}")


@dataclass(frozen=True, slots=True)
class SearchRow:
    """One finished search.

    The sequences `scores`, `answers`, `output_tokens` and `texts` are as long as there were outcomes, in the order of
    arrival. Candidates that were still under way when the search ended are in `drawn` alone.

    Attributes:
        id: The search's id; writing a row of a known id replaces it.
        time: When the search ended, in seconds since 1970 UTC.
        policy: Fingerprint of the policy.
        verifier: Fingerprint of the verifier and of what finds the answers.
        scores: Scores in [0, 1]; None for a candidate that failed.
        answers: The class of each answer, from 0; None for a candidate that failed or gives no answer.
        chosen: The place of the returned candidate in `scores`; None where nothing could be returned.
        drawn: Candidates drawn, at least `len(scores)`.
        cap: The most candidates that the search might have drawn, at least 1.
        rounds: Rounds of the search.
        reason: The name of a `StopReason`.
        claim: What was claimed, as in `OptScaleResult.claim`; of an explored search where it would have ended.
        probability: Of what could be claimed, in [0, 1]; None where unknown.
        certified: Whether the answer was certified; None without a certificate.
        explored: Whether the search went on to the cap for the sake of learning.
        stopped_choice: For an explored search the place in `scores` of the candidate that it would have returned.
        stopped_at: For an explored search the number of outcomes after which it would have ended, at most
            `len(scores)`; None for any other.
        settings: Settings of the decision, JSON-ready: "target", "confidence", "stopping" and so on.
        figures: The figures of the decision that ended the search, or would have ended it.
        features: Hashed n-grams of the question, as indices and values of equal length; None where they are not kept.
        policy_tokens: Tokens that the policy consumed.
        verifier_tokens: Tokens that the verifier consumed.
        output_tokens: Tokens generated for each candidate; None where unknown.
        seconds: Wall-clock seconds of the search.
        cost: Money, in the currency of the prices; None where no price is known.
        learned: The version of the learned settings that the search used; None where it used none.
        prompt: The question, kept on request only.
        texts: The candidates' texts, kept on request only; None in place of a candidate without one.
        label: What became known later; None where nothing did.
    """

    id: str
    time: float
    policy: Fingerprint
    verifier: Fingerprint
    scores: tuple[float | None, ...]
    answers: tuple[int | None, ...]
    chosen: int | None
    drawn: int
    cap: int
    rounds: int = 1
    reason: str = "MAX_SAMPLES"
    claim: str = "not sure"
    probability: float | None = None
    certified: bool | None = None
    explored: bool = False
    stopped_at: int | None = None
    stopped_choice: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    figures: Mapping[str, float] = field(default_factory=dict, hash=False)
    features: Features | None = field(default=None, compare=False, repr=False)
    policy_tokens: int = 0
    verifier_tokens: int = 0
    output_tokens: tuple[int | None, ...] = ()
    seconds: float = 0.0
    cost: float | None = None
    learned: str | None = None
    prompt: str | None = field(default=None, repr=False)
    texts: tuple[str | None, ...] | None = field(default=None, repr=False)
    label: Label | None = None

    @property
    def pair(self) -> tuple[str, str]:
        """The digests of policy and verifier: searches of one pair have scores of the same law."""
        return self.policy.digest, self.verifier.digest

    @property
    def scored(self) -> tuple[float, ...]:
        """The scores without failures, in the order of arrival."""
        return tuple(score for score in self.scores if score is not None)

    @property
    def scored_answers(self) -> tuple[int | None, ...]:
        """The answers of the scored candidates, in the same order."""
        return tuple(answer for score, answer in zip(self.scores, self.answers, strict=True) if score is not None)

    @property
    def score(self) -> float | None:
        """The score of the returned candidate."""
        return None if self.chosen is None else self.scores[self.chosen]

    @property
    def tokens(self) -> int:
        """Tokens of policy and verifier together."""
        return self.policy_tokens + self.verifier_tokens

    @property
    def target(self) -> float | None:
        """The target that was set, None without one."""
        target: Any = self.settings.get("target")
        return float(target) if is_number(target) else None

    def labelled(self, label: Label | None) -> SearchRow:
        """The same row with another label."""
        return replace(self, label=label)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; `from_dict` gives an equal row back, its features included."""
        data = {item.name: getattr(self, item.name) for item in fields(self)}
        for name in ("policy", "verifier"):
            data[name] = dict(data[name].facts)
        for name in ("scores", "answers", "output_tokens"):
            data[name] = list(data[name])
        for name in ("settings", "figures"):
            data[name] = dict(data[name])
        data["texts"] = None if self.texts is None else list(self.texts)
        data["label"] = self.label and asdict(self.label)
        if self.features is not None:
            data["features"] = [self.features[0].tolist(), [float(value) for value in self.features[1]]]
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SearchRow:
        """Read what `to_dict` wrote.

        Raises:
            InvalidRecordError: A field is missing, of another type or out of range.
        """
        given = Fields(data, "a row of a search")
        with reading("a row of a search"):
            row = cls(
                **{
                    **{name: value for name, value in data.items() if name in _PLAIN},
                    "policy": Fingerprint(given.mapping("policy")),
                    "verifier": Fingerprint(given.mapping("verifier")),
                    "scores": tuple(map(_score, given.items("scores"))),
                    "answers": tuple(map(_count, given.items("answers"))),
                    "output_tokens": tuple(map(_count, given.items("output_tokens", ()))),
                    "settings": given.mapping("settings", {}),
                    "figures": given.mapping("figures", {}),
                    "features": _features(data.get("features")),
                    "texts": None if data.get("texts") is None else tuple(map(_text, given.items("texts"))),
                    "label": None if data.get("label") is None else Label(**given.mapping("label")),
                }
            )
            row._check(given)
        return row

    def _check(self, given: Fields) -> None:
        """Refuse a stored row that contradicts itself."""
        for name in ("id", "reason", "claim"):
            given.text(name, "")
        for name in ("prompt", "learned"):
            given.optional_text(name)
        given.flag("explored", default=False)
        if self.certified is not None:
            given.flag("certified")
        if self.cost is not None:
            given.real("cost")
        for name in ("time", "seconds"):
            given.real(name, 0.0)
        given.whole("drawn", least=len(self.scores))
        given.whole("cap", least=1)
        for name in ("rounds", "policy_tokens", "verifier_tokens"):
            given.whole(name, 0)
        for name, length in (("answers", len(self.answers)), ("output_tokens", len(self.output_tokens))):
            if length != len(self.scores) and not (name == "output_tokens" and not length):
                raise InvalidRecordError(f"{name} of a row must be as many as its scores")
        last = len(self.scores) - 1
        for name, most in (("chosen", last), ("stopped_choice", last), ("stopped_at", last + 1)):
            if getattr(self, name) is not None:
                given.whole(name, most=most)
        if self.probability is not None and not 0.0 <= given.real("probability") <= 1.0:
            raise InvalidRecordError(f"the probability of a row must be in [0, 1], got {self.probability!r}")


_CONVERTED = {
    *("policy", "verifier", "scores", "answers", "output_tokens"),
    *("settings", "figures", "features", "texts", "label"),
}
_PLAIN = {item.name for item in fields(SearchRow)} - _CONVERTED


def answer_classes(answers: Sequence[str | None]) -> tuple[int | None, ...]:
    """The answers as numbers of their class, in the order of first occurrence; None, and "", stay None."""
    numbers: dict[str, int] = {}
    return tuple(numbers.setdefault(answer, len(numbers)) if answer else None for answer in answers)


def _score(value: object) -> float | None:
    if value is None:
        return None
    score = Fields({"score": value}, "a row of a search").real("score")
    if not (math.isfinite(score) and 0.0 <= score <= 1.0):
        raise InvalidRecordError(f"a score of a row must be in [0, 1], got {score!r}")
    return float(score)


def _count(value: object) -> int | None:
    return None if value is None else Fields({"number": value}, "a row of a search").whole("number")


def _text(value: object) -> str | None:
    return None if value is None else Fields({"text": value}, "a row of a search").text("text")


def _features(value: Any) -> Features | None:
    if value is None:
        return None
    indices, exact = np.asarray(value[0], np.uint32), np.asarray(value[1], np.float64)
    if indices.shape != exact.shape or indices.ndim != 1 or not (abs(exact) < _LARGEST).all():
        raise InvalidRecordError("the features of a row must be as many indices as finite values")
    return indices, exact.astype(np.float32)
