"""Graphs over policies that say their own score, and how to look at what they did."""

from langchain_optscale import OptScaleResult
from langchain_optscale.graph import create_optscale_graph
from tests.unit_tests.fakes import PlainPolicy, read_score

QUESTION = {"messages": [("human", "How much?")]}


def texts(*scores):
    return [str(score) for score in scores]


def graph_of(scores, *, policy=PlainPolicy, verifier=read_score, policy_settings=None, **settings):
    """An uncompiled graph whose candidate i scores `scores[i]`, and its policy."""
    model = policy(texts=texts(*scores), **(policy_settings or {}))
    return create_optscale_graph(policy=model, verifier=verifier, **complete(settings)), model


def complete(settings):
    """With a target that ends the search, and rounds as large as they may be, where the default rule decides."""
    if "stopping" in settings or "settings" in settings:
        return settings
    return {"target": 0.9, "round_cost": 100.0} | settings


def result_in(state):
    return OptScaleResult.from_dict(state["optscale"])


def thread(name="t", **more):
    return {"configurable": {"thread_id": name}, **more}


def looks_of(result):
    return [look for one in result.rounds for look in one.observations]
