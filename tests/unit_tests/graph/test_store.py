import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.store.memory import InMemoryStore

from langchain_optscale import AllCandidatesFailed
from langchain_optscale.errors import SettingsError
from langchain_optscale.learning.store import ScoreStore
from langchain_optscale.stopping import MaxSamples, TargetReached
from tests.unit_tests.graph.searches import QUESTION, graph_of, result_in, thread

SCORES = [0.2, 0.9, 0.3, 0.5]


@pytest.fixture
def store(tmp_path):
    with ScoreStore(tmp_path / "s.db") as store:
        yield store


def test_a_graph_records_its_search_once(store):
    graph, _ = graph_of(SCORES, store=store, explore=0.0, round_size=2)
    app = graph.compile(checkpointer=InMemorySaver())
    state = app.invoke(QUESTION, thread())
    (row,) = store.rows()
    assert row.id == state["optscale"]["search"]["id"] == result_in(state).search_id
    assert row.id == state["messages"][-1].response_metadata["optscale"]["search_id"]
    assert row.scores == tuple(result_in(state).scores)
    store.label(row.id, correct=True)
    # The last node runs again, as after a crash between its work and its checkpoint.
    before_answer = next(one for one in app.get_state_history(thread()) if one.next == ("answer",))
    app.invoke(None, before_answer.config)
    assert [(one.id, one.label.correct) for one in store.rows()] == [(row.id, True)]


def test_a_resumed_search_is_one_row(store):
    graph, _ = graph_of(SCORES, store=store, explore=0.0, first_round=1, round_size=1, stopping=MaxSamples(3))
    app = graph.compile(checkpointer=InMemorySaver(), interrupt_after=["decide"])
    state = app.invoke(QUESTION, thread())
    while app.get_state(thread()).next:
        assert len(store) == 0
        state = app.invoke(None, thread())
    assert [row.scores for row in store.rows()] == [tuple(result_in(state).scores)]


def test_an_explored_search_explores_after_a_resume(store):
    settings = {"first_round": 1, "round_size": 1, "stopping": TargetReached(0.8), "max_samples": 4, "explore": 1.0}
    graph, _ = graph_of(SCORES, store=store, **settings)
    saver = InMemorySaver()
    app = graph.compile(checkpointer=saver, interrupt_after=["decide"])
    state = app.invoke(QUESTION, thread())
    while app.get_state(thread()).next:
        # Another process has no session in memory: one graph more for every step.
        app = graph_of(SCORES, store=store, **settings)[0].compile(checkpointer=saver, interrupt_after=["decide"])
        state = app.invoke(None, thread())
    (row,) = store.rows()
    assert (len(row.scores), row.explored, row.reason) == (4, True, "TARGET_REACHED")
    assert result_in(state).explored.stopped_at == row.stopped_at


async def test_the_async_graph_records_too(store):
    graph, _ = graph_of(SCORES, store=store)
    await graph.compile().ainvoke(QUESTION)
    assert store.flush()
    assert store.counts.written == 1


def test_a_search_without_a_score_is_recorded(store):
    def broken(prompt, candidate):
        raise ValueError("no")

    graph, _ = graph_of(SCORES, store=store, verifier=broken, max_retries=0)
    with pytest.raises(AllCandidatesFailed):
        graph.compile().invoke(QUESTION)
    assert [row.chosen for row in store.rows()] == [None]


def test_a_store_of_langgraphs_is_sent_to_compile():
    with pytest.raises(SettingsError, match=r"belongs into graph.compile\(store=...\)"):
        graph_of(SCORES, store=InMemoryStore())


def test_a_run_may_not_name_a_store(tmp_path):
    graph, _ = graph_of(SCORES)
    with pytest.raises(SettingsError, match="store"):
        graph.compile().invoke(QUESTION, context={"store": str(tmp_path / "other.db")})
    graph.compile().invoke(QUESTION, {"configurable": {"store": str(tmp_path / "other.db")}})
    assert not list(tmp_path.iterdir())
