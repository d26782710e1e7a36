import asyncio
import json
from types import SimpleNamespace

import pytest
from langchain_core.language_models import FakeListChatModel

from langchain_optscale import (
    AllCandidatesFailed,
    ChatOptScale,
    OptScale,
    SearchSettings,
    SettingsError,
    Verdict,
    Verifier,
)
from langchain_optscale.engine.fingerprints import policy_fingerprint, verifier_fingerprint
from langchain_optscale.engine.recording import explores
from langchain_optscale.engine.result import OptScaleResult
from langchain_optscale.engine.serialisation import NoJSONForm, to_spec
from langchain_optscale.learning.store import ScoreStore
from langchain_optscale.stopping import MaxSamples, Price, TargetReached, TokenBudget


@pytest.fixture
def store(tmp_path):
    with ScoreStore(tmp_path / "s.db") as store:
        yield store


def by_text(prompt, candidate):
    return float(candidate.text)


def make(kind=OptScale, texts=("0.1", "0.9", "0.3", "0.2"), **settings):
    return kind(policy=FakeListChatModel(responses=list(texts)), verifier=by_text, **settings)


def only(store):
    (row,) = store.rows()
    return row


# --- what is recorded ---


def test_a_search_leaves_a_row(store):
    search = make(store=store, explore=0.0, stopping=TargetReached(0.8), max_samples=4, first_round=1, round_size=1)
    result = search.invoke("Which number?")
    row = only(store)
    assert row.id == result.search_id == result.summary()["search_id"]
    assert row.scores == (0.1, 0.9)
    assert (row.chosen, row.drawn, row.cap, row.rounds, row.reason) == (1, 2, 4, 2, "TARGET_REACHED")
    assert (row.explored, row.stopped_at, row.prompt, row.texts) == (False, None, None, None)
    assert row.settings["stopping"] == "TargetReached(target=0.8)"
    assert row.target == 0.8
    assert row.features is not None


def test_scores_and_answers_stand_in_the_order_of_arrival(store):
    settings = {"extract": "number", "stopping": MaxSamples(4), "first_round": 4, "explore": 0.0}
    result = make(store=store, texts=("0.5", "0.25", "0.5", "none"), **settings).invoke("q", {"max_concurrency": 1})
    row = only(store)
    by_arrival = [one.index for each in result.rounds for one in each.observations]
    scores = {index: verdict.score for index, verdict in result.verdicts.items()}
    assert row.scores == tuple(scores.get(index) for index in by_arrival)
    assert sorted(map(str, row.scores)) == ["0.25", "0.5", "0.5", "None"]
    halves = {answer for score, answer in zip(row.scores, row.answers, strict=True) if score == 0.5}
    assert len(halves) == 1
    assert row.answers[row.scores.index(None)] is None


def test_a_search_without_a_score_leaves_a_row_too(store):
    def broken(prompt, candidate):
        raise ValueError("no")

    search = OptScale(policy=FakeListChatModel(responses=["a"]), verifier=broken, store=store, max_retries=0)
    with pytest.raises(AllCandidatesFailed):
        search.invoke("q")
    row = only(store)
    assert (row.chosen, row.reason, row.score) == (None, "FAILURES", None)
    assert set(row.scores) == {None}


def test_what_cannot_be_recorded_costs_no_search(store, caplog):
    class Odd(Verifier):
        @property
        def content(self):
            raise RuntimeError("not today")

        def verify(self, prompt, candidate, config=None):
            return Verdict(0.5)

    result = OptScale(policy=FakeListChatModel(responses=["a"]), verifier=Odd(), store=store).invoke("q")
    assert result.score == 0.5
    assert f"search {result.search_id} could not be recorded: RuntimeError: not today" in caplog.text
    assert len(store) == 0


def test_texts_are_kept_on_request(tmp_path):
    with ScoreStore(tmp_path / "s.db", keep_text=True) as store:
        make(store=store, stopping=MaxSamples(2)).invoke("Which number?")
        row = only(store)
    assert row.prompt == "Which number?"
    assert sorted(row.texts) == ["0.1", "0.9"]


def test_no_text_is_in_the_file_by_default(tmp_path):
    store = ScoreStore(tmp_path / "s.db")
    search = OptScale(
        policy=FakeListChatModel(responses=["zebra-crossing"]),
        verifier=lambda prompt, candidate: Verdict(0.5, "explained by walrus", raw="walrus"),
        store=store,
    )
    search.invoke("Which animal lives in Timbuktu?")
    store.flush()
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"MARGINAL_GAIN" in written or b"MAX_SAMPLES" in written
    assert not any(word in written for word in (b"zebra", b"walrus", b"Timbuktu", b"animal", b"timbuktu"))
    store.close()


def test_cost_and_tokens_are_recorded(store):
    result = make(store=store, price=Price(1.0, 2.0), stopping=MaxSamples(2)).invoke("q")
    row = only(store)
    assert (row.cost, row.tokens) == (result.cost, result.total_usage.total_tokens)


async def test_the_async_path_records_the_same(store):
    settings = {"store": store, "explore": 0.0, "stopping": MaxSamples(3), "first_round": 1, "round_size": 1}
    make(**settings).invoke("q")
    await make(**settings).ainvoke("q")
    await asyncio.to_thread(store.flush)
    one, other = await asyncio.to_thread(lambda: list(store.rows()))
    same = ("scores", "answers", "chosen", "reason", "settings", "pair")
    assert [getattr(one, name) for name in same] == [getattr(other, name) for name in same]
    assert one.id != other.id


# --- entry points ---


def test_the_chat_model_tells_the_id(store):
    message = make(ChatOptScale, store=store).invoke("q")
    assert only(store).id == message.response_metadata["optscale"]["search_id"]


def test_a_batch_records_each_question(store):
    results = make(store=store).batch(["a", "b", "c"])
    assert sorted(row.id for row in store.rows()) == sorted(result.search_id for result in results)


def test_a_path_is_a_store(tmp_path):
    search = make(store=str(tmp_path / "s.db"))
    search.invoke("q")
    assert len(search.store) == 1
    search.store.close()


def test_without_a_store_a_result_has_no_id():
    result = make().invoke("q")
    assert result.search_id is None
    assert "search_id" not in result.summary()
    assert "search_id" not in result.to_dict()


@pytest.mark.parametrize("name", ["store", "explore"])
def test_a_run_may_not_set_it(tmp_path, name):
    search = make()
    with pytest.raises(SettingsError, match=f"may not change {name}|cannot be changed"):
        search.for_run({name: str(tmp_path / "other.db") if name == "store" else 0.0})
    with pytest.raises(SettingsError, match=name):
        make(overridable={name})
    assert not (tmp_path / "other.db").exists()


def test_the_store_of_a_configurable_is_ignored(tmp_path):
    make().invoke("q", {"configurable": {"store": str(tmp_path / "other.db")}})
    assert not (tmp_path / "other.db").exists()


def test_only_the_setting_builds_a_store_of_plain_data(tmp_path):
    spec = {"optscale": "ScoreStore", "address": str(tmp_path / "other.db")}
    for name in ("prior", "estimator", "stopping", "extract", "select"):
        with pytest.raises(Exception, match="unknown part"):
            make(**{name: spec})
    assert not (tmp_path / "other.db").exists()
    assert make(store=spec).store.address == spec["address"]


def test_a_store_serialises_by_its_address(tmp_path):
    store = ScoreStore(tmp_path / "s.db", max_rows=5)
    assert make(store=json.loads(json.dumps(to_spec(store)))).store.to_dict() == store.to_dict()
    with pytest.raises(NoJSONForm):
        to_spec(ScoreStore(tmp_path / "s.db", redact=str.lower))


def test_a_password_is_never_serialised_or_shown():
    pytest.importorskip("psycopg")
    model = make(ChatOptScale, store="postgresql://ann:secret@localhost/db")
    shown = f"{to_spec(model.store)} {model!r} {model._identifying_params} {model._get_llm_string()}"
    assert "ann@localhost" in shown
    assert "secret" not in shown


# --- exploration ---


def test_an_explored_search_goes_on_to_the_cap_and_says_so(store):
    settings = {"stopping": TargetReached(0.8), "max_samples": 4, "first_round": 1, "round_size": 1}
    result = make(store=store, explore=1.0, **settings).invoke("q")
    row = only(store)
    assert len(result.scores) == 4
    assert (result.explored.stopped_at, result.explored.candidates) == (2, 2)
    assert "this search explored: it would have ended after 2 candidates" in result.notes[-1]
    assert (row.explored, row.stopped_at, row.reason, row.stopped_choice) == (True, 2, "TARGET_REACHED", 1)
    assert row.scores == (0.1, 0.9, 0.3, 0.2)
    assert OptScaleResult.from_dict(json.loads(json.dumps(result.to_dict()))).explored == result.explored


def test_the_card_says_where_an_explored_search_stopped(store):
    settings = {"stopping": TargetReached(0.8), "max_samples": 4, "first_round": 1, "round_size": 1}
    card = make(store=store, explore=1.0, **settings).invoke("q")._repr_html_()
    assert "it would have ended after 2 candidates" in card
    assert card.count("stop: ") == 1


def test_limits_end_an_explored_search(store):
    settings = {"first_round": 1, "round_size": 1, "max_samples": 4, "explore": 1.0}
    result = make(store=store, stopping=TargetReached(0.0) | MaxSamples(3), **settings).invoke("q")
    assert len(result.scores) == 3
    assert (result.explored.stopped_at, only(store).reason) == (1, "TARGET_REACHED")


def test_a_search_that_reaches_its_cap_explored_nothing(store):
    result = make(store=store, explore=1.0, stopping=MaxSamples(2), first_round=1, round_size=1).invoke("q")
    row = only(store)
    assert result.explored is None
    assert (row.explored, row.stopped_at, row.stopped_choice) == (True, 2, row.chosen)


def test_a_budget_ends_an_explored_search():
    session = make(stopping=TargetReached(0.0) | TokenBudget(5), max_samples=4).session(explore=True)
    session.ask()
    session.tell(0, Verdict(0.5), tokens=2)
    assert not session.decision.stop
    assert session.tell(1, Verdict(0.5), tokens=4).reason.name == "TOKEN_BUDGET"


def test_the_share_of_explored_searches():
    hits = sum(explores(f"{number:032x}", 0.03) for number in range(20_000))
    # Binomial(20,000, 0.03) has mean 600 and standard deviation 24.1.
    assert abs(hits - 600) < 5 * 24.1
    assert not any(explores(str(number), 0.0) for number in range(1000))
    assert all(explores(str(number), 1.0) for number in range(1000))


def test_without_a_store_nothing_is_explored():
    result = make(explore=1.0, stopping=TargetReached(0.0), first_round=1).invoke("q")
    assert len(result.scores) == 1


# --- fingerprints and texts ---


def test_policies_differ_by_model_and_temperature():
    def of(**fields):
        model = FakeListChatModel(responses=["a"])
        return policy_fingerprint(model.bind(**fields) if fields else model).facts

    assert of() == {"class": "FakeListChatModel", "model": "FakeListChatModel"}
    assert of(temperature=0.5)["temperature"] == 0.5
    model = FakeListChatModel(responses=["a"])
    assert policy_fingerprint(model, {"model": "other"}).facts["model"] == "other"
    assert policy_fingerprint(model, {"tools": [object()]}).facts == of()


def test_verifiers_differ_by_their_content():
    def settings(verifier):
        return SearchSettings(policy=FakeListChatModel(responses=["a"]), verifier=verifier)

    def one(prompt, candidate):
        return 0.5

    def other(prompt, candidate):
        return 0.25

    digests = {verifier_fingerprint(settings(function).verifier).digest for function in (one, one, other)}
    assert len(digests) == 2
    assert verifier_fingerprint(settings(one).verifier, SimpleNamespace()).facts["extract"] == "SimpleNamespace"


def test_a_rubric_is_part_of_the_fingerprint():
    from langchain_optscale import LLMJudge

    model = FakeListChatModel(responses=["5"])
    marks = {
        verifier_fingerprint(LLMJudge(model, criteria=[criteria])).digest
        for criteria in ("Is it right?", "Is it right?", "Is it kind?")
    }
    assert len(marks) == 2
