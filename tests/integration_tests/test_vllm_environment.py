"""Where vLLM cannot be installed, its tests are left out with one sentence; nothing here installs it."""

import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.integration_tests.vllm import environment
from tests.integration_tests.vllm.servers import VllmServer

ROOT = Path(__file__).parents[2]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(environment.REQUIRED, raising=False)
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(environment, "_MEMORY_GB", 0)
    return tmp_path


def output(capsys):
    """Standard error, with nothing on standard output."""
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("vLLM cannot be installed here: ")
    assert said.err.count("\n") == 1
    return said.err


def test_another_machine(cache, monkeypatch, capsys):
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert environment.main() == 0
    assert "for Linux x86_64, and this is Linux aarch64; its tests are left out" in output(capsys)
    monkeypatch.setenv(environment.REQUIRED, "1")
    assert environment.main() == 1
    assert "left out" not in output(capsys)


@pytest.mark.parametrize(("limit", "what"), [("_DISK_GB", "on the disk of"), ("_MEMORY_GB", "GB of memory")])
def test_too_small_a_machine(cache, monkeypatch, capsys, limit, what):
    monkeypatch.setattr(environment, limit, 10**9)
    assert environment.main() == 0
    assert what in output(capsys)


def test_too_slow_a_net(cache, monkeypatch, capsys):
    monkeypatch.setattr(environment, "_DISK_GB", 0)
    monkeypatch.setattr(environment, "_PATIENCE_S", 0.0)
    monkeypatch.setenv("PIP_PROXY", "http://127.0.0.1:9")
    assert environment.main() == 0
    assert "pip was not done after 0 minutes" in output(capsys)


@pytest.mark.timeout(300)
@pytest.mark.skipif(platform.machine() != "x86_64" or platform.system() != "Linux", reason="refused for another reason")
def test_no_way_to_the_packages(tmp_path):
    """As the Makefile calls it, with a proxy where no server listens; no file is left."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import tests.integration_tests.vllm.environment as e; e._DISK_GB = e._MEMORY_GB = 0; exit(e.main())",
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("PIP_")},
            "XDG_CACHE_HOME": str(tmp_path),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_PROXY": "http://127.0.0.1:9",
            environment.REQUIRED: "1",
        },
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "pip says: ERROR" in done.stderr
    assert "torch" in done.stderr
    assert not list((tmp_path / "langchain-optscale").glob("*/*"))


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_server_leaves_nothing_behind(tmp_path, how):
    program = tmp_path / "python"
    program.write_text('#!/bin/sh\ntouch "$VLLM_RPC_BASE_PATH/socket" "$TMPDIR/file"\necho "$TMPDIR"\nexec sleep 60\n')
    program.chmod(0o755)
    server = VllmServer(program, tmp_path, tmp_path, "policy")
    while not server.log.read_text().endswith("\n"):
        time.sleep(0.01)
    directory = Path(server.log.read_text().strip())
    assert sorted(one.name for one in directory.iterdir()) == ["file", "socket"]
    getattr(server, how)()
    assert not directory.exists()
