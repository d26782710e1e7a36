"""`ModelRouterMiddleware` beside ours: outside it routes the search, inside it replaces the searching model."""

import pytest

pytest.importorskip("langchain.agents")
decisions = pytest.importorskip("langchain_core.decisions")

from langchain.agents import create_agent  # noqa: E402
from langchain.agents.middleware import ModelChoice, ModelRouterMiddleware  # noqa: E402

from langchain_optscale import OptScaleMiddleware  # noqa: E402
from tests.unit_tests.fakes import ScriptedPolicy, read_score  # noqa: E402

QUESTION = {"messages": [("human", "a hard one")]}


class Router(decisions.BaseDecisionModel):
    """Takes the first choice."""

    model: str = "router"

    @property
    def _provider(self):
        return "here"

    def _classify(self, state, questions):
        answers = {}
        for name, question in questions.items():
            first, *others = question.criteria
            shares = {first: 1.0, **dict.fromkeys(others, 0.0)}
            answers[name] = {"type": "choice", "choice": first, "probabilities": shares, "confidence": 1.0}
        return decisions.ClassifierResponse.model_validate({"model": self.model, "answers": answers})


@pytest.mark.filterwarnings("ignore:.*is in beta")
@pytest.mark.parametrize("path", ["sync", "async"])
@pytest.mark.parametrize("order", ["outside", "inside"])
async def test_model_router(order, path):
    small, large = ScriptedPolicy(texts=["0.1"]), ScriptedPolicy(texts=["0.2", "0.9"])
    choices = {"large": ModelChoice(model=large, criteria="hard"), "small": ModelChoice(model=small, criteria="easy")}
    router = ModelRouterMiddleware(choices=choices, instructions="Choose.", classifier=Router())
    ours = OptScaleMiddleware(verifier=read_score, max_samples=2, first_round=2, fanout="calls", target=1.0)
    agent = create_agent(small, [], middleware=[router, ours] if order == "outside" else [ours, router])
    out = agent.invoke(QUESTION) if path == "sync" else await agent.ainvoke(QUESTION)
    message = out["messages"][-1]
    assert not small.requests
    if order == "outside":
        assert message.text == "0.9"
        assert message.response_metadata["optscale"]["n"] == 2
    else:
        assert message.text == "0.2"
        assert "optscale" not in message.response_metadata
