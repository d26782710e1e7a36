"""The documentation's site: its navigation, what is made from the code, and the page for coding assistants."""

import ast
import builtins
import doctest
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest
import yaml

import langchain_optscale
from docs import site_pages
from langchain_optscale import SearchSettings

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
pytestmark = pytest.mark.skipif(not DOCS.exists(), reason="the documentation is not here")


def blocks(page):
    return re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


# What a block needs beyond the core, by what stands in it; `plot` draws with Matplotlib.
EXTRAS = {
    "openai": r"langchain_openai|endpoints\.vllm|\"openai:",
    "agents": r"langchain\.|OptScaleMiddleware|create_optscale_tool|\"openai:",
    "local": r"local\.serve",
    "plots": r"\.plot\(",
}
START = [ROOT / "README.md", DOCS / "index.md", *sorted((DOCS / "start").glob("*.md"))]


@pytest.mark.parametrize(
    ("page", "above", "block"),
    [
        pytest.param(page, text[: found.start()], found[1], id=f"{page.stem}-{number}")
        for page in START
        for text in [page.read_text(encoding="utf-8")]
        for number, found in enumerate(re.finditer(r"```python\n(.*?)```", text, re.DOTALL), 1)
    ],
)
def test_first_blocks_name_the_extras_that_they_need(page, above, block):
    """In the README in each block, since readers copy one; elsewhere at the head of the page."""
    place = block if page.name == "README.md" else above
    named = {one for extras in re.findall(r"langchain-optscale\[([\w,]+)\]", place) for one in extras.split(",")}
    # The embedded model is reached by the same client as any other.
    named |= {"openai"} if "local" in named else set()
    assert {extra for extra, needs in EXTRAS.items() if re.search(needs, block)} <= named


def listed():
    class Loader(yaml.SafeLoader):
        """Without the functions that the configuration names."""

    Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda *_: None)
    config = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), Loader)  # noqa: S506 - our own file

    def pages(entry):
        if isinstance(entry, str):
            return [entry]
        values = entry if isinstance(entry, list) else entry.values()
        return [page for value in values for page in pages(value)]

    return pages(config["nav"])


def test_the_navigation_has_every_page():
    made = {"reference/settings.md", "reference/cli.md", "changelog.md"}
    written = {
        path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md") if not path.name.endswith(".template.md")
    }
    assert set(listed()) == written | made


def test_the_reference_has_every_public_name():
    text = "\n".join(path.read_text(encoding="utf-8") for path in (DOCS / "reference").glob("*.md"))
    shown = re.findall(r"^::: ([\w.]+)", text, re.MULTILINE)
    public = {name.rpartition(".")[2] for name in shown}
    for module in ("verifiers", "stopping", "stats", "answers"):  # pages of whole packages
        assert f"langchain_optscale.{module}" in shown
        public |= set(importlib.import_module(f"langchain_optscale.{module}").__all__)
    assert set(langchain_optscale.__all__) - public == {"SearchSettings"}  # it has a page of its own


def test_each_question_is_answered_by_a_page():
    """`make docs_check` types them into the search."""
    questions = importlib.import_module("docs.check_site").questions()
    assert len(questions) >= 20
    pages = {page.removesuffix(".md") + ".html" for page in listed()}
    assert set(questions.values()) <= pages
    asked = re.findall(r"^## (.+)", (DOCS / "faq.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert all(heading.endswith("?") for heading in asked)
    assert {"How do I choose a target?", "What may change between versions?"} <= set(asked) & set(questions)


def test_recipes_are_in_the_navigation_by_short_titles():
    titles = [site_pages.short_title(path) for path in site_pages.recipes()]
    assert len(set(titles)) == len(titles) >= 10
    assert max(map(len, titles)) <= 60


def names_in(block):
    """Each name that a block takes from this package, and the arguments that it gives to it."""
    tree = ast.parse(block)
    imported = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("langchain_optscale"):
            module = importlib.import_module(node.module)
            imported |= {alias.asname or alias.name: getattr(module, alias.name) for alias in node.names}
    calls = [
        (imported[node.func.id], {keyword.arg for keyword in node.keywords if keyword.arg})
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in imported
    ]
    return imported, calls


@pytest.mark.parametrize("block", blocks(DOCS / "assistants.md"))
def test_names_and_arguments_of_the_page_for_assistants_exist(block):
    imported, calls = names_in(block)
    assert imported
    assert calls
    for function, arguments in calls:
        parameters = inspect.signature(function).parameters
        takes = set(parameters)
        if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
            takes |= set(SearchSettings.model_fields)
        assert arguments <= takes, function


def test_names_in_code_of_the_page_for_assistants_exist():
    text = (DOCS / "assistants.md").read_text(encoding="utf-8") + (DOCS / "llms.txt").read_text(encoding="utf-8")
    result = set(dir(langchain_optscale.OptScaleResult))
    result |= set(langchain_optscale.OptScaleResult.__dataclass_fields__)
    attributes = set(re.findall(r"\bresult\.(\w+)", text))
    assert len(attributes) > 10
    assert attributes <= result
    public = set(langchain_optscale.__all__) | set(importlib.import_module("langchain_optscale.verifiers").__all__)
    ours = set(re.findall(r"\b((?:create_optscale_|OptScale|ChatOptScale|LLMJudge|Agreement)\w*)\(", text))
    assert ours
    assert ours <= public
    settings = set(re.findall(r"\b([a-z_]+)=", re.sub(r"```.*?```", "", text, flags=re.DOTALL)))
    known = {*SearchSettings.model_fields, "checkpointer", "middleware", "responses", "model", "judge", "temperature"}
    assert settings <= known


def test_every_setting_and_command_is_described():
    page = site_pages.settings_page()
    assert all(f"## `{name}`" in page for name in SearchSettings.model_fields)
    assert "## optscale batch" in site_pages.command_page()


@pytest.mark.parametrize("name", langchain_optscale.__all__)
def test_public_names_say_what_they_are(name):
    said = inspect.getdoc(getattr(langchain_optscale, name)) or ""
    assert len(said.split()) >= 3


# The examples of `endpoints` and `distributed` need a server or Ray: their tests run the like.
def public():
    """Classes and functions that packages name, and that the pages of the reference show."""
    packages = ("", ".verifiers", ".stopping", ".answers", ".stats", ".agents", ".graph", ".evaluation", ".errors")
    pages = "\n".join(path.read_text(encoding="utf-8") for path in (DOCS / "reference").glob("*.md"))
    shown = {f"langchain_optscale{package}" for package in packages} | set(re.findall(r"(?m)^::: ([\w.]+)", pages))
    for place in shown:
        thing = pkgutil.resolve_name(place)
        if not inspect.ismodule(thing):
            yield place.rpartition(".")[::2]
            continue
        yield from ((place, name) for name in thing.__all__ if callable(getattr(thing, name)))


PUBLIC = sorted(each for each in set(public()) if not each[0].startswith("langchain_optscale.endpoints"))


def unknown_names(code, known):
    """The names that code reads and neither knows nor makes itself."""
    nodes = list(ast.walk(ast.parse(code)))
    made = {node.id for node in nodes if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)}
    made |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    made |= {node.name for node in nodes if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.ExceptHandler)}
    made |= {alias.asname or alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}
    made |= {alias.asname or alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    read = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    return read - made - set(dir(builtins)) - known


@pytest.mark.parametrize(("module", "name"), PUBLIC)
def test_public_classes_and_functions_have_an_example_that_runs(module, name):
    """Of their own, not that of a base class; `make test` runs it, and a reader who has imported the name can."""
    steps = doctest.DocTestParser().get_examples(getattr(importlib.import_module(module), name).__doc__ or "")
    assert any(step.want for step in steps)
    assert not any(step.options.get(doctest.SKIP) for step in steps)
    assert unknown_names("".join(step.source for step in steps), {name}) == set()


def test_help_on_the_settings_describes_each():
    described = set(re.findall(r"^    (\w+): \S", inspect.getdoc(SearchSettings), re.MULTILINE))
    assert set(SearchSettings.model_fields) <= described


@pytest.mark.parametrize(
    "name",
    [
        "ChatOptScale",
        "OptScale",
        "OptScaleMiddleware",
        "create_optscale_graph",
        "create_optscale_node",
        "create_optscale_tool",
    ],
)
def test_help_on_what_takes_settings_says_where_they_are(name):
    assert "`SearchSettings`" in inspect.getdoc(getattr(langchain_optscale, name))
