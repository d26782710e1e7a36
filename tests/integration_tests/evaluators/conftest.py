"""Real evaluators with fake models on this machine; `make integration_test_evaluators` installs what they need.

Every test runs on both paths. What each evaluator is, in which version, and how many lines adapt it, is a row of the
table in docs/evaluators.md.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

# Before anything is imported that would ask a host about them.
os.environ.setdefault("DEEPEVAL_TELEMETRY_OPT_OUT", "YES")
os.environ.setdefault("DEEPEVAL_DISABLE_DOTENV", "1")
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
os.environ.setdefault("LANGSMITH_TRACING", "false")

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_optscale.records.candidates import Verdict

_HERE = Path(__file__).parent
collect_ignore_glob: list[str] = []
try:
    import openevals  # noqa: F401
except ImportError:
    if os.environ.get("OPTSCALE_EVALUATORS_REQUIRED"):
        raise
    # They need an environment of their own.
    collect_ignore_glob.append("test_*.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _HERE in item.path.parents:
            # What others deprecate is theirs to mend.
            for kind in ("DeprecationWarning", "PendingDeprecationWarning", "UserWarning", "ResourceWarning"):
                item.add_marker(pytest.mark.filterwarnings(f"ignore::{kind}"))


@pytest.fixture(params=["sync", "async"])
def score(request: pytest.FixtureRequest) -> Callable[..., Verdict]:
    """Verify "Paris" as the answer to a question about France, by whatever `verifier=` takes."""
    from langchain_core.messages import HumanMessage
    from langchain_core.prompt_values import ChatPromptValue

    from langchain_optscale.verifiers import as_verifier
    from langchain_optscale.verifiers.conformance import make_candidate

    prompt = ChatPromptValue(messages=[HumanMessage("What is the capital of France?")])

    def verify(evaluator: Any, answer: str = "Paris", reference: Any = None) -> Verdict:
        verifier = as_verifier(evaluator)
        candidate = make_candidate(answer)
        config: Any = None if reference is None else {"configurable": {"reference": reference}}
        if request.param == "sync":
            return verifier.verify(prompt, candidate, config)
        return asyncio.run(verifier.averify(prompt, candidate, config))

    return verify
