"""A process that runs one thread of the graph, or goes on with it, and says on standard output what happens.

    python -m tests.integration_tests.graph_child SERVER STORE THREAD begin|resume sync|async fanout [durability]

STORE is a file for SQLite or the URL of a PostgreSQL. Every line that is printed is a JSON document: an event of the
graph, and last the state under "state".
"""

import asyncio
import json
import sys

from langchain_core.messages import message_to_dict
from langchain_openai import ChatOpenAI

from langchain_optscale import Verdict, Verifier, create_optscale_graph

QUESTION = {"messages": [("human", "What is it?")]}


class Judge(Verifier):
    """Asks a model of the server for a number."""

    def __init__(self, model):
        self.model = model

    def verify(self, prompt, candidate, config=None):
        return Verdict(float(self.model.invoke(candidate.text, config).text))

    async def averify(self, prompt, candidate, config=None):
        return Verdict(float((await self.model.ainvoke(candidate.text, config)).text))


def graph(server, fanout):
    def model(name):
        return ChatOpenAI(model=name, base_url=server, api_key="sk-secret", max_retries=0, temperature=0.7)

    return create_optscale_graph(
        policy=model("policy"),
        verifier=Judge(model("judge")),
        target=0.9,
        round_cost=100.0,
        max_samples=16,
        round_size=8,
        seed=0,
        fanout=fanout,
    )


def say(document):
    print(json.dumps(document), flush=True)


def finish(state):
    say({"state": {"messages": [message_to_dict(one) for one in state["messages"]], "optscale": state["optscale"]}})


def run(server, store, thread, given, fanout, durability):
    from langgraph.checkpoint.postgres import PostgresSaver
    from langgraph.checkpoint.sqlite import SqliteSaver

    saver_type = PostgresSaver if store.startswith("postgresql") else SqliteSaver
    config = {"configurable": {"thread_id": thread}}
    with saver_type.from_conn_string(store) as saver:
        compiled = graph(server, fanout).compile(checkpointer=saver)
        for event in compiled.stream(given, config, stream_mode="custom", durability=durability):
            say(event)
        finish(compiled.get_state(config).values)


async def arun(server, store, thread, given, fanout, durability):
    from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

    saver_type = AsyncPostgresSaver if store.startswith("postgresql") else AsyncSqliteSaver
    config = {"configurable": {"thread_id": thread}}
    async with saver_type.from_conn_string(store) as saver:
        compiled = graph(server, fanout).compile(checkpointer=saver)
        async for event in compiled.astream(given, config, stream_mode="custom", durability=durability):
            say(event)
        finish((await compiled.aget_state(config)).values)


def main(server, store, thread, how, path, fanout, durability="sync"):
    given = QUESTION if how == "begin" else None
    if path == "sync":
        run(server, store, thread, given, fanout, durability)
    else:
        asyncio.run(arun(server, store, thread, given, fanout, durability))


if __name__ == "__main__":
    main(*sys.argv[1:])
