r"""How often candidates of past questions reached a score, for every score that may become a target.

The chance p that one candidate of a question reaches a target differs from question to question, p ~ Beta(a, b). Past
questions with k_i of n_i scores at the target have the likelihood prod_i B(a + k_i, b + n_i - k_i) / B(a, b). The mean
a / (a + b) is set to the share of all scores that reached it, (sum k + 1/2) / (sum n + 1). Of a the largest value is
taken whose log likelihood lies within 2 of the best one: the questions are taken to be as much alike as the data allow.
That is the careful side, since unlike questions are what lets a search give up early; a few scores of each past
question say little about it.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["TARGETS", "fit_alike", "reach_table"]

TARGETS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.96, 0.97, 0.98, 0.99, 1.0)
"""The targets of a table; for another one the next lower of these counts."""

_LOW, _HIGH, _STEPS = math.log(0.02), math.log(50.0), 60
_WITHIN = 2.0


def reach_table(score_lists: Iterable[Sequence[float]]) -> tuple[tuple[float, float, float], ...]:
    """(target, a, b) for each of `TARGETS`, from the scores of past questions.

    Args:
        score_lists: The scores of each question, in [0, 1]; empty ones are left out.

    Example:
        >>> table = reach_table([[0.2, 0.9, 0.4], [0.3, 0.2, 0.1]] * 20)
        >>> [round(a / (a + b), 2) for target, a, b in table if target in (0.3, 0.5, 0.95)]
        [0.5, 0.17, 0.0]
    """
    known = [sorted(scores) for scores in score_lists if len(scores)]
    table = []
    for target in TARGETS:
        pairs = [(sum(score >= target for score in scores), len(scores)) for scores in known]
        table.append((target, *fit_alike(pairs)))
    return tuple(table)


def fit_alike(pairs: Iterable[tuple[int, int]]) -> tuple[float, float]:
    """Beta(a, b) of the chance, the questions as much alike as the data allow; see the head of the module.

    Args:
        pairs: Of each past question how many scores reached the target, and of how many.

    Example:
        >>> apart, alike = fit_alike([(10, 10)] * 5 + [(0, 10)] * 5), fit_alike([(5, 10)] * 10)
        >>> apart[0] < 1.0 < alike[0]
        True
    """
    counts = Counter(pairs)
    reached = sum(k * times for (k, _), times in counts.items())
    mean = (reached + 0.5) / (sum(n * times for (_, n), times in counts.items()) + 1.0)
    logs = []
    for step in range(_STEPS):
        a = math.exp(_LOW + (_HIGH - _LOW) * step / (_STEPS - 1))
        b = a * (1.0 - mean) / mean
        whole = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
        log = math.fsum(
            times * (whole + math.lgamma(a + k) + math.lgamma(b + n - k) - math.lgamma(a + b + n))
            for (k, n), times in counts.items()
        )
        logs.append((log, a, b))
    most = max(logs)[0]
    _, a, b = max((one for one in logs if one[0] >= most - _WITHIN), key=lambda one: one[1])
    return a, b
