"""What a learned rule brings into a search: the same rule, selection and rounds by file and by hand."""

import json

import pytest

from langchain_optscale import ChatOptScale, OptScale, SettingsError
from langchain_optscale.answers import EvidenceVote
from langchain_optscale.stopping import FittedStopping, History, TokenBudget
from tests.unit_tests.fakes import PlainPolicy
from tests.unit_tests.stopping.learned.test_fitted import voted


@pytest.fixture(scope="module")
def rule():
    return FittedStopping.fit(voted(60), price=0.01, first_round=2, round_size=2, select="vote", orders=4)


@pytest.fixture(scope="module")
def path(rule, tmp_path_factory):
    file = tmp_path_factory.mktemp("rules") / "rule.npz"
    rule.save(file)
    return file


def read(prompt, candidate):
    return float(candidate.text.split()[0])


POLICY = PlainPolicy(texts=[f"{0.3 + 0.05 * (k % 5):.2f} is {'seven' if k % 3 else 'eight'}" for k in range(12)])


def test_a_file_brings_rule_selection_and_rounds(rule, path):
    model = ChatOptScale(policy=POLICY, verifier=read, settings=path, extract=lambda text: text.split()[-1])
    assert model.stopping == rule
    assert (model.select, model.first_round, model.round_size) == ("vote", 2, 2)
    metadata = model.invoke("q").response_metadata["optscale"]
    assert metadata["n"] >= 2


def test_a_search_by_file_is_the_search_by_hand(rule, path):
    # One at a time, so that candidates arrive in the same order.
    common = {"policy": POLICY, "verifier": read, "extract": lambda text: text.split()[-1], "seed": 0}
    by_file = OptScale(**common, settings=str(path)).invoke("q", {"max_concurrency": 1})
    by_hand = OptScale(**common, stopping=rule).invoke("q", {"max_concurrency": 1})
    assert by_file.scores == by_hand.scores
    assert by_file.best.index == by_hand.best.index
    assert by_file.decision == by_hand.decision
    # The leader by votes is returned, not the best score.
    votes = [candidate.answer for candidate in by_file.candidates]
    assert by_file.best.answer == max(set(votes), key=votes.count)


def test_it_is_found_within_other_rules(rule):
    search = OptScale(policy=POLICY, verifier=read, stopping=rule | TokenBudget(10_000))
    assert (search.select, search.first_round) == ("vote", 2)


def test_another_selection_is_refused(rule):
    with pytest.raises(SettingsError, match="fitted for select='vote'"):
        OptScale(policy=POLICY, verifier=read, stopping=rule, select="best")


def test_a_file_beside_a_rule_is_refused(rule, path):
    with pytest.raises(SettingsError, match="leave stopping= out"):
        OptScale(policy=POLICY, verifier=read, stopping=rule, settings=path)


def test_a_file_that_is_none(tmp_path):
    with pytest.raises(SettingsError, match=r"settings: .* cannot be read"):
        OptScale(policy=POLICY, verifier=read, settings=tmp_path / "none.npz")


def test_a_call_may_change_other_settings(path):
    search = OptScale(policy=POLICY, verifier=read, settings=path, extract=lambda text: text.split()[-1])
    result = search.invoke("q", {"configurable": {"max_samples": 2}})
    assert len(result.scores) == 2


def test_the_rule_is_json_in_a_session(rule):
    search = OptScale(policy=POLICY, verifier=read, stopping=rule)
    session = search.session()
    assert type(session).from_dict(json.loads(json.dumps(session.to_dict()))).stopping == rule


def test_a_chat_model_obeys_the_rule_of_a_file(tmp_path):
    rule = FittedStopping.fit(voted(80), price=0.03, orders=4)
    rule.save(tmp_path / "rule.npz")

    def last(text):
        return text.split()[-1]

    texts = ["0.45 is eight", "0.70 is seven", "0.40 is nine", *["0.75 is seven", "0.72 is seven"] * 5]
    policy = PlainPolicy(texts=texts)
    model = ChatOptScale(policy=policy, verifier=read, settings=tmp_path / "rule.npz", extract=last, seed=0)
    assert model.stopping == rule
    assert model.select == rule.select == EvidenceVote(rule.calibration)
    message = model.invoke("q", {"max_concurrency": 1})
    found = message.response_metadata["optscale"]
    assert 1 < found["n"] < rule.max_samples
    scores = tuple(found["scores"])
    answers = tuple(last(text) for text in texts[: found["n"]])
    # By hand, candidate after candidate: the rule goes on until the last one, and stops there.
    stops = [
        rule(History(scores=scores[:n], answers=answers[:n], max_samples=model.max_samples)).stop
        for n in range(1, found["n"] + 1)
    ]
    assert stops == [False] * (found["n"] - 1) + [True]
    # And what it valued is what is returned.
    place = rule.select.position(answers, scores)
    assert message.text == texts[place]


def test_the_name_of_another_selection_is_refused_beside_evidence():
    rule = FittedStopping.fit(voted(60, wrong=2), price=0.01, orders=4)
    for select in ("posterior", EvidenceVote()):
        with pytest.raises(SettingsError, match="fitted for select=EvidenceVote"):
            OptScale(policy=POLICY, verifier=read, stopping=rule, select=select)
    again = OptScale(policy=POLICY, verifier=read, stopping=rule, select=EvidenceVote(rule.calibration))
    assert again.select == rule.select
