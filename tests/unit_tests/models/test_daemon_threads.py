import asyncio
import contextvars
import threading
import time

import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import RunnableLambda, RunnableParallel

from langchain_optscale.errors import HungWorkError
from langchain_optscale.models import daemon_threads
from langchain_optscale.models.daemon_threads import DaemonThreads, as_finished, run_in_thread
from langchain_optscale.models.isolation import isolated


def thread_name(_=None):
    return threading.current_thread().name


async def test_values_errors_and_context_come_back():
    here = contextvars.ContextVar("here", default="no")
    here.set("yes")
    assert await run_in_thread(here.get) == "yes"
    with pytest.raises(ZeroDivisionError):
        await run_in_thread(lambda: 1 / 0)
    with pytest.raises(RuntimeError, match="StopIteration: end"):
        await run_in_thread(_stop)


def _stop():
    raise StopIteration("end")


async def test_threads_are_daemons_and_are_used_again():
    seen = [await run_in_thread(threading.current_thread) for _ in range(20)]
    assert all(thread.daemon for thread in seen)
    assert len(set(seen)) < 20


async def test_cancelling_ends_the_waiting_and_not_the_call():
    released = threading.Event()
    task = asyncio.create_task(run_in_thread(released.wait))
    await asyncio.sleep(0.05)
    began = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - began < 1
    released.set()


def test_too_many_hung_calls_are_refused_rather_than_queued():
    threads, released = DaemonThreads(most=3), threading.Event()
    for _ in range(3):
        threads.submit(released.wait)
    with pytest.raises(HungWorkError, match=r"3 synchronous calls .* have not returned"):
        threads.submit(released.wait)
    released.set()
    deadline = time.monotonic() + 10
    while threads.calls and time.monotonic() < deadline:
        time.sleep(0.01)
    threads.submit(released.wait)


def test_calls_are_reported_as_they_end_and_leaving_begins_no_more():
    begun = []

    def call(number, seconds):
        begun.append(number)
        time.sleep(seconds)
        return number

    calls = [lambda number=number, seconds=seconds: call(number, seconds) for number, seconds in ((0, 0.3), (1, 0.0))]
    assert list(as_finished(calls)) == [(1, 1), (0, 0)]
    begun.clear()
    for place, _ in as_finished([lambda number=number: call(number, 0) for number in range(5)], limit=1):
        assert place == 0
        break
    assert begun == [0]


@pytest.mark.parametrize(
    "runnable",
    [
        RunnableLambda(thread_name),
        RunnableLambda(thread_name) | StrOutputParser(),
        RunnableParallel(a=RunnableLambda(thread_name)) | RunnableLambda(lambda found: found["a"]),
        RunnableLambda(thread_name).with_config(tags=["x"]),
        RunnableLambda(thread_name).with_fallbacks([RunnableLambda(thread_name)]),
    ],
    ids=["lambda", "sequence", "parallel", "binding", "fallbacks"],
)
async def test_synchronous_parts_run_in_our_threads(runnable):
    assert await isolated(runnable).ainvoke("x") == "optscale"
    assert isolated(runnable).invoke("x") != "optscale"
    assert isolated(runnable).get_name() == runnable.get_name()


async def test_what_is_awaited_natively_stays_as_it_is():
    async def awaited(_):
        return thread_name()

    both = RunnableLambda(thread_name, awaited)
    assert isolated(both) is both
    assert await isolated(both).ainvoke("x") == "MainThread"


async def test_a_model_without_async_methods_runs_in_our_threads():
    class Model(FakeListChatModel):
        def _call(self, *args, **kwargs):
            return thread_name()

    assert (await isolated(Model(responses=["x"])).ainvoke("q")).text == "optscale"
    assert daemon_threads.run_in_thread is run_in_thread
