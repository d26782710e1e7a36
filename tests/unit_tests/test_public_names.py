"""The public surface, pinned, and what importing it costs."""

import subprocess
import sys

import langchain_optscale


def test_public_names():
    assert langchain_optscale.__all__ == [
        "AgreementVerifier",
        "AllCandidatesFailed",
        "Budget",
        "CachedVerifier",
        "Candidate",
        "Certificate",
        "ChatOptScale",
        "ConfidenceVerifier",
        "Decision",
        "EnsembleVerifier",
        "Estimate",
        "Failure",
        "FallbackVerifier",
        "FixedPrior",
        "GroupwiseJudge",
        "LLMJudge",
        "LearnedPrior",
        "LearnedSettings",
        "OptScale",
        "OptScaleError",
        "OptScaleMiddleware",
        "OptScaleResult",
        "PairwiseJudge",
        "Price",
        "QuestionPrior",
        "RewardModelVerifier",
        "Saved",
        "ScoreStore",
        "SearchSettings",
        "Session",
        "SettingsError",
        "StackedVerifier",
        "StopReason",
        "TournamentSelection",
        "Usage",
        "Verdict",
        "Verifier",
        "create_optscale_graph",
        "create_optscale_node",
        "create_optscale_tool",
        "optscale",
        "paper",
        "secrets_included",
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


def test_importing_a_model_imports_nothing_that_only_its_use_needs():
    unused = ["scipy", "langgraph", "matplotlib", "rich", "openai", "tenacity", "jsonschema", "xllamacpp", "mpmath"]
    code = (
        "import sys; from langchain_optscale import ChatOptScale, OptScale\n"
        f"print([name for name in {unused} if name in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert out.stdout.strip() == "[]"


def test_scipy_is_there_when_it_is_used():
    code = (
        "import sys; from langchain_optscale.stats import truncnorm\n"
        "print('scipy' in sys.modules, truncnorm.sf(0.5, 0.5, 0.1), 'scipy' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    before, value, after = out.stdout.split()
    assert (before, after) == ("False", "True")
    assert abs(float(value) - 0.5) < 1e-12
