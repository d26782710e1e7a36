"""The prior of a search's question: asked once, off the event loop, and the same in every entry point."""

import asyncio
import json
import threading
import time

import pytest
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage, SystemMessage
from langgraph.checkpoint.memory import InMemorySaver

from langchain_optscale import (
    AllCandidatesFailed,
    ChatOptScale,
    FixedPrior,
    OptScale,
    OptScaleMiddleware,
    QuestionPrior,
    SettingsError,
    create_optscale_graph,
    create_optscale_tool,
    paper,
)
from langchain_optscale.engine.priors import prior_form
from langchain_optscale.engine.serialisation import NoJSONForm, from_spec, identity, to_spec
from langchain_optscale.errors import InvalidRecordError
from langchain_optscale.stats import EmpiricalPrior, MaximumAPosteriori
from langchain_optscale.stats.question_law import QuestionLaw
from tests.unit_tests.fakes import PlainPolicy

EASY = EmpiricalPrior.fit([[0.8, 0.95, 0.9, 0.97]] * 30)
HARD = EmpiricalPrior.fit([[0.3, 0.35, 0.25, 0.99], [0.3, 0.35, 0.25, 0.3]] * 15)


class Asked:
    """A function of the question that keeps what it was asked, and in which thread."""

    def __init__(self, delay_s=0.0, population=None):
        self.questions, self.threads, self.delay_s = [], [], delay_s
        if population is not None:
            self.population = population

    def __call__(self, question):
        self.questions.append(question)
        self.threads.append(threading.current_thread())
        time.sleep(self.delay_s)
        belief = HARD if "hard" in question else EASY
        return QuestionLaw(0.3 if "hard" in question else 0.9, 0.05, 0.05, 0.05, belief)


def settings(prior, **changes):
    given = {"target": 0.93, "max_samples": 12, "round_cost": 6.0, "round_size": 12, **changes}
    return {
        "policy": PlainPolicy(texts=[f"answer {n}" for n in range(12)]),
        "verifier": lambda *_: 0.5,
        "prior": prior,
    } | given


def first_rounds(prior, ask):
    """The candidates of the first round for an easy question and a hard one."""
    return [len(ask(OptScale(**settings(prior)), question).rounds[0].indexes) for question in ("easy", "hard")]


@pytest.mark.parametrize(
    "ask",
    [
        lambda search, question: search.invoke(question),
        lambda search, question: asyncio.run(search.ainvoke(question)),
        lambda search, question: search.batch([question])[0],
        lambda search, question: asyncio.run(search.abatch([question]))[0],
    ],
    ids=["invoke", "ainvoke", "batch", "abatch"],
)
def test_each_question_has_its_own_first_round(ask):
    prior = Asked()
    easy, hard = first_rounds(prior, ask)
    assert easy < hard
    assert prior.questions == ["easy", "hard"]


def test_a_chat_model_asks_by_the_conversation_without_the_system_message():
    prior = Asked()
    model = ChatOptScale(**settings(prior))
    model.invoke([SystemMessage("a hard judge"), HumanMessage("an easy one")])
    assert prior.questions == ["an easy one"]
    metadata = model.invoke("hard").response_metadata["optscale"]
    assert metadata["rounds"] >= 1
    assert prior.questions == ["an easy one", "hard"]


def test_a_tool_asks_once_a_question():
    prior = Asked()
    tool = create_optscale_tool(name="think", description="thinks", **settings(prior))
    tool.invoke({"question": "easy"})
    assert prior.questions == ["easy"]


@pytest.mark.parametrize("when", ["always", "final_answers"])
def test_an_agent_s_step_asks_once(when):
    prior, given = Asked(), settings(None)
    policy = given.pop("policy")
    middleware = OptScaleMiddleware(**{**given, "prior": prior, "when": when})
    agent = create_agent(policy, [], middleware=[middleware])
    agent.invoke({"messages": [("human", "hard")]})
    assert prior.questions == ["hard"]


def test_it_is_asked_off_the_event_loop():
    prior = Asked(delay_s=0.2)

    async def ticks_while_searching():
        search = asyncio.create_task(OptScale(**settings(prior)).ainvoke("easy"))
        ticks = 0
        while not search.done():
            await asyncio.sleep(0.01)
            ticks += 1
        await search
        return ticks

    assert asyncio.run(ticks_while_searching()) >= 5
    assert prior.threads != [threading.main_thread()]


def test_one_that_says_it_is_fast_is_asked_on_the_event_loop():
    prior = Asked()
    prior.is_slow = False
    asyncio.run(OptScale(**settings(prior)).ainvoke("easy"))
    assert prior.threads == [threading.main_thread()]


def test_its_time_counts_and_the_deadline_bounds_it(caplog):
    assert OptScale(**settings(Asked(delay_s=0.15), deadline_s=60.0)).invoke("easy").duration_s >= 0.15
    with pytest.raises(SettingsError, match=r"prior gave nothing within the deadline of 0\.1 s"):
        asyncio.run(OptScale(**settings(Asked(delay_s=0.5), deadline_s=0.1)).ainvoke("easy"))
    known = settings(Asked(delay_s=1.0, population=EASY), deadline_s=0.1)
    began = time.perf_counter()
    with pytest.raises(AllCandidatesFailed, match="before the time is up"):
        asyncio.run(OptScale(**known).ainvoke("easy"))
    assert time.perf_counter() - began < 0.8
    assert "took longer than the search's deadline" in caplog.text


def test_cancelling_a_search_does_not_wait_for_it():
    async def cancelled():
        search = asyncio.create_task(OptScale(**settings(Asked(delay_s=1.0))).ainvoke("easy"))
        await asyncio.sleep(0.05)
        search.cancel()
        with pytest.raises(asyncio.CancelledError):
            await search

    began = time.perf_counter()
    asyncio.run(cancelled())
    assert time.perf_counter() - began < 0.8


def test_an_error_of_the_function_is_the_caller_s():
    def broken(question):
        raise LookupError("no such question")

    with pytest.raises(LookupError, match="no such question"):
        OptScale(**settings(broken)).invoke("easy")


def test_what_the_function_may_not_be():
    async def later(question):
        return EASY

    with pytest.raises(SettingsError, match="prior must be a plain function of the question, and this one is async"):
        OptScale(**settings(later))
    with pytest.raises(SettingsError, match=r"prior must have mu, sigma, mu_std and sigma_std"):
        OptScale(**settings(3))
    with pytest.raises(SettingsError, match="and <lambda> gave NoneType"):
        OptScale(**settings(lambda question: None)).invoke("easy")


def test_the_paper_s_rule_brings_its_prior():
    prior = Asked()
    changes = {"target": None, "round_cost": None}
    given = {key: value for key, value in settings(None).items() if key not in changes}
    rule = paper(0.93, 0.9, 12, 3, trained=prior)
    result = OptScale(**{**given, "prior": None, "stopping": rule}).invoke("hard")
    assert prior.questions == ["hard"]
    assert result.estimate.method == "maximum a posteriori"
    expected = MaximumAPosteriori()(list(result.scores), prior("hard"))
    assert (result.estimate.mu, result.estimate.sigma) == (expected.mu, expected.sigma)
    with pytest.raises(SettingsError, match="the rule brings a prior of its own"):
        OptScale(**{**given, "stopping": rule, "prior": EASY})


@pytest.mark.parametrize("is_async", [False, True])
def test_a_graph_stores_what_the_function_said(is_async):
    prior = Asked()
    graph = create_optscale_graph(**settings(prior)).compile(checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "1"}}

    def run(given, **more):
        call = graph.ainvoke(given, config, **more) if is_async else None
        return asyncio.run(call) if is_async else graph.invoke(given, config, **more)

    run({"messages": [("human", "hard")]}, interrupt_before=["decide"])
    assert prior.questions == ["hard"]
    rounds = graph.get_state(config).values["optscale"]["rounds"]
    state = run(None)
    assert prior.questions == ["hard"]
    assert state["optscale"]["rounds"][0]["indexes"] == rounds[0]["indexes"]
    assert QuestionLaw.from_dict(state["optscale"]["search"]["prior"]) == prior("hard")
    easy, hard = first_rounds(Asked(), lambda search, question: search.invoke(question))
    assert len(rounds[0]["indexes"]) == hard > easy


def test_another_process_resumes_with_the_prior_that_was_stored():
    saver, config = InMemorySaver(), {"configurable": {"thread_id": "1"}}
    begun = create_optscale_graph(**settings(Asked())).compile(checkpointer=saver)
    begun.invoke({"messages": [("human", "hard")]}, config, interrupt_before=["decide"])
    # Trained anew in the meantime: it would say something else of this question.
    other = Asked()
    resumed = create_optscale_graph(**settings(lambda question: other("easy"))).compile(checkpointer=saver)
    state = resumed.invoke(None, config)
    assert other.questions == []
    assert QuestionLaw.from_dict(state["optscale"]["search"]["prior"]).belief == HARD


def test_the_form_of_another_package_s_prior_is_its_numbers():
    class Theirs:
        mu, sigma, mu_std, sigma_std = 0.8, 0.1, 0.2, 0.05

    assert prior_form(Theirs()) == prior_form(FixedPrior(0.8, 0.1, 0.2, 0.05))

    class Dense(Theirs):
        def log_density(self, mu, sigma):
            return mu

    with pytest.raises(SettingsError, match="a graph cannot store the prior of a question"):
        prior_form(Dense())


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    path = tmp_path_factory.mktemp("priors") / "prior.npz"
    prompts = [f"{'easy' if n % 2 else 'hard'} question number {n}" for n in range(60)]
    scores = [[0.8, 0.95, 0.9, 0.97] if n % 2 else [0.3, 0.35, 0.25, 0.3] for n in range(60)]
    QuestionPrior.fit(prompts, scores=scores).save(path)
    return str(path)


def test_a_file_is_read_and_settings_serialise_by_its_name(trained, tmp_path):
    model = ChatOptScale(**settings(trained, verifier=PlainPolicy(texts=["0.5"])))
    assert isinstance(model.prior, QuestionPrior)
    assert model.prior.path == trained
    EASY.save(tmp_path / "prior.json")
    assert OptScale(**settings(str(tmp_path / "prior.json"))).prior == EASY
    with pytest.raises(SettingsError, match="cannot be read"):
        OptScale(**settings("missing.npz"))


def test_a_serialised_prior_is_the_same_again(trained):
    for prior in (QuestionPrior.load(trained), EASY):
        assert from_spec(json.loads(json.dumps(to_spec(prior)))) == prior
        assert identity(prior) == identity(from_spec(to_spec(prior)))
    unsaved = QuestionPrior.fit(["a question", "another one"], scores=[[0.5, 0.6], [0.7]])
    with pytest.raises(NoJSONForm, match="save and load it"):
        to_spec(unsaved)
    data = {**to_spec(QuestionPrior.load(trained)), "fingerprint": "0" * 16}
    with pytest.raises(InvalidRecordError, match="is another prior than the one that was serialised"):
        from_spec(data)


def test_a_run_may_not_name_a_file(trained):
    with pytest.raises(SettingsError, match="a run may not set prior by plain data"):
        OptScale(**settings(None)).invoke("easy", {"configurable": {"prior": trained}})
    prior = Asked()
    OptScale(**settings(None)).invoke("easy", {"configurable": {"prior": prior}})
    assert prior.questions == ["easy"]
