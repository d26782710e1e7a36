"""agentevals' judges of trajectories on the runs of an agent: they read every step, without glue."""

import asyncio

import pytest
from agentevals.trajectory.llm import (
    TRAJECTORY_ACCURACY_PROMPT,
    create_async_trajectory_llm_as_judge,
    create_trajectory_llm_as_judge,
)
from agentevals.trajectory.match import create_async_trajectory_match_evaluator, create_trajectory_match_evaluator
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool

from langchain_optscale import OptScale
from langchain_optscale.stopping import MaxSamples
from tests.integration_tests.evaluators.test_openevals import Judge

FIXED = {"stopping": MaxSamples(3), "max_samples": 3, "first_round": 3}
REFERENCE = [
    HumanMessage("What is the capital of France?"),
    AIMessage("", tool_calls=[{"name": "look_up", "args": {"country": "France"}, "id": "1"}]),
    ToolMessage("Paris", tool_call_id="1"),
    AIMessage("It is Paris."),
]


class Agent(Judge):
    """Looks up another country in every run, France in the second; all runs end with the same words."""

    runs: list[int]

    def bind_tools(self, tools, **kwargs):
        return self

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        made = super()._generate(messages)
        if isinstance(messages[-1], ToolMessage):
            made.generations[0].message = AIMessage("It is Paris.")
        else:
            self.runs.append(1)
            country = {2: "France"}.get(len(self.runs), "Spain")
            call = {"name": "look_up", "args": {"country": country}, "id": str(len(self.runs))}
            made.generations[0].message = AIMessage("", tool_calls=[call])
        return made


class TrajectoryJudge(Judge):
    """Likes a trajectory in which France was looked up."""

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        made = super()._generate(messages)
        made.generations[0].message.tool_calls[0]["args"]["score"] = '"France"' in messages[-1].text.replace("\\", "")
        return made


def search(verifier, path, reference=None):
    @tool
    def look_up(country: str) -> str:
        """The capital of a country."""
        return {"France": "Paris"}.get(country, "Madrid")

    searching = OptScale(policy=create_agent(Agent(runs=[]), [look_up]), verifier=verifier, **FIXED)
    config = {} if reference is None else {"configurable": {"reference": reference}}
    if path == "sync":
        return searching.invoke("What is the capital of France?", config)
    return asyncio.run(searching.ainvoke("What is the capital of France?", config))


@pytest.mark.parametrize("path", ["sync", "async"])
def test_trajectory_match(path):
    make = create_trajectory_match_evaluator if path == "sync" else create_async_trajectory_match_evaluator
    result = search(make(trajectory_match_mode="strict"), path, REFERENCE)
    assert sorted(verdict.score for verdict in result.verdicts.values()) == [0, 0, 1]
    assert result.best.trajectory[1].tool_calls[0]["args"] == {"country": "France"}


@pytest.mark.parametrize("path", ["sync", "async"])
def test_trajectory_judge(path):
    make = create_trajectory_llm_as_judge if path == "sync" else create_async_trajectory_llm_as_judge
    result = search(make(prompt=TRAJECTORY_ACCURACY_PROMPT, judge=TrajectoryJudge()), path)
    assert sorted(verdict.score for verdict in result.verdicts.values()) == [0, 0, 1]
    assert result.best.trajectory[1].tool_calls[0]["args"] == {"country": "France"}
    assert all(verdict.usage is not None for verdict in result.verdicts.values())
