r"""The joint probability of hypotheses and data, for many histories at once, and its gradient.

Symbols: P histories (rows) of n candidates that have an answer; K distinct answers at most; H = K + 1 hypotheses, the
last one that none is right; G nodes of the quadrature over p. Up to terms that all hypotheses share, with
w_l = 1 / (answer_std^2 + candidate_std^2 / c_l) the precision of an answer's mean logit, y_l that mean less the centre,
v = 1 / question_std^2 and mu_g = slope (2 p_g - 1):

    A_h  = log sum_g pi_g p_g^c_h (1 - p_g)^(n - c_h) exp(E_hg) + C_h
    C_h  = K_h log kappa + sum_(l != h) lnGamma(c_l) + lnGamma(kappa) - lnGamma(kappa + m_h) - c_h log(1 - silence)
    E_hg = w_h separation (y_h - separation / 2) + U_hg^2 (W + v) / 2 - v mu_g^2 / 2
    U_hg = (sum_l w_l y_l - w_h separation + v mu_g) / (W + v)          the mean of u given h, p and the logits

where K_h and m_h count the distinct wrong answers and the candidates that gave them, and W = sum_l w_l.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import special

from langchain_optscale.answers.model import AnswerModel

if TYPE_CHECKING:
    from langchain_optscale.stats.calibration import Calibration

__all__ = ["GRADIENT_SIZE", "Histories", "Joint", "from_vector", "to_vector"]

FloatArray: TypeAlias = NDArray[np.float64]
BoolArray: TypeAlias = NDArray[np.bool_]

_NODES = 32
# Step of the central differences of nodes and weights.
_STEP = 1e-4

GRADIENT_SIZE = 10
"""Length of the vector of `to_vector`."""


@dataclass(frozen=True, eq=False)
class Histories:
    """Sufficient statistics of P histories.

    Attributes:
        counts: Shape (P, H), candidates of each answer; the last column and padding are 0.
        sums: Shape (P, H), the sum of their logits.
        silent: Shape (P, H), True where the column is a single candidate without an answer.
    """

    counts: FloatArray
    sums: FloatArray
    silent: BoolArray


def to_vector(model: AnswerModel) -> FloatArray:
    """The constants on unbounded scales, except for the separation (index 4), which is >= 0."""
    return np.array(
        [
            special.logit(model.right),
            np.log(model.firmness),
            np.log(model.concentration),
            special.logit(model.silence),
            model.separation,
            np.log(model.question_std),
            np.log(model.answer_std),
            np.log(model.candidate_std),
            model.centre,
            model.slope,
        ]
    )


def from_vector(vector: FloatArray, calibration: Calibration | None) -> AnswerModel:
    """The inverse of `to_vector`."""
    positive = np.exp(vector)
    return AnswerModel(
        right=float(special.expit(vector[0])),
        firmness=float(positive[1]),
        concentration=float(positive[2]),
        silence=float(special.expit(vector[3])),
        separation=float(vector[4]),
        question_std=float(positive[5]),
        answer_std=float(positive[6]),
        candidate_std=float(positive[7]),
        centre=float(vector[8]),
        slope=float(vector[9]),
        calibration=calibration,
    )


@dataclass(frozen=True, eq=False)
class _Quadrature:
    """Nodes and weights for the Beta law of p, exact where the likelihood is a polynomial of degree 63 in p.

    Attributes:
        p: Shape (G,), the nodes.
        logs: Shape (3, G): log p, log (1 - p), and the logarithm of the weight.
    """

    p: FloatArray
    logs: FloatArray


@lru_cache(maxsize=256)
def _quadrature(right: float, firmness: float) -> _Quadrature:
    """The Gauss-Jacobi rule."""
    with np.errstate(divide="ignore", invalid="ignore"):  # SciPy divides 0 by 0, and puts it right, at a firmness of 1
        x, weights = special.roots_jacobi(_NODES, (1.0 - right) * firmness - 1.0, right * firmness - 1.0)
    p = np.clip((1.0 + x) / 2.0, 1e-15, 1.0 - 1e-15)
    weights = np.maximum(weights / weights.sum(), 1e-300)
    return _Quadrature(p, np.stack([np.log(p), np.log1p(-p), np.log(weights)]))


def _moved(right: float, firmness: float, axis: int) -> tuple[FloatArray, FloatArray]:
    """Derivatives of nodes and logarithms by the logit of `right` or the logarithm of `firmness`."""
    ends = []
    for step in (-_STEP, _STEP):
        if axis == 0:
            ends.append(_quadrature(float(special.expit(special.logit(right) + step)), firmness))
        else:
            ends.append(_quadrature(right, firmness * math.exp(step)))
    low, high = ends
    return (high.p - low.p) / (2.0 * _STEP), (high.logs - low.logs) / (2.0 * _STEP)


class Joint:
    """Hypotheses and data under a model.

    Args:
        model: Its constants.
        data: The histories.

    Attributes:
        log_joint: Shape (P, H), A up to a constant of each row; -inf where a column is no answer.
        log_posterior: Shape (P, H), the logarithm of the hypotheses' probabilities.
        nodes: Shape (P, H, G), the probability of each node given data and hypothesis.
    """

    def __init__(self, model: AnswerModel, data: Histories) -> None:
        self.model = model
        # A candidate without an answer says little about which answer is right, and is left out.
        counts = data.counts * ~data.silent
        answered = counts > 0
        self._safe = np.maximum(counts, 1.0)
        self._right = counts * answered
        self._total = votes = self._right.sum(1)
        self._wrong_kinds = answered.sum(1, keepdims=True) - answered
        self._wrong = votes[:, None] - self._right
        tables = special.gammaln(self._safe) * answered
        kappa = model.concentration
        structure = self._wrong_kinds * math.log(kappa) + tables.sum(1, keepdims=True) - tables
        structure += math.lgamma(kappa) - special.gammaln(kappa + self._wrong)
        structure -= self._right * math.log1p(-model.silence)

        self._w = answered / (model.answer_std**2 + model.candidate_std**2 / self._safe)
        self._y = answered * (data.sums / self._safe - model.centre)
        self._v = model.question_std**-2.0
        self._precision = self._w.sum(1) + self._v
        rule = _quadrature(model.right, model.firmness)
        self._p, (log_p, log_not_p, log_weight) = rule.p, rule.logs
        self._mu = model.slope * (2.0 * self._p - 1.0)
        pull = (self._w * self._y).sum(1, keepdims=True) - self._w * model.separation
        self._u = (pull[:, :, None] + self._v * self._mu) / self._precision[:, None, None]
        structure += self._w * model.separation * (self._y - 0.5 * model.separation)
        terms = 0.5 * self._precision[:, None, None] * self._u**2
        terms += self._right[:, :, None] * (log_p - log_not_p) + self._total[:, None, None] * log_not_p
        terms += log_weight - 0.5 * self._v * self._mu**2
        most = terms.max(2)
        self.nodes = np.exp(terms - most[:, :, None])
        mass = self.nodes.sum(2)
        self.nodes /= mass[:, :, None]
        answered[:, -1] = True
        self.log_joint = np.where(answered, structure + most + np.log(mass), -np.inf)
        self.log_posterior = self.log_joint - _log_sum(self.log_joint)[:, None]

    @property
    def votes(self) -> FloatArray:
        """Shape (K,): the candidates of each answer in the first history, 0 for a column without one."""
        return self._right[0, :-1]

    @property
    def new_answer_signal(self) -> FloatArray:
        """Shape (P,): how far apart, in standard deviations, the logits of a right and a wrong new answer lie."""
        model = self.model
        variance = model.answer_std**2 + model.candidate_std**2 + 1.0 / self._precision
        return model.separation / np.sqrt(variance)  # type: ignore[no-any-return]

    def difficulty(self) -> tuple[FloatArray, FloatArray]:
        """Mean and variance of p given data and hypothesis, each of shape (P, H)."""
        mean = self.nodes @ self._p
        return mean, np.maximum(self.nodes @ self._p**2 - mean**2, 1e-12)

    def log_truth(self, truth: BoolArray) -> tuple[FloatArray, FloatArray]:
        """Log probability of the truth under the model, and its gradient.

        Args:
            truth: Shape (P, H), True for every observed right answer, or for the last column where there is none.

        Returns:
            Shape (P,), and shape (P, 10) with respect to the vector of `to_vector`.
        """
        model, v = self.model, self._v
        of_truth = np.where(truth, self.log_posterior, -np.inf)
        value = _log_sum(of_truth)
        # Gradients of A_h count by how much more probable the truth makes h.
        weight = np.exp(of_truth - value[:, None]) - np.exp(self.log_posterior)
        by_node = weight[:, :, None] * self.nodes
        by_u = by_node * self._u
        u_1, u_2 = by_u.sum(2), (by_u * self._u).sum(2)
        gap = self._u - self._mu
        by_gap = by_node * gap
        kappa, delta = model.concentration, model.separation
        slots = kappa * (special.digamma(kappa) - special.digamma(kappa + self._wrong))
        gradient = np.empty((len(value), GRADIENT_SIZE))
        # The nodes depend on the Beta parameters, and the candidates' probabilities and E[u] on the nodes.
        at_node, right_at_node = by_node.sum(1), (by_node * self._right[:, :, None]).sum(1)
        wrong_at_node, gap_at_node = self._total[:, None] * at_node - right_at_node, by_gap.sum(1)
        for axis in (0, 1):
            node, (log_p, log_not_p, log_weight) = _moved(model.right, model.firmness, axis)
            gradient[:, axis] = right_at_node @ log_p + wrong_at_node @ log_not_p + at_node @ log_weight
            gradient[:, axis] += gap_at_node @ (2.0 * v * model.slope * node)
        gradient[:, 2] = (weight * (self._wrong_kinds + slots)).sum(1)
        gradient[:, 3] = (weight * self._right).sum(1) * model.silence
        gradient[:, 4] = (weight * self._w * (self._y - delta) - self._w * u_1).sum(1)
        gradient[:, 5] = v * (by_gap * gap).sum((1, 2))
        for place, squares, scale in (
            (6, self._w**2, model.answer_std**2),
            (7, self._w**2 / self._safe, model.candidate_std**2),
        ):
            # Squared distances of all y_l, less the separation where h is right, from u.
            cross = (squares * self._y).sum(1)[:, None] - squares * delta
            apart = weight * squares * delta * (delta - 2.0 * self._y) - 2.0 * u_1 * cross
            gradient[:, place] = scale * (apart + u_2 * squares.sum(1)[:, None]).sum(1)
        gradient[:, 8] = -(weight * self._w * delta + u_1 * self._w.sum(1)[:, None]).sum(1)
        gradient[:, 9] = v * (by_gap * (2.0 * self._p - 1.0)).sum((1, 2))
        return value, gradient


def _log_sum(logs: FloatArray) -> FloatArray:
    """Logarithm of the sum of exponentials over the last axis, each row with a finite entry."""
    most = logs.max(-1)
    return most + np.log(np.exp(logs - most[..., None]).sum(-1))  # type: ignore[no-any-return]
