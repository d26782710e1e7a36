"""Readers of stored records: mutated ones raise `InvalidRecordError` and nothing else."""

import io
import json
import sqlite3
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from langchain_core.language_models import FakeListChatModel

from benchmarks.mutated_readers import readers
from benchmarks.mutations import mutated_bytes, mutated_document, try_reader
from langchain_optscale import OptScale, OptScaleResult, Session, Verdict, optscale
from langchain_optscale.errors import InvalidRecordError, SettingsError
from langchain_optscale.records.candidates import Failure
from langchain_optscale.records.decisions import Decision
from langchain_optscale.records.stored import Fields, check_plain
from langchain_optscale.records.usage import Usage
from langchain_optscale.stats.priors import prior_from_dict
from langchain_optscale.stopping import FittedStopping, MaxSamples, Rule
from langchain_optscale.verifiers.composite.store import SQLiteStore

attack = pytest.mark.attack
NAMES = [
    *("result", "session", "rule", "empirical prior", "question's prior", "fixed prior", "IsotonicCalibration"),
    *("LogisticCalibration", "answer model", "certificate", "search row", "settings", "prior.json"),
    *("calibration.json", "model.json", "prior.npz", "rule.npz", "pool.jsonl", "pool.jsonl.gz", "questions.jsonl"),
    *("recording.jsonl", "inspect.json", "lm_eval.jsonl", "answers.jsonl", "batch.jsonl", "verdicts.sqlite"),
    *("searches.sqlite", "checkpoint"),
]


@pytest.fixture(scope="module")
def every_reader(tmp_path_factory):
    return {reader.name: reader for reader in readers(tmp_path_factory.mktemp("records"))}


def test_every_reader_has_a_test(every_reader):
    assert list(every_reader) == NAMES


@attack("A stored record that was mutated, of 28 kinds", "it is read or raises `InvalidRecordError`, nothing else")
@pytest.mark.parametrize("name", NAMES)
def test_mutated_records(every_reader, name):
    # `python -m benchmarks.mutations` does 3,000 of each.
    outcome = try_reader(every_reader[name], 200, seed=7)
    assert not outcome.other
    assert outcome.refused > 50
    assert outcome.slowest_s < 5.0


def test_mutations_depend_on_the_seed_alone():
    import random

    good = {"a": [1, {"b": "x"}], "c": None}
    documents = [mutated_document(good, random.Random(seed)) for seed in (1, 1, 2)]
    assert repr(documents[0]) == repr(documents[1]) != repr(documents[2])
    assert good == {"a": [1, {"b": "x"}], "c": None}
    content = b'{"a": 1}\n{"a": 2}\n'
    assert len({mutated_bytes(content, random.Random(seed)) for seed in range(20)}) > 10


@pytest.fixture(scope="module")
def record():
    search = OptScale(policy=FakeListChatModel(responses=["a"]), verifier=lambda p, c: 0.3, max_samples=2)
    return json.dumps(search.invoke("q").to_dict())


HTML = "<img src=x onerror=alert(1)>"


@attack("Markup in any field of a record that a notebook shows", "every field is escaped or refused")
@pytest.mark.parametrize(
    ("holder", "name"),
    [("decision", "optimal_n"), ("decision", "draw"), ("decision", "stop"), ("estimate", "n"), ("estimate", "mu")],
)
def test_markup_in_place_of_a_number_is_refused(record, holder, name):
    data = json.loads(record)
    data[holder][name] = HTML
    with pytest.raises(InvalidRecordError, match=name):
        OptScaleResult.from_dict(data)


def test_markup_in_text_is_escaped(record):
    data = json.loads(record.replace('"content": "a"', json.dumps("content") + ": " + json.dumps(HTML + "\x1b\ud800")))
    card = OptScaleResult.from_dict(data)._repr_html_()
    assert "<img" not in card
    assert "&lt;img src=x onerror=alert(1)&gt;\\x1b\\ud800" in card
    card.encode()


def test_a_card_escapes_what_no_reader_checked(record):
    result = OptScaleResult.from_dict(json.loads(record))
    failed = replace(result, failures={1: Failure("verify", HTML)}, claim=HTML)
    assert "<img" not in failed._repr_html_()


def session_data(*events):
    session = Session(optscale(0.9))
    session.ask()
    return {**session.to_dict(), "events": [["ask", 2], *events]}


@pytest.mark.parametrize(
    "event",
    [
        *(["spend", 1.5, 0.0], ["spend", {}], ["spend", {"policy": [-1]}, 0.0], ["spend", {"policy": ["9"]}, 0.0]),
        *([], "ask", [["ask"], 1], ["ask", 10**9], ["adopt", 10**9], ["adopt", 0], ["tick", "soon"], ["tick", 10**400]),
        *(["tell", 0, 2.0, None, None, 0, 0.0], ["tell", 0, None, None, None, 0, 0.0], ["tell", 0, 0.5]),
        *(
            ["tell", 9, 0.5, None, None, 0, 0.0],
            ["tell", 0, 0.5, None, 7, 0, 0.0],
            ["tell", True, 0.5, None, None, 0, 0],
        ),
    ],
    ids=str,
)
def test_damaged_events(event):
    with pytest.raises(InvalidRecordError):
        Session.from_dict(session_data(event))


@pytest.mark.parametrize("name", ["max_samples", "first_round", "round_size"])
def test_a_session_of_a_billion_candidates_is_refused(name):
    with pytest.raises(InvalidRecordError, match=f"{name} of a session must be a whole number from 0 to 100000"):
        Session.from_dict({**session_data(), name: 10**9})


@pytest.mark.parametrize("data", [[], None, "x", {"rule": []}, {"rule": {}}, {"rule": None}, {"rule": "x" * 10**6}])
def test_what_is_no_rule(data):
    with pytest.raises(InvalidRecordError) as caught:
        Rule.from_dict(data)
    assert len(str(caught.value)) < 300


def test_rules_are_not_nested_without_end():
    data = MaxSamples(8).to_dict()
    for _ in range(40):
        data = {"rule": "Either", "left": data, "right": MaxSamples(9).to_dict()}
    assert Rule.from_dict(data).max_samples == 8
    for _ in range(3000):
        data = {"rule": "Either", "left": data, "right": MaxSamples(9).to_dict()}
    with pytest.raises(InvalidRecordError, match="nested too deeply"):
        Rule.from_dict(data)
    with pytest.raises(InvalidRecordError, match="beyond 2"):
        Rule.from_dict({"rule": "MaxSamples", "limit": 10**400})
    with pytest.raises(SettingsError, match="only two rules"):
        MaxSamples(8).__class__.__mro__ and Rule._known["Either"](MaxSamples(8), 5)


@pytest.mark.parametrize("data", [[], {"format": "langchain-optscale/result", "version": 1}, None, {"format": []}])
def test_what_is_no_result(data):
    with pytest.raises(InvalidRecordError):
        OptScaleResult.from_dict(data)


def test_a_prior_that_would_overflow():
    for data in ({"mu": 10**400, "sigma": 1.0}, {"mu": 0.5, "sigma": 5e-324}, {"mu": 0.5}, {"mu": "0.5", "sigma": 0.1}):
        with pytest.raises(InvalidRecordError):
            prior_from_dict(data)


def test_fields_name_what_is_wrong():
    fields = Fields({"n": True, "text": 7, "list": {}, "real": 10**400}, "a thing")
    for read, name, complaint in (
        (fields.whole, "n", "n of a thing must be a whole number from 0 to"),
        (fields.text, "text", "text of a thing must be a string, got 7"),
        (fields.items, "list", "list of a thing must be a list, got dict"),
        (fields.real, "real", "real of a thing must be a number, got a larger one"),
        (fields.flag, "missing", "a thing has no 'missing'"),
    ):
        with pytest.raises(InvalidRecordError, match=complaint):
            read(name)
    with pytest.raises(InvalidRecordError, match="unknown field 'list'"):
        fields.only("n", "text", "real")


def test_plain_data_may_be_wide_but_not_deep():
    check_plain([{"a": 2**53}] * 1000, "data")
    with pytest.raises(InvalidRecordError, match="not finite"):
        check_plain({"a": [float("nan")]}, "data")


def test_a_decision_and_usage_are_checked():
    good = Decision(True, draw=0, rule="x").to_dict()
    assert Decision.from_dict(good) == Decision(True, draw=0, rule="x")
    for change in (
        {"stop": 1},
        {"draw": -1},
        {"figures": {"n": "1"}},
        {"reason": "NOTHING"},
        {"reason": []},
        {"more": 1},
    ):
        with pytest.raises(InvalidRecordError):
            Decision.from_dict({**good, **change})
    assert Usage.from_dict({"input_tokens": 3}) == Usage(3)
    for usage in ({"input_tokens": -3}, {"input_tokens": "3"}, {"tokens": 3}, [], None):
        with pytest.raises(InvalidRecordError):
            Usage.from_dict(usage)


# Learned rules


def npz(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return path


def npy(array=None, *, header=None, rest=b""):
    if array is not None:
        out = io.BytesIO()
        np.save(out, array)
        return out.getvalue()
    text = header.encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + rest


@attack("A learned rule's file of kilobytes that stands for gigabytes", "sizes are checked before it is unpacked")
def test_an_npz_that_unpacks_to_gigabytes(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as file, file.open("header.npy", "w") as one:
        for _ in range(80):
            one.write(bytes(1 << 20))
    with pytest.raises(InvalidRecordError, match="unpacks to more than"):
        FittedStopping.load(tmp_path / "bomb.npz")


@attack(
    "An npz whose header announces an array of terabytes, or pickled objects", "refused; nothing is allocated or run"
)
@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999999,), }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (1, " + "9" * 60 + "), }",
        "{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,), }",
        "__import__('os').system('true')",
        "{'descr': '|u1'",
    ],
    ids=range(7),
)
def test_hostile_arrays(tmp_path, header):
    path = npz(tmp_path / "rule.npz", header=npy(header=header, rest=b"12345678"))
    with pytest.raises(InvalidRecordError, match=r"rule\.npz"):
        FittedStopping.load(path)


def test_a_plain_array_is_no_rule(tmp_path):
    path = tmp_path / "rule.npz"
    path.write_bytes(npy(np.zeros(3)))
    with pytest.raises(InvalidRecordError, match=r"rule\.npz cannot be read as a fitted rule"):
        FittedStopping.load(path)


# Stores of verdicts


@attack("A verdict store with a trigger or a view, by which the file itself would act", "refused when it is opened")
@pytest.mark.parametrize(
    "statement",
    [
        "CREATE VIEW verdicts AS SELECT 1 AS key, 2 AS verifier, 3 AS value",
        "CREATE TRIGGER t AFTER INSERT ON verdicts BEGIN DELETE FROM verdicts; END",
    ],
)
def test_a_store_that_acts(tmp_path, statement):
    path = tmp_path / "store.sqlite"
    connection = sqlite3.connect(path)
    if "TRIGGER" in statement:
        connection.execute("CREATE TABLE verdicts (key TEXT, verifier TEXT, value TEXT, PRIMARY KEY (key, verifier))")
    connection.execute(statement)
    connection.commit()
    connection.close()
    with pytest.raises(SettingsError, match="it has a view or a trigger"):
        SQLiteStore(path)


def test_a_damaged_verdict_costs_a_verification_only(tmp_path, caplog):
    from langchain_optscale.verifiers.composite.store import VerdictStore

    store = SQLiteStore(tmp_path / "store.sqlite")
    verdicts = VerdictStore(store, "check")
    verdicts.put("good", Verdict(0.5, "why", raw={"a": 1}))
    assert verdicts.get("good") == Verdict(0.5, "why", raw={"a": 1})
    for value in ('{"score": "1"}', '{"score": 0.5, "explanation": [], "raw": 1}', "[]", "[" * 10**5, "\x1b[2J"):
        with store._lock, store._connection:
            store._connection.execute("INSERT OR REPLACE INTO verdicts VALUES ('bad', 'check', ?)", (value,))
        assert verdicts.get("bad") is None
    assert len(caplog.records) == 5
    assert "\x1b" not in caplog.text
    with store._lock, store._connection:
        store._connection.execute("INSERT OR REPLACE INTO verdicts VALUES ('bad', 'check', x'ff')")
    with pytest.raises(InvalidRecordError, match=r"store\.sqlite is damaged"):
        store.lookup("bad", "check")
    store.close()
