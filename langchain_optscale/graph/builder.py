"""The graph of a search, as nodes and edges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langgraph.graph import END, START, StateGraph

from langchain_optscale.engine.settings import SearchSettings
from langchain_optscale.graph.comparing import compare, record_comparison_timeout
from langchain_optscale.graph.context import OptScaleContext, SettingsCache
from langchain_optscale.graph.loop import Loop, supersteps
from langchain_optscale.graph.nodes import JobNode, Step, candidate, draw, record_timeout
from langchain_optscale.graph.retries import Retries
from langchain_optscale.graph.review import REVIEWABLE
from langchain_optscale.graph.state import OptScaleInput, OptScaleOutput, OptScaleState

if TYPE_CHECKING:
    from datetime import timedelta

    from langchain_core.runnables import Runnable
    from langgraph.graph.state import CompiledStateGraph
    from langgraph.types import RetryPolicy, TimeoutPolicy

__all__ = ["OptScaleGraph", "create_optscale_graph", "create_optscale_node"]


class OptScaleGraph(StateGraph[OptScaleState, OptScaleContext, OptScaleInput, OptScaleOutput]):
    """The graph of one search, from `create_optscale_graph`; compile it like any other.

    Nodes and edges can be added to it. The compiled graph can be a node of a graph of your own.

    Example:
        >>> from langchain_core.language_models import FakeListChatModel
        >>> from langchain_optscale import create_optscale_graph
        >>> policy = FakeListChatModel(responses=["4"])
        >>> graph: OptScaleGraph = create_optscale_graph(policy=policy, verifier=lambda prompt, candidate: 1.0)
        >>> sorted(graph.nodes)
        ['answer', 'ask', 'candidate', 'decide', 'draw']
    """

    settings: SearchSettings

    def compile(
        self, *args: Any, name: str | None = None, **kwargs: Any
    ) -> CompiledStateGraph[OptScaleState, OptScaleContext, OptScaleInput, OptScaleOutput]:
        """Compile as `StateGraph.compile` does, with limits that fit the search.

        `recursion_limit` is what the longest possible search takes, and `max_concurrency` leaves room for all
        candidates of a round and for writing their results. Your config, or that of a parent graph, has precedence.
        """
        compiled = super().compile(*args, name=name or "optscale", **kwargs)
        largest = max(self.settings.first_round, self.settings.round_size)
        return compiled.with_config(recursion_limit=supersteps(self.settings), max_concurrency=2 * largest)


def create_optscale_graph(
    *,
    policy: Runnable[Any, Any],
    verifier: Any,
    review: bool = False,
    retry_policy: RetryPolicy | None = None,
    timeout: float | timedelta | TimeoutPolicy | None = None,
    **settings: Any,
) -> OptScaleGraph:
    """Build the search as a LangGraph graph.

    Input is a conversation under `messages`; output the same with the chosen message at its end, and the record of
    the search under `optscale`, which `OptScaleResult.from_dict` reads. Each candidate is drawn and verified by its own
    task, so that a checkpointer stores its result as soon as it is there.

    Args:
        policy: The chat model that draws candidates, or any Runnable that answers a prompt with a message or string.
        verifier: Scores candidates in [0, 1]: a `Verifier`, a Runnable, or a callable `(prompt, candidate) -> float`.
        review: Whether to interrupt when the search ends below its target, so that a reviewer accepts the best, raises
            the budget or changes the target. Needs a checkpointer.
        retry_policy: LangGraph's policy for draws and verifications; None retries transient errors `max_retries` times
            with exponential backoff.
        timeout: The limit of one attempt at a task, as in LangGraph's `add_node`; for `ainvoke` and `astream` only. A
            candidate whose attempts all exceed it has failed.
        **settings: As for `OptScale`, see `SearchSettings`. A run may change them through `context`, see
            `OptScaleContext`, or through `config["configurable"]`.

    Returns:
        The uncompiled graph.

    Raises:
        SettingsError: A setting is unknown, out of range or contradicts another.

    Example:
        >>> from langchain_core.language_models import FakeListChatModel
        >>> policy = FakeListChatModel(responses=["four", "3 + 1 is 4"])
        >>> graph = create_optscale_graph(policy=policy, verifier=lambda prompt, candidate: "4" in candidate.text)
        >>> state = graph.compile().invoke({"messages": [("human", "What is 2 + 2?")]})
        >>> state["messages"][-1].text, state["optscale"]["decision"]["reason"]
        ('3 + 1 is 4', 'MARGINAL_GAIN')
    """
    checked = SearchSettings(policy=policy, verifier=verifier, **settings)
    retries = Retries(checked, retry_policy, timeout)
    cache = SettingsCache(checked, retries.max_attempts, REVIEWABLE if review else ())
    loop = Loop(cache, retries, review=review)
    graph = OptScaleGraph(
        OptScaleState, context_schema=OptScaleContext, input_schema=OptScaleInput, output_schema=OptScaleOutput
    )
    graph.settings = checked
    tasks: dict[str, Any] = {"retry_policy": retries.policy}
    if retries.timeout is not None:
        tasks |= {"timeout": retries.timeout, "error_handler": record_timeout}
    graph.add_node("ask", Step(loop.ask, loop.may_begin_slowly))
    graph.add_node("draw", JobNode(draw, cache, retries), destinations=("draw", "candidate"), **tasks)
    graph.add_node("candidate", JobNode(candidate, cache, retries), destinations=("candidate",), **tasks)
    graph.add_node("decide", Step(loop.decide, loop.is_slow))
    after = "answer"
    if checked.tournament() is not None:
        after = "choose"
        if retries.timeout is not None:
            tasks["error_handler"] = record_comparison_timeout
        graph.add_node("choose", Step(loop.choose, loop.is_slow))
        graph.add_node("compare", JobNode(compare, cache, retries), **tasks)
        graph.add_edge("compare", "choose")
        graph.add_conditional_edges("choose", Step(loop.pair, loop.is_slow), ["compare", "answer"])
    if review:
        graph.add_node("review", Step(loop.review, loop.is_slow), destinations=("ask", after))
    graph.add_node("answer", Step(loop.answer, loop.is_slow))
    graph.add_edge(START, "ask")
    graph.add_edge("candidate", "decide")
    graph.add_conditional_edges("ask", Step(loop.dispatch, loop.is_slow), ["draw", "candidate", "decide"])
    graph.add_conditional_edges("decide", Step(loop.route, loop.is_slow), ["ask", "review" if review else after])
    graph.add_edge("answer", END)
    return graph


def create_optscale_node(
    *, policy: Runnable[Any, Any], verifier: Any, **settings: Any
) -> CompiledStateGraph[OptScaleState, OptScaleContext, OptScaleInput, OptScaleOutput]:
    """The search as a node of a graph of your own.

    It reads and appends to `messages`, inherits the parent graph's checkpointer, and writes the record to the parent's
    channel `optscale`, if there is one.

    Args:
        policy: As for `create_optscale_graph`.
        verifier: As for `create_optscale_graph`.
        **settings: Those of `SearchSettings`, as for `create_optscale_graph`.

    Example:
        >>> from langchain_core.language_models import FakeListChatModel
        >>> from langgraph.graph import START, MessagesState, StateGraph
        >>> policy = FakeListChatModel(responses=["four", "3 + 1 is 4"])
        >>> node = create_optscale_node(policy=policy, verifier=lambda prompt, candidate: "4" in candidate.text)
        >>> builder = StateGraph(MessagesState).add_node("reason", node).add_edge(START, "reason")
        >>> builder.compile().invoke({"messages": [("human", "What is 2 + 2?")]})["messages"][-1].text
        '3 + 1 is 4'
    """
    return create_optscale_graph(policy=policy, verifier=verifier, **settings).compile()
