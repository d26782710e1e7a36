"""Every recipe of the cookbook runs from its first cell to its last."""

import json
from pathlib import Path

import pytest

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")

COOKBOOK = Path(__file__).parents[2] / "cookbook"
# Those that need servers of their own are run where the servers are, in tests/integration_tests/vllm.
RECIPES = [
    path
    for path in sorted(COOKBOOK.glob("*.ipynb"))
    if "servers" not in json.loads(path.read_text())["metadata"].get("optscale", {})
]


def test_there_are_recipes():
    assert RECIPES


@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::RuntimeWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipe(path, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    assert any(cell.get("outputs") for cell in notebook.cells), "the recipe is kept with its outputs"
    client = nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
