"""The public surface, pinned, and what importing it costs."""

import subprocess
import sys

import langchain_optscale


def test_public_names():
    assert langchain_optscale.__all__ == [
        "AllCandidatesFailed",
        "Candidate",
        "ChatOptScale",
        "ConfidenceVerifier",
        "Decision",
        "EnsembleVerifier",
        "Estimate",
        "Failure",
        "FixedPrior",
        "LLMJudge",
        "OptScale",
        "OptScaleError",
        "OptScaleResult",
        "RewardModelVerifier",
        "Session",
        "SettingsError",
        "StopReason",
        "Usage",
        "Verdict",
        "Verifier",
        "optscale",
        "paper",
    ]
    for name in langchain_optscale.__all__:
        assert getattr(langchain_optscale, name).__name__ == name
    assert dir(langchain_optscale) == sorted(langchain_optscale.__all__)


def test_unknown_names_are_attribute_errors():
    assert not hasattr(langchain_optscale, "OptScaler")


def test_importing_the_package_imports_nothing_heavy():
    heavy = ["langchain_core", "langgraph", "openai", "numpy", "scipy", "matplotlib", "rich", "xllamacpp"]
    code = f"import sys, langchain_optscale; print([name for name in {heavy} if name in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert out.stdout.strip() == "[]"
