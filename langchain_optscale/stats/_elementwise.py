"""Decorators that let functions of flat arrays take and return scalars and arrays of any shape."""

from __future__ import annotations

import math
from functools import wraps
from typing import TYPE_CHECKING, Protocol, TypeAlias, overload

import numpy as np

from langchain_optscale.errors import SettingsError
from langchain_optscale.stats._masses import FloatArray, log_odds_of_one

if TYPE_CHECKING:
    from collections.abc import Callable

Floats: TypeAlias = float | FloatArray

# Within these limits no intermediate result of `_masses` leaves the range of double precision.
_LARGEST = 1e100
_SMALLEST = 1e-100


class OfPoint(Protocol):
    """A law of points and parameters: floats give a float, arrays an array of the broadcast shape."""

    @overload
    def __call__(self, x: float, /, mu: float, sigma: float) -> float: ...  # type: ignore[overload-overlap]  # an array is no float
    @overload
    def __call__(self, x: Floats, /, mu: Floats, sigma: Floats) -> FloatArray: ...


class OfParameters(Protocol):
    """A law of the parameters: floats give a float, arrays an array of the broadcast shape."""

    @overload
    def __call__(self, mu: float, sigma: float) -> float: ...  # type: ignore[overload-overlap]  # an array is no float
    @overload
    def __call__(self, mu: Floats, sigma: Floats) -> FloatArray: ...


def _reject(mu: object, sigma: object) -> SettingsError:
    return SettingsError(
        f"a truncated normal needs a finite mu and a positive sigma, neither beyond 1e100: got mu={mu}, sigma={sigma}"
    )


def _elementwise(*values: Floats) -> tuple[tuple[int, ...], list[FloatArray]]:
    """The common shape of the arguments (the last two are mu and sigma), and their values as flat arrays."""
    arrays = np.broadcast_arrays(*(np.asarray(value, dtype=np.float64) for value in values))
    mu, sigma = arrays[-2:]
    if not np.all((np.abs(mu) <= _LARGEST) & (sigma >= _SMALLEST) & (sigma <= _LARGEST)):
        raise _reject(*values[-2:])
    if any(np.isnan(array).any() for array in arrays[:-2]):
        raise SettingsError("a truncated normal cannot be evaluated at nan")
    return mu.shape, [array.ravel() for array in arrays]


def _shaped(values: FloatArray, shape: tuple[int, ...]) -> Floats:
    return values.reshape(shape) if shape else float(values[0])


def of_point(law: Callable[[FloatArray, FloatArray, FloatArray], FloatArray]) -> OfPoint:
    """Make a law on flat arrays take and return scalars and arrays of any shape."""

    @wraps(law)
    def evaluate(x: Floats, /, mu: Floats, sigma: Floats) -> Floats:
        shape, arrays = _elementwise(x, mu, sigma)
        return _shaped(law(*arrays), shape)

    return evaluate  # type: ignore[return-value]  # an array comes out only where one went in


def of_parameters(law: Callable[[FloatArray, FloatArray], FloatArray]) -> OfParameters:
    """The same for a law of the parameters alone."""

    @wraps(law)
    def evaluate(mu: Floats, sigma: Floats) -> Floats:
        shape, arrays = _elementwise(mu, sigma)
        return _shaped(law(*arrays), shape)

    return evaluate  # type: ignore[return-value]


def of_odds(
    of_log_odds: Callable[[float], float],
) -> Callable[[Callable[[FloatArray, FloatArray, FloatArray], FloatArray]], OfPoint]:
    """The same for a function of the log odds of S <= x, with a path for plain floats past every array."""

    def decorate(law: Callable[[FloatArray, FloatArray, FloatArray], FloatArray]) -> OfPoint:
        general = of_point(law)

        @wraps(law)
        def evaluate(x: Floats, /, mu: Floats, sigma: Floats) -> Floats:
            are_floats = isinstance(x, float) and isinstance(mu, float) and isinstance(sigma, float)
            if not are_floats or math.isnan(x):
                return general(x, mu, sigma)
            if not (-_LARGEST <= mu <= _LARGEST and _SMALLEST <= sigma <= _LARGEST):
                raise _reject(mu, sigma)
            return of_log_odds(log_odds_of_one(float(x), float(mu), float(sigma)))

        return evaluate  # type: ignore[return-value]

    return decorate
