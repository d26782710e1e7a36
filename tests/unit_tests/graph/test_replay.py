"""The record in the state, and the sessions that follow from it."""

from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage

from langchain_optscale.engine.settings import SearchSettings
from langchain_optscale.graph.compact import short_candidate
from langchain_optscale.graph.context import SettingsCache
from langchain_optscale.graph.replay import SessionCache, missing_in
from langchain_optscale.graph.state import merge_record, new_record
from langchain_optscale.records.candidates import Candidate
from tests.unit_tests.fakes import PlainPolicy, read_score


def drawn(index, text=""):
    return Candidate(index, AIMessage(text), 0).to_dict()


UPDATES = st.lists(
    st.one_of(
        st.builds(
            lambda i, s: {"verdicts": [[i, {"score": s}]], "seconds": [[i, s]]}, st.integers(0, 5), st.floats(0, 1)
        ),
        st.builds(lambda i, t: {"candidates": [drawn(i, t)]}, st.integers(0, 5), st.text(max_size=3)),
        st.builds(lambda i, t: {"candidates": [short_candidate(drawn(i, t))]}, st.integers(0, 5), st.text(max_size=3)),
        st.builds(lambda n, i: {"rounds": [{"number": n, "indexes": [i]}]}, st.integers(0, 3), st.integers(0, 5)),
        st.builds(
            lambda n, i: {"rounds": [{"number": n, "observations": [{"index": i}]}]}, st.integers(0, 3), st.integers()
        ),
        st.builds(lambda k, v: {"search": {k: v}}, st.sampled_from(["id", "fanout"]), st.integers()),
        st.builds(lambda v: {"decision": v}, st.integers()),
    ),
    max_size=8,
)


@given(first=UPDATES, second=UPDATES)
def test_updates_may_come_in_one_batch_or_in_two(first, second):
    record = new_record({"id": 1})
    before = repr(record)
    assert merge_record(merge_record(record, first), second) == merge_record(record, [*first, *second])
    assert repr(record) == before


@given(order=st.permutations(range(6)))
def test_the_order_in_which_tasks_finish_does_not_matter(order):
    updates = [{"verdicts": [[index, {"score": index / 10}]], "candidates": [drawn(index)]} for index in order]
    merged = merge_record(new_record({}), updates)
    assert [pair[0] for pair in merged["verdicts"]] == list(range(6))
    assert [entry["index"] for entry in merged["candidates"]] == list(range(6))


def record_of(*rounds, name="s"):
    """A record whose candidates scored as each round says; None stands for one that is still under way."""
    record, index = new_record({"id": name}), 0
    for number, scores in enumerate(rounds):
        indexes = list(range(index, index + len(scores)))
        record["rounds"].append({"number": number, "indexes": indexes, "observations": []})
        for score in scores:
            if score is not None:
                verdict = {"score": score, "explanation": None, "usage": None, "raw": None}
                record["verdicts"].append([index, verdict])
                record["seconds"].append([index, 0.5])
            index += 1
    return record


def run_settings(**settings):
    built = SearchSettings(policy=PlainPolicy(texts=["0"]), verifier=read_score, **settings)
    return SettingsCache(built, 4).get({})


def test_a_kept_session_is_passed_only_new_outcomes():
    sessions, ours = SessionCache(), run_settings(max_samples=8)
    first = sessions.replay(ours, record_of([0.1, 0.2])).session
    assert sessions.replay(ours, record_of([0.1, 0.2], [0.3, 0.4])).session is first
    assert list(first.scores.values()) == [0.1, 0.2, 0.3, 0.4]
    assert first.history.elapsed_s == 1.0


def test_a_session_with_other_outcomes_is_not_used():
    sessions, ours = SessionCache(), run_settings(max_samples=8)
    kept = sessions.replay(ours, record_of([0.1, 0.2], [0.3])).session
    for other in (record_of([0.1, 0.2], [0.5]), record_of([0.1, 0.2]), record_of([0.1], [0.2, 0.3])):
        session = sessions.replay(ours, other).session
        assert session is not kept
        assert list(session.scores.values()) == [pair[1]["score"] for pair in other["verdicts"]]
    under_other_settings = sessions.replay(run_settings(max_samples=3), record_of([0.1, 0.2], [0.5])).session
    assert under_other_settings.max_samples == 3


def test_a_round_is_recorded_when_it_is_complete():
    sessions, ours = SessionCache(), run_settings()
    record = record_of([0.1, 0.2], [0.3, None, 0.95])
    session = sessions.replay(ours, record).session
    assert list(session.scores) == [0, 1]
    assert session.pending == (2, 3, 4)
    assert missing_in(record) == [3]


def test_sessions_of_unfinished_searches_are_discarded():
    sessions, ours = SessionCache(), run_settings()
    for number in range(400):
        sessions.replay(ours, record_of([0.1], name=str(number)))
    assert len(sessions._kept) == 256
    assert "399" in sessions._kept
