"""The steps in which a verifier scores, inferred from the scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["infer_steps"]

# A score this close to a step is on it: floating point and JSON leave errors of about 1e-9.
_TOLERANCE = 1e-6
_FINE, _COARSE = 20, 10
# Under steps of 0.05, so many distinct values would all be multiples of 0.1 by chance in about one case of 32.
_DISTINCT_FOR_COARSE = 5


def infer_steps(scores: Sequence[float]) -> int:
    """The number of steps of the scale from 0 to 1, inferred from scores; 0 for a continuous scale.

    Conservative: steps of 0.05 are assumed where every score is a multiple of it and at least one is neither 0 nor 1,
    since these two are also the ends of a continuous scale. Steps of 0.1 need five distinct values besides.

    Args:
        scores: Scores in [0, 1].

    Returns:
        0, 10 or 20.

    Example:
        >>> infer_steps([0.9, 0.85, 1.0]), infer_steps([0.9, 0.8731]), infer_steps([1.0, 1.0])
        (20, 0, 0)
        >>> infer_steps([0.2, 0.3, 0.7, 0.8, 0.9])
        10
    """
    places = set()
    for score in scores:
        scaled = score * _FINE
        place = round(scaled)
        if abs(scaled - place) > _TOLERANCE * _FINE:
            return 0
        places.add(place)
    if places <= {0, _FINE}:
        return 0
    is_coarse = len(places) >= _DISTINCT_FOR_COARSE and all(place % 2 == 0 for place in places)
    return _COARSE if is_coarse else _FINE
