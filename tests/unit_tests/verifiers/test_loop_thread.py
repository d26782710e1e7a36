import asyncio
import contextvars
import os
import threading

import pytest

from langchain_optscale.verifiers._loop_thread import LoopThread

VALUE = contextvars.ContextVar("VALUE", default="none")


async def told():
    await asyncio.sleep(0)
    return VALUE.get(), asyncio.get_running_loop(), threading.current_thread()


def test_within_the_callers_context_and_in_one_loop():
    loop = LoopThread()
    VALUE.set("mine")
    first, second = loop.run(told()), loop.run(told())
    assert first[0] == "mine"
    assert first[1:] == second[1:]
    assert first[2].daemon


def test_calls_of_several_threads_wait_for_none_of_the_others():
    loop, meet = LoopThread(), threading.Barrier(5, timeout=10)
    gate = {}

    async def work():
        gate.setdefault("event", asyncio.Event())
        gate["count"] = gate.get("count", 0) + 1
        if gate["count"] == 4:
            gate["event"].set()
        await asyncio.wait_for(gate["event"].wait(), 10)

    def call():
        loop.run(work())
        meet.wait()

    for _ in range(4):
        threading.Thread(target=call, daemon=True).start()
    meet.wait()


def test_an_error_reaches_the_caller():
    async def fails():
        raise ZeroDivisionError("here")

    with pytest.raises(ZeroDivisionError, match="here"):
        LoopThread().run(fails())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_has_a_loop_of_its_own():
    loop = LoopThread()
    loop.run(told())
    child = os.fork()
    if child == 0:
        os._exit(0 if loop.run(told())[0] == VALUE.get() else 1)
    assert os.waitpid(child, 0)[1] == 0
