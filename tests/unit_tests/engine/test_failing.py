"""What can never work costs at most two paid requests, on every entry point, and its error helps."""

import asyncio
import pickle

import pytest
from langchain_core.exceptions import (
    ContextOverflowError,
    ModelAuthenticationError,
    ModelError,
    ModelRefusalError,
)
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableLambda
from langgraph.graph import StateGraph
from typing_extensions import TypedDict

from langchain_optscale import (
    AllCandidatesFailed,
    ChatOptScale,
    ConfidenceVerifier,
    LLMJudge,
    OptScale,
    OptScaleError,
    OptScaleMiddleware,
    Price,
    SettingsError,
    StopReason,
    create_optscale_graph,
    create_optscale_tool,
)
from tests.unit_tests.fakes import PlainPolicy, ScriptedPolicy, read_score


class StatusError(Exception):
    def __init__(self, status_code):
        super().__init__(f"HTTP {status_code}")
        self.status_code = status_code


def failing(error):
    return PlainPolicy(texts=["0.5"], errors={seed: [error] * 9 for seed in range(64)})


async def judge_async(prompt, candidate):
    return 0.5


def score_seven(prompt, candidate):
    return 7


def score_length(prompt, candidate):
    return len(candidate)


def count_characters(prompt, candidate):
    return 10 + len(candidate.text)


# Each makes a policy, what counts its requests, and a verifier.
MISTAKES = {
    "score out of range": lambda: (PlainPolicy(texts=["0.5"]), score_seven),
    "scores of all kinds out of range": lambda: (PlainPolicy(texts=["a", "abc", "ab"]), count_characters),
    "bug in the verifier": lambda: (PlainPolicy(texts=["0.5"]), score_length),
    "judge that never grades": lambda: (PlainPolicy(texts=["0.5"]), LLMJudge(PlainPolicy(texts=["no idea"]))),
    "wrong key": lambda: (failing(StatusError(401)), read_score),
    "no access": lambda: (failing(StatusError(403)), read_score),
    "unknown model": lambda: (failing(StatusError(404)), read_score),
    "no log-probabilities": lambda: (PlainPolicy(texts=["0.5"]), ConfidenceVerifier()),
    "misspelt argument of the client": lambda: (failing(TypeError("unexpected keyword argument")), read_score),
}
ASYNC_MISTAKE = lambda: (PlainPolicy(texts=["0.5"]), judge_async)  # noqa: E731 - one of the table above, for sync paths


def by_optscale(policy, verifier):
    OptScale(policy=policy, verifier=verifier).invoke("q")


def by_optscale_async(policy, verifier):
    asyncio.run(OptScale(policy=policy, verifier=verifier).ainvoke("q"))


def by_chat_model(policy, verifier):
    ChatOptScale(policy=policy, verifier=verifier).invoke("q")


def by_batch(policy, verifier):
    OptScale(policy=policy, verifier=verifier).batch(["a", "b", "c"])


def by_graph(policy, verifier):
    create_optscale_graph(policy=policy, verifier=verifier).compile().invoke({"messages": [HumanMessage("q")]})


def by_tool(policy, verifier):
    create_optscale_tool(policy=policy, verifier=verifier)._run("q", config={})


def by_middleware(policy, verifier):
    agents = pytest.importorskip("langchain.agents")
    agent = agents.create_agent(policy, [], middleware=[OptScaleMiddleware(verifier=verifier)])
    agent.invoke({"messages": [HumanMessage("q")]})


ENTRIES = [by_optscale, by_optscale_async, by_chat_model, by_batch, by_graph, by_tool, by_middleware]


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_costs_at_most_two_requests(mistake, entry):
    policy, verifier = MISTAKES[mistake]()
    with pytest.raises(Exception) as caught:  # noqa: PT011 - each entry point has its own class; what counts is the bill
        entry(policy, verifier)
    assert 1 <= len(policy.requests) <= 2
    assert "no candidate could be scored" in str(caught.value)


@pytest.mark.parametrize("entry", [by_optscale, by_chat_model, by_batch, by_graph, by_tool, by_middleware])
def test_an_async_verifier_on_a_sync_path_costs_nothing(entry):
    policy, verifier = ASYNC_MISTAKE()
    with pytest.raises(Exception, match="judge_async is async: use ainvoke"):
        entry(policy, verifier)
    assert not policy.requests


@pytest.mark.parametrize("answer", [3, ["a"], {"messages": []}])
def test_a_policy_with_answers_of_a_wrong_type_costs_two_requests(answer):
    asked = []
    policy = RunnableLambda(lambda prompt: asked.append(prompt) or answer)
    with pytest.raises(SettingsError, match="the policy must answer with a message, a string or a pydantic model"):
        OptScale(policy=policy, verifier=read_score).invoke("q")
    assert len(asked) <= 2


def test_a_graph_without_messages_as_the_policy_costs_nothing():
    class Asked(TypedDict):
        question: str

    asked = []
    graph = StateGraph(Asked).add_node("only", asked.append).set_entry_point("only").compile()
    for policy in (graph, graph.with_config(tags=["bound"]), graph.bind()):
        with pytest.raises(SettingsError, match=r"input has no `messages`: begin with a step that makes its input"):
            OptScale(policy=policy, verifier=read_score)
    assert not asked


def test_a_batch_that_collects_errors_stops_paying():
    policy = failing(StatusError(401))
    outcomes = OptScale(policy=policy, verifier=read_score).batch([str(i) for i in range(40)], return_exceptions=True)
    assert len(outcomes) == 40
    assert all(isinstance(outcome, AllCandidatesFailed) for outcome in outcomes)
    assert len(policy.requests) <= 2


async def test_an_async_batch_with_a_broken_verifier_stops_paying():
    policy = PlainPolicy(texts=["0.5"])
    search = OptScale(policy=policy, verifier=score_length)
    outcomes = await search.abatch([str(i) for i in range(40)], return_exceptions=True)
    assert all(isinstance(outcome, AllCandidatesFailed) for outcome in outcomes)
    assert len(policy.requests) <= 6  # three questions alike, one after the other


def test_a_batch_goes_on_after_a_question_of_its_own_trouble():
    def score(prompt, candidate):
        if "odd" in prompt.to_string():
            raise ZeroDivisionError("odd")
        return 1.0

    search = OptScale(policy=PlainPolicy(texts=["x"]), verifier=score)
    outcomes = search.batch(["even", "odd", "odd", "odd", "odd", "even"], return_exceptions=True)
    assert [isinstance(outcome, Exception) for outcome in outcomes] == [False, True, True, True, True, False]


def test_transient_errors_and_accidents_do_not_end_a_search():
    busy = PlainPolicy(texts=["1.0"], errors={0: [StatusError(503)], 1: [StatusError(503)]})
    assert OptScale(policy=busy, verifier=read_score, max_retries=0).invoke("q").score == 1.0
    # Once a verifier has done its work, texts that it cannot read are accidents.
    verifier = RunnableLambda(lambda asked: float(asked["candidate"]))
    first = OptScale(policy=PlainPolicy(texts=["1.0"]), verifier=verifier).invoke("q")
    later = OptScale(policy=PlainPolicy(texts=["x", "x", "1.0"]), verifier=verifier).invoke("q")
    assert (first.score, later.score) == (1.0, 1.0)


def test_one_refusal_of_what_has_answered_is_an_accident():
    policy = PlainPolicy(texts=["0.3", "0.4", "0.5", "0.6"], errors={2: [StatusError(403)]})
    result = OptScale(policy=policy, verifier=read_score, round_size=1, max_samples=4, price=1e-9).invoke("q")
    assert (result.score, result.failures.keys()) == (0.6, {2})


def test_different_errors_do_not_end_a_search():
    policy = PlainPolicy(texts=["first", "second", "1.0"])
    assert OptScale(policy=policy, verifier=read_score).invoke("q").score == 1.0


def test_none_never_ends_a_search_for_failures():
    policy = PlainPolicy(texts=["0.5"])
    with pytest.raises(AllCandidatesFailed, match="before the largest allowed number"):
        OptScale(policy=policy, verifier=score_length, max_samples=5, max_failures=None).invoke("q")
    assert len(policy.requests) == 5


def test_what_was_scored_before_the_key_is_refused_is_returned():
    # A gateway may refuse once what has been answered before; twice in a row says that it stays so.
    policy = PlainPolicy(texts=["0.3", "0.4", "0.5"], errors={seed: [StatusError(401)] for seed in range(2, 16)})
    result = OptScale(policy=policy, verifier=read_score, round_size=1, max_samples=8).invoke("q")
    assert (result.score, result.stop_reason, len(policy.requests)) == (0.4, StopReason.FAILURES, 4)


# --- the error ---


def test_the_cause_is_chained_with_the_line_of_the_user():
    with pytest.raises(AllCandidatesFailed) as caught:
        OptScale(policy=PlainPolicy(texts=["0.5"]), verifier=score_length).invoke("q")
    cause = caught.value.__cause__
    assert isinstance(cause, TypeError)
    lines = []
    frame = cause.__traceback__
    while frame is not None:
        lines.append(frame.tb_frame.f_code.co_name)
        frame = frame.tb_next
    assert "score_length" in lines
    assert "(2x)" in str(caught.value)
    assert "correct the verifier score_length" in str(caught.value)


def test_different_causes_are_a_group():
    errors = {0: [KeyError("a")], 1: [TypeError("b")]}
    with pytest.raises(AllCandidatesFailed) as caught:
        OptScale(policy=PlainPolicy(texts=[""], errors=errors), verifier=read_score, max_samples=2).invoke("q")
    group = caught.value.__cause__
    assert isinstance(group, ExceptionGroup)
    assert {type(error) for error in group.exceptions} == {KeyError, TypeError}


@pytest.mark.parametrize(
    ("errors", "shared"),
    [
        ((ContextOverflowError("too long"),), ContextOverflowError),
        ((ModelAuthenticationError("key"), ModelRefusalError("no")), ModelError),
    ],
)
@pytest.mark.parametrize("entry", [by_optscale, by_optscale_async, by_chat_model, by_graph, by_middleware])
def test_the_error_that_all_candidates_share_is_raised_too(errors, shared, entry):
    policy = PlainPolicy(texts=["x"], errors={seed: [errors[seed % len(errors)]] * 9 for seed in range(16)})
    with pytest.raises(shared) as caught:
        entry(policy, read_score)
    assert isinstance(caught.value, AllCandidatesFailed)
    assert caught.value.is_retryable is False


def test_a_refusal_keeps_its_message():
    message = AIMessage(content=[{"type": "refusal", "refusal": "I cannot help with that"}])
    refusal = ModelRefusalError.from_refusal(message.content[0], raw_message=message)
    with pytest.raises(ModelRefusalError, match="I cannot help with that") as caught:
        OptScale(policy=failing(refusal), verifier=read_score).invoke("q")
    assert caught.value.raw_message is message


def test_the_error_survives_pickling():
    with pytest.raises(ContextOverflowError) as caught:
        OptScale(policy=failing(ContextOverflowError("too long")), verifier=read_score).invoke("q")
    copy = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own bytes
    assert isinstance(copy, AllCandidatesFailed)
    assert isinstance(copy, ContextOverflowError)
    assert (str(copy), copy.failures, copy.usage) == (str(caught.value), caught.value.failures, caught.value.usage)


def test_an_error_tells_the_bill():
    search = OptScale(policy=PlainPolicy(texts=["x"]), verifier=score_length, price=Price(input=1e5, output=2e5))
    with pytest.raises(AllCandidatesFailed) as caught:
        search.invoke("q")
    assert caught.value.total_usage.total_tokens == 30
    assert caught.value.cost == pytest.approx(2 * (10 * 0.1 + 5 * 0.2))


def test_a_search_with_several_choices_a_request_pays_for_one():
    policy = ScriptedPolicy(texts=["0.5"])
    with pytest.raises(AllCandidatesFailed):
        OptScale(policy=policy, verifier=score_length).invoke("q")
    assert len(policy.requests) == 1


def test_the_server_and_the_model_are_named():
    openai = pytest.importorskip("langchain_openai")
    dead = openai.ChatOpenAI(base_url="http://user:secret@127.0.0.1:9/v1?key=secret", model="m", api_key="secret")
    with pytest.raises(OptScaleError) as caught:
        OptScale(policy=dead, verifier=read_score, max_retries=0).invoke("q")
    assert "m at http://127.0.0.1:9/v1" in str(caught.value)
    assert "optscale doctor --policy-url http://127.0.0.1:9/v1" in str(caught.value)
    assert "secret" not in str(caught.value)
