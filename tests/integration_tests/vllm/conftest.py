"""Real vLLM servers for these tests; `make integration_test_vllm` installs what they need."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration_tests.vllm import environment
from tests.integration_tests.vllm.servers import Servers

if TYPE_CHECKING:
    from collections.abc import Iterator

_HERE = Path(__file__).parent
# So that servers, which take a minute to start, are started as seldom as two at a time allow.
_ORDER = ("flags", "policy", "search", "doctor", "reward", "failover", "recipe", "judge", "prm")
_MISSING = "vLLM's environment is not installed: make integration_test_vllm"
_versions: set[str] = set()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ours = [item for item in items if _HERE in item.path.parents]
    for item in ours:
        item.add_marker(pytest.mark.timeout(600))
    places = [place for place, item in enumerate(items) if _HERE in item.path.parents]
    ordered = sorted(ours, key=lambda item: _ORDER.index(item.path.stem.removeprefix("test_")))
    for place, item in zip(places, ordered, strict=True):
        items[place] = item


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for version in sorted(_versions):
        terminalreporter.write_line(f"real vLLM {version}, CPU build")


@pytest.fixture(scope="session")
def vllm_python() -> Path:
    """The interpreter of vLLM's environment."""
    python = environment.interpreter()
    if python is None:
        if os.environ.get(environment.REQUIRED):
            pytest.fail(_MISSING)
        pytest.skip(_MISSING)
    return python


@pytest.fixture(scope="session")
def servers(vllm_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Starts vLLM servers."""
    pytest.importorskip("langchain_openai")
    from langchain_optscale.endpoints.doctor.verifier import LESSONS

    started = Servers(vllm_python, environment.models(LESSONS), tmp_path_factory.mktemp("vllm"))
    try:
        yield started
    finally:
        _versions.update(started.versions)
        started.stop()


@pytest.fixture(autouse=True)
def no_keys_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that must go nowhere, and none of ours."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-belongs-to-openai")
    monkeypatch.delenv("OPTSCALE_POLICY_API_KEY", raising=False)
    monkeypatch.delenv("OPTSCALE_VERIFIER_API_KEY", raising=False)
