from dataclasses import replace

import numpy as np
import pytest

from langchain_optscale.errors import InvalidRecordError, SettingsError
from langchain_optscale.evaluation.methods import SessionMethod
from langchain_optscale.evaluation.pools import Question, Sample
from langchain_optscale.learning.features import hashed_features
from langchain_optscale.learning.learn_stopping import judged, learn_stopping, past_search, walked
from langchain_optscale.learning.learned_file import LearnedPair, LearnedSettings, former_of, restore
from langchain_optscale.learning.refit import _certificate, learn
from langchain_optscale.learning.rows import Fingerprint, Label, answer_classes
from langchain_optscale.learning.watch import open_settings
from langchain_optscale.stopping import optscale
from langchain_optscale.stopping.learned.improved import FEATURES, ImprovedStopping
from langchain_optscale.stopping.learned.walks import Trust
from tests.unit_tests.learning.make_rows import make_row

CAP = 16
DEFAULT = {"target": None, "confidence": 0.95, "effort": "medium", "round_cost": 2.0, "max_samples": CAP}
BASE = optscale(max_samples=CAP, answers=True)
NEVER = (-1.0, *[0.0] * (len(FEATURES) - 1))


def traffic(count=60, seed=0, labels=True, rule=BASE, **changes):
    """Searches by a rule among votes alone; every question has its own share of right candidates."""
    generator, rows = np.random.default_rng(seed), []
    method = SessionMethod(rule, "rule")
    for number in range(count):
        chance = generator.beta(0.8, 0.8)
        answers = ["right" if generator.random() < chance else f"w{generator.geometric(0.3)}" for _ in range(CAP)]
        samples = tuple(Sample(score=0.5, answer=answer) for answer in answers)
        outcome = method.run(Question(str(number), "?", samples), CAP)
        drawn = answers[: outcome.drawn]
        row = make_row(
            f"{seed}-{number}",
            1000.0 * seed + number,
            scores=(0.5,) * outcome.drawn,
            answers=answer_classes(drawn),
            output_tokens=(),
            chosen=outcome.chosen,
            drawn=outcome.asked,
            cap=CAP,
            settings=DEFAULT,
            label=Label(correct=drawn[outcome.chosen] == "right") if labels else None,
        )
        rows.append(replace(row, **changes))
    return rows


@pytest.fixture(scope="module")
def rows():
    return traffic(50)


@pytest.fixture(scope="module")
def learned(rows):
    return learn(rows)


def test_every_part_says_what_was_found_or_why_it_is_missing(learned, rows):
    ((pair, part),) = learned.pairs.items()
    assert pair == rows[0].pair
    assert (part.searches, part.labels, part.explored) == (50, 50, 0)
    assert part.prior is not None
    assert part.question_prior is None
    assert "features" in part.report["question_prior"]["reason"]
    assert part.report["stopping"]["left_out"]["searches"] == 10
    assert 0.0 < part.answers.right < 1.0
    assert set(part.expected) >= {"score", "agreement", "silence", "right", "stable"}


def test_nothing_can_be_learned_from_nothing():
    with pytest.raises(SettingsError, match="no search with a score"):
        learn([])
    with pytest.raises(SettingsError, match="price"):
        learn([make_row()], price=-1.0)


def test_searches_with_a_target_or_a_rule_of_their_own_teach_nothing_about_the_default():
    assert walked(traffic(3, settings={**DEFAULT, "target": 0.9})) is None
    assert walked(traffic(3, settings={**DEFAULT, "stopping": "MaxSamples(4)"})) is None
    assert walked(traffic(3, answers=(), scores=())) is None
    assert len(walked(traffic(3)).past) == 3


def test_searches_of_a_rule_that_is_not_known_are_left_out():
    rows = traffic(4) + traffic(3, seed=1, learned="0123")
    assert len(walked(rows).past) == 4
    assert len(walked(rows, improved=True).past) == 7


def test_few_searches_change_nothing():
    rule, report = learn_stopping(walked(traffic(10)))
    assert rule is None
    assert report["reason"] == "10 searches are fewer than 25"


def test_a_worse_rule_does_not_replace_the_former(rows, monkeypatch):
    former = ImprovedStopping(BASE, tuple(-value for value in NEVER), tuple([0.0] * len(FEATURES)), price=0.0)
    worse = ImprovedStopping(BASE, NEVER, tuple(-value for value in NEVER))
    monkeypatch.setattr("langchain_optscale.learning.learn_stopping.learn_from", lambda *_, **__: worse)
    kept, report = learn_stopping(walked(rows), None, former)
    assert kept is former
    assert "former rule is better" in report["reason"]
    none, report = learn_stopping(walked(rows))
    assert none is None
    assert "untrained default is as good" in report["reason"]


def test_what_a_rule_is_judged_by_is_what_it_saves_and_loses(rows):
    known = walked(rows)
    always = ImprovedStopping(BASE, NEVER, tuple(-value for value in NEVER))
    found = judged(always, known.past, Trust(), 0.04)
    firsts = [(way.counts[0] if way.states else way.end) for _, way in known.past]
    ends = [way.end for _, way in known.past]
    assert found.saved == pytest.approx(1.0 - sum(firsts) / sum(ends))
    losses = [
        search.worths().get(way.last, 0.0) - search.worths().get(way.picks[0], 0.0) if way.states else 0.0
        for search, way in known.past
    ]
    assert found.lost == pytest.approx(np.mean(losses))


def test_labels_of_scores_count_only_as_right_and_wrong():
    row = traffic(1, labels=False)[0]
    assert past_search(row.labelled(Label(score=1.0))).correct is True
    assert past_search(row.labelled(Label(score=0.4))).correct is None
    failed = replace(row, scores=(None, *row.scores), answers=(None, *row.answers), chosen=row.chosen + 1)
    assert past_search(failed).cap == CAP - 1
    assert past_search(failed).returned == past_search(row).returned


def test_a_certificate_waits_for_labels_under_the_rule_in_use():
    rows = [replace(row, label=Label(correct=True)) for row in traffic(40, seed=3)]
    proved, about = _certificate(rows, 0.1, 0.1, unchanged=True)
    assert proved is not None
    assert (proved.wrong, about["labels"]) == (0, 40)
    none, about = _certificate(rows, 0.1, 0.1, unchanged=False)
    assert none is None
    assert "has changed" in about["reason"]
    mixed = [replace(row, learned="0123") if number % 2 else row for number, row in enumerate(rows)]
    assert _certificate(mixed, 0.1, 0.1, unchanged=True)[1]["reason"] == "20 labels are fewer than 22"


def test_a_file_brings_back_what_was_learned(learned, tmp_path):
    path = tmp_path / "learned.npz"
    learned.save(path)
    again = LearnedSettings.load(path)
    assert again.version == learned.version
    assert again.to_dict() == learned.to_dict()
    assert open_settings(path).version == learned.version
    assert not former_of(path).exists()


def test_a_prior_per_question_is_in_the_file(tmp_path):
    rows, generator = [], np.random.default_rng(0)
    for number in range(60):
        hard = number % 2
        text = f"{'integrate the tensor field' if hard else 'add two small numbers'} number {number}"
        scores = tuple(np.clip(generator.normal(0.3 if hard else 0.8, 0.05, 4), 0, 1).tolist())
        rows.append(make_row(f"{number}", number, scores=scores, answers=(0,) * 4, output_tokens=(), chosen=0, drawn=4))
        rows[-1] = replace(rows[-1], features=hashed_features(text))
    found = learn(rows)
    part = next(iter(found.pairs.values()))
    assert part.best_prior is part.question_prior is not None
    found.save(tmp_path / "learned.npz")
    again = next(iter(LearnedSettings.load(tmp_path / "learned.npz").pairs.values()))
    assert again.question_prior("add two small numbers").mean > again.question_prior("integrate the tensor field").mean


def test_the_former_file_is_kept_and_can_be_restored(learned, tmp_path):
    path = tmp_path / "learned.npz"
    with pytest.raises(SettingsError, match="nothing can be restored"):
        restore(path)
    learned.save(path)
    other = replace(learned, time=1.0)
    other.save(path)
    assert LearnedSettings.load(path).version == other.version
    assert restore(path).version == LearnedSettings.load(path).version == learned.version
    assert restore(path).version == other.version


def test_damaged_files_are_refused(learned, tmp_path):
    path = tmp_path / "learned.npz"
    learned.save(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InvalidRecordError, match="learned settings"):
        LearnedSettings.load(path)
    with pytest.raises(InvalidRecordError):
        LearnedPair.from_dict({**LearnedPair().to_dict(), "stopping": BASE.to_dict()})


def test_a_new_pair_gets_what_is_known_of_all_and_never_another_pair(learned, rows):
    own, is_own = learned.part(rows[0].pair)
    other, is_other = learned.part(("x", "y"))
    assert (is_own, is_other) == (True, False)
    assert other is learned.population is not own
    assert other.searches == 50


def test_pairs_learn_from_their_own_searches():
    second = Fingerprint({"class": "Other"})
    found = learn(traffic(8) + traffic(8, seed=1, policy=second))
    assert len(found.pairs) == 2
    assert {part.searches for part in found.pairs.values()} == {8}
    assert found.population.searches == 16
