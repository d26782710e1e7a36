r"""Ridge regression in closed form, its strength chosen by leaving out one row at a time.

Symbols: X the rows, one a question, with a constant last; y a target, centred; w_i the weight of row i, W = diag(w);
lambda the strength; K = X X'. The coefficients minimise sum_i w_i (y_i - x_i b)^2 + lambda |b|^2:

    dual    b = X' a,  a = (K + lambda W^-1)^-1 y            where there are fewer rows than columns
    primal  b = (X' W X + lambda)^-1 X' W y                  where there are fewer columns

What the other rows predict of row i is known without another fit:

    dual    y_i - a_i / ((K + lambda W^-1)^-1)_ii
    primal  y_i - (y_i - x_i b) / (1 - h_i),   h_i = w_i x_i (X' W X + lambda)^-1 x_i'

Source: Golub, Heath and Wahba, Technometrics 21 (1979). With more rows than `MOST_DUAL`, and no fewer columns, the
dual's equation is solved by conjugate gradients, and rows are left out by fifths.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from scipy.sparse import csr_array

    FloatArray: TypeAlias = NDArray[np.float64]
    Rows: TypeAlias = "csr_array[Any] | FloatArray"

__all__ = ["MOST_DUAL", "Ridge", "fit_ridge"]

MOST_DUAL = 5000
"""The most rows whose matrix K is formed: 200 MB."""

_STRENGTHS = tuple(2.0**power for power in range(-4, 9))
_CHOOSING = 1500
_REFINEMENT = 1.5
_PARTS = 5
_TOLERANCE = 1e-5


@dataclass(frozen=True)
class Ridge:
    """A fitted ridge regression of one or more targets.

    Attributes:
        coefficients: Shape (columns, targets).
        intercept: Shape (targets,).
        strengths: lambda of each target.
        left_out: What the other rows predict of each row, shape (rows, targets).
    """

    coefficients: FloatArray
    intercept: FloatArray
    strengths: tuple[float, ...]
    left_out: FloatArray


def fit_ridge(rows: Rows, targets: FloatArray, weights: FloatArray | None = None, *, seed: int = 0) -> Ridge:
    """Fit one ridge regression for each target.

    Args:
        rows: Shape (n, columns); a sparse or dense matrix whose rows have a length of about 1.
        targets: Shape (n, targets).
        weights: Of each row for each target, shape (n, targets), in (0, 1]; None weighs all alike.
        seed: Chooses the rows on which strengths are compared first.

    Example:
        >>> generator = np.random.default_rng(0)
        >>> rows = generator.normal(size=(80, 5))
        >>> fit = fit_ridge(rows, rows @ np.array([[1.0], [0.0], [2.0], [0.0], [0.0]]) + 3.0)
        >>> np.abs(fit.coefficients.ravel()).round(1).tolist(), fit.intercept.round(1).tolist()
        ([1.0, 0.0, 2.0, 0.0, 0.0], [3.0])
    """
    weights = np.ones_like(targets) if weights is None else weights
    order = np.random.default_rng(seed).permutation(len(targets))
    centres = (weights * targets).sum(axis=0) / weights.sum(axis=0)
    coefficients = np.empty((rows.shape[1] + 1, targets.shape[1]))
    left_out = np.empty_like(targets)
    strengths = np.empty(targets.shape[1])
    # Targets with equal weights share their matrices.
    alike: dict[bytes, list[int]] = {}
    for column in range(targets.shape[1]):
        alike.setdefault(weights[:, column].tobytes(), []).append(column)
    for columns in alike.values():
        problem = _Problem(rows, weights[:, columns[0]], order)
        solution = problem.solved(targets[:, columns] - centres[columns])
        coefficients[:, columns], left_out[:, columns], strengths[columns] = solution
    chosen = tuple(map(float, strengths))
    return Ridge(coefficients[:-1], coefficients[-1] + centres, chosen, left_out + centres)


_Solution: TypeAlias = "tuple[FloatArray, FloatArray, FloatArray]"
"""Coefficients, the constant's last; what the other rows predict of each row; the strengths."""


class _Problem:
    """The rows with their weights, for any targets."""

    def __init__(self, rows: Rows, weight: FloatArray, order: NDArray[np.intp]) -> None:
        from scipy import sparse

        constant = np.ones((rows.shape[0], 1))
        parts: Any = [rows, constant]
        self._rows: Any = sparse.hstack(parts).tocsr() if sparse.issparse(rows) else np.hstack(parts)
        self._weight = weight
        self._order = order

    def solved(self, targets: FloatArray) -> _Solution:
        """The solution with the strength that predicts the rows left out best, for each target."""
        few = self._order[:_CHOOSING]
        first = self._best(few, targets, _STRENGTHS)
        everything, columns = self._rows.shape
        if everything == len(few):
            return first
        strengths = first[2]
        if everything > MOST_DUAL and columns > everything:
            return self._by_gradients(targets, strengths)
        near = {float(one * factor) for one in strengths for factor in (1.0 / _REFINEMENT, 1.0, _REFINEMENT)}
        return self._best(self._order, targets, sorted(near))

    def _best(self, places: NDArray[np.intp], targets: FloatArray, strengths: Sequence[float]) -> _Solution:
        """The solution on some rows with the least weighted square error of the rows left out."""
        solver, own, weight = _Closed(self._rows[places], self._weight[places]), targets[places], self._weight[places]
        least = np.full(targets.shape[1], np.inf)
        best = (np.empty((self._rows.shape[1], len(least))), np.empty_like(targets), np.empty(len(least)))
        for strength in strengths:
            coefficients, left_out = solver.solve(own, strength)
            errors = weight @ (own - left_out) ** 2
            better = errors < least
            least[better] = errors[better]
            best[0][:, better] = coefficients[:, better]
            best[1][np.ix_(places, better)] = left_out[:, better]
            best[2][better] = strength
        return best

    def _by_gradients(self, targets: FloatArray, strengths: FloatArray) -> _Solution:
        """The solution by conjugate gradients, rows left out by fifths."""
        left_out, coefficients = np.empty_like(targets), np.empty((self._rows.shape[1], targets.shape[1]))
        parts = [self._order[part::_PARTS] for part in range(_PARTS)]
        for column, strength in enumerate(strengths):
            coefficients[:, column] = self._gradients(self._order, targets[:, column], strength)
            for held in parts:
                kept = np.setdiff1d(self._order, held)
                left_out[held, column] = self._rows[held] @ self._gradients(kept, targets[:, column], strength)
        return coefficients, left_out, strengths

    def _gradients(self, places: NDArray[np.intp], target: FloatArray, strength: float) -> FloatArray:
        return _gradients(self._rows[places], self._weight[places], target[places], strength)


class _Closed:
    """The closed forms on some rows."""

    def __init__(self, rows: Any, weight: FloatArray) -> None:
        self._is_dual = rows.shape[0] <= rows.shape[1]
        rows = rows.toarray() if hasattr(rows, "toarray") and not self._is_dual else rows
        self._rows, self._weight = rows, weight
        product = rows @ rows.T if self._is_dual else (rows.T * weight) @ rows
        self._product: FloatArray = product.toarray() if hasattr(product, "toarray") else product

    def solve(self, targets: FloatArray, strength: float) -> tuple[FloatArray, FloatArray]:
        """Coefficients, and what the other rows predict of each row."""
        if self._is_dual:
            inverse = self._inverse(strength / self._weight)
            dual = inverse @ targets
            return self._rows.T @ dual, targets - dual / np.diag(inverse)[:, None]
        inverse = self._inverse(np.full(len(self._product), strength))
        coefficients: FloatArray = inverse @ (self._rows.T @ (self._weight[:, None] * targets))
        leverage = self._weight * np.einsum("ij,ij->i", self._rows @ inverse, self._rows)
        error = targets - self._rows @ coefficients
        return coefficients, targets - error / np.maximum(1.0 - leverage, 1e-9)[:, None]

    def _inverse(self, ridge: FloatArray) -> FloatArray:
        from scipy.linalg import LinAlgError, lapack

        matrix = self._product.copy()
        matrix[np.diag_indices_from(matrix)] += ridge
        # By Cholesky's factor; of the symmetric result one half is written.
        factor, failed = lapack.dpotrf(matrix.T, lower=True, overwrite_a=True)
        inverse, singular = lapack.dpotri(factor, lower=True, overwrite_c=True)
        if failed or singular:
            raise LinAlgError("the matrix of the normal equations is not positive definite")
        whole: FloatArray = np.tril(inverse) + np.tril(inverse, -1).T
        return whole


def _gradients(rows: Any, weight: FloatArray, target: FloatArray, strength: float) -> FloatArray:
    """The dual's solution by conjugate gradients, as coefficients."""
    from scipy.sparse import linalg

    def product(vector: FloatArray) -> FloatArray:
        flat = vector.ravel()
        whole: FloatArray = rows @ (rows.T @ flat) + strength * flat / weight
        return whole

    operator = linalg.LinearOperator((len(target), len(target)), matvec=product, dtype=np.float64)
    dual, _ = linalg.cg(operator, target, rtol=_TOLERANCE, maxiter=500)
    coefficients: FloatArray = rows.T @ dual
    return coefficients
