"""Real vLLM servers on loopback: started where they are needed, at most two at a time."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self

KEY = "sk-test-of-vllm-only"
CONTEXT = 4096
_STARTUP_S = 240.0
_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    # Threads that are bound to the same core, or wait for one another on too few, are many times slower than one.
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
}
# Where it puts sockets and files between its processes.
_PLACES = ("TMPDIR", "VLLM_RPC_BASE_PATH")
# A seeded request whose prefill is chunked kills the CPU engine.
_GENERATE = ("--no-enable-chunked-prefill", "--max-num-batched-tokens", "65536", "--max-num-seqs", "64")
_STEPS = '{"tok_pooling_type": "STEP", "step_tag_id": 3}'


@dataclass(frozen=True)
class Recipe:
    """How to serve one of the models that `build_models.py` writes."""

    model: str
    arguments: tuple[str, ...]
    key: str | None = None


RECIPES = {
    "policy": Recipe("policy", (*_GENERATE, "--api-key", KEY), KEY),
    "policy-2": Recipe("policy", (*_GENERATE, "--api-key", KEY), KEY),
    "classifier": Recipe("classifier", ("--runner", "pooling")),
    "smollm2": Recipe("smollm2", _GENERATE),
    "decider": Recipe("decider", _GENERATE),
    "prm": Recipe("prm", ("--runner", "pooling", "--pooler-config", _STEPS)),
    "policy-without-prefix-cache": Recipe("policy", (*_GENERATE, "--no-enable-prefix-caching")),
    "policy-with-prefix-cache": Recipe("policy", (*_GENERATE, "--enable-prefix-caching")),
}


class VllmServer:
    """One server; a context manager that ends it.

    Args:
        python: The interpreter of vLLM's environment.
        models: Where the models are.
        logs: Where logs go.
        name: One of `RECIPES`.
    """

    def __init__(self, python: Path, models: Path, logs: Path, name: str) -> None:
        recipe = RECIPES[name]
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.name = name
        self.model = recipe.model
        self.model_directory = models / recipe.model
        self.key = recipe.key
        self.root = f"http://127.0.0.1:{self.port}"
        self.base_url = f"{self.root}/v1"
        self.log = logs / f"{name}.log"
        # For the sockets and files between its processes, which it leaves behind. The path of a socket is limited to
        # 107 characters, so the directory of the logs would not do.
        self._temporary = tempfile.TemporaryDirectory(prefix="vllm-", ignore_cleanup_errors=True)
        command = [str(python), "-m", "vllm.entrypoints.openai.api_server", "--model", str(self.model_directory)]
        command += ["--served-model-name", recipe.model, "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--dtype", "float32", "--max-model-len", str(CONTEXT), "--enforce-eager", *recipe.arguments]
        with self.log.open("w") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **_ENVIRONMENT, **dict.fromkeys(_PLACES, self._temporary.name)},
                cwd=logs,
                # A process group of its own, so that its engine and workers end with it.
                start_new_session=True,
            )

    def wait(self) -> Self:
        """Until it answers.

        Raises:
            RuntimeError: It ended, or took too long; with the end of its log.
        """
        ends = time.monotonic() + _STARTUP_S
        while time.monotonic() < ends and self.alive:
            try:
                self.get("/health")
            except OSError:
                time.sleep(0.5)
            else:
                return self
        self.stop()
        raise RuntimeError(f"vLLM did not start ({self.name}):\n{self.log.read_text()[-4000:]}")

    @property
    def alive(self) -> bool:
        """Whether the process is there."""
        return self._process.poll() is None

    @property
    def version(self) -> str:
        """The version of vLLM that answers."""
        return str(json.loads(self.get("/version"))["version"])

    def get(self, path: str) -> str:
        """The body of a page at the root of the server."""
        with urllib.request.urlopen(f"{self.root}{path}", timeout=10) as answer:  # noqa: S310 - http on loopback
            return str(answer.read().decode())

    def metric(self, name: str) -> float:
        """The sum of a metric over its labels."""
        lines = [line for line in self.get("/metrics").splitlines() if line.startswith((f"{name}{{", f"{name} "))]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)

    def stop(self) -> None:
        """End it as an operator would, and see to it that nothing of it is left."""
        if self.alive:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
        self._kill_group()

    def kill(self) -> None:
        """End it as a crash would: at once, all of its processes."""
        self._kill_group()
        self._process.wait()

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._temporary.cleanup()

    def __enter__(self) -> Self:
        return self.wait()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


class Servers:
    """The servers of a test run; asks for one more than may run end the one that was asked for longest ago.

    Args:
        python: The interpreter of vLLM's environment.
        models: Where the models are.
        logs: Where logs go.
        at_once: How many servers may run at the same time.
    """

    def __init__(self, python: Path, models: Path, logs: Path, at_once: int = 2) -> None:
        self._python = python
        self._models = models
        self._logs = logs
        self._at_once = at_once
        self._running: dict[str, VllmServer] = {}
        self.versions: set[str] = set()

    def start(self, *names: str) -> list[VllmServer]:
        """These servers, all running at the same time.

        Args:
            *names: Names in `RECIPES`, at most as many as may run at once.
        """
        for name in [name for name, server in self._running.items() if not server.alive]:
            self._running.pop(name).stop()
        for name in names:
            if name in self._running:
                self._running[name] = self._running.pop(name)
        new = [name for name in names if name not in self._running]
        for name in list(self._running)[: max(0, len(self._running) + len(new) - self._at_once)]:
            self._running.pop(name).stop()
        # Loading takes the better part of a minute: together, not one after another.
        self._running |= {name: VllmServer(self._python, self._models, self._logs, name) for name in new}
        ready = [self._running[name].wait() for name in names]
        self.versions.update(server.version for server in ready)
        return ready

    def stop(self) -> None:
        """End them all."""
        while self._running:
            self._running.popitem()[1].stop()
