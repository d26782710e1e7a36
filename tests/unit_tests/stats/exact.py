"""The truncated normal by its textbook formulas, in so many digits that their cancellation does no harm."""

import mpmath as mp

DIGITS = 160


def mass(low, high, mu, sigma):
    """Phi((high - mu) / sigma) - Phi((low - mu) / sigma)."""
    a, b = (mp.mpf(low) - mu) / sigma, (mp.mpf(high) - mu) / sigma
    if a < 0 < b:
        return (mp.erf(b / mp.sqrt(2)) - mp.erf(a / mp.sqrt(2))) / 2
    if b <= 0:
        a, b = -b, -a
    return (mp.erfc(a / mp.sqrt(2)) - mp.erfc(b / mp.sqrt(2))) / 2


def logpdf(x, mu, sigma):
    x, mu, sigma = mp.mpf(x), mp.mpf(mu), mp.mpf(sigma)
    return mp.log(mp.npdf((x - mu) / sigma) / sigma / mass(0, 1, mu, sigma))


def logcdf(x, mu, sigma):
    x, mu, sigma = mp.mpf(x), mp.mpf(mu), mp.mpf(sigma)
    return -mp.log1p(mass(x, 1, mu, sigma) / mass(0, x, mu, sigma))


def logsf(x, mu, sigma):
    x, mu, sigma = mp.mpf(x), mp.mpf(mu), mp.mpf(sigma)
    return -mp.log1p(mass(0, x, mu, sigma) / mass(x, 1, mu, sigma))


def moments(mu, sigma, low=0):
    """Mean and standard deviation of the normal truncated to [low, 1]."""
    mu, sigma, low = mp.mpf(mu), mp.mpf(sigma), mp.mpf(low)
    a, b = (low - mu) / sigma, (1 - mu) / sigma
    z = mass(low, 1, mu, sigma)
    at_a, at_b = mp.npdf(a) / z, mp.npdf(b) / z
    shift = at_a - at_b
    return mu + sigma * shift, sigma * mp.sqrt(1 + a * at_a - b * at_b - shift**2)


def expected_best(mu, sigma, n, low, high):
    """E[max of n], where the maximum lies between `low` and `high` but for a negligible probability."""
    mu, sigma = mp.mpf(mu), mp.mpf(sigma)
    whole = mass(0, 1, mu, sigma)

    def below(x):
        return (mass(0, x, mu, sigma) / whole) ** n

    points = mp.linspace(mp.mpf(low), mp.mpf(high), 9)
    return mp.mpf(low) + mp.quad(lambda x: 1 - below(x), points)
