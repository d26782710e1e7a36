"""Limits hold over threads, event loops and searches; the line is fair, and can be left."""

import asyncio
import contextlib
import gc
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_optscale import OptScale, SettingsError
from langchain_optscale.models.limits import SharedLimit, limit_at
from tests.unit_tests.fakes import ScriptedPolicy, read_score


class Meter:
    """Counts who is inside, from any thread."""

    def __init__(self):
        self.inside = self.most = 0
        self.lock = threading.Lock()

    @contextlib.contextmanager
    def __call__(self):
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        try:
            yield
        finally:
            with self.lock:
                self.inside -= 1


@pytest.mark.parametrize("n", [0, -1, 1.5, True, "8", None])
def test_bad_limits(n):
    with pytest.raises(SettingsError, match="a limit must be a whole number of at least 1"):
        SharedLimit(n)


def test_threads_and_two_event_loops_share_one_limit():
    limit, meter = SharedLimit(3), Meter()

    def in_threads():
        for _ in range(20):
            with limit.hold(), meter():
                time.sleep(0.001)

    async def in_tasks():
        async def one():
            async with limit.ahold():
                with meter():
                    await asyncio.sleep(0.001)

        await asyncio.gather(*(one() for _ in range(60)))

    threads = [threading.Thread(target=in_threads) for _ in range(5)]
    threads += [threading.Thread(target=lambda: asyncio.run(in_tasks())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert meter.most == 3
    assert (limit.taken, limit.waiting) == (0, 0)


async def test_first_come_first_served_and_the_urgent_before_all():
    limit, order = SharedLimit(1), []

    async def one(name, *, urgent=False):
        async with limit.ahold(urgent=urgent):
            order.append(name)

    async with limit.ahold():
        tasks = []
        for name, urgent in (("a", False), ("b", False), ("u", True), ("c", False), ("v", True)):
            tasks.append(asyncio.create_task(one(name, urgent=urgent)))
            await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    assert order == ["u", "v", "a", "b", "c"]


async def test_nobody_overtakes_the_line():
    limit, order = SharedLimit(2), []

    async def one(name):
        async with limit.ahold():
            order.append(name)
            await asyncio.sleep(0.01)

    await asyncio.gather(*(one(i) for i in range(10)))
    assert order == list(range(10))


@given(st.lists(st.tuples(st.sampled_from("ecl"), st.integers(0, 9)), max_size=60), st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_whatever_is_entered_left_and_cancelled_the_count_is_right(steps, n):
    async def play():
        limit = SharedLimit(n)
        inside, tasks, release = set(), [], {}

        async def one(number):
            async with limit.ahold():
                inside.add(number)
                try:
                    await release[number].wait()
                finally:
                    inside.discard(number)

        for kind, which in steps:
            if kind == "e":
                release[len(tasks)] = asyncio.Event()
                tasks.append(asyncio.create_task(one(len(tasks))))
            elif tasks and kind == "c":
                tasks[which % len(tasks)].cancel()
            elif tasks:
                release[which % len(tasks)].set()
            if which % 2:
                for _ in range(4 * len(tasks) + 4):  # a place may pass through many hands
                    await asyncio.sleep(0)
                assert len(inside) <= n
                alive = sum(not task.done() for task in tasks)
                assert len(inside) == min(n, alive)
        for event in release.values():
            event.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (limit.taken, limit.waiting) == (0, 0)

    asyncio.run(play())


async def test_cancelling_gives_the_place_in_line_up():
    limit = SharedLimit(1)
    async with limit.ahold():

        async def wait():
            async with limit.ahold():
                raise AssertionError("its turn never comes")

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        assert limit.waiting == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert limit.waiting == 0
    async with asyncio.timeout(1), limit.ahold():
        pass


def test_a_thread_that_waits_is_sent_home():
    limit, mine, raised = SharedLimit(1), object(), []

    def wait():
        try:
            with limit.hold(owner=mine):
                pass
        except InterruptedError as error:
            raised.append(error)

    with limit.hold():
        thread = threading.Thread(target=wait)
        thread.start()
        while not limit.waiting:
            time.sleep(0.001)
        limit.cancel_waiting(object())
        assert limit.waiting == 1
        limit.cancel_waiting(mine)
        thread.join(5)
    assert len(raised) == 1
    assert (limit.taken, limit.waiting) == (0, 0)


def test_a_closed_event_loop_does_not_stop_the_line():
    limit = SharedLimit(1)
    loop = asyncio.new_event_loop()

    async def wait():
        async with limit.ahold():
            raise AssertionError("its loop is gone")

    with limit.hold():
        task = loop.create_task(wait())
        loop.run_until_complete(asyncio.sleep(0.01))
        task._log_destroy_pending = False
        loop.close()
        got = threading.Event()

        def next_one():
            with limit.hold():
                got.set()

        threading.Thread(target=next_one).start()
        while limit.waiting < 2:
            time.sleep(0.001)
    assert got.wait(5)
    del task
    gc.collect()


def test_limits_at_one_endpoint_count_the_same_requests():
    four, two = limit_at(("here", "m"), 4), limit_at(("here", "m"), 2)
    other = limit_at(("there", "m"), 2)
    with four.hold(), four.hold():
        assert (two.taken, other.taken) == (2, 0)
        with four.hold():  # its own number counts
            assert two.taken == 3
    assert two.taken == 0


class MeteredPolicy(ScriptedPolicy):
    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        with METER():
            time.sleep(0.005)
            return super()._generate(messages, stop, run_manager, **kwargs)

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        with METER():
            await asyncio.sleep(0.005)
            return await super()._agenerate(messages, stop, run_manager, **kwargs)


METER = Meter()


async def test_a_policy_limit_holds_over_all_searches_on_both_paths():
    METER.most = 0
    policy = MeteredPolicy(texts=["0.1"] * 8)

    def search():
        return OptScale(
            policy=policy, verifier=read_score, max_samples=8, first_round=8, fanout="calls", policy_limit=3
        )

    results = await asyncio.gather(
        *(search().ainvoke("q") for _ in range(4)), *(asyncio.to_thread(search().invoke, "q") for _ in range(3))
    )
    assert [len(result.scores) for result in results] == [8] * 7
    assert METER.most == 3


async def test_a_verifier_limit_holds_over_all_searches():
    meter = Meter()

    async def verify(prompt, candidate):
        with meter():
            await asyncio.sleep(0.002)
        return 0.1

    searches = [
        OptScale(
            policy=ScriptedPolicy(texts=["x"]), verifier=verify, max_samples=6, first_round=6, verifier_limit=limit
        )
        for limit in [SharedLimit(2)] * 4
    ]
    await asyncio.gather(*(search.ainvoke("q") for search in searches))
    assert meter.most == 2


async def test_verifications_do_not_wait_behind_draws_on_one_limit():
    # One place for everything: each candidate is verified before the next is drawn.
    events = []

    class Policy(ScriptedPolicy):
        async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
            events.append("draw")
            return await super()._agenerate(messages, stop, run_manager, **kwargs)

    async def verify(prompt, candidate):
        events.append("verify")
        return 0.1

    one = SharedLimit(1)
    await OptScale(
        policy=Policy(texts=["x"]),
        verifier=verify,
        max_samples=4,
        first_round=4,
        fanout="calls",
        policy_limit=one,
        verifier_limit=one,
    ).ainvoke("q")
    assert events.count("verify") == 4
    waiting = [events[: i + 1].count("draw") - events[: i + 1].count("verify") for i in range(len(events))]
    assert max(waiting) <= 2


def test_a_sync_search_that_ends_leaves_the_line():
    limit = SharedLimit(1)
    policy = ScriptedPolicy(texts=["0.95"] * 8, delays={1: 0.3})
    search = OptScale(
        policy=policy, verifier=read_score, target=0.9, first_round=8, fanout="calls", policy_limit=limit, deadline_s=20
    )
    assert search.invoke("q").score == 0.95
    ends = time.monotonic() + 5
    while limit.waiting or limit.taken:
        assert time.monotonic() < ends
        time.sleep(0.01)
    assert len(policy.requests) <= 2


@pytest.mark.parametrize("path", ["sync", "async"])
@pytest.mark.parametrize("number", [0, -1, True, "4", 1.5])
def test_a_concurrency_that_would_wait_for_ever_is_an_error(path, number):
    search = OptScale(policy=ScriptedPolicy(texts=["0.1"]), verifier=read_score, max_samples=1)
    config = {"max_concurrency": number}
    with pytest.raises(SettingsError, match="max_concurrency must be a whole number of at least 1"):
        _ = search.invoke("q", config) if path == "sync" else asyncio.run(search.ainvoke("q", config))
    with pytest.raises(SettingsError, match="max_concurrency must be a whole number of at least 1"):
        _ = search.batch(["q"], config) if path == "sync" else asyncio.run(search.abatch(["q"], config))
