r"""Whether one answer will overtake another: closed forms for a race between weighted votes.

Symbols: A candidates with an answer so far, c_1 of them with the leading answer and c_j with a rival; a candidate of
the leader adds w_1 to its weight on average, one of the rival w_j; L >= 0 is the leader's lead in weight; k further
answers.

The frequencies of leader, rival and everything else have the prior Dirichlet(a_1, a_j, a_0), so that the counts of k
further answers are Dirichlet-multinomial. With t = A + a_1 + a_j + a_0, p_i = (c_i + a_i) / t and
delta = p_j w_j - p_1 w_1, what the rival gains on the leader by k further answers has

    mean      k delta
    variance  k (t + k) / (t + 1) * [ (p_1 w_1^2 + p_j w_j^2) (1 + v) - delta^2 ]

where v is the squared coefficient of variation of the weights within an answer. Taken as normal with standard deviation
s, and with z = (k delta - L) / s,

    E[(gain - L)+] = s (phi(z) + z Phi(z)),      P(gain > L) = Phi(z)

The variance is the law of total variance over the Dirichlet posterior (Johnson, Kotz and Balakrishnan, Discrete
Multivariate Distributions, 1997, chapter 35); the first expectation is that of expected improvement.
"""

from __future__ import annotations

import math
from typing import NamedTuple

__all__ = ["LEADER", "OTHERS", "RIVAL", "Race"]

LEADER, RIVAL, OTHERS = 1.0, 1.5, 1.0
"""The prior a_1, a_j, a_0. A rival counts for a little more than it has: any of the other answers may become it."""

_ROOT_2 = math.sqrt(2.0)
_PHI_0 = 1.0 / math.sqrt(2.0 * math.pi)


class Race(NamedTuple):
    """One rival against the leader, ready to be asked about any number of further answers.

    Make it by `of`.

    Attributes:
        lead: L, the leader's lead in weight.
        drift: delta, what the rival gains per answer on average.
        variance: Of one answer's contribution.
        size: t, the posterior's sum of parameters.
    """

    lead: float
    drift: float
    variance: float
    size: float

    @classmethod
    def of(
        cls,
        total: float,
        leader: tuple[float, float],
        rival: tuple[float, float],
        lead: float,
        *,
        variation: float = 0.0,
        pseudo: float = RIVAL,
    ) -> Race:
        """The race between two answers.

        Args:
            total: A, candidates with an answer.
            leader: Its count c_1 and mean weight w_1.
            rival: Its count c_j, 0 for an answer that is still to come, and mean weight w_j.
            lead: L.
            variation: v.
            pseudo: a_j.

        Example:
            >>> race = Race.of(3, (3, 1.0), (0, 1.0), 3.0)
            >>> 0.0 < race.probability(4) < race.probability(29) < 0.1
            True
        """
        size = total + LEADER + pseudo + OTHERS
        p, w = (leader[0] + LEADER) / size, leader[1]
        q, u = (rival[0] + pseudo) / size, rival[1]
        drift = q * u - p * w
        return cls(lead, drift, (p * w * w + q * u * u) * (1.0 + variation) - drift * drift, size)

    def excess(self, count: float) -> float:
        """E[(gain - lead)+]: by how much the rival is expected to be ahead after `count` further answers, > 0."""
        std = math.sqrt(count * self.variance * (self.size + count) / (self.size + 1.0))
        z = (count * self.drift - self.lead) / std
        return std * (_PHI_0 * math.exp(-0.5 * z * z) + 0.5 * z * math.erfc(-z / _ROOT_2))

    def probability(self, count: float) -> float:
        """P(the rival is ahead after `count` further answers), in [0, 1]."""
        std = math.sqrt(count * self.variance * (self.size + count) / (self.size + 1.0))
        return 0.5 * math.erfc((self.lead - count * self.drift) / (std * _ROOT_2))
