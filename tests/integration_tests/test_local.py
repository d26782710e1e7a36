"""The embedded model for real: what it answers, and that it ends with its parent, however that ends."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.prompt_values import ChatPromptValue

from langchain_optscale import LLMJudge, PairwiseJudge, local
from langchain_optscale.errors import LocalServerError
from langchain_optscale.verifiers.conformance import make_candidate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PROMPT = [HumanMessage("Name a city.")]


@pytest.fixture
def server(local_server: local.LocalServer) -> Iterator[local.LocalServer]:
    """The shared server, idle, so that no test waits for what another one abandoned."""
    assert wait_until(lambda: local_server.busy_slots() == 0, 60.0)
    return local_server


@pytest.fixture
def small_server(local_server: local.LocalServer) -> Iterator[local.LocalServer]:
    """A server of the test's own; depends on the shared one in order to skip where that does."""
    with local.serve(n_parallel=1, context=128) as server:
        yield server


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.01)
    return condition()


def exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def texts(policy: Any, **kwargs: Any) -> list[str]:
    return [generation.text for generation in policy.generate([PROMPT], **kwargs).generations[0]]


class TestPolicy:
    def test_answers(self, server: local.LocalServer) -> None:
        message = server.policy(temperature=0.0, max_tokens=24).invoke("Name a city.")
        assert "city" in message.text.lower()

    async def test_answers_async(self, server: local.LocalServer) -> None:
        message = await server.policy(temperature=0.0, max_tokens=24).ainvoke("Name a city.")
        assert "city" in message.text.lower()

    def test_one_policy_serves_several_event_loops(self, server: local.LocalServer) -> None:
        policy = server.policy(max_tokens=4)
        assert [asyncio.run(policy.ainvoke("Hello")).text for _ in range(2)]

    def test_ignores_the_proxies_of_the_environment(
        self, server: local.LocalServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "OPENAI_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        assert server.policy(max_tokens=4).invoke("Hello").text
        assert server.busy_slots() == 0

    def test_choices_carry_their_own_tokens_and_finish_reason(self, server: local.LocalServer) -> None:
        result = server.policy(max_tokens=8).generate([PROMPT], n=4, seed=7)
        generations = result.generations[0]
        assert len({generation.text for generation in generations}) == 4
        for generation in generations:
            metadata = generation.message.response_metadata
            tokens = metadata["logprobs"]["content"]
            assert metadata["finish_reason"] in {"stop", "length"}
            assert 1 <= len(tokens) <= 8
            assert all(token["logprob"] <= 0.0 for token in tokens)
            assert generation.text == "".join(token["token"] for token in tokens)

    def test_seeds_repeat_and_choice_i_has_seed_plus_i(self, server: local.LocalServer) -> None:
        policy = server.policy(max_tokens=8)
        first = texts(policy, n=4, seed=7)
        assert texts(policy, n=4, seed=7) == first
        assert texts(policy, n=4, seed=8)[:3] == first[1:]
        assert not set(texts(policy, n=4, seed=11)) & set(first)

    def test_temperature_zero_makes_all_choices_equal(self, server: local.LocalServer) -> None:
        assert len(set(texts(server.policy(temperature=0.0, max_tokens=8), n=4))) == 1

    def test_more_choices_than_slots_are_refused(self, server: local.LocalServer) -> None:
        import openai

        policy = server.policy(max_tokens=4)
        assert policy.metadata["optscale_max_n"] == server.n_parallel == 8
        with pytest.raises(openai.BadRequestError, match="between 1 <= value <= 8, but got 9") as caught:
            policy.generate([PROMPT], n=9)
        assert caught.value.status_code == 400

    def test_every_choice_has_the_whole_context(self, server: local.LocalServer) -> None:
        import openai

        policy = server.policy(max_tokens=1)
        assert policy.invoke("a " * 400).usage_metadata["input_tokens"] > 400
        with pytest.raises(openai.BadRequestError, match="available context size \\(512 tokens\\)"):
            policy.invoke("a " * 600)

    def test_arguments_take_precedence_and_metadata_is_merged(self, server: local.LocalServer) -> None:
        policy = server.policy(0.5, 10, metadata={"team": "red"}, max_retries=2, seed=3)
        assert (policy.temperature, policy.max_tokens, policy.max_retries, policy.seed) == (0.5, 10, 2, 3)
        assert policy.metadata["team"] == "red"
        assert policy.metadata["optscale_max_n"] == 8

    def test_streaming_that_is_closed_early_frees_the_slot(self, server: local.LocalServer) -> None:
        policy = server.policy(max_tokens=400, extra_body={"ignore_eos": True})
        freed_in_time = []
        for _ in range(3):
            stream = policy.stream("Write a long story.")
            for _ in range(4):
                next(stream)
            assert server.busy_slots() == 1
            stream.close()
            freed_in_time.append(wait_until(lambda: server.busy_slots() == 0, 0.5))
            assert wait_until(lambda: server.busy_slots() == 0, 60.0)
        # Any, not all: the server looks between two tokens, and a busy machine may take longer over one.
        assert any(freed_in_time)


class TestLife:
    def test_two_servers_at_once(self, server: local.LocalServer, small_server: local.LocalServer) -> None:
        assert server.base_url != small_server.base_url
        assert server.pid != small_server.pid
        assert small_server.base_url.startswith("http://127.0.0.1:")
        assert small_server.policy(max_tokens=4).invoke("Hello").text

    def test_close_ends_the_child_and_can_be_repeated(self, small_server: local.LocalServer) -> None:
        assert small_server.alive
        assert "running" in repr(small_server)
        small_server.close()
        small_server.close()
        assert not small_server.alive
        assert not exists(small_server.pid)
        assert "ended" in repr(small_server)
        with pytest.raises(LocalServerError, match="closed"):
            small_server.busy_slots()
        with pytest.raises(LocalServerError, match="closed"):
            small_server.policy()

    def test_exception_in_the_block_ends_the_child(self, local_server: local.LocalServer) -> None:
        with pytest.raises(ZeroDivisionError), local.serve(n_parallel=1, context=128) as server:
            _ = 1 / 0
        assert not exists(server.pid)

    def test_death_of_the_child_is_noticed(self, small_server: local.LocalServer) -> None:
        os.kill(small_server.pid, signal.SIGKILL)
        assert wait_until(lambda: not small_server.alive, 5.0)
        with pytest.raises(LocalServerError, match=r"died \(exit status -9\)"):
            small_server.policy()

    def test_child_sees_no_secrets(self, local_server: local.LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
        captured = {}
        start = subprocess.Popen

        def capture(*args: Any, **kwargs: Any) -> Any:
            captured.update(kwargs["env"])
            return start(*args, **kwargs)

        monkeypatch.setattr(subprocess, "Popen", capture)
        with local.serve(n_parallel=1, context=128):
            assert "PATH" in captured
            assert "sk-secret" not in captured.values()

    def test_start_that_takes_too_long_leaves_nothing(
        self, local_server: local.LocalServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        children = []
        start = subprocess.Popen

        def capture(*args: Any, **kwargs: Any) -> Any:
            children.append(start(*args, **kwargs))
            return children[-1]

        monkeypatch.setattr(subprocess, "Popen", capture)
        with pytest.raises(LocalServerError, match=r"not ready within 0\.001 s"):
            local.serve(startup_timeout_s=0.001)
        assert not exists(children[0].pid)

    def test_unreadable_model_is_reported_with_the_reason(
        self, local_server: local.LocalServer, tmp_path: Path
    ) -> None:
        (tmp_path / "broken.gguf").write_bytes(b"GGUF" + bytes(100))
        with pytest.raises(LocalServerError, match=r"exit status 1.*failed to load model"):
            local.serve(tmp_path / "broken.gguf")


PARENT = """
    import os, signal, sys, time
    from langchain_optscale import local

    {body}
"""
IN_A_BLOCK = """with local.serve(n_parallel=1, context=128) as server:
        print(server.pid, flush=True)
        time.sleep(60)
"""
NEVER_CLOSED = """print(local.serve(n_parallel=1, context=128).pid, flush=True)
"""
NEVER_CLOSED_BUT_FAILS = """print(local.serve(n_parallel=1, context=128).pid, flush=True)
    raise ValueError("the parent's own")
"""
FORKED = """print(local.serve(n_parallel=1, context=128).pid, flush=True)
    if os.fork() == 0:
        os.closerange(0, 3)
        time.sleep(15)
        os._exit(0)
    time.sleep(60)
"""


def test_it_judges_by_the_probabilities_of_labels(server: local.LocalServer) -> None:
    model = server.policy(temperature=0.0)
    prompt = ChatPromptValue(messages=PROMPT)
    verdict = LLMJudge(model, method="labels", scale="1-5", min_mass=0.0).verify(prompt, make_candidate("Paris"))
    details = verdict.raw["criteria"]["overall"]["judged"][0]
    assert set(details["probabilities"]) == {"1", "2", "3", "4", "5"}
    assert sum(details["probabilities"].values()) == pytest.approx(1.0)
    assert 0.0 < details["mass"] <= 1.0
    assert (verdict.usage.output_tokens, verdict.usage.requests) == (1, 1)
    comparing = PairwiseJudge(model, method="labels", min_mass=0.0)
    ranking = comparing.rank(prompt, [make_candidate("Paris", 0), make_candidate("Blue", 1)])
    assert sorted(comparison.order for comparison in ranking.comparisons) == [(0, 1), (1, 0)]
    assert all(0.0 < share < 1.0 for comparison in ranking.comparisons for share in comparison.shares)


def start_parent(body: str, directory: Path) -> tuple[subprocess.Popen[str], int]:
    parent = subprocess.Popen(  # noqa: S603 - the scripts above
        [sys.executable, "-c", textwrap.dedent(PARENT.format(body=body))],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return parent, int(parent.stdout.readline())


class TestEndOfTheParent:
    @pytest.mark.parametrize("body", [IN_A_BLOCK, FORKED], ids=["alone", "with a fork that holds the pipe"])
    def test_sigkill(self, local_server: local.LocalServer, tmp_path: Path, body: str) -> None:
        parent, child = start_parent(body, tmp_path)
        assert exists(child)
        parent.kill()
        parent.communicate()
        assert wait_until(lambda: not exists(child), 3.0)

    def test_interrupt(self, local_server: local.LocalServer, tmp_path: Path) -> None:
        parent, child = start_parent(IN_A_BLOCK, tmp_path)
        parent.send_signal(signal.SIGINT)
        output, errors = parent.communicate(timeout=30)
        assert errors.splitlines()[-1] == "KeyboardInterrupt"
        assert output == ""
        assert not exists(child)

    @pytest.mark.parametrize(
        ("body", "status", "last_line"),
        [(NEVER_CLOSED, 0, ""), (NEVER_CLOSED_BUT_FAILS, 1, "ValueError: the parent's own")],
        ids=["normal exit", "unhandled exception"],
    )
    def test_server_that_was_never_closed(
        self, local_server: local.LocalServer, tmp_path: Path, body: str, status: int, last_line: str
    ) -> None:
        parent, child = start_parent(body, tmp_path)
        _, errors = parent.communicate(timeout=30)
        assert parent.returncode == status
        assert (errors.splitlines() or [""])[-1] == last_line
        assert not exists(child)
