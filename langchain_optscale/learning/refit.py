"""What the searches in a store teach: priors, when to stop, how answers agree, and which are certified.

    learned = learn(store.rows())
    learned.save("learned.npz")
    model = ChatOptScale(policy=policy, verifier=verifier, extract="number", settings="learned.npz")

Each pair of policy and verifier learns from its own searches; where it has few, the population of all counts most. A
part takes the place of the former one only if it is not worse by a standard error on the newest fifth of the searches,
which its trial fit has not seen; then it is fitted to all.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from langchain_optscale.errors import SettingsError
from langchain_optscale.learning.drift import Expected, expectations, figures_of
from langchain_optscale.learning.learn_fitted import learn_fitted
from langchain_optscale.learning.learn_stopping import Walked, learn_stopping, past_search, walked
from langchain_optscale.learning.learned_file import LearnedPair, LearnedSettings
from langchain_optscale.learning.question_prior import FEWEST_QUESTIONS, QuestionPrior
from langchain_optscale.stats.empirical_prior import EmpiricalPrior
from langchain_optscale.stats.posterior import Posterior
from langchain_optscale.stopping.certificate import Certificate
from langchain_optscale.stopping.labelled import probability_right
from langchain_optscale.stopping.learned.improving import PRICES, Moments, learn_from, mean_of, untrained_population
from langchain_optscale.stopping.learned.walks import Trust

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langchain_optscale.answers.model import AnswerModel
    from langchain_optscale.learning.rows import SearchRow

__all__ = ["learn"]


_FEWEST_SCORES = 20
_FEWEST_LABELS = 22
_MOST_FOR_PRIOR, _MOST_FOR_ANSWERS = 1000, 300
_LEFT_OUT = 0.2
# The population that ships with the package counts for so many pairs.
_SHIPPED_PAIRS = 15


def learn(
    rows: Iterable[SearchRow],
    former: LearnedSettings | None = None,
    *,
    price: float = PRICES["medium"],
    delta: float = 0.1,
    eps: float = 0.1,
) -> LearnedSettings:
    """Learn from searches.

    Args:
        rows: Of a store, in any order.
        former: What is in use; its parts stay where new ones are worse.
        price: What the whole cap may cost, in units of worth, see `ImprovedStopping`.
        delta: The share of wrong answers that a certificate promises, in (0, 1).
        eps: The probability, in (0, 1), that it does not hold.

    Returns:
        What was learned. Each part's `report` says what was found on searches left out, and why something is missing.

    Raises:
        SettingsError: There is no search with a score, or a number is out of range.
    """
    if isinstance(price, bool) or not 0.0 <= price < math.inf:
        raise SettingsError(f"price must be a finite number of at least 0, got {price!r}")
    by_pair: dict[tuple[str, str], list[SearchRow]] = defaultdict(list)
    for row in rows:
        if row.scored:
            by_pair[row.pair].append(row)
    if not by_pair:
        raise SettingsError("there is nothing to learn from: the store has no search with a score")
    ways: dict[tuple[str, str], Walked | None] = {}
    for pair, own in by_pair.items():
        own.sort(key=lambda row: (row.time, row.id))
        before = None if former is None else former.pairs.get(pair)
        ways[pair] = walked(own, improved=before is not None and before.stopping is not None)
    moments = {pair: _moments(known, former, pair) for pair, known in ways.items()}
    pairs = {}
    for pair, own in by_pair.items():
        others = _population([one for other, one in moments.items() if other != pair])
        before = None if former is None else former.pairs.get(pair)
        pairs[pair] = _learn_pair(own, _Known(ways[pair], others, before, price, delta, eps))
    return LearnedSettings(pairs, _learn_population(by_pair, list(moments.values()), ways, price), time.time())


class _Known(NamedTuple):
    """What a pair's parts are learned with."""

    walked: Walked | None
    population: Moments
    former: LearnedPair | None
    price: float
    delta: float
    eps: float


def _learn_pair(rows: Sequence[SearchRow], known: _Known) -> LearnedPair:
    former = known.former
    prior, about_prior = _learn_prior(rows, None if former is None else former.prior)
    stopping, about_stopping = (None, {"reason": "no search used the untrained default on answers, without a target"})
    if known.walked is not None:
        before = None if former is None else former.stopping
        stopping, about_stopping = learn_stopping(known.walked, known.population, before, price=known.price)
    question_prior, about_questions = _learn_question_prior(rows)
    answers, about_answers = _learn_answers(rows)
    trust = Trust() if known.walked is None else Trust.fit(search for search, _ in known.walked.past)
    fitted, about_fitted = (None, about_stopping)
    if known.walked is not None:
        in_use = None if former is None else former.fitted
        fitted, about_fitted = learn_fitted(known.walked, trust, stopping, in_use, price=known.price)
    before_rules = (None, None) if former is None else (former.stopping, former.fitted)
    unchanged = before_rules[1] == fitted and (fitted is not None or before_rules[0] == stopping)
    certificate, about_certificate = _certificate(rows, known.delta, known.eps, unchanged=unchanged)
    return LearnedPair(
        policy=dict(rows[-1].policy.facts),
        verifier=dict(rows[-1].verifier.facts),
        searches=len(rows),
        labels=sum(row.label is not None for row in rows),
        explored=sum(row.explored for row in rows),
        prior=prior,
        question_prior=question_prior,
        stopping=stopping,
        fitted=fitted,
        answers=answers,
        certificate=certificate,
        expected=_expected(rows, trust),
        trust=trust,
        report={
            "prior": about_prior,
            "question_prior": about_questions,
            "stopping": about_stopping,
            "fitted": about_fitted,
            "answers": about_answers,
            "certificate": about_certificate,
        },
    )


def _expected(rows: Sequence[SearchRow], trust: Trust) -> dict[str, Expected]:
    """What to expect of further searches like these."""
    figures = (figures_of(row, trust(past_search(row).returned_probability)) for row in rows[-_MOST_FOR_PRIOR:])
    return expectations(figures, float(rows[-1].settings.get("confidence", 0.95)))


def _moments(known: Walked | None, former: LearnedSettings | None, pair: tuple[str, str]) -> Moments:
    """What the searches of one pair say about going on."""
    if known is None:
        return Moments.zero()
    before = None if former is None or pair not in former.pairs else former.pairs[pair].stopping
    trust = Trust.fit(search for search, _ in known.past)
    found = (way.trajectory(search.worths(trust), before) for search, way in known.past)
    return Moments.of(one for one in found if one is not None)


def _population(parts: Sequence[Moments]) -> Moments:
    """The mean over pairs, and over the tasks whose population ships with the package."""
    return mean_of([untrained_population()] * _SHIPPED_PAIRS + [part for part in parts if part.searches])


def _learn_population(
    by_pair: dict[tuple[str, str], list[SearchRow]],
    moments: Sequence[Moments],
    ways: dict[tuple[str, str], Walked | None],
    price: float,
) -> LearnedPair:
    """What all searches together teach, for pairs that are new."""
    rows = [row for own in by_pair.values() for row in own]
    lists = [row.scored for row in rows]
    prior = EmpiricalPrior.fit(_spread(lists, _MOST_FOR_PRIOR)) if len(lists) >= _FEWEST_SCORES else None
    base = next((one.base for one in ways.values() if one is not None), None)
    stopping = None if base is None else learn_from([], base, _population(moments), price=price)
    return LearnedPair(
        searches=len(rows),
        labels=sum(row.label is not None for row in rows),
        explored=sum(row.explored for row in rows),
        prior=prior,
        stopping=stopping,
        report={"pairs": len(by_pair)},
    )


# --- priors ---


def _learn_prior(
    rows: Sequence[SearchRow], former: EmpiricalPrior | None
) -> tuple[EmpiricalPrior | None, dict[str, Any]]:
    """The prior of all questions, if it predicts searches left out no worse than the former."""
    lists = [row.scored for row in rows]
    if len(lists) < _FEWEST_SCORES:
        return former, {"reason": f"{len(lists)} searches are fewer than {_FEWEST_SCORES}"}
    cut = len(lists) - max(4, math.ceil(_LEFT_OUT * len(lists)))
    tried = EmpiricalPrior.fit(_spread(lists[:cut], _MOST_FOR_PRIOR))
    level = float(np.quantile(np.concatenate([np.asarray(one) for one in lists[:cut]]), 0.7))
    asked = [one for one in lists[cut:] if len(one) >= _LEAST_KNOWN + 1]
    errors = _brier(asked, tried, level)
    report: dict[str, Any] = {"left_out": len(asked), "level": level}
    if asked:
        report["brier"] = float(errors.mean())
        report["brier_untrained"] = float(_brier(asked, None, level).mean())
        if former is not None:
            worse = errors - _brier(asked, former, level)
            report["brier_former"] = float((errors - worse).mean())
            if len(worse) > 1 and worse.mean() > worse.std(ddof=1) / math.sqrt(len(worse)):
                return former, {**report, "reason": "the former prior is better on the searches left out"}
    return EmpiricalPrior.fit(_spread(lists, _MOST_FOR_PRIOR)), report


_LEAST_KNOWN = 2


def _brier(lists: Sequence[Sequence[float]], prior: EmpiricalPrior | None, level: float) -> Any:
    """Squared errors of P(the third score reaches a level), given the first two."""
    estimator = Posterior()
    errors = []
    for scores in lists:
        chance = estimator(tuple(scores[:_LEAST_KNOWN]), prior).prob_reach(level, 1)
        errors.append((chance - float(scores[_LEAST_KNOWN] >= level)) ** 2)
    return np.array(errors)


def _learn_question_prior(rows: Sequence[SearchRow]) -> tuple[QuestionPrior | None, dict[str, Any]]:
    """The prior of a question from its text; it says itself whether the text helps on questions left out."""
    known = [row for row in rows if row.features is not None]
    if len(known) < FEWEST_QUESTIONS:
        return None, {"reason": f"{len(known)} searches with features are fewer than {FEWEST_QUESTIONS}"}
    prior = QuestionPrior.fit([row.features for row in known], scores=[row.scored for row in known])  # type: ignore[misc]
    report = dict(prior.report)
    return (prior, report) if prior.is_useful else (None, {**report, "reason": "the text does not tell the scores"})


def _spread(lists: Sequence[Sequence[float]], most: int) -> list[Sequence[float]]:
    """At most so many, evenly over time."""
    places = np.linspace(0, len(lists) - 1, min(len(lists), most)).astype(int)
    return [lists[place] for place in places]


# --- answers ---


class _Sample(NamedTuple):
    score: float
    answer: str | None
    correct: bool | None


class _Question(NamedTuple):
    samples: tuple[_Sample, ...]


def _learn_answers(rows: Sequence[SearchRow]) -> tuple[AnswerModel | None, dict[str, Any]]:
    """How answers agree and how far scores can be trusted: by labels where they say enough, else by agreement."""
    searches = [past_search(row) for row in rows if any(answer is not None for answer in row.scored_answers)]
    searches = searches[-_MOST_FOR_ANSWERS:]
    right = [one for one in searches if one.correct]
    wrong = [one for one in searches if one.correct is False]
    from langchain_optscale.answers.unlabelled import fit_unlabelled

    questions = [
        _Question(tuple(_Sample(score, answer, None) for score, answer in zip(one.scores, one.answers, strict=True)))
        for one in searches
        if len(one.scores) > 1
    ]
    try:
        model = fit_unlabelled(questions)
    except SettingsError as error:
        return None, {"reason": str(error)}
    silent = float(np.mean([answer is None for one in searches for answer in one.answers]))
    trust = Trust.fit(searches)
    return model, {
        "searches": len(questions),
        "silent": silent,
        "labels": len(right) + len(wrong),
        "right": len(right),
        "trust": list(trust),
    }


def _certificate(
    rows: Sequence[SearchRow], delta: float, eps: float, *, unchanged: bool
) -> tuple[Certificate | None, dict[str, Any]]:
    """Which answers are right at the promised rate, if the rule that these searches used is still in use."""
    if not unchanged:
        return None, {"reason": "the stopping rule has changed: a certificate needs labels of searches under it"}
    latest = rows[-1].learned
    pairs = []
    for row in rows:
        search = past_search(row)
        if search.correct is None or row.explored or row.learned != latest or row.chosen is None:
            continue
        place = sum(score is not None for score in row.scores[: row.chosen])
        pairs.append((probability_right(search.answers, search.scores, place), search.correct))
    if len(pairs) < _FEWEST_LABELS:
        return None, {"reason": f"{len(pairs)} labels are fewer than {_FEWEST_LABELS}", "labels": len(pairs)}
    certificate = Certificate.fit(pairs, delta, eps)
    about = {"labels": len(pairs), "accepted": certificate.accepted, "wrong": certificate.wrong}
    if certificate.threshold is None:
        return None, {**about, "reason": "the labels prove no threshold"}
    return certificate, about
