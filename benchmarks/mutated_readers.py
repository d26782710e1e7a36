"""The readers of stored records, each with a good record: what `benchmarks.mutations` mutates."""

from __future__ import annotations

import json
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import GraphRecursionError
from langgraph.types import Overwrite

from benchmarks.mutations import Reader
from langchain_optscale import OptScale, OptScaleResult, Session, Verdict, create_optscale_graph
from langchain_optscale.answers import AnswerModel
from langchain_optscale.cli.batch_file import Answers, Questions
from langchain_optscale.engine.serialisation import from_spec, to_spec
from langchain_optscale.errors import InvalidRecordError, SettingsError
from langchain_optscale.evaluation.importers import from_inspect, from_lm_eval
from langchain_optscale.evaluation.pools import Question, Sample, read_pool, write_pool
from langchain_optscale.evaluation.recording import read_questions, record_pool
from langchain_optscale.graph.conversation import fingerprint
from langchain_optscale.learning.question_prior import QuestionPrior
from langchain_optscale.learning.report import report_of
from langchain_optscale.learning.report_html import html_report
from langchain_optscale.learning.rows import Fingerprint, Label, SearchRow
from langchain_optscale.learning.store import ScoreStore
from langchain_optscale.records.candidates import Failure
from langchain_optscale.records.failures import AllCandidatesFailed
from langchain_optscale.records.usage import Usage
from langchain_optscale.stats import Calibration, EmpiricalPrior, IsotonicCalibration, LogisticCalibration
from langchain_optscale.stats.priors import prior_from_dict
from langchain_optscale.stats.question_law import QuestionLaw
from langchain_optscale.stopping import (
    AnswerConfidence,
    Certificate,
    CostBudget,
    Deadline,
    FittedStopping,
    Futility,
    History,
    MarginalGain,
    MaxSamples,
    OptimalN,
    Price,
    Rule,
    TargetReached,
    TokenBudget,
)
from langchain_optscale.verifiers import LengthCheck, RegexCheck
from langchain_optscale.verifiers.composite.store import SQLiteStore, VerdictStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from langchain_core.runnables import RunnableConfig

__all__ = ["readers"]

_HISTORIES = (
    History(),
    History(scores=(0.3,), max_samples=16),
    History(scores=(0.2, 0.4, 0.5, 0.41), answers=("7", "7", "8", None), max_samples=16, tokens=900, elapsed_s=2.0),
)


def readers(directory: Path) -> Iterator[Reader]:
    """Every reader, with files in this directory."""
    yield from _documents()
    yield from _rule_files(directory)
    yield from _pool_files(directory)
    yield from _log_files(directory)
    yield from _batch_files(directory)
    yield _store(directory)
    yield _score_store(directory)
    yield _checkpoint()


def _checkpoint() -> Reader:
    """A thread in the middle of a search, whose stored record was changed, goes on."""
    settings: dict[str, Any] = {"extract": "number", "max_samples": 4, "first_round": 2, "round_size": 2}
    graph = create_optscale_graph(
        policy=FakeListChatModel(responses=["it is 7", "it is 8"]), verifier=lambda p, c: 0.4, **settings
    ).compile(checkpointer=InMemorySaver())
    thread: RunnableConfig = {"configurable": {"thread_id": "good"}}
    started = graph.invoke({"messages": [HumanMessage("How much?")]}, thread, context={"target": 0.9})
    good = json.loads(json.dumps(started["optscale"]))
    for name in ("best", "format", "version", "usage", "duration_s", "estimate"):
        del good[name]
    good["rounds"] = [{**entry, "observations": []} for entry in good["rounds"][:1]]
    for name in ("candidates", "verdicts", "seconds"):
        good[name] = good[name][:2]
    good["decision"] = {**good["decision"], "stop": False, "reason": None}
    numbers = count()

    def read(record: Any) -> object:
        config: RunnableConfig = {"configurable": {"thread_id": str(next(numbers))}, "recursion_limit": 60}
        # No checkpoint holds a larger number.
        record = json.loads(json.dumps(record), parse_int=lambda digits: int(digits) if len(digits) < 19 else digits)
        messages = [HumanMessage("How much?", id="m")]
        if isinstance(record, dict) and isinstance(record.get("search"), dict) and "question" in record["search"]:
            record["search"]["question"] = fingerprint(messages)
        graph.update_state(config, {"messages": messages, "optscale": Overwrite(record)}, as_node="decide")
        return graph.invoke(None, config)["optscale"]

    return Reader("checkpoint", good, read, (InvalidRecordError, SettingsError, GraphRecursionError))


def _plain(thing: Any) -> Any:
    return json.loads(json.dumps(thing.to_dict()))


def _documents() -> Iterator[Reader]:
    search = OptScale(
        policy=FakeListChatModel(responses=["it is 7", "it is 8"]),
        verifier=lambda prompt, candidate: {"score": 0.4, "explanation": "so so"},
        extract="number",
        max_samples=5,
    )
    yield Reader("result", _plain(search.invoke("How much?")), _use_result)
    yield Reader("session", _plain(_session()), _use_session)
    yield Reader("rule", _plain(_every_rule()), _use_rule)
    yield Reader("empirical prior", _plain(_prior()), _use_prior)
    yield Reader("question's prior", _plain(QuestionLaw(0.8, 0.1, 0.05, 0.03, _prior())), _use_prior)
    yield Reader("fixed prior", {"mu": 0.8, "sigma": 0.1, "mu_std": 0.1, "sigma_std": 0.1}, _use_prior)
    for calibration in (_isotonic(), LogisticCalibration(-2.0, 4.0)):
        yield Reader(type(calibration).__name__, _plain(calibration), _use_calibration)
    yield Reader("answer model", _plain(AnswerModel(calibration=_isotonic())), _use_answer_model)
    certificate = Certificate(threshold=0.8, delta=0.05, eps=0.1, labels=120, accepted=40, wrong=1)
    yield Reader("certificate", _plain(certificate), lambda data: repr(Certificate.from_dict(data)))
    yield Reader("search row", _row().to_dict(), lambda data: SearchRow.from_dict(data).to_dict())
    parts = [LengthCheck(at_most=3), RegexCheck("a+"), _every_rule()]
    yield Reader("settings", json.loads(json.dumps(to_spec(parts))), from_spec)


def _session() -> Session:
    rule = OptimalN(0.9, 0.95) | TokenBudget(10_000) | Deadline(60.0)
    session = Session(rule, prior=_prior(), max_samples=12, first_round=2, round_size=3)
    session.ask()
    session.spend({"policy": Usage(10, 20, 1, output_token_details={"reasoning": 3})}, 0.5)
    session.tell(0, Verdict(0.4), answer="7", usage={"verifier": Usage(5, 1, 1)}, elapsed_s=1.0)
    session.tick(1.5)
    session.tell(1, Failure("verify", "ValueError: no", 2), tokens=3, elapsed_s=2.0)
    session.ask()
    for index in session.pending:
        session.tell(index, Verdict(0.3 + 0.01 * index), answer="8", elapsed_s=3.0)
    session.adopt(1)
    return session


def _every_rule() -> Rule:
    answers = AnswerConfidence(0.9, min_gain=0.01, model=AnswerModel(calibration=_isotonic()))
    budgets = TokenBudget(1000) | CostBudget(0.5, {"policy": Price(0.1, 0.2)}) | Deadline(9.0) | MaxSamples(8)
    return (OptimalN(0.9, 0.95) & Futility(0.9, 0.05)) | TargetReached(0.9) | MarginalGain(0.01) | answers | budgets


def _prior() -> EmpiricalPrior:
    return EmpiricalPrior.fit([[0.91, 0.93, 0.92], [0.31, 0.35], [0.95, 0.94, 0.97]] * 5)


def _isotonic() -> IsotonicCalibration:
    return IsotonicCalibration.fit([0.1, 0.2, 0.8, 0.9], [False, False, True, True])


def _use_result(data: Any) -> object:
    result = OptScaleResult.from_dict(data)
    card = result._repr_html_()
    if "<img" in card or "\x1b" in card or "\ud800" in card:
        raise AssertionError("the card has text that was not escaped")
    return repr(result), str(result.decision), result.total_usage, json.dumps(result.summary()), result.to_dict()


def _use_session(data: Any) -> object:
    session = Session.from_dict(data)
    session.ask()
    if session.pending:
        session.tell(session.pending[0], Verdict(0.5), answer="7", elapsed_s=4.0)
    return str(session.decision), session.rounds, session.next_deadline, session.to_dict()


def _use_rule(data: Any) -> object:
    rule = Rule.from_dict(data)
    return [str(rule(history)) for history in _HISTORIES], repr(rule), rule.max_samples, rule.deadlines, hash(rule)


def _use_prior(data: Any) -> object:
    from langchain_optscale.stats.posterior import Posterior

    prior = prior_from_dict(data)
    return prior.mu, prior.sigma, prior.mu_std, prior.sigma_std, Posterior()([0.4, 0.5], prior).prob_next(0.8)


def _use_calibration(data: Any) -> object:
    calibration = Calibration.from_dict(data)
    return [calibration(score) for score in (0.0, 0.3, 0.85, 1.0)]


def _use_answer_model(data: Any) -> object:
    from langchain_optscale.answers.posterior import AnswerPosterior

    model = AnswerModel.from_dict(data)
    return AnswerPosterior.of(("7", "7", "8", None), (0.2, 0.4, 0.5, 0.41), model).expected_rise()


def _as_file(directory: Path, name: str, read: Callable[[Path], object]) -> Callable[[bytes], object]:
    """A reader of a file's bytes; each reading has a file of its own, and its message must name that file."""
    numbers = count()

    def reading(content: bytes) -> object:
        path = directory / f"{next(numbers)}-{name}"
        path.write_bytes(content)
        try:
            return read(path)
        except InvalidRecordError as error:
            if path.name not in str(error):
                raise AssertionError(f"the message does not name the file: {error}") from error
            raise
        finally:
            for left in directory.glob(f"{path.name}*"):
                left.unlink()

    return reading


def _rule_files(directory: Path) -> Iterator[Reader]:
    things: dict[str, tuple[Any, Callable[[Path], Any], Callable[[Any], object]]] = {
        "prior.json": (_prior(), EmpiricalPrior.load, lambda prior: _use_prior(prior.to_dict())),
        "calibration.json": (_isotonic(), Calibration.load, lambda calibration: calibration(0.4)),
        "model.json": (AnswerModel(), AnswerModel.load, lambda model: _use_answer_model(model.to_dict())),
        "prior.npz": (_question_prior(), QuestionPrior.load, lambda prior: prior.predict(["A question?", "Another?"])),
        "rule.npz": (_fitted(), FittedStopping.load, lambda rule: _use_rule(rule.to_dict())),
    }
    for name, (thing, load, use) in things.items():
        good = directory / f"good-{name}"
        thing.save(good)

        def read(path: Path, load: Callable[[Path], Any] = load, use: Callable[[Any], object] = use) -> object:
            return use(load(path))

        yield Reader(name, good.read_bytes(), _as_file(directory, name, read))


def _question_prior() -> QuestionPrior:
    import numpy as np

    generator = np.random.default_rng(0)
    prompts = [f"{'easy' if number % 2 else 'hard'} question number {number}" for number in range(60)]
    scores = [generator.uniform(0.5 + 0.3 * (number % 2), 1.0, 4).tolist() for number in range(60)]
    return QuestionPrior.fit(prompts, scores=scores)


def _fitted() -> FittedStopping:
    import numpy as np

    generator = np.random.default_rng(0)
    questions = []
    for number in range(80):
        right = generator.beta(0.8, 0.8)
        labels = generator.random(8) < right
        scores = np.clip(0.25 + 0.45 * labels + generator.normal(0.0, 0.15, 8), 0.0, 1.0).tolist()
        answers = ["4" if label else str(generator.integers(5, 9)) for label in labels]
        samples = [
            Sample(score=score, correct=bool(label), answer=answer)
            for score, label, answer in zip(scores, labels, answers, strict=True)
        ]
        questions.append(Question(str(number), "?", tuple(samples)))
    return FittedStopping.fit(questions, price=0.01)


def _pool_files(directory: Path) -> Iterator[Reader]:
    from langchain_optscale.evaluation.pools import Pool

    samples = (Sample(0.4, True, 9, "7", "it is 7"), Sample(0.2, False, 3, None, "no", -1.5))
    pool = Pool(tuple(Question(str(number), f"question {number}", samples, "7") for number in range(4)))
    for name in ("pool.jsonl", "pool.jsonl.gz"):
        good = directory / f"good-{name}"
        write_pool(pool, good)
        content = good.read_bytes()
        yield Reader(name, content, _as_file(directory, name, lambda path: read_pool(path).scored().describe()))
    good = directory / "good-pool.jsonl"
    yield Reader("questions.jsonl", good.read_bytes(), _as_file(directory, "questions.jsonl", read_questions))
    recording = directory / "good-recording.jsonl"
    _record(recording)
    yield Reader(
        "recording.jsonl",
        recording.read_bytes(),
        _as_file(directory, "recording.jsonl", _record),
        (InvalidRecordError, SettingsError),
    )


def _record(path: Path) -> object:
    questions = [Question(str(number), f"question {number}") for number in range(3)]
    return record_pool(FakeListChatModel(responses=["it is 7"]), lambda prompt, candidate: 0.4, questions, 2, path=path)


def _log_files(directory: Path) -> Iterator[Reader]:
    sample = {
        "id": 1,
        "input": [{"role": "user", "content": [{"type": "text", "text": "2 + 2?"}]}],
        "target": ["4"],
        "scores": {"match": {"value": "C", "answer": "4"}, "model": {"value": {"a": 0.5}}},
        "output": {"completion": "", "choices": [{"message": {"content": "4"}}], "usage": {"output_tokens": 3}},
        "messages": [{"role": "assistant"}],
        "model_usage": {"m": {"output_tokens": 3}},
    }
    log = {"version": 2, "eval": {"model": "m"}, "samples": [sample | {"epoch": number} for number in (1, 2)]}
    good = json.dumps(log).encode()
    allowed = (InvalidRecordError, SettingsError)
    yield Reader("inspect.json", good, _as_file(directory, "inspect.json", _quietly(from_inspect)), allowed)
    line = {
        "doc_id": 0,
        "target": "4",
        "arguments": [["2 + 2 =", {}]],
        "resps": [["It is 4", "5"]],
        "filtered_resps": [["4", "5"]],
        "filter": "none",
        "metrics": ["exact_match", "likelihood"],
        "exact_match": [1.0, 0.0],
        "likelihood": [-2.5, -3.5],
    }
    good = b"".join(json.dumps({**line, "doc_id": number}).encode() + b"\n" for number in range(3))
    yield Reader("lm_eval.jsonl", good, _as_file(directory, "lm_eval.jsonl", from_lm_eval), allowed)


def _quietly(read: Callable[[Path], object]) -> Callable[[Path], object]:
    """Without the warning about samples that ended in an error."""
    import warnings

    def reading(path: Path) -> object:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return read(path)

    return reading


def _batch_files(directory: Path) -> Iterator[Reader]:
    asked = {"target": 0.9, "policy": "m"}
    good = directory / "good-answers.jsonl"
    search = OptScale(policy=FakeListChatModel(responses=["7"]), verifier=lambda p, c: 0.4, max_samples=2)
    with Answers(str(good), asked) as answers:
        answers.keep("a", search.invoke("How much?"))
        answers.keep("b", AllCandidatesFailed({0: Failure("draw", "no")}))
        answers.keep("c", search.invoke("How much?"), record=True)

    def read_answers(path: Path) -> object:
        with Answers(str(path), asked, retry_failed=True) as answers:
            return json.dumps(answers.summary())

    yield Reader(
        "answers.jsonl",
        good.read_bytes(),
        _as_file(directory, "answers.jsonl", read_answers),
        (InvalidRecordError, SettingsError),
    )
    lines = [
        {"prompt": "2 + 2?", "id": "a"},
        {"messages": [{"role": "user", "content": "2 + 2?"}, ["ai", "4"]], "id": "b"},
        "3 + 3?",
    ]
    content = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    read = _as_file(directory, "batch.jsonl", lambda path: list(Questions(str(path))))
    yield Reader("batch.jsonl", content, read)


def _store(directory: Path) -> Reader:
    """A store never fails a search: what cannot be read is missing. Its own `lookup` says what is wrong."""
    path = directory / "good-verdicts.sqlite"
    store = SQLiteStore(path)
    VerdictStore(store, "check").put("key", Verdict(0.4, "so so", raw={"grade": 4}))
    store.close()

    def read(other: Path) -> object:
        opened = SQLiteStore(other)
        try:
            known = VerdictStore(opened, "check").get("key")
            if known is not None:
                json.dumps([known.score, known.explanation, known.raw])
            return opened.lookup("key", "check")
        finally:
            opened.close()

    allowed = (InvalidRecordError, SettingsError)
    return Reader("verdicts.sqlite", path.read_bytes(), _as_file(directory, "verdicts.sqlite", read), allowed)


def _row() -> SearchRow:
    facts = Fingerprint({"class": "FakeListChatModel", "model": "m", "temperature": 0.7})
    places = np.array([3, 70_000], np.uint32), np.array([1.0, 1.5], np.float32)
    return SearchRow(
        id="a",
        time=1.8e9,
        policy=facts,
        verifier=facts,
        scores=(0.25, None, 0.75),
        answers=(0, None, 1),
        chosen=2,
        drawn=4,
        cap=16,
        settings={"target": 0.9},
        figures={"rise": 0.01},
        features=places,
        output_tokens=(3, None, 5),
        explored=True,
        stopped_at=2,
        stopped_choice=0,
        prompt="How much?",
        texts=("7", None, "8"),
        label=Label(correct=True, time=1.8e9),
    )


def _score_store(directory: Path) -> Reader:
    """A store of searches, whose rows and report are read."""
    path = directory / "good-searches.sqlite"
    with ScoreStore(path, keep_text=True) as store:
        store.record(_row(), "How much?")
        store.label("a", correct=True)
        store.add_event("learned", {"rows": 1})

    def read(other: Path) -> object:
        opened = ScoreStore(other)
        rows = list(opened.rows())
        return html_report(report_of(rows, opened.events())) if rows else None

    allowed = (InvalidRecordError, SettingsError)
    return Reader("searches.sqlite", path.read_bytes(), _as_file(directory, "searches.sqlite", read), allowed)
