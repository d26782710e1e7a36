"""Certified answers: which of the returned answers are right with a promised error rate, learned from labels."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any, Self

from langchain_optscale.errors import InvalidRecordError, SettingsError
from langchain_optscale.records.json_file import JSONFile
from langchain_optscale.records.stored import Fields, reading
from langchain_optscale.stopping.labelled import form_of_search, probability_right, searched

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langchain_optscale.answers.selection import SelectionLike
    from langchain_optscale.stopping.base import Rule

__all__ = ["Certificate", "Certification", "as_certificate", "least_labels"]

_FORMAT = "langchain-optscale/certificate"
_VERSION = 1
_ROOM, _LABELS_FOR_ROOM = 2, 3
"""The first threshold that is tested leaves room for so many wrong labels, if there are so many times as many labels as
that takes; else for fewer. A single wrong one would otherwise end the sequence at once."""


@dataclass(frozen=True, slots=True)
class Certification:
    """What a certificate says about one returned answer.

    Attributes:
        certified: Whether the answer is accepted.
        estimate: The untrained estimate of P(right) that was compared, see `probability_right`.
        threshold: Above it an answer is accepted; None where the certificate accepts nothing.
        delta: Of the accepted answers at most this share is wrong ...
        eps: ... except with this probability, over the labelled questions that the certificate was fitted to.

    Example:
        >>> certification = Certification(certified=True, estimate=0.97, threshold=0.9, delta=0.1, eps=0.1)
        >>> certification.certified, certification.estimate > certification.threshold
        (True, True)
    """

    certified: bool
    estimate: float
    threshold: float | None
    delta: float
    eps: float

    @classmethod
    def from_dict(cls, data: object) -> Self:
        """Read what `dataclasses.asdict` gives.

        Raises:
            InvalidRecordError: It is no certification, or damaged.
        """
        fields = Fields(data, "a certification")
        return cls(
            certified=fields.flag("certified"),
            estimate=fields.real("estimate"),
            threshold=_optional(fields, "threshold"),
            delta=fields.real("delta"),
            eps=fields.real("eps"),
        )

    @property
    def promise(self) -> str:
        """What is promised, in a sentence.

        Example:
            >>> Certification(True, 0.97, 0.9, 0.1, 0.1).promise
            'right: of the answers accepted like this one at most 10% are wrong, with confidence 90%'
            >>> Certification(False, 0.4, 0.9, 0.1, 0.1).promise
            'not certified: nothing is promised about this answer'
        """
        if not self.certified:
            return "not certified: nothing is promised about this answer"
        share, confidence = f"{100 * self.delta:.3g}%", f"{100 * (1 - self.eps):.3g}%"
        return f"right: of the answers accepted like this one at most {share} are wrong, with confidence {confidence}"


@dataclass(frozen=True)
class Certificate(JSONFile):
    """A threshold above which answers are accepted as right, with a bounded error rate; made by `fit`.

    With probability 1 - eps over the labelled questions, at most the share delta of the answers that it accepts is
    wrong. That holds for further questions of the same kind, searched in the same way: the same policy, verifier,
    stopping rule and selection. Learn-then-test (Angelopoulos et al. 2021, arXiv 2110.01052) with fixed-sequence
    testing: going down in the threshold, from the first that accepts enough labels, every threshold is tested by the
    Clopper-Pearson bound of the share of wrong answers among those that it accepts,

        F^-1(1 - eps; k + 1, n - k) <= delta,   n accepted labels with k wrong ones,

    and the last threshold before the first failure is taken. Each test has level eps, and an error needs the first
    threshold whose true share is above delta to pass, so no correction is needed, provided that the share of wrong
    answers does not fall as the threshold is lowered. A verifier that tells nothing about right and wrong accepts
    nothing.

    Attributes:
        threshold: Estimates of P(right) above it are accepted; None accepts nothing.
        delta: The promised share of wrong answers among the accepted ones.
        eps: The probability, over labelled questions, that the promise does not hold.
        labels: How many labelled questions it was fitted to.
        accepted: How many of them it accepts.
        wrong: How many of these are wrong.
        searched_with: What the labelled questions were searched with, see `labelled.search_form`; None where unknown,
            as for pairs of numbers. `certify=` refuses to be used with other settings.

    Raises:
        SettingsError: A number is out of range.

    Example:
        >>> labelled = [(0.99 - place / 1000, True) for place in range(80)]
        >>> labelled += [(0.3, place % 2 == 0) for place in range(80)]
        >>> certificate = Certificate.fit(labelled, delta=0.1, eps=0.1)
        >>> certificate.accepts(0.95), certificate.accepts(0.3)
        (True, False)
    """

    threshold: float | None
    delta: float
    eps: float
    labels: int
    accepted: int
    wrong: int
    searched_with: Mapping[str, Any] | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        for name in ("delta", "eps"):
            _check_open(name, getattr(self, name))
        if self.threshold is not None and not 0.0 <= self.threshold <= 1.0:
            raise SettingsError(f"threshold must lie in [0, 1] or be None, got {self.threshold!r}")
        counts = (self.wrong, self.accepted, self.labels)
        if any(isinstance(count, bool) or not isinstance(count, int) for count in counts) or not (
            0 <= counts[0] <= counts[1] <= counts[2]
        ):
            raise SettingsError(f"labels, accepted and wrong must be whole numbers that fit together, got {self!r}")

    @classmethod
    def fit(
        cls,
        labelled: Iterable[Any],
        delta: float = 0.1,
        eps: float = 0.1,
        *,
        rule: Rule | None = None,
        max_samples: int | None = None,
        select: SelectionLike | None = None,
    ) -> Self:
        """Fit it to questions whose right answers are known, one search each.

        Args:
            labelled: For every question a pair: what was returned and whether it is right (True or False). What was
                returned is an `OptScaleResult`, or the number that `probability_right` gives for it. One pair a
                question: several searches of one question are not independent. Or a pool: each of its questions is then
                searched once, in the recorded order, with the settings below.
            delta: The share of wrong answers to promise, in (0, 1).
            eps: The probability in (0, 1) that the promise may fail.
            rule: For a pool: the stopping rule of the search that is to be certified; None takes the default.
            max_samples: The same: the cap; None takes the fewest samples of a question.
            select: The same: the selection; None takes the rule's own.

        Returns:
            The certificate. Its threshold is None where the labels do not prove any: too few (see `least_labels`), or
            too many of them wrong.

        Raises:
            SettingsError: A number is out of range, or an entry is no such pair.
        """
        _check_open("delta", delta)
        _check_open("eps", eps)
        entries, form = list(labelled), None
        if entries and all(hasattr(entry, "samples") for entry in entries):
            form = form_of_search(entries, rule, max_samples, select)
            entries = searched(entries, rule, max_samples, select)
        pairs = sorted((_pair(entry) for entry in entries), key=lambda pair: -pair[0])
        start = _first_tested(len(pairs), delta, eps)
        found: tuple[float | None, int, int] = (None, 0, 0)
        accepted = wrong = 0
        groups = [(value, [right for _, right in group]) for value, group in groupby(pairs, key=lambda pair: pair[0])]
        for place, (value, rights) in enumerate(groups):
            if value <= 0.0:  # no answer was returned: never accepted
                break
            accepted += len(rights)
            wrong += rights.count(False)
            if accepted < start:
                continue
            if _upper_bound(wrong, accepted, eps) > delta:
                break
            below = groups[place + 1][0] if place + 1 < len(groups) else 0.0
            found = (below, accepted, wrong)
        return cls(found[0], delta, eps, len(pairs), found[1], found[2], form)

    def check(self, form: Mapping[str, Any]) -> None:
        """Refuse to be used for another search than the one that it was fitted to.

        Args:
            form: Of the search, by `labelled.search_form`.

        Raises:
            SettingsError: A setting differs; the message names it.
        """
        for name, fitted in (self.searched_with or {}).items():
            if form.get(name) != fitted:
                raise SettingsError(
                    f"the certificate of certify= was fitted to searches with {name}={fitted!r} and promises nothing "
                    f"about {name}={form.get(name)!r}: search with that, or fit a certificate to these settings"
                )

    def accepts(self, estimate: float) -> bool:
        """Whether an answer with this estimate of P(right) is certified."""
        return self.threshold is not None and estimate > self.threshold

    def certify(self, answers: Sequence[str | None], scores: Sequence[float], place: int) -> Certification:
        """What it says about a returned candidate; arguments as in `probability_right`."""
        estimate = probability_right(answers, scores, place)
        return Certification(self.accepts(estimate), estimate, self.threshold, self.delta, self.eps)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; `from_dict` gives an equal one back."""
        return {"format": _FORMAT, "version": _VERSION, **asdict(self)}

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        """Read what `to_dict` wrote.

        Raises:
            InvalidRecordError: It is no certificate, of a later version, or damaged.
        """
        known = data if isinstance(data, Mapping) else {}
        if (known.get("format"), known.get("version")) != (_FORMAT, _VERSION):
            raise InvalidRecordError(f"not a certificate of format {_FORMAT!r}, version {_VERSION}")
        fields = Fields(data, "a certificate")
        with reading("the certificate"):
            return cls(
                threshold=_optional(fields, "threshold"),
                delta=fields.real("delta"),
                eps=fields.real("eps"),
                labels=fields.whole("labels"),
                accepted=fields.whole("accepted"),
                wrong=fields.whole("wrong"),
                searched_with=None if fields.get("searched_with", None) is None else fields.mapping("searched_with"),
            )


def least_labels(delta: float, eps: float, wrong: int = 0) -> int:
    """The fewest accepted labels that prove a share of delta with so many wrong ones among them.

    Example:
        >>> least_labels(0.1, 0.1), least_labels(0.05, 0.1), least_labels(0.1, 0.1, wrong=2)
        (22, 45, 52)
    """
    n = max(wrong + 1, math.ceil(math.log(eps) / math.log1p(-delta) - 1e-12))
    while _upper_bound(wrong, n, eps) > delta:
        n += 1
    return n


def _first_tested(labels: int, delta: float, eps: float) -> int:
    """How many labels the first tested threshold accepts at least; it depends on nothing but their number."""
    sizes = (least_labels(delta, eps, wrong) for wrong in range(_ROOM, 0, -1))
    return next((size for size in sizes if _LABELS_FOR_ROOM * size <= labels), least_labels(delta, eps))


def as_certificate(value: Any) -> Certificate | None:
    """A certificate, or the one that a file or plain data holds; None stays None.

    Raises:
        SettingsError: It is none of these, or cannot be read.
    """
    if value is None or isinstance(value, Certificate):
        return value
    try:
        if isinstance(value, str | os.PathLike):
            return Certificate.load(value)
        if isinstance(value, Mapping):
            return Certificate.from_dict(value)
    except InvalidRecordError as error:
        raise SettingsError(f"certify: {error}") from error
    raise SettingsError(
        f"certify must be a Certificate or the file that `optscale calibrate --certify` wrote, got {value!r}"
    )


def _pair(entry: Any) -> tuple[float, bool]:
    try:
        returned, right = entry
    except (TypeError, ValueError) as error:
        raise SettingsError(
            f"a labelled question must be a pair (result or probability, right), got {entry!r}"
        ) from error
    if not isinstance(right, bool) and right not in (0, 1):
        raise SettingsError(f"the second entry of a labelled question must be True or False, got {right!r}")
    if isinstance(returned, int | float) and not isinstance(returned, bool):
        estimate = float(returned)
    elif hasattr(returned, "verdicts") and hasattr(returned, "best"):
        estimate = _estimate_of(returned)
    else:
        raise SettingsError(f"the first entry of a labelled question must be a result or a number, got {returned!r}")
    if not 0.0 <= estimate <= 1.0:
        raise SettingsError(f"a probability must lie in [0, 1], got {estimate!r}")
    return estimate, bool(right)


def _estimate_of(result: Any) -> float:
    order = list(result.verdicts)
    by_index = {candidate.index: candidate for candidate in result.candidates}
    answers = [by_index[index].answer for index in order]
    scores = [result.verdicts[index].score for index in order]
    return probability_right(answers, scores, order.index(result.best.index))


def _optional(fields: Fields, name: str) -> float | None:
    return None if fields.get(name) is None else fields.real(name)


def _check_open(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 < value < 1.0:
        raise SettingsError(f"{name} must lie strictly between 0 and 1, got {value!r}")


def _upper_bound(wrong: int, n: int, eps: float) -> float:
    # SciPy is imported when the first certificate is fitted.
    from langchain_optscale.stats.binomial import upper_bound

    return upper_bound(wrong, n, eps)
