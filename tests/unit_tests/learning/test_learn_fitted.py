"""Rules learned from explored searches: when they are taken into use, and when not."""

from dataclasses import replace

import numpy as np
import pytest

from langchain_optscale.answers.untrained import UntrainedPosterior
from langchain_optscale.learning import learn_fitted as learning
from langchain_optscale.learning.learn_fitted import learn_fitted
from langchain_optscale.learning.learn_stopping import walked
from langchain_optscale.learning.learned_file import LearnedPair, LearnedSettings
from langchain_optscale.learning.refit import learn
from langchain_optscale.learning.rows import FITTED
from langchain_optscale.stopping import FittedStopping, History, optscale
from langchain_optscale.stopping.learned.fitting import Fitting, Plan
from langchain_optscale.stopping.learned.improved import FEATURES, ImprovedStopping
from langchain_optscale.stopping.learned.walks import PastSearch, Trust, walk
from tests.unit_tests.learning.make_rows import make_row

CAP, PRICE = 6, 0.08
BASE = optscale(max_samples=CAP, answers=True)
DEFAULT = {"target": None, "confidence": 0.95, "effort": "medium", "round_cost": 2.0, "max_samples": CAP}
AT_ONCE = ImprovedStopping(BASE, (-1.0, *[0.0] * (len(FEATURES) - 1)), tuple([0.0] * len(FEATURES)))


def questions(count, seed=0):
    """Scores that tell what is right, and few answers that agree: the fewest candidates are enough."""
    generator = np.random.default_rng(seed)
    for _ in range(count):
        chance = generator.beta(2.0, 2.0)
        right = generator.random(CAP) < chance
        scores = np.where(right, generator.uniform(0.55, 1.0, CAP), generator.uniform(0.0, 0.6, CAP)).round(3)
        answers = [0 if one else int(generator.integers(1, 5)) for one in right]
        yield tuple(scores.tolist()), tuple(answers)


def explored(count, seed=0, **changes):
    """Explored searches of the default, as rows."""
    rows = []
    for number, (scores, answers) in enumerate(questions(count, seed)):
        place = UntrainedPosterior.of([str(one) for one in answers], scores).place
        way = walk(PastSearch(scores, tuple(map(str, answers)), CAP), BASE)
        row = make_row(
            f"{seed}-{number}",
            float(number),
            scores=scores,
            answers=answers,
            output_tokens=(),
            chosen=place,
            drawn=CAP,
            cap=CAP,
            settings=DEFAULT,
            explored=True,
            stopped_at=way.end,
            stopped_choice=0,
        )
        rows.append(replace(row, **changes))
    return rows


@pytest.fixture(scope="module")
def known():
    return walked(explored(60))


@pytest.fixture(scope="module")
def adopted(known):
    return learn_fitted(known, Trust(), AT_ONCE, price=PRICE)


def test_only_searches_that_explored_to_the_cap_count(known):
    assert len(known.explored) == 60
    rows = explored(6)
    short = replace(rows[0], scores=rows[0].scores[:4], answers=rows[0].answers[:4], chosen=0)
    failed = replace(rows[1], scores=(None, *rows[1].scores[1:]), answers=(None, *rows[1].answers[1:]))
    by_itself = replace(rows[2], explored=False)
    assert len(walked([short, failed, by_itself, *rows[3:]]).explored) == 3


def test_few_explored_searches_change_nothing(adopted):
    rule, report = learn_fitted(walked(explored(5)), Trust(), price=PRICE)
    assert rule is None
    assert report["reason"] == "5 explored searches that reached the cap are fewer than 50"
    assert learn_fitted(walked(explored(5)), Trust(), former=adopted[0], price=PRICE)[0] is adopted[0]


def test_it_takes_the_place_of_a_rule_that_ends_too_early(adopted):
    rule, report = adopted
    assert isinstance(rule, FittedStopping)
    assert (rule.max_samples, rule.select, rule.labels, rule.questions) == (CAP, "posterior", "worth", 60)
    assert report["gain"] > report["gain_error"] > 0.0


def test_the_gain_is_what_a_fit_to_the_others_returns_less_the_price(known, adopted):
    rules = [_fit([one for n, (one, _) in enumerate(known.explored) if n % 3 != fold]) for fold in range(3)]
    gains = []
    for number, (search, way) in enumerate(known.explored):
        new = next(n for n in rules[number % 3].points if n == CAP or rules[number % 3](_after(search, n)).stop)
        old = way.counts[0] if way.states else way.end
        gains.append(_worth(search, new) - _worth(search, old) - PRICE * (new - old) / CAP)
    assert adopted[1]["gain"] == pytest.approx(np.mean(gains))
    assert adopted[1]["gain_error"] == pytest.approx(np.std(gains, ddof=1) / np.sqrt(60))


@pytest.mark.parametrize("in_use", [False, True])
def test_it_is_not_used_where_it_is_worse(known, adopted, monkeypatch, in_use):
    """A rule that draws everything, where candidates are dear."""
    everything = _with_gain(adopted[0], 9.0)
    monkeypatch.setattr(learning._Fit, "__call__", lambda *_: everything)
    none, report = learn_fitted(known, Trust(), None, everything if in_use else None, price=5.0)
    assert none is None
    assert report["gain"] < 0.0
    assert "not better" in report["reason"]


def test_it_is_taken_only_where_it_is_better(known, adopted, monkeypatch):
    """A rule that ends searches where the other one does is as good; in use already, it stays."""
    everything = _with_gain(adopted[0], 9.0)
    monkeypatch.setattr(learning._Fit, "__call__", lambda *_: everything)
    monkeypatch.setattr(learning, "_otherwise", lambda *_: CAP)
    assert learn_fitted(known, Trust(), price=PRICE)[0] is None
    assert learn_fitted(known, Trust(), former=everything, price=PRICE)[0] is everything


def test_a_better_former_rule_stays(known, adopted, monkeypatch):
    everything, nothing = _with_gain(adopted[0], 9.0), _with_gain(adopted[0], -9.0)
    monkeypatch.setattr(learning._Fit, "__call__", lambda *_: everything)
    kept, report = learn_fitted(known, Trust(), None, nothing, price=5.0)
    assert kept is nothing
    assert report["reason"] == "the former rule is better on the explored searches"
    monkeypatch.setattr(learning._Fit, "__call__", lambda *_: nothing)
    assert learn_fitted(known, Trust(), None, everything, price=5.0)[0] is nothing


def test_scores_that_tell_nothing_are_refused():
    rows = [replace(row, scores=(0.5,) * CAP, answers=tuple(range(CAP)), chosen=0) for row in explored(50)]
    rule, report = learn_fitted(walked(rows), Trust(), price=0.08)
    assert rule is None
    assert "signal" in report["reason"] or "all" in report["reason"]


def test_it_is_learned_written_and_read_again(adopted, tmp_path, monkeypatch):
    monkeypatch.setattr("langchain_optscale.learning.refit.learn_stopping", lambda *_, **__: (AT_ONCE, {}))
    monkeypatch.setattr(learning._Fit, "__call__", lambda *_: adopted[0])
    found = learn(explored(60), price=PRICE)
    part = next(iter(found.pairs.values()))
    assert part.fitted is adopted[0]
    assert part.report["fitted"]["explored"] == part.explored == 60
    found.save(tmp_path / "learned.npz")
    again = LearnedSettings.load(tmp_path / "learned.npz")
    assert again.version == found.version
    assert next(iter(again.pairs.values())).fitted == part.fitted


def test_files_without_it_are_read():
    written = LearnedPair(searches=3).to_dict()
    del written["fitted"]
    assert LearnedPair.from_dict(written).fitted is None


def test_searches_that_it_ended_say_nothing_about_the_default():
    rows = explored(6, learned="0123", settings={**DEFAULT, "learned_rule": FITTED})
    ended = [replace(row, explored=False) for row in rows[:2]]
    assert len(walked([*ended, *rows[2:]], improved=True).past) == 4


def _with_gain(rule, gain):
    """The rule that expects the same gain of going on everywhere, whatever it has seen."""
    size = len(rule.stages[0].linear)
    far = {"low": (-1e9,) * size, "high": (1e9,) * size}
    flat = {"linear": (0.0,) * size, "quadratic": ((0.0,) * size,) * size}
    return replace(rule, stages=tuple(replace(stage, intercept=gain, **flat, **far) for stage in rule.stages))


def _fit(searches):
    fitting = Fitting(
        tuple(learning._question(search, search.worths()) for search in searches),
        Plan(labels="worth", select="posterior", max_samples=CAP, first_round=2, round_size=1),
    )
    return FittedStopping(**fitting.fields(PRICE / CAP, None, BASE))


def _after(search, count):
    return History(scores=search.scores[:count], answers=search.answers[:count], max_samples=CAP)


def _worth(search, count):
    place = UntrainedPosterior.of(search.answers[:count], search.scores[:count]).place
    return search.worths()[search.answers[place]]
