"""What other middleware sees of the model that searches a step."""

import copy
import pickle

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.tracers import BaseTracer
from langchain_openai import ChatOpenAI

from langchain_optscale import ChatOptScale
from tests.unit_tests.fakes import ScriptedPolicy, read_score

agents = pytest.importorskip("langchain.agents")
from langchain.agents.middleware import (  # noqa: E402
    AgentMiddleware,
    ProviderToolSearchMiddleware,
    SummarizationMiddleware,
)
from langchain_core.tools import tool  # noqa: E402

from langchain_optscale import OptScaleMiddleware  # noqa: E402
from langchain_optscale.agents.step_model import StepModel  # noqa: E402


def make_step(policy=None):
    policy = policy or ChatOpenAI(model="gpt-x", api_key="sk-0123", use_responses_api=True)
    return StepModel.of({"policy": policy, "verifier": read_score, "max_samples": 2})


def test_it_is_both_models():
    step = make_step()
    assert isinstance(step, ChatOpenAI)
    assert isinstance(step, ChatOptScale)
    assert isinstance(step, BaseChatModel)
    assert not isinstance(step, ScriptedPolicy)
    assert type(step) is StepModel
    assert step.__class__ is ChatOpenAI


def test_its_attributes_are_the_policys_where_it_has_none():
    step = make_step()
    assert (step.model_name, step.use_responses_api, step._llm_type) == ("gpt-x", True, "openai-chat")
    assert step._get_ls_params()["ls_provider"] == "openai"
    assert step._get_ls_params()["ls_model_name"] == "optscale/gpt-x"
    assert step.max_samples == 2
    for name in ("no_such_thing", "_no_such_thing", "__no_such_thing__"):
        with pytest.raises(AttributeError):
            getattr(step, name)
    with pytest.raises(TypeError, match="cannot be changed"):
        step.__class__ = StepModel


def test_it_keeps_its_own_fields_and_private_attributes():
    step = make_step()
    step.max_samples, step._most_tokens = 3, 5
    assert (step.max_samples, step._most_tokens) == (3, 5)
    assert not {"_most_tokens", "_gate", "max_samples"} & ChatOpenAI.__pydantic_setattr_handlers__.keys()
    assert "_most_tokens" not in vars(step)
    with pytest.raises(ValueError, match="no field"):
        step.no_such_field = 1


def test_it_is_itself_in_reprs_copies_and_pickles():
    step = make_step(ScriptedPolicy(texts=["0.5"]))
    assert repr(step).startswith("StepModel(")
    assert "sk-0123" not in repr(make_step())
    for other in (copy.copy(step), step.model_copy(), pickle.loads(pickle.dumps(step))):  # noqa: S301 - our own
        assert type(other) is StepModel
        assert isinstance(other, ScriptedPolicy)
        assert other.invoke("q").text == "0.5"
    assert step == step.model_copy()
    assert make_step(ScriptedPolicy(texts=["0.5"]).bind(stop=["x"])).__class__ is ScriptedPolicy
    assert make_step(ScriptedPolicy(texts=["0.5"]) | (lambda message: message)).__class__ is StepModel


def test_runs_have_names():
    runs = []

    class Tracer(BaseTracer):
        def _persist_run(self, run):
            runs.append(run)

    agent = agents.create_agent(
        ScriptedPolicy(texts=["0.5"]), [], middleware=[OptScaleMiddleware(verifier=read_score, max_samples=1)]
    )
    agent.invoke({"messages": [("human", "q")]}, {"callbacks": [Tracer()]})
    (step,) = (run for model in runs[0].child_runs if model.name == "model" for run in model.child_runs)
    assert step.name == "optscale:step (ScriptedPolicy)"
    assert [child.name for child in step.child_runs] == ["optscale:candidate:0", "optscale:verdict:0"]


class Recorder(AgentMiddleware):
    """Keeps the tools of the request, and answers in place of the model."""

    def __init__(self):
        super().__init__()
        self.tools = []

    def wrap_model_call(self, request, handler):
        self.tools.append(request.tools)
        raise InterruptedError


@tool
def look_up(name: str) -> str:
    """Look up a name."""
    return name


@pytest.mark.parametrize("order", ["outside", "inside"])
def test_provider_tool_search(order):
    recorder, ours = Recorder(), OptScaleMiddleware(verifier=read_score, max_samples=2)
    search = ProviderToolSearchMiddleware(searchable_tools=["look_up"])
    middleware = [search, ours] if order == "outside" else [ours, search]
    agent = agents.create_agent(
        ChatOpenAI(model="gpt-x", api_key="none"), [look_up], middleware=[*middleware, recorder]
    )
    with pytest.raises(InterruptedError):
        agent.invoke({"messages": [("human", "q")]})
    (deferred, offered) = recorder.tools[0]
    assert deferred.extras == {"defer_loading": True}
    assert offered == {"type": "tool_search"}


class Reporting(ScriptedPolicy):
    """Reports its provider and 410 tokens for each candidate."""

    def _get_ls_params(self, stop=None, **kwargs):
        return {**super()._get_ls_params(stop=stop, **kwargs), "ls_provider": "openai"}

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        result = super()._generate(messages, stop, run_manager, **kwargs)
        for generation in result.generations:
            generation.message.usage_metadata = {"input_tokens": 400, "output_tokens": 10, "total_tokens": 410}
            generation.message.response_metadata["model_provider"] = "openai"
        return result


def make_chat():
    policy = Reporting(texts=["0.2", "0.9", "0.5", "0.7"])
    return ChatOptScale(policy=policy, verifier=read_score, max_samples=4, price=1e-9, fanout="calls")


def test_a_chat_model_that_is_handed_to_an_agent_is_its_own_provider():
    @tool
    def look_up(name: str) -> str:
        """Look a name up."""
        return name

    chat = make_chat()
    assert not isinstance(chat, Reporting)
    assert chat._get_ls_params()["ls_provider"] == "optscale"
    searching = ProviderToolSearchMiddleware(searchable_tools=[look_up])
    agent = agents.create_agent(chat, [look_up], middleware=[searching])
    with pytest.raises(ValueError, match="requires a provider with server-side tool search, but got 'optscale'"):
        agent.invoke({"messages": "Anna?"})


@pytest.mark.parametrize(("trigger", "summaries"), [(("tokens", 1000), 1), (("tokens", 2000), 0), (("messages", 9), 0)])
def test_a_searched_message_reports_the_tokens_of_its_search_to_a_summary(trigger, summaries):
    summarising = Reporting(texts=["a summary"])
    summary = SummarizationMiddleware(model=summarising, trigger=trigger, keep=("messages", 1))
    agent = agents.create_agent(make_chat(), [], middleware=[summary])
    first = agent.invoke({"messages": "How good?"})["messages"]
    assert first[-1].usage_metadata["total_tokens"] == 4 * 410
    agent.invoke({"messages": [*first, ("user", "And now?")]})
    assert len(summarising.requests) == summaries
