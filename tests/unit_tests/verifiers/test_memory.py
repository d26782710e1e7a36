import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from langchain_optscale.verifiers._memory import Memory


def test_the_least_recently_used_goes_first():
    memory = Memory(2)
    memory.put("a", 1)
    memory.put("b", 2)
    assert memory.get("a") == 1
    memory.put("c", 3)
    assert (memory.get("a"), memory.get("b"), memory.get("c"), len(memory)) == (1, None, 3, 2)
    nothing = Memory(0)
    nothing.put("a", 1)
    assert nothing.get("a") is None


def test_threads_take_turns_for_one_key_only():
    memory, at_once, most = Memory(8), [0], [0]
    both = threading.Barrier(2, timeout=5)

    def work(key):
        with memory.turn(key):
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
            threading.Event().wait(0.01)
            at_once[0] -= 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, ["a"] * 16))
    assert most == [1]

    def meet(key):
        with memory.turn(key):
            both.wait()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(meet, ["a", "b"]))
    assert not memory._turns


async def test_a_cancelled_turn_passes_to_the_next():
    memory, order = Memory(8), []

    async def work(name, seconds):
        async with memory.aturn("key"):
            await asyncio.sleep(seconds)
            order.append(name)

    first, second, third = (
        asyncio.create_task(work(name, seconds)) for name, seconds in (("a", 60), ("b", 60), ("c", 0))
    )
    await asyncio.sleep(0.01)
    second.cancel()
    first.cancel()
    await third
    assert order == ["c"]
    for task in (first, second):
        with pytest.raises(asyncio.CancelledError):
            await task
    assert not memory._turns


def test_event_loops_do_not_wait_for_each_other():
    memory, both = Memory(8), threading.Barrier(2, timeout=5)

    async def work():
        async with memory.aturn("key"):
            both.wait()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: asyncio.run(work()), range(2)))
    assert not memory._turns
