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
    if "stopping" not in settings and "settings" not in settings:
        # A target that ends the search, and rounds that are as large as they may be.
        settings = {"target": 0.9, "round_cost": 100.0} | settings
    return create_optscale_graph(policy=model, verifier=verifier, **settings), model


def result_in(state):
    return OptScaleResult.from_dict(state["optscale"])


def thread(name="t", **more):
    return {"configurable": {"thread_id": name}, **more}


def looks_of(result):
    return [look for one in result.rounds for look in one.observations]
