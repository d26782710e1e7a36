"""What the page on verifiers says of defaults is so; the integration tests run its code."""

import inspect
from pathlib import Path

from langchain_optscale.verifiers import LLMJudge, RewardModelVerifier

PAGE = (Path(__file__).parents[3] / "docs" / "verifiers.md").read_text()


def test_the_defaults_that_it_names():
    def default(function, name):
        return inspect.signature(function).parameters[name].default

    assert f"`min_mass` ({default(LLMJudge, 'min_mass')})" in PAGE
    assert f"(`max_chars`, {default(LLMJudge, 'max_chars'):,})" in PAGE
    assert f"`cache_size` ({default(LLMJudge, 'cache_size')})" in PAGE
    assert f"(`step_marker`, `{default(RewardModelVerifier, 'step_marker')}` by default" in PAGE
