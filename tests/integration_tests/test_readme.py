"""Every Python block of the README runs as it stands there, and what it prints of the demo is what the demo prints."""

import io
import re
from pathlib import Path

import pytest

from langchain_optscale.cli.demo_replay import replay_demo
from langchain_optscale.cli.screen import Screen
from tests.integration_tests.hosted_models import hosted_models

README = Path(__file__).parents[2] / "README.md"
TEXT = README.read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def test_there_are_examples():
    assert len(BLOCKS) >= 7


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_example(block, tmp_path, monkeypatch, request):
    pytest.importorskip("langchain_openai")
    monkeypatch.chdir(tmp_path)
    if "local.serve" in block:
        request.getfixturevalue("local_server")  # skips where the embedded model is not installed
    with hosted_models(monkeypatch):
        exec(compile(block, str(README), "exec"), {"__name__": "block"})  # noqa: S102 - our own text


def test_the_bill_is_that_of_the_demo():
    (printed,) = re.findall(r"<!-- demo -->\n```text\n(.*?)```", TEXT, re.DOTALL)
    out = io.StringIO()
    replay_demo(Screen(out, 80))
    assert printed in out.getvalue(), "put the bill of `optscale demo` into the README"


def test_links_and_pictures_are_absolute():
    targets = re.findall(r"\]\(([^)]+)\)", TEXT) + re.findall(r'(?:src|srcset)="([^"]+)"', TEXT)
    assert targets
    assert all(target.startswith("https://") for target in targets), targets


def test_linked_files_exist():
    paths = re.findall(r"langchain-optscale/(?:blob/)?main/([\w./-]+)", TEXT)
    assert paths
    assert not [path for path in paths if not (README.parent / path).exists()]
