"""What the page on verifiers shows can be run, and what it says of defaults is so."""

import inspect
import re
from pathlib import Path

from langchain_optscale.verifiers import LLMJudge, RewardModelVerifier
from tests.unit_tests.fakes import PlainPolicy
from tests.unit_tests.verifiers.llm_judge.judges import ScriptedJudge

PAGE = (Path(__file__).parents[3] / "docs" / "verifiers.md").read_text()


def test_the_code_runs(tmp_path, monkeypatch):
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) >= 4
    monkeypatch.chdir(tmp_path)  # one of them opens a file
    names = {"judge_model": ScriptedJudge(reply=lambda messages: ""), "policy": PlainPolicy(texts=["4"])}
    for block in blocks:
        exec(compile(block, "docs/verifiers.md", "exec"), names)  # noqa: S102 - our own page


def test_the_defaults_that_it_names():
    def default(function, name):
        return inspect.signature(function).parameters[name].default

    assert f"`min_mass` ({default(LLMJudge, 'min_mass')})" in PAGE
    assert f"(`max_chars`, {default(LLMJudge, 'max_chars'):,})" in PAGE
    assert f"`cache_size` ({default(LLMJudge, 'cache_size')})" in PAGE
    assert f"(`step_marker`, `{default(RewardModelVerifier, 'step_marker')}` by default" in PAGE
