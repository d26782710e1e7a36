"""Searches with `settings="learned.npz"` and `learn="auto"`."""

import json

import pytest
from langchain_core.language_models import FakeListChatModel

from langchain_optscale import OptScale, OptScaleResult
from langchain_optscale.engine.fingerprints import policy_fingerprint, verifier_fingerprint
from langchain_optscale.engine.settings import SearchSettings
from langchain_optscale.errors import SettingsError
from langchain_optscale.learning.drift import Alarm
from langchain_optscale.learning.learned_file import LearnedPair, LearnedSettings
from langchain_optscale.learning.store import ScoreStore
from langchain_optscale.stats import EmpiricalPrior
from langchain_optscale.stopping import Certificate, FittedStopping, optscale
from langchain_optscale.stopping.learned.improved import FEATURES, ImprovedStopping
from langchain_optscale.stopping.learned.prefix import ANSWER_FEATURES
from langchain_optscale.stopping.learned.stage import Stage

NEVER = (-1.0, *[0.0] * (len(FEATURES) - 1))
RULE = ImprovedStopping(optscale(max_samples=16, answers=True), NEVER, tuple(-value for value in NEVER), searches=100)
SIZE = len(ANSWER_FEATURES)
WIDE = {"centre": (0.0,) * SIZE, "spread": (1.0,) * SIZE, "low": (-1e9,) * SIZE, "high": (1e9,) * SIZE}
FLAT = {"linear": (0.0,) * SIZE, "quadratic": ((0.0,) * SIZE,) * SIZE}
FITTED_RULE = FittedStopping(
    points=(3, 8, 16),
    stages=(Stage(-1.0, **FLAT, **WIDE), Stage(1.0, **FLAT, **WIDE)),
    select="posterior",
    with_answers=True,
    labels="worth",
    fallback=optscale(max_samples=16, answers=True),
)
PRIOR = EmpiricalPrior.fit([[0.2, 0.3], [0.6, 0.7], [0.9, 0.8]] * 4)


def verify(prompt, candidate):
    return 0.5


def given(**changes):
    policy = FakeListChatModel(responses=["4", "5", "6", "7", "8", "9"])
    return {"policy": policy, "verifier": verify, "extract": "number", "round_cost": 2.0, **changes}


def learned(**parts):
    made = SearchSettings(**given())
    pair = policy_fingerprint(made.policy).digest, verifier_fingerprint(made.verifier, made.extract).digest
    return LearnedSettings({pair: LearnedPair(searches=100, **{"stopping": RULE, "prior": PRIOR, **parts})}, time=1.0)


@pytest.fixture
def path(tmp_path):
    learned().save(tmp_path / "learned.npz")
    return str(tmp_path / "learned.npz")


def test_the_learned_rule_stops_the_search(path):
    by_default = OptScale(**given()).invoke("2 + 2?")
    result = OptScale(**given(settings=path)).invoke("2 + 2?")
    assert result.decision.rule == "ImprovedStopping"
    assert result.claim == "not sure"
    assert len(result.verdicts) < len(by_default.verdicts)


def test_a_target_a_rule_and_other_defaults_are_left_as_they_are(path):
    for changes in ({"target": 0.9}, {"stopping": optscale(effort="high")}, {"effort": "high"}, {"extract": None}):
        settings = given(settings=path, **changes)
        if "stopping" in changes:
            del settings["round_cost"]
        rule = SearchSettings(**settings).rule()
        assert not any(isinstance(part, ImprovedStopping) for part in rule.parts())


def test_a_rule_learned_from_explored_searches_comes_first():
    settings = SearchSettings(**given(settings=learned(fitted=FITTED_RULE)))
    rule = settings.rule()
    assert isinstance(rule, FittedStopping)
    assert isinstance(rule.fallback, ImprovedStopping)
    assert rule.fallback.base.max_samples == 16
    alone = SearchSettings(**given(settings=learned(fitted=FITTED_RULE, stopping=None))).rule()
    assert isinstance(alone, FittedStopping)
    assert not any(isinstance(part, ImprovedStopping) for part in alone.parts())


@pytest.mark.parametrize("changes", [{"max_samples": 8}, {"select": "vote"}, {"target": 0.9}, {"effort": "high"}])
def test_it_is_not_used_where_it_was_not_fitted_for(changes):
    rule = SearchSettings(**given(settings=learned(fitted=FITTED_RULE), **changes)).rule()
    assert not any(isinstance(part, FittedStopping) for part in rule.parts())


def test_a_search_by_a_fitted_rule_says_so_in_its_row_and_not_that_it_stepped_back(tmp_path):
    with ScoreStore(tmp_path / "s.db") as store:
        search = OptScale(**given(settings=learned(fitted=FITTED_RULE), store=store))
        result = search.invoke("2 + 2?")
        store.flush()
        row = store.get(result.search_id)
    assert (len(result.verdicts), result.decision.rule, result.drift) == (3, "FittedStopping", None)
    assert row.settings["learned_rule"] == "FittedStopping"
    assert "stopping" not in row.settings


def test_another_cap_is_no_other_default(path):
    rule = SearchSettings(**given(settings=path, max_samples=8)).rule()
    assert isinstance(rule, ImprovedStopping)
    assert rule.max_samples == 8


def test_a_search_for_a_target_has_the_learned_prior(path):
    assert SearchSettings(**given(settings=path, target=0.9)).session().prior == PRIOR
    assert SearchSettings(**given(settings=path)).session().prior is None


def test_learned_settings_need_no_file():
    assert isinstance(SearchSettings(**given(settings=learned())).rule(), ImprovedStopping)


def test_a_verifier_may_use_a_variable_that_is_assigned_later(tmp_path):
    def scores_by_length(prompt, candidate):
        return min(1.0, len(candidate.text) / longest)

    with ScoreStore(tmp_path / "scores.sqlite") as store:
        late = OptScale(**given(verifier=scores_by_length, settings=learned(), store=store))
        assert not isinstance(late.rule(), ImprovedStopping)
        longest = 2
        pair = policy_fingerprint(late.policy).digest, verifier_fingerprint(late.verifier, late.extract).digest
        parts = LearnedSettings({pair: LearnedPair(searches=100, stopping=RULE)}, time=1.0)
        del longest
        search = OptScale(**given(verifier=scores_by_length, settings=parts, store=store))
        longest = 2
        assert search.invoke("2 + 2?").decision.rule == "ImprovedStopping"
        store.flush()
        (row,) = store.rows()
    assert row.verifier.digest == pair[1]


def test_a_learned_certificate_certifies():
    certificate = Certificate(0.0, 0.1, 0.1, 100, 90, 2)
    result = OptScale(**given(settings=learned(certificate=certificate))).invoke("2 + 2?")
    assert result.certified is True
    assert result.claim == "right"


def test_another_policy_begins_with_what_all_have_taught(path, caplog):
    other = FakeListChatModel(responses=["4"], name="other")
    settings = SearchSettings(**given(settings=path, verifier=lambda prompt, candidate: 0.4, policy=other))
    assert settings.learned_part == LearnedSettings.load(path).population
    assert "nothing was learned yet" in caplog.text


def test_rows_name_the_version_and_an_alarm_ends_its_use(path, tmp_path):
    with ScoreStore(tmp_path / "optscale.db") as store:
        search = OptScale(**given(settings=path, store=store, explore=0.0))
        first = search.invoke("2 + 2?")
        watch = search.learning.watch
        watch.alarms[search.learning.pair] = alarm = Alarm("score", 0.5, 0.1, 30, 0.01)
        second = search.invoke("2 + 2?")
        watch.alarms.clear()
        assert first.drift is None
        assert second.drift == str(alarm)
        assert f"drift: {alarm}" in second.notes
        assert (first.decision.rule, second.decision.rule) != ("ImprovedStopping", "ImprovedStopping")
        assert first.decision.rule == "ImprovedStopping"
        assert store.get(first.search_id).learned == LearnedSettings.load(path).version
        assert store.get(second.search_id).learned is None


def test_the_json_of_a_result_says_why_learned_parts_stepped_back(path):
    search = OptScale(**given(settings=path))
    watch, pair = search.learning.watch, search.learning.pair
    watch.alarms[pair] = alarm = Alarm("agreement", 0.8, 0.2, 40, 0.01)
    try:
        result = search.invoke("2 + 2?")
    finally:
        watch.alarms.clear()
    summary = json.loads(json.dumps(result.summary()))
    assert summary["drift"] == str(alarm)
    assert f"drift: {alarm}" in summary["notes"]
    again = OptScaleResult.from_dict(json.loads(json.dumps(result.to_dict())))
    assert (again.drift, again.notes) == (result.drift, result.notes)


def test_a_search_that_began_before_the_alarm_does_not_say_so():
    parts = []

    def alarming(prompt, candidate):
        parts[0].watch.alarms[parts[0].pair] = Alarm("score", 0.5, 0.1, 30, 0.01)
        return 0.5

    known_of_all = LearnedSettings({}, LearnedPair(stopping=RULE), time=1.0)
    search = OptScale(**given(settings=known_of_all, verifier=alarming))
    parts.append(search.learning)
    first = search.invoke("2 + 2?")
    assert (first.decision.rule, first.drift) == ("ImprovedStopping", None)
    second = search.invoke("2 + 2?")
    assert second.decision.rule != "ImprovedStopping"
    assert second.drift.startswith("the mean of the first two scores was 0.500")


def test_learning_needs_a_store_and_no_run_turns_it_on(path):
    with pytest.raises(SettingsError, match="needs store="):
        SearchSettings(**given(learn="auto"))
    with pytest.raises(SettingsError):
        SearchSettings(**given(overridable={"learn"}))
    with pytest.raises(SettingsError, match="settings"):
        SearchSettings(**given(settings=path + ".missing"))


def test_a_store_that_learns_by_itself_is_used(tmp_path):
    with ScoreStore(tmp_path / "optscale.db") as store:
        search = OptScale(**given(store=store, learn="auto"))
        assert search.learned_part is None
        search.learning.watch.learned = learned()
        assert search.invoke("2 + 2?").decision.rule == "ImprovedStopping"
