"""Pages of the site that are made from the code when it is built: settings, command line, messages, recipes, changelog.

MkDocs calls `on_config` and `on_files`. `make docs` builds the site.
"""

from __future__ import annotations

import argparse
import base64
import inspect
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docs.explore_pools import embedded
from docs.graph_picture import with_pictures
from docs.messages import page as error_page

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
REPOSITORY = "https://github.com/langchain-optscale/langchain-optscale/blob/main/"


def settings_page() -> str:
    """Every setting of a search with its type, its default and what it means, from `SearchSettings`."""
    from langchain_optscale import SearchSettings

    meanings = argument_texts(inspect.getdoc(SearchSettings) or "")
    lines = [
        "# Settings",
        "",
        "Every entry point takes these by name: `OptScale`, `ChatOptScale`, `create_optscale_graph`, "
        "`create_optscale_tool`, `OptScaleMiddleware` and, where it makes sense on a command line, `optscale`.",
        "",
    ]
    for name, field in SearchSettings.model_fields.items():
        default = "required" if field.is_required() else f"default `{field.get_default()!r}`"
        bounds = ", ".join(str(bound) for bound in field.metadata if re.match(r"(Ge|Gt|Le|Lt)\(", repr(bound)))
        lines += [f"## `{name}`", "", f"*{default}{'; ' + bounds if bounds else ''}*", "", meanings[name], ""]
    return "\n".join(lines)


def argument_texts(docstring: str) -> dict[str, str]:
    """What a Google docstring says of each argument."""
    section = re.split(r"(?:Args|Attributes):\n", docstring, maxsplit=1)[1].split("\n\n", 1)[0]
    texts: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        if found := re.match(r" {4}(\w+): (.*)", line):
            name, texts[found[1]] = found[1], found[2]
        else:
            texts[name] += " " + line.strip()
    return texts


def command_page() -> str:
    """The help of each command, as the command line prints it."""
    from langchain_optscale.cli.main import _parser

    parser = _parser()
    lines = ["# Command line", "", parser.description or "", ""]
    for name, command in _subcommands(parser):
        lines += [f"## optscale {name}", "", "```text", _help(command), "```", ""]
        for inner, nested in _subcommands(command):
            lines += [f"### optscale {name} {inner}", "", "```text", _help(nested), "```", ""]
    return "\n".join(lines)


def _subcommands(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in vars(parser)["_actions"]:  # argparse names no public way to its parts
        if isinstance(action.choices, dict):
            yield from action.choices.items()


def _help(parser: argparse.ArgumentParser) -> str:
    parser.formatter_class = lambda prog: argparse.HelpFormatter(prog, width=100)
    return parser.format_help().rstrip()


def changelog_page() -> str:
    """The changelog; what it names by path leads to the repository."""
    return (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


MADE = {"reference/settings.md": settings_page, "reference/cli.md": command_page, "changelog.md": changelog_page}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List the recipes in the navigation, by the short form of their titles."""
    for entry in config.nav or []:
        if "Cookbook" in entry:
            entry["Cookbook"] = [{short_title(path): f"cookbook/{path.stem}.md"} for path in recipes()]
    return config


def short_title(path: Path) -> str:
    """The title of a notebook up to its colon."""
    title = re.search(r"^# (.+)", json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"][0])
    if title is None:
        raise ValueError(f"{path.name} must begin with a title")
    return title[1].partition(":")[0].strip()


def recipes() -> list[Path]:
    """The notebooks, in their order."""
    return sorted((ROOT / "cookbook").glob("*.ipynb"))


def recipe_page(path: Path) -> str:
    """A notebook with its outputs; pictures stand in the page itself."""
    import nbformat
    from nbconvert import MarkdownExporter

    notebook = nbformat.read(path, as_version=4)
    text, resources = MarkdownExporter().from_notebook_node(notebook)
    for name, picture in (resources.get("outputs") or {}).items():
        kind = "svg+xml" if name.endswith("svg") else "png"
        text = text.replace(f"({name})", f"(data:image/{kind};base64,{base64.b64encode(picture).decode()})")
    name = f"cookbook/{path.name}"
    text = text.replace("](../docs/", "](../")
    return f"{_ANSI.sub('', text)}\n\n[The notebook]({REPOSITORY}{name})\n"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made."""
    from mkdocs.structure.files import File  # here, so that the tests of the pages need no mkdocs

    for name, make in MADE.items():
        files.append(File.generated(config, name, content=make()))
    files.remove(files.src_uris["errors.md"])
    files.append(File.generated(config, "errors.md", content=error_page()))
    for path in recipes():
        files.append(File.generated(config, f"cookbook/{path.stem}.md", content=recipe_page(path)))
    return files


_UNNAMED = re.compile(r"^\| *\|(?=.*\n\| *:?-)", re.MULTILINE)
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_OUTSIDE = re.compile(
    r"\]\((?:\.\./)+((?:langchain_optscale|tests|cookbook|benchmarks|deploy|examples)[^)]*|[A-Z]+\.md[^)]*)\)"
)


# Pages that say what a word or an error means come before those that use it, when it is searched.
BOOSTED = {"glossary.md": 4, "errors.md": 4}


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Links out of docs/ lead to the repository, each column of a table has a name, and diagrams are pictures."""
    if page.file.src_uri in BOOSTED:
        page.meta["search"] = {"boost": BOOSTED[page.file.src_uri]}
    markdown = embedded(with_pictures(_UNNAMED.sub("| What |", markdown)))
    return _OUTSIDE.sub(lambda found: f"]({REPOSITORY}{found[1]})", markdown)
