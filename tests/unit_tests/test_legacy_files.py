"""Files that version 0.1.0 wrote before its modules were rearranged: they load, and mean what they meant.

`tests/data/legacy/README.md` says what each file is. `expected.json` has what each of the functions below read from
them with the version that wrote them.
"""

import json
import math
import shutil
import sqlite3
from dataclasses import asdict
from pathlib import Path

import pytest
from langchain_core.load import load
from langchain_core.messages import messages_to_dict
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.types import Command

from langchain_optscale import (
    ChatOptScale,
    LearnedPrior,
    OptScaleResult,
    Session,
    Usage,
    Verdict,
    create_optscale_graph,
)
from langchain_optscale.answers import AnswerModel, same_answer
from langchain_optscale.cli.main import main
from langchain_optscale.evaluation.pools import Question, read_pool
from langchain_optscale.evaluation.recording import record_pool
from langchain_optscale.stats import Calibration, EmpiricalPrior
from langchain_optscale.stopping import FittedStopping, History, Rule
from tests.unit_tests.fakes import PlainPolicy

pytestmark = pytest.mark.filterwarnings(
    "ignore:The function `load:langchain_core._api.beta_decorator.LangChainBetaWarning"
)

LEGACY = Path(__file__).parents[1] / "data" / "legacy"

# What the fakes said when the files were written, and say again where a search goes on.
SCORES = [0.31, 0.42, 0.5, 0.38, 0.61, 0.55, 0.47, 0.93]
ANSWERS = ["12", "7", "12", "12", "9", "12", "7", "12"]
TEXTS = [f"{score} it is {answer}" for score, answer in zip(SCORES, ANSWERS, strict=True)]
QUESTIONS = [f"What is {number} + {number + 3}?" for number in range(5)]
HISTORIES = [
    History(),
    History(scores=(0.2, 0.4, 0.5)),
    History(scores=(0.7, 0.8, 0.88, 0.86, 0.85, 0.83), max_samples=16),
    History(scores=tuple(SCORES), answers=tuple(ANSWERS), max_samples=16),
    History(scores=(0.5, 0.52, 0.51, 0.5, 0.52), answers=("7", "7", "7", "7", "7"), pending=1, max_samples=16),
    History(scores=(0.3,), failures=4, tokens=100_000, elapsed_s=60.0, usage={"policy": Usage(50_000, 50_000, 9)}),
]


def first_number(prompt, candidate):
    """The verifier: candidates say their score first."""
    return float(candidate.text.split()[0])


def unasked(prompt, candidate):
    raise AssertionError("the verdict is in the store")


def read_json(name):
    return json.loads((LEGACY / name).read_text(encoding="utf-8"))


def plain(thing):
    return json.loads(json.dumps(thing.to_dict()))


def copied(name, tmp_path):
    """A copy, for what also writes to its file."""
    return Path(shutil.copy(LEGACY / name, tmp_path / name))


def pool(name):
    read = read_pool(LEGACY / name)
    return {
        "name": read.name,
        "questions": [[one.id, one.prompt, one.gold, len(one.samples)] for one in read],
        "first_samples": [_known_fields(one.samples[0]) for one in read],
        "flags": [read.cap, read.has_scores, read.has_logits, read.has_correct, read.has_answers],
        "sum_of_scores": sum(sample.score for sample in read.samples),
    }


def _known_fields(sample):
    """What 0.1.0 knew of a sample: what an agent's run ended in came later."""
    return {name: value for name, value in asdict(sample).items() if name != "state" or value is not None}


def pools(tmp_path):
    return {name: pool(name) for name in ("pool.jsonl", "pool_with_answers.jsonl", "pool_written.jsonl.gz")}


def recording(tmp_path):
    """A recording goes on: what has a line is not asked again, and the missing question is."""
    found = {}
    for name in ("pool.jsonl", "pool_with_answers.jsonl"):
        path, policy = copied(name, tmp_path), PlainPolicy(texts=TEXTS)
        before = path.read_bytes()
        made = record(policy, path, more=["What else?"], answers="answers" in name)
        found[name] = [len(policy.requests), len(made), path.read_bytes().startswith(before)]
    return found


def record(policy, path, *, answers, more=()):
    """Record the pool, or go on with it."""
    asked = [Question(f"sum-{place}", text, (), gold="12") for place, text in enumerate(QUESTIONS)]
    settings = {"extract": "number", "gold_check": same_answer} if answers else {}
    questions = [*(asked if answers else QUESTIONS), *more]
    return record_pool(policy, first_number, questions, 4, path=path, seed=0, max_concurrency=1, **settings)


def batch(tmp_path):
    """`optscale batch` knows the file for its own, and that its default verifier was another: it asks nothing."""
    questions, answers = copied("batch_questions.jsonl", tmp_path), copied("batch_answers.jsonl", tmp_path)
    before = answers.read_bytes()
    endpoint = ("--policy-url", "http://127.0.0.1:9/v1", "--policy-model", "m")
    status = main(
        [
            "batch",
            str(questions),
            "-o",
            str(answers),
            *endpoint,
            "--max-samples",
            "3",
            "--regex",
            "river",
            "--target",
            "0.99",
        ]
    )
    rows = [json.loads(line) for line in before.splitlines()]
    records = [OptScaleResult.from_dict(row["record"]) for row in rows if "record" in row]
    return {
        "status": status,
        "unchanged": answers.read_bytes() == before,
        "ids": sorted(row["id"] for row in rows),
        "answers": sorted(record.text for record in records),
        "reasons": sorted(record.stop_reason.name for record in records),
    }


def priors(tmp_path):
    fixed = read_json("fixed_prior.json")
    learned = EmpiricalPrior.load(LEGACY / "empirical_prior.json")
    assert LearnedPrior.load(LEGACY / "empirical_prior.json") == learned
    # Where a prior stands alone it is read by the way it goes in a session's file.
    session = Session.from_dict(read_json("session_fixed_prior_middle.json") | {"events": [], "prior": fixed})
    other = Session.from_dict(read_json("session_learned_prior_middle.json"))
    return {
        "fixed": asdict(session.prior),
        "learned": [learned.mu, learned.mu_std, learned.sigma, learned.sigma_std, learned.dirichlet.weight],
        "equal": [other.prior == learned, plain(learned) == renamed(read_json("empirical_prior.json"))],
    }


def calibrations(tmp_path):
    names = ("calibration_isotonic.json", "calibration_logistic.json")
    loaded = {name: Calibration.load(LEGACY / name) for name in names}
    return {name: [type(one).__name__, *(one(score) for score in (0.1, 0.3, 0.6, 0.9))] for name, one in loaded.items()}


def answer_model(tmp_path):
    model = AnswerModel.load(LEGACY / "answer_model.json")
    return [model.right, model.firmness, model.concentration, model.logit(0.3), model.logit(0.8)]


def meaning(rule):
    return {
        "repr": repr(rule),
        "limits": [rule.max_samples, rule.min_samples, list(rule.deadlines)],
        "decisions": [rule(history).to_dict() for history in HISTORIES],
    }


# Names that have changed since; a file that is written again has the new ones.
RENAMED = {
    '"Hopeless"': '"Futility"',
    '"HOPELESS"': '"FUTILITY"',
    '"looks"': '"observations"',
    '"any_shape": {': '"dirichlet": {',
    '"any_shape"': '"dirichlet_weight"',
    "any_shape=": "dirichlet_weight=",
}


def renamed(data):
    text = json.dumps(data)
    for former, name in RENAMED.items():
        text = text.replace(former, name)
    return json.loads(text)


def rules(tmp_path):
    return {name: meaning(Rule.from_dict(data)) for name, data in read_json("rules.json").items()}


def fitted(tmp_path):
    names = ("fitted_scores.npz", "fitted_answers.npz")
    return {name: meaning(FittedStopping.load(LEGACY / name)) for name in names}


def state_of(session):
    return {
        "decision": session.decision.to_dict(),
        "best": session.best,
        "pending": list(session.pending),
        "scores": [[index, score] for index, score in session.scores.items()],
        "counts": [session.history.drawn, session.history.failures, session.history.tokens, session.history.elapsed_s],
        "estimate": session.estimate.to_dict(),
        "rounds": len(session.rounds),
    }


def finish(session):
    """Tell a session what became of every further candidate, to its end."""
    answered = any(answer is not None for answer in session.history.answers)
    while not session.decision.stop:
        session.ask()
        for index in session.pending:
            place = index % len(SCORES)
            answer = ANSWERS[place] if answered else None
            session.tell(index, Verdict(SCORES[place]), answer=answer, tokens=15, elapsed_s=index * 0.1)


def sessions(tmp_path):
    found = {}
    for path in sorted(LEGACY.glob("session_*.json")):
        session = Session.from_dict(read_json(path.name))
        found[path.stem] = {"read": state_of(session), "same_form": plain(session) == renamed(read_json(path.name))}
        finish(session)
        found[path.stem]["at_the_end"] = state_of(session)
    return found


def results(tmp_path):
    found = {}
    for name in ("result.json", "result_with_answers.json"):
        data = read_json(name)
        result = OptScaleResult.from_dict(data)
        found[name] = {
            "text": result.text,
            "best": [result.best.index, result.best.answer, result.score],
            "decision": result.decision.to_dict(),
            "estimate": result.estimate.to_dict(),
            "scores": list(result.scores),
            "verdict": result.verdicts[0].to_dict(),
            "failures": {str(index): failure.to_dict() for index, failure in result.failures.items()},
            "usage": {role: usage.to_dict() for role, usage in result.usage.items()},
            "rounds": [one.to_dict() for one in result.rounds],
            "same_form": {key: plain(result)[key] for key in data} == renamed(data),
        }
    return found


def loaded(data):
    return load(data, allowed_objects="all", valid_namespaces=["langchain_optscale"], secrets_from_env=True)


def dumped_models(tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", "unused")
        models = {name: loaded(data) for name, data in read_json("dumped_models.json").items()}
    chats = {name: getattr(model, "bound", getattr(model, "last", model)) for name, model in models.items()}
    assert all(isinstance(chat, ChatOptScale) for chat in chats.values())
    return {
        name: {
            "kind": type(models[name]).__name__,
            "policy": [type(chat.policy).__name__, chat.policy.model_name, chat.policy.temperature],
            "verifier": repr(chat.verifier),
            "stopping": repr(chat.stopping),
            "others": repr([chat.estimator, chat.prior, chat.extract, chat.select, chat.temperature, chat.seed]),
            "set": sorted(chat.model_fields_set - {"profile"}),
            "session": chat.session().decision.to_dict(),
        }
        for name, chat in chats.items()
    }


def search_graph(**settings):
    policy = PlainPolicy(texts=TEXTS)
    graph = create_optscale_graph(
        policy=policy, verifier=first_number, target=0.9, max_samples=8, round_size=3, **settings
    )
    return graph, policy


def graph_threads(tmp_path):
    """Searches of the graph: what is stored of each, and how it goes on from there."""
    found = {}
    path = copied("graph_threads.sqlite", tmp_path)
    with SqliteSaver.from_conn_string(str(path)) as saver:
        for thread in ("finished", "between", "killed", "answers", "review"):
            graph, policy = search_graph(**settings_of(thread))
            compiled = graph.compile(checkpointer=saver)
            config = {"configurable": {"thread_id": thread}}
            before = compiled.get_state(config)
            given = Command(resume="accept") if thread == "review" else None
            state = compiled.invoke(given, config) if before.next else before.values
            found[thread] = {"stored": stored(before), "drawn_again": drawn(policy), **outcome(state)}
    return found


def settings_of(thread):
    return {"answers": {"extract": "number"}, "review": {"review": True}}.get(thread, {})


def drawn(policy):
    return sorted(request["seed"] for request in policy.requests)


def stored(state):
    record = state.values["optscale"]
    return {
        "next": sorted(set(state.next)),
        "candidates": [one["index"] for one in record["candidates"]],
        "verdicts": [index for index, _ in record["verdicts"]],
        "interrupts": len(state.interrupts),
    }


def outcome(state):
    result = OptScaleResult.from_dict(state["optscale"])
    said = messages_to_dict(state["messages"])
    return {
        "said": [[one["type"], one["data"]["content"]] for one in said],
        "best": [result.best.index, result.best.answer, result.score],
        "scores": [result.verdicts[index].score for index in sorted(result.verdicts)],
        # Decisions are taken anew from what is stored, by the default of today.
        "rounds": [list(one.indexes) for one in result.rounds],
    }


READERS = [
    pools,
    recording,
    batch,
    priors,
    calibrations,
    answer_model,
    rules,
    fitted,
    sessions,
    results,
    dumped_models,
    graph_threads,
]


def differences(found, expected, place=""):
    """Where two values of JSON differ; numbers of floating point may, by what another machine's rounding does."""
    if isinstance(expected, dict) and isinstance(found, dict) and found.keys() == expected.keys():
        return [line for key in expected for line in differences(found[key], expected[key], f"{place}/{key}")]
    if isinstance(expected, list) and isinstance(found, list) and len(found) == len(expected):
        pairs = enumerate(zip(found, expected, strict=True))
        return [line for key, pair in pairs for line in differences(*pair, f"{place}/{key}")]
    if isinstance(expected, float) and isinstance(found, float):
        same = math.isclose(found, expected, rel_tol=1e-6, abs_tol=1e-9)
    else:
        same = type(found) is type(expected) and found == expected
    return [] if same else [f"{place}: {found!r} instead of {expected!r}"]


@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)
def test_what_version_0_1_0_wrote_is_read_as_it_was(read, tmp_path):
    expected = renamed(read_json("expected.json"))[read.__name__]
    assert not differences(json.loads(json.dumps(read(tmp_path))), expected)


def test_every_file_is_read():
    known = Path(__file__).read_text(encoding="utf-8")
    names = {path.name for path in LEGACY.iterdir()} - {"README.md"}
    assert not [name for name in names if name not in known and not name.startswith("session_")]


def test_no_file_names_a_place_on_a_machine():
    for path in LEGACY.iterdir():
        content = path.read_bytes()
        assert b"/work" not in content
        assert b"/home" not in content
        if path.suffix == ".sqlite":
            with sqlite3.connect(path) as connection:
                assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
            connection.close()
