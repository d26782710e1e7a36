"""A certificate from recorded candidates, and how many answers it would accept on questions that it was not fitted to.

report = certify(read_pool("pool.jsonl"), delta=0.1, eps=0.1)
print(report.text())
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from langchain_optscale.errors import SettingsError
from langchain_optscale.stats.binomial import clopper_pearson
from langchain_optscale.stopping.certificate import Certificate, least_labels
from langchain_optscale.stopping.labelled import form_of_search, searched

if TYPE_CHECKING:
    from langchain_optscale.answers.selection import SelectionLike
    from langchain_optscale.evaluation.pools import Pool
    from langchain_optscale.stopping import Rule

__all__ = ["CertificateReport", "certify"]


@dataclass(frozen=True)
class CertificateReport:
    """A certificate, and what certificates of half the questions did on the other half.

    Attributes:
        pool: Name of the pool.
        certificate: Fitted to all questions.
        right: How many of all questions the search answers rightly.
        accepted: Of all questions, each judged by a certificate fitted to the half without it: how many are accepted.
        wrong: How many of these are wrong.
    """

    pool: str
    certificate: Certificate
    right: int
    accepted: int
    wrong: int

    @property
    def error_interval(self) -> tuple[float, float]:
        """The 95 % Clopper-Pearson interval of the share of wrong answers among the accepted ones, held out."""
        return clopper_pearson(self.wrong, self.accepted)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form: the certificate's own, and "held_out" with "accepted", "wrong" and "wrong_share_ci"."""
        return {
            "pool": self.pool,
            "certificate": self.certificate.to_dict(),
            "questions": self.certificate.labels,
            "right": self.right,
            "held_out": {"accepted": self.accepted, "wrong": self.wrong, "wrong_share_ci": list(self.error_interval)},
        }

    def text(self) -> str:
        """The report as text."""
        one = self.certificate
        lines = [
            f"{self.pool}: {one.labels} questions, of which the search answers {self.right / one.labels:.1%} rightly",
            f"to promise: at most {one.delta:.1%} wrong among the certified answers, with confidence {1 - one.eps:.0%}",
        ]
        if one.threshold is None:
            lines.append(
                "no answer can be certified: the answers that look surest are wrong too often, or there are too few "
                f"labels (at least {least_labels(one.delta, one.eps)} accepted ones, all right, are needed)"
            )
        else:
            lines.append(
                f"certified above an estimate of {one.threshold:.4f}: {one.accepted} of {one.labels} questions "
                f"({one.accepted / one.labels:.0%}), {one.wrong} of them wrong"
            )
        low, high = self.error_interval
        lines.append(
            f"fitted on one half, counted on the other: {self.accepted} certified ({self.accepted / one.labels:.0%}), "
            f"{self.wrong} of them wrong"
            + (f" ({self.wrong / self.accepted:.1%} [{low:.1%}, {high:.1%}])" if self.accepted else "")
        )
        return "\n".join(lines)


def certify(
    pool: Pool,
    delta: float = 0.1,
    eps: float = 0.1,
    *,
    rule: Rule | None = None,
    max_samples: int | None = None,
    select: SelectionLike | None = None,
) -> CertificateReport:
    """Fit a certificate to a pool, and count what certificates of its halves accept.

    Args:
        pool: With scores and correctness of every sample. Each question is searched once, in the recorded order.
        delta: As in `Certificate.fit`.
        eps: The same.
        rule: The same.
        max_samples: The same.
        select: The same.

    Raises:
        SettingsError: As `Certificate.fit`; or the pool lacks scores or correctness, or has fewer than two questions.

    Example:
        >>> from langchain_optscale.evaluation.pools import Pool, Question, Sample
        >>> samples = tuple(Sample(score=s, correct=s > 0.5, answer=str(s > 0.5)) for s in (0.9, 0.2, 0.8, 0.9))
        >>> report = certify(Pool(tuple(Question(str(number), "?", samples) for number in range(200))))
        >>> report.right, report.accepted, report.wrong
        (200, 200, 0)
    """
    if len(pool) < 2 or not pool.has_scores or not pool.has_correct:
        raise SettingsError(
            f"a certificate needs at least two questions whose samples have scores and say whether they are right; "
            f"pool {pool.name!r} lacks that"
        )
    pairs = searched(list(pool), rule, max_samples, select)
    form = form_of_search(list(pool), rule, max_samples, select)
    certificate = replace(Certificate.fit(pairs, delta, eps), searched_with=form)
    first = {question.id for question in pool.split(seed=0)[0]}
    halves: tuple[list[tuple[float, bool]], ...] = ([], [])
    for question, pair in zip(pool, pairs, strict=True):
        halves[question.id in first].append(pair)
    accepted = wrong = 0
    for fitted_to, counted_on in (halves, halves[::-1]):
        one = Certificate.fit(fitted_to, delta, eps)
        rights = [right for estimate, right in counted_on if one.accepts(estimate)]
        accepted, wrong = accepted + len(rights), wrong + rights.count(False)
    return CertificateReport(pool.name, certificate, sum(right for _, right in pairs), accepted, wrong)
