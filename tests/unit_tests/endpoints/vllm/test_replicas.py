"""Choosing among servers, on a clock that the test winds."""

import itertools
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_optscale.endpoints.vllm import Replicas
from langchain_optscale.endpoints.vllm.replicas import server_root
from langchain_optscale.errors import SettingsError

_numbers = itertools.count()


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def some(count, clock):
    """Servers that no other test knows, since what is known of a server is known once in a process."""
    run = next(_numbers)
    return Replicas([f"http://r{run}-{i}:8000/v1" for i in range(count)], clock)


def taken(replicas, *args):
    lease = replicas.take(*args)
    return replicas.roots.index(lease.replica.root), lease


def pending(replicas):
    return [state.pending for state in replicas.states()]


def test_equal_servers_take_turns(clock):
    replicas = some(3, clock)
    order = []
    for _ in range(6):
        index, lease = taken(replicas)
        order.append(index)
        replicas.release(lease)
    assert order == [0, 1, 2, 0, 1, 2]


def test_the_least_busy_by_answers_asked_for(clock):
    replicas = some(2, clock)
    assert taken(replicas, 8)[0] == 0
    assert [taken(replicas, 2)[0] for _ in range(4)] == [1, 1, 1, 1]
    assert pending(replicas) == [8, 8]


def test_a_lease_ends_once(clock):
    replicas = some(1, clock)
    lease = replicas.take(4)
    replicas.fail(lease)
    replicas.release(lease)
    replicas.fail(lease)
    assert pending(replicas) == [0]
    assert replicas.states()[0].failures == 1


def test_a_failed_server_cools_down_then_one_request_probes_it(clock):
    replicas = some(2, clock)
    replicas.fail(replicas.take())
    assert replicas.states()[0].cooldown_s == 1.0
    assert [taken(replicas)[0] for _ in range(3)] == [1, 1, 1]
    clock.now += 1.0
    index, probe = taken(replicas)
    assert index == 0
    assert [taken(replicas)[0] for _ in range(3)] == [1, 1, 1]  # one probe at a time
    replicas.answered(probe)
    assert replicas.states()[0].failures == 0
    assert taken(replicas)[0] == 0


def test_a_failed_probe_doubles_the_cooldown_up_to_half_a_minute(clock):
    replicas = some(2, clock)
    rests = []
    for _ in range(8):
        index, lease = taken(replicas)
        assert index == 0
        replicas.fail(lease)
        rests.append(replicas.states()[0].cooldown_s)
        clock.now += rests[-1]
    assert rests == [1, 2, 4, 8, 16, 30, 30, 30]


def test_a_cancelled_probe_lets_the_next_request_probe(clock):
    replicas = some(2, clock)
    replicas.fail(replicas.take())
    clock.now += 1
    replicas.release(replicas.take())
    assert taken(replicas)[0] == 0


def test_simultaneous_failures_count_once(clock):
    replicas = some(1, clock)
    leases = [replicas.take() for _ in range(50)]
    clock.now += 5
    for lease in leases:
        replicas.fail(lease)
        clock.now += 0.001
    state = replicas.states()[0]
    assert (state.failures, state.pending) == (1, 0)
    assert state.cooldown_s <= 1.0


def test_an_answer_from_before_the_failure_is_no_recovery(clock):
    replicas = some(1, clock)
    early, late = replicas.take(), replicas.take()
    clock.now += 1
    replicas.fail(late)
    replicas.answered(early)
    assert replicas.states()[0].failures == 1


def test_the_server_sets_the_cooldown(clock):
    replicas = some(1, clock)
    replicas.fail(replicas.take(), 7.0)
    assert replicas.states()[0].cooldown_s == 7.0


def test_when_all_cool_down_the_first_to_end_is_used(clock):
    replicas = some(2, clock)
    replicas.fail(replicas.take(), 9.0)
    replicas.fail(replicas.take(), 3.0)
    assert taken(replicas)[0] == 1


def test_tried_servers_are_avoided(clock):
    replicas = some(3, clock)
    assert taken(replicas, 1, {replicas.roots[0], replicas.roots[1]})[0] == 2


def test_a_server_is_known_once():
    run = next(_numbers)
    one = Replicas(f"http://shared{run}/v1")
    other = Replicas([f"http://shared{run}", f"http://own{run}"])
    lease = one.take(5)
    assert pending(other) == [5, 0]
    other.fail(lease)
    assert one.states()[0].failures == 1


@given(st.lists(st.tuples(st.integers(1, 8), st.sampled_from(["release", "fail", "keep"])), max_size=60))
def test_pending_is_what_was_taken_and_not_given_back(steps):
    clock = Clock()
    replicas = some(3, clock)
    kept = 0
    for weight, how in steps:
        lease = replicas.take(weight)
        clock.now += 0.25
        if how == "keep":
            kept += weight
        else:
            getattr(replicas, how)(lease)
    assert sum(pending(replicas)) == kept
    assert min(pending(replicas)) >= 0


def test_threads_do_not_lose_count():
    replicas = some(3, Clock())

    def work():
        for _ in range(300):
            replicas.release(replicas.take(3))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pending(replicas) == [0, 0, 0]


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("http://h:8000/v1", "http://h:8000"),
        ("http://h:8000/v1/", "http://h:8000"),
        (" http://H:8000 ", "http://h:8000"),
        ("https://gw.example/team-a/v1", "https://gw.example/team-a"),
        ("http://[::1]:8000/v1", "http://[::1]:8000"),
    ],
)
def test_roots(url, root):
    assert server_root(url) == root


@pytest.mark.parametrize(
    "url", ["", "h:8000", "ftp://h/v1", "http://", "http://h:port/v1", "http://h/v1?key=1", "http://h/#x", 8000]
)
def test_what_is_no_url_of_a_server(url):
    with pytest.raises(SettingsError, match="server's URL must be"):
        server_root(url)


def test_a_password_in_the_url_is_refused_and_not_repeated():
    with pytest.raises(SettingsError, match="api_key") as caught:
        server_root("http://me:secret@h:8000/v1")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("urls", [[], ["http://h/v1", "http://h"]])
def test_no_server_and_the_same_twice(urls):
    with pytest.raises(SettingsError):
        Replicas(urls)


@pytest.mark.parametrize("urls", [None, 8000, ["http://h/v1", None]])
def test_a_variable_that_was_not_set(urls):
    with pytest.raises(SettingsError, match="a server's URL must be a string, not"):
        Replicas(urls)
