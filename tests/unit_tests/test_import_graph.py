"""The plan of the package: what its root contains, no long modules, and none that import each other in a circle.

The layers are a contract of import-linter, in `pyproject.toml`.
"""

import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

import langchain_optscale

PACKAGES = {
    "agents",
    "answers",
    "cli",
    "distributed",
    "endpoints",
    "engine",
    "errors",
    "evaluation",
    "graph",
    "learning",
    "models",
    "records",
    "runnables",
    "stats",
    "stopping",
    "verifiers",
}
FILES = {"__init__.py", "__main__.py", "py.typed"}


def root_entries(package):
    return {entry.name for entry in Path(package.__file__).parent.iterdir()} - {"__pycache__"}


def circle_in(package_name):
    """Modules that import each other in a circle, the first one repeated at the end; None where there is no circle."""
    # An import for the type checker is an import: it says which module knows which.
    graph = grimp.build_graph(package_name, exclude_type_checking_imports=False, cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return error.args[1]
    return None


def test_the_root_contains_packages_and_two_modules():
    assert root_entries(langchain_optscale) == PACKAGES | FILES


def test_no_module_is_long():
    sources = Path(langchain_optscale.__file__).parent.rglob("*.py")
    lines = {str(source): source.read_text(encoding="utf-8").count("\n") for source in sources}
    assert {source: count for source, count in lines.items() if count > 350} == {}


def test_no_circle_among_modules():
    assert circle_in("langchain_optscale") is None


def test_the_graph_has_the_imports_that_only_the_type_checker_makes():
    graph = grimp.build_graph("langchain_optscale", exclude_type_checking_imports=False, cache_dir=None)
    assert "langchain_optscale.engine.result" in graph.find_modules_directly_imported_by("langchain_optscale")
    assert len(graph.modules) > 150


CLOSED = {
    "two modules": {"a": "from circular import b", "b": "from circular.a import x"},
    "for the type checker": {
        "a": "from circular.b import y",
        "b": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from circular.a import x",
    },
    "within a function": {"a": "import circular.b", "b": "def late():\n    from circular import a"},
    "over three modules": {"a": "import circular.b", "b": "import circular.c", "c": "import circular.a"},
}


@pytest.mark.parametrize("modules", CLOSED.values(), ids=CLOSED)
def test_a_circle_is_found(modules, tmp_path, monkeypatch):
    circle = _circle_in_package(modules, tmp_path, monkeypatch)
    assert set(circle) == {f"circular.{name}" for name in modules}


def test_imports_in_one_direction_are_no_circle(tmp_path, monkeypatch):
    modules = {"a": "from circular import b, c", "b": "import circular.c", "c": "x = 1"}
    assert _circle_in_package(modules, tmp_path, monkeypatch) is None


def _circle_in_package(modules, folder, monkeypatch):
    package = folder / "circular"
    package.mkdir()
    (package / "__init__.py").touch()
    for name, text in modules.items():
        (package / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(folder)
    try:
        return circle_in("circular")
    finally:
        sys.modules.pop("circular", None)
