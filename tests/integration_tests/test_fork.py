"""A process that forks while searches are under way: the child searches as if it had begun alone.

Forked by hand, by `multiprocessing`, as gunicorn does with `--preload` (a master that loads the application, forks
workers, and forks anew where one ends), and as Celery does (children of a pool, forked before the work comes).
"""

import faulthandler
import multiprocessing
import os
import sys
import threading
import time

import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage
from langchain_core.prompt_values import StringPromptValue
from langchain_core.runnables import RunnableLambda

from langchain_optscale import CachedVerifier, OptScale
from langchain_optscale.answers.equivalence import same_answer
from langchain_optscale.models.http_clients import chat_model
from langchain_optscale.models.limits import SharedLimit
from langchain_optscale.records.candidates import Candidate
from langchain_optscale.verifiers import EnsembleVerifier, LLMJudge, RewardModelVerifier
from tests.integration_tests.scripted_server import Reply, scripted_server
from tests.integration_tests.verifier_server import verifier_server

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork"),
    # The point of it all.
    pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning"),
]
PATIENCE_S = 30


def policy(**settings):
    return FakeListChatModel(responses=["same"], **settings)


def slow(prompt, candidate):
    time.sleep(1.0)
    return 0.5


def slow_judge(messages):
    time.sleep(1.0)
    code = messages[-1].content.rsplit("GRADE-", 1)[1][:12]
    return AIMessage(f"GRADE-{code}: 5")


def forked(function):
    """Whether the function came to its end in a forked child."""
    pid = os.fork()
    if pid == 0:
        # A child that hangs says where.
        faulthandler.dump_traceback_later(PATIENCE_S, exit=True, file=sys.__stderr__)
        status = 1
        try:
            function()
            status = 0
        finally:
            os._exit(status)
    return os.waitpid(pid, 0)[1] == 0


def make_searches(tmp_path):
    shared = SharedLimit(1)
    return {
        "policy_limit": OptScale(policy=policy(sleep=1.0), verifier=lambda p, c: 0.5, max_samples=1, policy_limit=1),
        "shared limit": OptScale(policy=policy(), verifier=slow, max_samples=1, verifier_limit=shared),
        "cached": OptScale(policy=policy(), verifier=CachedVerifier(slow), max_samples=1),
        "stored": OptScale(
            policy=policy(), verifier=CachedVerifier(slow, store=tmp_path / "v.sqlite", identity="1"), max_samples=1
        ),
        "judge": OptScale(
            policy=policy(), verifier=LLMJudge(RunnableLambda(slow_judge), method="text", votes=2), max_samples=1
        ),
        "ensemble": OptScale(policy=policy(), verifier=EnsembleVerifier([slow, slow]), max_samples=1),
    }


@pytest.mark.parametrize("name", ["policy_limit", "shared limit", "cached", "stored", "judge", "ensemble"])
def test_a_child_forked_in_the_middle_of_a_search_searches(name, tmp_path):
    search = make_searches(tmp_path)[name]
    thread = threading.Thread(target=search.invoke, args=("q",))
    thread.start()
    time.sleep(0.3)
    assert forked(lambda: search.invoke("q"))
    thread.join(PATIENCE_S)
    assert search.invoke("q").score == 0.5


def test_a_child_awaits_as_well(tmp_path):
    import asyncio

    search = make_searches(tmp_path)["judge"]
    thread = threading.Thread(target=lambda: asyncio.run(search.ainvoke("q")))
    thread.start()
    time.sleep(0.3)
    assert forked(lambda: asyncio.run(search.ainvoke("q")))
    thread.join(PATIENCE_S)


def test_a_child_compares_expressions_in_a_process_of_its_own():
    assert same_answer("(x+1)^2", "x^2+2x+1")
    assert forked(lambda: same_answer("(x+2)^2", "x^2+4x+4") or os._exit(1))
    assert same_answer("(x+3)^2", "x^2+6x+9")


def test_a_child_opens_connections_of_its_own():
    prompt, candidate = StringPromptValue(text="q"), Candidate(0, AIMessage("Paris"), 0)
    with verifier_server() as server, scripted_server(lambda number, payload: Reply(["Paris"])) as models:
        verifier = RewardModelVerifier(server.root, "m")
        model = chat_model(base_url=models.base_url, model="m", api_key=None)
        assert verifier.verify(prompt, candidate).score > 0.5
        model.invoke("q")

        def ask():
            for _ in range(3):
                verifier.verify(prompt, candidate)
                model.invoke("q")

        assert forked(ask)
        assert len(server.requests) == 4
        assert verifier.verify(prompt, candidate).score > 0.5


def answer(question):
    return _SEARCH.invoke(question).score


_SEARCH = OptScale(policy=policy(), verifier=CachedVerifier(lambda p, c: 0.5), max_samples=2, policy_limit=1)


def test_a_pool_of_multiprocessing():
    with SharedLimit(1).hold():
        assert answer("q") == 0.5
        with multiprocessing.get_context("fork").Pool(2) as pool:
            assert pool.map_async(answer, ["a", "b", "c", "d"]).get(PATIENCE_S) == [0.5] * 4


def test_workers_of_a_master_that_loaded_the_application():
    """As gunicorn: one after another, from a master that has searched, and whose threads search on.

    That it has searched matters: LangChain imports modules in its first call, and Python's lock of a module that
    another thread is importing is never released in a forked child.
    """
    answer("first")
    master = threading.Thread(target=lambda: [answer(str(number)) for number in range(50)])
    master.start()
    assert [forked(lambda: answer("w")) for _ in range(5)] == [True] * 5
    master.join(PATIENCE_S)


def test_children_that_wait_for_work():
    """As Celery: a child is forked first, and told later what to do; it forks no more."""
    context = multiprocessing.get_context("fork")
    tasks, results = context.SimpleQueue(), context.SimpleQueue()

    def work():
        while (question := tasks.get()) is not None:
            results.put(answer(question))

    child = context.Process(target=work)
    child.start()
    answer("in the parent meanwhile")
    for question in ("a", "b", None):
        tasks.put(question)
    child.join(PATIENCE_S)
    assert child.exitcode == 0
    assert [results.get(), results.get()] == [0.5, 0.5]
