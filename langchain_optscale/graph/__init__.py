"""The search as a LangGraph graph: durable, resumable, observable.

    ask -> candidate (a task for each) -> decide -> ask, or answer

`ask` begins a round, every candidate is drawn and verified by its own task, `decide` passes the scores to the same
`Session` that every other entry point uses, and `answer` appends the chosen message. Where the policy returns several
choices a request, a task `draw` sends that request, and the tasks of its candidates only verify.
"""

from langchain_optscale.graph.builder import OptScaleGraph, create_optscale_graph, create_optscale_node
from langchain_optscale.graph.context import OptScaleContext
from langchain_optscale.graph.events import (
    AnswerEvent,
    CandidateEvent,
    DecisionEvent,
    EstimateEvent,
    FailureEvent,
    GraphEvent,
    RoundStartedEvent,
    VerdictEvent,
)
from langchain_optscale.graph.state import OptScaleOutput, OptScaleState, SearchRecord

__all__ = [
    "AnswerEvent",
    "CandidateEvent",
    "DecisionEvent",
    "EstimateEvent",
    "FailureEvent",
    "GraphEvent",
    "OptScaleContext",
    "OptScaleGraph",
    "OptScaleOutput",
    "OptScaleState",
    "RoundStartedEvent",
    "SearchRecord",
    "VerdictEvent",
    "create_optscale_graph",
    "create_optscale_node",
]
