"""Every Python block of docs/*.md runs alone, as it stands there.

Names of hosted models reach a stand-in on loopback. The addresses of two servers on this machine are the only thing
that is replaced.
"""

import re
import shutil
from pathlib import Path

import pytest

from langchain_optscale.learning.refit import learn
from tests.integration_tests.hosted_models import hosted_models
from tests.integration_tests.scripted_server import scripted_server
from tests.integration_tests.test_doctor import classifier, good_policy, good_score, pages
from tests.unit_tests.learning.make_rows import make_traffic

for package in ("langchain", "langchain_openai", "langgraph.checkpoint.sqlite"):
    pytest.importorskip(package)

ROOT = Path(__file__).parents[2]
BLOCKS = [
    pytest.param(page, block, id=f"{page.stem}-{number}")
    for page in sorted(ROOT.joinpath("docs").rglob("*.md"))
    for number, block in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL), 1)
]


def test_there_are_blocks():
    assert len(BLOCKS) >= 15


def test_no_python_hides_under_another_name():
    """What needs another environment: Inspect's block runs in tests/integration_tests/evaluators."""
    fences = {
        (page.stem, language)
        for page in ROOT.joinpath("docs").rglob("*.md")
        for language in re.findall(r"^ *```(\w*)", page.read_text(encoding="utf-8"), re.MULTILINE)
    }
    known = {"", "python", "sh", "json", "text", "mermaid"}
    assert {(page, language) for page, language in fences if language not in known} == {("evaluators", "py")}


@pytest.mark.parametrize(("page", "block"), BLOCKS)
def test_block(page, block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if "rule.npz" in block:
        shutil.copy(next(ROOT.joinpath("tests", "data", "legacy").rglob("*.npz")), tmp_path / "rule.npz")
    if '"learned.npz"' in block:
        learn(make_traffic(60)).save(tmp_path / "learned.npz")
    if "pool.jsonl" in block:
        shutil.copy(ROOT / "tests" / "data" / "pools" / "arithmetic_x64.jsonl", tmp_path / "pool.jsonl")
    policy, verifier = scripted_server(good_policy, pages), scripted_server(classifier(good_score), pages)
    with hosted_models(monkeypatch), policy as policy_server, verifier as verifier_server:
        block = block.replace("http://localhost:8000/v1", policy_server.base_url)
        block = block.replace("http://localhost:8001/v1", verifier_server.base_url)
        exec(compile(block, str(page), "exec"), {"__name__": "block"})  # noqa: S102 - our own text
