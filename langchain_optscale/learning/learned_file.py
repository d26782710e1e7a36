"""What searches have taught, as one file: `ChatOptScale(..., settings="learned.npz")` reads it.

The file is an npz of plain arrays with JSON text in it; nothing is pickled, and nothing pickled is read. It holds one
part for each pair of policy and verifier, and one for all of them together, which a new pair starts from.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from langchain_optscale.answers.model import AnswerModel
from langchain_optscale.errors import InvalidRecordError, SettingsError
from langchain_optscale.learning.drift import Expected
from langchain_optscale.learning.question_prior import QuestionPrior
from langchain_optscale.records.arrays import read_arrays, write_arrays
from langchain_optscale.records.files import read_file, whole_file
from langchain_optscale.records.stored import Fields, reading
from langchain_optscale.stats.empirical_prior import EmpiricalPrior
from langchain_optscale.stopping.base import Rule
from langchain_optscale.stopping.certificate import Certificate
from langchain_optscale.stopping.learned.fitted import FittedStopping
from langchain_optscale.stopping.learned.improved import ImprovedStopping
from langchain_optscale.stopping.learned.walks import Trust

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from langchain_optscale.stats.estimation import ScorePrior

__all__ = ["LEARNED", "LearnedPair", "LearnedSettings", "former_of", "restore"]

LEARNED = "langchain-optscale/learned-settings"
"""The format of the file's header."""

_VERSION = 1
_WHAT = "learned settings"
_DIGITS = 12
_R = TypeVar("_R", bound=Rule)
_HEADER, _PRIOR = "settings", "question_prior_{}"


@dataclass(frozen=True)
class LearnedPair:
    """What the searches of one policy with one verifier have taught, or those of all of them together.

    Attributes:
        policy: What the policy is, as `SearchRow.policy.facts`; empty for all together.
        verifier: The same of the verifier.
        searches: How many searches it was fitted to.
        labels: How many of them had a label.
        explored: How many of them ran to the cap.
        prior: What scores are like, over questions; None where there were too few.
        question_prior: What the scores of a question are like, from its text; None where the text does not help.
        stopping: When to stop earlier than the untrained default; None where the default is as good.
        answers: How answers agree and how far scores can be trusted; None where too little is known.
        certificate: Which answers are right at a promised rate; None without enough labels.
        report: What was found on searches that were left out of the fit, JSON-ready.
        expected: What the figures of its searches are like, by which drift is noticed.
        trust: How far the untrained P(right) can be trusted, by its labels.
        fitted: When to stop, earlier or later than the untrained default, as explored searches show; it takes the place
            of `stopping`. None where there are too few of them, or it is not better.
    """

    policy: Mapping[str, Any] = field(default_factory=dict)
    verifier: Mapping[str, Any] = field(default_factory=dict)
    searches: int = 0
    labels: int = 0
    explored: int = 0
    prior: EmpiricalPrior | None = None
    question_prior: QuestionPrior | None = None
    stopping: ImprovedStopping | None = None
    answers: AnswerModel | None = None
    certificate: Certificate | None = None
    report: Mapping[str, Any] = field(default_factory=dict)
    expected: Mapping[str, Expected] = field(default_factory=dict)
    trust: Trust = field(default_factory=Trust)
    fitted: FittedStopping | None = None

    @property
    def best_prior(self) -> ScorePrior | QuestionPrior | None:
        """The prior per question where the text helps, else that of all questions."""
        return self.question_prior or self.prior

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, without the prior per question."""
        parts = {"prior": self.prior, "stopping": self.stopping, "fitted": self.fitted, "answers": self.answers}
        return {
            "policy": dict(self.policy),
            "verifier": dict(self.verifier),
            "searches": self.searches,
            "labels": self.labels,
            "explored": self.explored,
            **{name: part and part.to_dict() for name, part in parts.items()},
            "certificate": self.certificate and self.certificate.to_dict(),
            "report": dict(self.report),
            "expected": {name: one.to_dict() for name, one in self.expected.items()},
            "trust": list(self.trust),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], question_prior: QuestionPrior | None = None) -> LearnedPair:
        """Read what `to_dict` wrote.

        Raises:
            InvalidRecordError: It is damaged, or of another version.
        """
        fields = Fields(data, "a part of the learned settings")
        stopping = _rule(data, "stopping", ImprovedStopping)
        return cls(
            fields.mapping("policy"),
            fields.mapping("verifier"),
            fields.whole("searches"),
            fields.whole("labels"),
            fields.whole("explored"),
            _part(data, "prior", EmpiricalPrior.from_dict),
            question_prior,
            stopping,
            _part(data, "answers", AnswerModel.from_dict),
            _part(data, "certificate", Certificate.from_dict),
            fields.mapping("report"),
            {name: Expected.from_dict(one) for name, one in fields.mapping("expected").items()},
            Trust(*map(float, fields.items("trust", most=2))),
            _rule({"fitted": None, **data}, "fitted", FittedStopping),  # files of before have none
        )


@dataclass(frozen=True)
class LearnedSettings:
    """What a store of searches has taught; `learning.learn` makes it.

    Attributes:
        pairs: By the digests of policy and verifier, see `SearchRow.pair`.
        population: What all searches together have taught: what a new pair starts from.
        time: When it was learned, in seconds since 1970 UTC.

    Example:
        >>> from langchain_optscale.learning.learned_file import LearnedPair
        >>> learned = LearnedSettings({("policy", "verifier"): LearnedPair(searches=200)}, LearnedPair(searches=900))
        >>> part, own = learned.part(("policy", "verifier"))
        >>> part.searches, own
        (200, True)
        >>> part, own = learned.part(("another policy", "verifier"))
        >>> part.searches, own
        (900, False)
    """

    pairs: Mapping[tuple[str, str], LearnedPair] = field(default_factory=dict)
    population: LearnedPair = field(default_factory=LearnedPair)
    time: float = field(default_factory=time.time)

    @property
    def version(self) -> str:
        """Twelve hexadecimal digits that tell it from what was learned before or after."""
        written = json.dumps(self.to_dict(), sort_keys=True).encode()
        return hashlib.sha256(written).hexdigest()[:_DIGITS]

    def part(self, pair: tuple[str, str]) -> tuple[LearnedPair, bool]:
        """What is known for a pair of policy and verifier, and whether that is its own.

        A pair that was not learned from gets what is known of all of them, never the part of another pair.
        """
        own = self.pairs.get(pair)
        return (self.population, False) if own is None else (own, True)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, without priors per question."""
        return {
            "time": self.time,
            "population": self.population.to_dict(),
            "pairs": [{"digests": list(pair), **part.to_dict()} for pair, part in self.pairs.items()],
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it, in one step. What the file held before is kept beside it, see `restore`.

        Raises:
            SettingsError: The file cannot be written.
        """
        if Path(path).exists():
            _copy(path, former_of(path))
        text = np.frombuffer(json.dumps(self.to_dict(), allow_nan=False).encode(), dtype=np.uint8)
        arrays: dict[str, NDArray[Any]] = {_HEADER: text}
        for place, part in enumerate(self.pairs.values()):
            if part.question_prior is not None:
                arrays[_PRIOR.format(place)] = _packed(part.question_prior)
        write_arrays(path, {"format": LEARNED, "version": _VERSION}, arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> LearnedSettings:
        """Read what `save` wrote.

        Raises:
            InvalidRecordError: The file is missing, damaged, of another version, or something else; the message names
                it.
        """
        header, arrays = read_arrays(path, LEARNED, _WHAT)
        try:
            with reading("its content"):
                return cls._of(header.get("version"), json.loads(arrays[_HEADER].tobytes()), arrays)
        except InvalidRecordError as error:
            raise InvalidRecordError(f"{path} cannot be read as {_WHAT}: {error}") from error

    @classmethod
    def _of(cls, version: Any, data: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> LearnedSettings:
        if version != _VERSION:
            raise InvalidRecordError("it was written by another version of this package; learn again")
        fields = Fields(data, _WHAT)
        pairs = {}
        for place, entry in enumerate(fields.items("pairs")):
            packed = arrays.get(_PRIOR.format(place))
            first, second = Fields(entry, _WHAT).items("digests", most=2)
            pairs[str(first), str(second)] = LearnedPair.from_dict(entry, None if packed is None else _unpacked(packed))
        return cls(pairs, LearnedPair.from_dict(fields.mapping("population")), fields.real("time"))


def former_of(path: str | os.PathLike[str]) -> Path:
    """Where `LearnedSettings.save` keeps what the file held before: "learned.former.npz" for "learned.npz"."""
    return Path(path).with_suffix(f".former{Path(path).suffix}")


def restore(path: str | os.PathLike[str]) -> LearnedSettings:
    """Put back what the file held before the last `save`; what it holds now is then the former one.

    Returns:
        What the file holds again.

    Raises:
        SettingsError: Nothing was kept, or the file cannot be written.
        InvalidRecordError: What was kept is damaged.
    """
    former = former_of(path)
    if not former.exists():
        raise SettingsError(f"nothing can be restored: {former} does not exist; the second `learn` writes it")
    restored = LearnedSettings.load(former)
    now, before = read_file(path) if Path(path).exists() else None, read_file(former)
    _write(path, before)
    if now is not None:
        _write(former, now)
    return restored


def _copy(source: str | os.PathLike[str], target: Path) -> None:
    _write(target, read_file(source))


def _write(path: str | os.PathLike[str], content: bytes) -> None:
    with whole_file(path) as file:
        file.write(content)


def _packed(prior: QuestionPrior) -> NDArray[np.uint8]:
    """The file of a prior per question, as bytes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "prior.npz")
        prior.save(path)
        return np.frombuffer(path.read_bytes(), dtype=np.uint8)


def _unpacked(packed: NDArray[Any]) -> QuestionPrior:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "prior.npz")
        path.write_bytes(packed.tobytes())
        # Its file is gone when the settings are serialised: the settings name theirs.
        return replace(QuestionPrior.load(path), path=None)


def _part(data: Mapping[str, Any], name: str, read: Any) -> Any:
    value = Fields(data, "a part of the learned settings").get(name)
    return None if value is None else read(value)


def _rule(data: Mapping[str, Any], name: str, kind: type[_R]) -> _R | None:
    rule = _part(data, name, Rule.from_dict)
    if rule is not None and not isinstance(rule, kind):
        raise InvalidRecordError("the learned stopping rule is of another kind than this version reads")
    return rule
