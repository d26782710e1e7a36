"""What one decision costs: tell a score, estimate the distribution, compute N*.

Against it stands what the paper's own code does at the same point: minimise the negative log likelihood of SciPy's
truncated normal by L-BFGS-B from (0.8, 0.2), and integrate the density of the maximum on a grid of 1,000 points. Both
run alternately in one process, so that their ratio does not depend on how busy the machine is. Under the posterior the
same is measured at 64 scores, with every rule that asks it something.

The default, `optscale()`, is measured at 64 of 128 scores as well: of scores alone, of scores with one of 30 answers
each, of which none is frequent, of scores with answers of which one is frequent, and of both kinds of answers as votes,
where all scores are equal. The limits are 0.06 ms for scores alone and 0.1 ms with answers. These are times of the
process, so that waiting for a busy machine does not count; the shortest is what a quiet one would need.
"""

from __future__ import annotations

import json
import statistics
import time

import numpy as np
from scipy import optimize, stats

from langchain_optscale import Session, Verdict
from langchain_optscale.stats import EmpiricalPrior, Posterior
from langchain_optscale.stopping import Futility, MarginalGain, MaxSamples, OptimalN, TargetReached, optscale

SCORES = 32
SCORES_OF_THE_POSTERIOR = 64
REPEATS = 200
REPEATS_OF_THE_PAPERS = 20


def ours(scores: list[float]) -> list[float]:
    """Seconds of each `tell`, with estimate, N* and decision, over one session of 32 scores."""
    session = Session(OptimalN(0.95, 0.95) & MaxSamples(SCORES), max_samples=SCORES, first_round=SCORES)
    session.ask()
    seconds = []
    for index, score in enumerate(scores):
        verdict = Verdict(score)
        began = time.perf_counter()
        session.tell(index, verdict)
        seconds.append(time.perf_counter() - began)
    return seconds


def papers(scores: list[float]) -> float:
    """Seconds of one estimate and one N* as in the paper's code, on all 32 scores."""
    data = np.array(scores)
    began = time.perf_counter()

    def negative_log_likelihood(parameters: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
        mu, sigma = parameters
        low, high = (0 - mu) / sigma, (1 - mu) / sigma
        return -float(np.sum(stats.truncnorm.logpdf(data, low, high, loc=mu, scale=sigma)))

    fit = optimize.minimize(negative_log_likelihood, (0.8, 0.2), method="L-BFGS-B", bounds=((None, None), (1e-3, None)))
    mu, sigma = fit.x
    grid = np.linspace(0.95, 1.0, 1000)
    low, high = (0 - mu) / sigma, (1 - mu) / sigma
    density = stats.truncnorm.pdf(grid, low, high, loc=mu, scale=sigma)
    distribution = stats.truncnorm.cdf(grid, low, high, loc=mu, scale=sigma)
    for n in range(1, SCORES + 1):
        if np.trapezoid(n * distribution ** (n - 1) * density, grid) >= 0.95:
            break
    return time.perf_counter() - began


def posterior(scores: list[list[float]], prior: EmpiricalPrior | None) -> list[float]:
    """Seconds of the last `tell` of each list, under rules that are not satisfied before."""
    rule = OptimalN(0.99, 0.9) | TargetReached(0.99) | Futility(0.99, 1e-9) | MarginalGain(1e-12)
    seconds = []
    for each in scores:
        session = Session(rule, estimator=Posterior(), prior=prior, max_samples=128, first_round=len(each))
        session.ask()
        verdicts = [Verdict(score) for score in each]
        for index, verdict in enumerate(verdicts):
            began = time.perf_counter()
            session.tell(index, verdict)
            last = time.perf_counter() - began
        seconds.append(last)
    return seconds


def kinds(generator: np.random.Generator) -> dict[str, tuple[list[float], list[str | None]]]:
    """Scores and answers of one question of each kind."""
    scores = (generator.beta(5, 3, SCORES_OF_THE_POSTERIOR) * 0.98).tolist()
    equal = [0.5] * SCORES_OF_THE_POSTERIOR
    rare = generator.integers(0, 30, SCORES_OF_THE_POSTERIOR)
    frequent = np.where(generator.random(SCORES_OF_THE_POSTERIOR) < 0.4, 0, rare)
    return {
        "scores": (scores, [None] * SCORES_OF_THE_POSTERIOR),
        "answers": (scores, rare.astype(str).tolist()),
        "answers_one_frequent": (scores, frequent.astype(str).tolist()),
        "votes": (equal, rare.astype(str).tolist()),
        "votes_one_frequent": (equal, frequent.astype(str).tolist()),
    }


def the_default() -> dict[str, dict[str, float]]:
    """Milliseconds of the 64th `tell` of fresh searches, which nothing ends before; the decision is a part of it."""
    generator = np.random.default_rng(1)
    seconds: dict[str, list[float]] = {}
    for _ in range(REPEATS):
        for name, (scores, answers) in kinds(generator).items():
            rule = optscale(max_samples=2 * len(scores), first_round=len(scores))
            session = Session(rule, max_samples=2 * len(scores), first_round=len(scores))
            session.ask()
            for index, (score, answer) in enumerate(zip(scores, answers, strict=True)):
                verdict = Verdict(score)
                began = time.process_time()
                session.tell(index, verdict, answer=answer)
                last = time.process_time() - began
            seconds.setdefault(name, []).append(last)
    return {
        name: {"median_ms": statistics.median(each) * 1e3, "least_ms": min(each) * 1e3}
        for name, each in seconds.items()
    }


def main() -> None:
    """Print the figures."""
    generator = np.random.default_rng(0)
    at_32, all_tells, theirs = [], [], []
    for repeat in range(REPEATS):
        scores = generator.beta(generator.uniform(2, 8), 2, SCORES).tolist()
        seconds = ours(scores)
        at_32.append(seconds[-1])
        all_tells.extend(seconds)
        if repeat % (REPEATS // REPEATS_OF_THE_PAPERS) == 0:
            theirs.append(papers(scores))
    lists = (generator.beta(5, 3, (REPEATS, SCORES_OF_THE_POSTERIOR)) * 0.98).tolist()
    learned = EmpiricalPrior.fit([each[:10] for each in lists])
    posteriors = {"weak_prior": posterior(lists, None), "empirical_prior": posterior(lists, learned)}
    figures = {
        "benchmark": "decision",
        "scores": SCORES,
        "median_ms_at_32_scores": statistics.median(at_32) * 1e3,
        "median_ms_over_all_scores": statistics.median(all_tells) * 1e3,
        "p99_ms_over_all_scores": statistics.quantiles(all_tells, n=100)[98] * 1e3,
        "papers_median_ms": statistics.median(theirs) * 1e3,
        "posterior_median_ms_at_64_scores": {name: statistics.median(each) * 1e3 for name, each in posteriors.items()},
        "default_at_64_scores": the_default(),
        "times_faster": statistics.median(theirs) / statistics.median(at_32),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
