"""One score out of several, with weights from labels or from agreement.

Each member's score becomes a normal score, Phi^-1 of its rank among the scores it was fitted on, so that scales do not
matter. A logistic regression with a ridge joins them; its strength is chosen by cross-validation over questions.
Without labels its targets are the probabilities of a latent class (see `latent_class`) over the members' levels. What
it gives is calibrated by Platt's method on questions left out.

Legend: scores [n, m], NaN where a member has none; groups [n], the question of each row; labels [n], NaN where unknown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from langchain_optscale.errors import InvalidRecordError, SettingsError
from langchain_optscale.records.json_file import JSONFile
from langchain_optscale.records.stored import Fields, reading
from langchain_optscale.stats._scipy import special
from langchain_optscale.stats.latent_class import fit_latent_class

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

__all__ = ["Labels", "MemberScale", "Stack", "auc", "fit_stack"]

Labels = Literal["gold", "none"]
"""Whether weights come from labels, or from the agreement of the members."""

_FOLDS = 5
_STRENGTHS = (0.1, 1.0, 10.0, 100.0)
_LEVELS = 4
_KNOTS = 64
_RESAMPLES = 200
_LEAST_LABELLED = 30
_FORMAT, _VERSION = "langchain-optscale/stack", 1
_MOST_MEMBERS = 1000


@dataclass(frozen=True)
class MemberScale:
    """What a member's score is worth, as a normal score.

    Attributes:
        scores: Ascending scores.
        values: The normal score of each; between them it is linear, beyond them constant.
    """

    scores: tuple[float, ...]
    values: tuple[float, ...]

    def __call__(self, score: Any) -> Any:
        """The normal score; 0, the middle, for NaN."""
        return np.where(np.isnan(score), 0.0, np.interp(score, self.scores, self.values))


@dataclass(frozen=True)
class Stack(JSONFile):
    """Several scores as one probability, from `fit_stack`.

    Attributes:
        scales: What each member's score is worth.
        weights: Of each member.
        intercept: Of the logistic function.
        chosen: "stack"; "best member" or "equal weights" where the stack could not be trusted.
        report: Figures of the fit on questions left out, by name: `auc` of what is returned, `stack` of the stack,
            `members` of each member and `mean` of their mean, where there are labels; `error`, the standard error of
            the stack's lead over the best member; `accuracies` of the members by their agreement, without labels.
    """

    scales: tuple[MemberScale, ...]
    weights: tuple[float, ...]
    intercept: float
    chosen: str
    report: Mapping[str, Any]

    def __call__(self, scores: Sequence[float | None]) -> float:
        """P(right) of a candidate with these scores, None for a missing one; in (0, 1)."""
        row = [math.nan if score is None else score for score in scores]
        if len(row) != len(self.weights):
            raise SettingsError(f"the stack has {len(self.weights)} members, got {len(row)} scores")
        worth = (w * float(scale(score)) for w, scale, score in zip(self.weights, self.scales, row, strict=True))
        return float(special.expit(self.intercept + math.fsum(worth)))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; `from_dict` reads it."""
        scales = [{"scores": list(scale.scores), "values": list(scale.values)} for scale in self.scales]
        about = {"chosen": self.chosen, "report": dict(self.report)}
        fitted = {"scales": scales, "weights": list(self.weights), "intercept": self.intercept}
        return {"format": _FORMAT, "version": _VERSION, **fitted, **about}

    @classmethod
    def from_dict(cls, data: object) -> Stack:
        """Read what `to_dict` wrote.

        Raises:
            InvalidRecordError: It is no stack, of a later version, or damaged.
        """
        fields = Fields(data, "a stack of verifiers")
        if fields.data.get("format") != _FORMAT or fields.data.get("version") != _VERSION:
            raise InvalidRecordError(f"not a stack of format {_FORMAT!r}, version {_VERSION}")
        with reading("the stack"):
            scales = tuple(_scale(item) for item in fields.items("scales", most=_MOST_MEMBERS))
            weights = fields.reals("weights", most=_MOST_MEMBERS)
            intercept = fields.real("intercept")
            if len(scales) != len(weights) or not scales or not math.isfinite(intercept):
                raise InvalidRecordError("a stack needs a weight for each member, and a finite intercept")
            return cls(scales, weights, intercept, fields.text("chosen"), dict(fields.mapping("report")))


def fit_stack(scores: Any, groups: Any, labels: Any = None, mode: Labels = "gold") -> Stack:
    """Fit the weights.

    With labels, also for the check of weights that were found without them, a stack that is worse than its best member
    by more than a standard error on questions left out is replaced by that member. Without any, fewer than three
    members, or members of which fewer than two agree with the others better than chance, get equal weights.

    Args:
        scores: [n, m], NaN where a member has none.
        groups: The question of each row [n]; at least two.
        labels: Whether each row is right, NaN where unknown [n]; None knows none.
        mode: "gold" learns from labels, "none" from agreement.

    Raises:
        SettingsError: The shapes differ, or "gold" has too few labels.
    """
    table = np.asarray(scores, dtype=float)
    if table.ndim != 2 or len(table) < 2 or table.shape[1] < 1:
        raise SettingsError("scores must be a table of candidates by members, with at least two candidates")
    known = np.full(len(table), np.nan) if labels is None else np.asarray(labels, dtype=float)
    _, places = np.unique(np.asarray(groups), return_inverse=True)
    if len(places) != len(table) or len(known) != len(table):
        raise SettingsError(f"{len(table)} rows of scores need as many groups and labels")
    if mode not in ("gold", "none"):
        raise SettingsError(f"labels must be 'gold' or 'none', got {mode!r}")
    if places.max() < 1:
        raise SettingsError("a stack needs candidates of at least two questions, so that one can be left out")
    labelled = _enough(known)
    if mode == "gold" and not labelled:
        raise SettingsError(
            f"labels='gold' needs at least {_LEAST_LABELLED} labelled candidates, right and wrong ones; "
            "with fewer set labels='none'"
        )
    return _Fit(table, places, known, mode, labelled=labelled).stack()


def auc(scores: Any, labels: Any) -> float:
    """P(a right candidate scores higher than a wrong one), ties counted half; NaN without both kinds."""
    values, right = np.asarray(scores, dtype=float), np.asarray(labels, dtype=bool)
    positive, negative = int(right.sum()), int((~right).sum())
    if not positive or not negative:
        return math.nan
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2.0)[inverse]
    return float((ranks[right].sum() - positive * (positive + 1) / 2.0) / (positive * negative))


class _Fit:
    """One fit: the stack, its rivals, and what is known of them on questions left out."""

    def __init__(self, table: FloatArray, groups: Any, labels: FloatArray, mode: Labels, *, labelled: bool) -> None:
        self._table, self._groups, self._labels, self._mode, self._labelled = table, groups, labels, mode, labelled
        self._known = ~np.isnan(labels)
        self._folds = np.random.default_rng(0).permutation(int(groups.max()) + 1)[groups] % min(
            _FOLDS, groups.max() + 1
        )
        self._scales = [_scale_of(column) for column in table.T]
        self._features = self._worth(self._scales, table)
        self._report: dict[str, Any] = {}

    def stack(self) -> Stack:
        """The stack, or what takes its place."""
        count = self._table.shape[1]
        targets = self._targets(slice(None))
        if targets is None:
            equal = np.ones(count) / count
            if self._labelled and (best := self._better_member(self._features @ equal)) is not None:
                return self._finished(np.eye(count)[best], "best member")
            return self._finished(equal, "equal weights")
        strength = self._strength() if self._mode == "gold" else 1.0
        rows = ~np.isnan(targets)
        weights, intercept = _logistic(self._features[rows], targets[rows], strength)
        held_out = self._held_out(strength)
        slope, shift = _platt(held_out, targets)
        if self._labelled and (best := self._better_member(held_out)) is not None:
            return self._finished(np.eye(count)[best], "best member")
        fitted = slope * weights
        self._report["auc"] = self._report.get("stack")
        return Stack(
            tuple(self._scales),
            tuple(float(weight) for weight in fitted),
            float(slope * intercept + shift),
            "stack",
            self._report,
        )

    def _targets(self, rows: Any) -> FloatArray | None:
        """What the regression learns: labels, or the chances of a latent class; None where those are not trusted."""
        if self._mode == "gold":
            known: FloatArray = np.where(self._known, self._labels, np.nan)[rows]
            return known
        if self._table.shape[1] < 3:
            return None
        levels = np.stack([_levels(column) for column in self._table.T], axis=1)[rows]
        model = fit_latent_class(levels)
        accuracies = model.accuracy()
        if isinstance(rows, slice):
            self._report["accuracies"] = [float(value) for value in accuracies]
        return model.chances(levels) if np.sum(accuracies > 0.5 + 2.0 / math.sqrt(len(levels))) >= 2 else None

    def _strength(self) -> float:
        """The ridge's strength with the least log loss on questions left out."""
        rows = self._known

        def loss(strength: float) -> float:
            logits = self._held_out(strength)[rows]
            return float(np.mean(np.logaddexp(0.0, logits) - self._labels[rows] * logits))

        return min(_STRENGTHS, key=loss)

    def _held_out(self, strength: float) -> FloatArray:
        """The logit of each row by a fit without its fold; scales and targets are fitted without it as well."""
        logits = np.zeros(len(self._table))
        for fold in np.unique(self._folds):
            inside, outside = self._folds != fold, self._folds == fold
            scales = [_scale_of(column) for column in self._table[inside].T]
            targets = self._targets(inside)
            if targets is None:
                continue
            rows = ~np.isnan(targets)
            weights, intercept = _logistic(self._worth(scales, self._table[inside])[rows], targets[rows], strength)
            logits[outside] = self._worth(scales, self._table[outside]) @ weights + intercept
        return logits

    def _better_member(self, held_out: FloatArray) -> int | None:
        """The member that beats the stack by more than a standard error on questions left out; None where none does."""
        rows, right = self._known, self._labels[self._known] == 1
        self._report["members"] = [auc(column[rows], right) for column in self._features.T]
        self._report["mean"] = auc(self._features[rows].mean(axis=1), right)
        self._report["stack"] = auc(held_out[rows], right)
        best = int(np.argmax(self._report["members"]))
        lead = self._report["stack"] - self._report["members"][best]
        error = self._error(held_out, self._features[:, best])
        self._report |= {"best_member": best, "error": error}
        return best if lead < -error else None

    def _error(self, one: FloatArray, other: FloatArray) -> float:
        """The standard error of a lead in AUC, by bootstrap over questions."""
        rng = np.random.default_rng(0)
        known = np.flatnonzero(self._known)
        by_group = [known[self._groups[known] == group] for group in np.unique(self._groups[known])]
        leads = []
        for _ in range(_RESAMPLES):
            rows = np.concatenate([by_group[place] for place in rng.integers(0, len(by_group), len(by_group))])
            right = self._labels[rows] == 1
            leads.append(auc(one[rows], right) - auc(other[rows], right))
        return float(np.nanstd(leads))

    def _finished(self, weights: FloatArray, chosen: str) -> Stack:
        """One member or the mean in the stack's place, calibrated where there are labels."""
        joined = self._features @ weights
        slope, shift = 1.0, 0.0
        if self._labelled:
            slope, shift = _platt(joined, np.where(self._known, self._labels, np.nan))
            self._report["auc"] = auc(joined[self._known], self._labels[self._known] == 1)
        return Stack(tuple(self._scales), tuple(float(w) for w in slope * weights), float(shift), chosen, self._report)

    @staticmethod
    def _worth(scales: Sequence[MemberScale], table: FloatArray) -> FloatArray:
        return np.stack([scale(column) for scale, column in zip(scales, table.T, strict=True)], axis=1)


def _enough(labels: FloatArray) -> bool:
    known = labels[~np.isnan(labels)]
    return len(known) >= _LEAST_LABELLED and 0.0 < known.mean() < 1.0


def _scale_of(column: FloatArray) -> MemberScale:
    """Normal scores of the mid-ranks, at no more than 64 scores."""
    values = column[~np.isnan(column)]
    if not len(values):
        return MemberScale((0.0,), (0.0,))
    knots, counts = np.unique(values, return_counts=True)
    ranks = (np.cumsum(counts) - counts / 2.0) / len(values)
    if len(knots) > _KNOTS:
        places = np.unique(np.round(np.linspace(0, len(knots) - 1, _KNOTS)).astype(int))
        knots, ranks = knots[places], ranks[places]
    normal = special.ndtri(ranks) if len(knots) > 1 else np.zeros(1)
    return MemberScale(tuple(map(float, knots)), tuple(map(float, normal)))


def _levels(column: FloatArray) -> Any:
    """Levels of equal frequency where ties allow, at most four; -1 for a missing score."""
    values = column[~np.isnan(column)]
    cuts = np.unique(np.quantile(values, np.arange(1, _LEVELS) / _LEVELS)) if len(values) else np.zeros(0)
    if len(values):
        cuts = cuts[cuts > values.min()]
    return np.where(np.isnan(column), -1, np.searchsorted(cuts, column, side="right"))


def _logistic(features: FloatArray, targets: FloatArray, strength: float) -> tuple[FloatArray, float]:
    """Ridge logistic regression on targets in [0, 1] by Newton's method; the intercept is free."""
    design = np.column_stack([features, np.ones(len(features))])
    ridge = np.array([strength] * features.shape[1] + [1e-6])
    at = np.zeros(design.shape[1])
    for _ in range(50):
        chances = special.expit(design @ at)
        gradient = design.T @ (targets - chances) - ridge * at
        information = (design * (chances * (1.0 - chances))[:, None]).T @ design + np.diag(ridge)
        step = np.linalg.solve(information, gradient)
        # Far from the maximum a full step may overshoot.
        at = at + step * min(1.0, 5.0 / max(1e-12, float(np.max(np.abs(step)))))
        if np.max(np.abs(step)) < 1e-9:
            break
    return at[:-1], float(at[-1])


def _platt(logits: FloatArray, targets: FloatArray) -> tuple[float, float]:
    """Slope and shift that calibrate logits; the slope is not negative."""
    rows = ~np.isnan(targets)
    slope, shift = _logistic(logits[rows][:, None], targets[rows], 1e-3)
    if slope[0] <= 0:
        mean = float(np.clip(np.mean(targets[rows]), 1e-3, 1 - 1e-3))
        return 0.0, math.log(mean / (1.0 - mean))
    return float(slope[0]), shift


def _scale(data: object) -> MemberScale:
    fields = Fields(data, "the scale of a member")
    scores, values = fields.reals("scores", most=_KNOTS), fields.reals("values", most=_KNOTS)
    if not scores or len(scores) != len(values) or list(scores) != sorted(scores):
        raise InvalidRecordError("the scale of a member needs ascending scores, and a value for each")
    return MemberScale(scores, values)
