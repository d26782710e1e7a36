"""What the documentation names exists: modules, classes, arguments, attributes, commands and their options."""

import ast
import re
import shlex
from pathlib import Path

import pytest

from docs import messages
from langchain_optscale.cli.main import _parser

ROOT = Path(__file__).parents[3]
PAGES = sorted(
    [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md")]
    + list((ROOT / "docs").rglob("*.md"))
    + list((ROOT / "docs").rglob("llms.txt"))
)
NODES = [node for tree in messages.Code.read().trees.values() for node in ast.walk(tree)]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in messages.PACKAGE.rglob("*.py")
}
# Of other packages, or answers of examples.
OTHERS = {
    "AnthropicPromptCachingMiddleware",
    "ChatAnthropic",
    "ChatOpenAI",
    "EarlyStopping",
    "Embeddings",
    "GEval",
    "Host",
    "HumanInTheLoopMiddleware",
    "LLMJudgeRewardModel",
    "ModelFallbackMiddleware",
    "ModelRetryMiddleware",
    "ModelRouterMiddleware",
    "Origin",
    "Paris",
    "PointwiseJudgeModel",
    "ProviderToolSearchMiddleware",
    "Refine",
    "RunEvaluator",
    "StringEvaluator",
    "SummarizationMiddleware",
    "ToolCallLimitMiddleware",
    "allowed_objects",
    "cache_control",
    "checkpointer",
    "consistency_space_projection_func",
    "defer",
    "durability",
    "early_stopping",
    "middleware",
    "responses",
    "secrets_from_env",
    "stream_mode",
    "subgraphs",
    "token_counter",
    "trigger",
    "valid_namespaces",
}


def defined():
    """Every name that the package defines, imports or raises, arguments included."""
    for node in NODES:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.ImportFrom | ast.Import):
            yield from (alias.name for alias in node.names)


DEFINED = set(defined())
ARGUMENTS = {node.arg for node in NODES if isinstance(node, ast.arg)} | {
    node.target.id for node in NODES if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
}


def prose(page):
    return re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def code_in(page):
    return re.findall(r"`([^`\n]+)`", prose(page))


def in_blocks(page):
    """The names of a page's Python blocks, which run by themselves."""
    return set(re.findall(r"\w+", " ".join(re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.DOTALL))))


def exists(name):
    """Whether a dotted name is a module, or what one defines, or an attribute of that."""
    head, _, last = name.rpartition(".")
    if name in MODULES or (head in MODULES and last in {*DEFINED, "__all__"}):
        return True
    return "." in head and head.rpartition(".")[2][:1].isupper() and exists(head) and last in DEFINED


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_modules_and_what_is_in_them_exist(page):
    named = set(re.findall(r"\blangchain_optscale(?:\.\w+)+", page.read_text("utf-8")))
    assert [name for name in sorted(named) if not exists(name)] == []


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("langchain_optscale.stopping", True),
        ("langchain_optscale.stopping.MaxSamples", True),
        ("langchain_optscale.OptScaleResult.to_dict", True),
        ("langchain_optscale.nowhere", False),
        ("langchain_optscale.stopping.nowhere.MaxSamples", False),
        ("langchain_optscale.stopping.NoSuchRule", False),
    ],
)
def test_what_does_not_exist_is_found(name, there):
    assert exists(name) is there


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_classes_exist(page):
    names = {
        name
        for code in code_in(page)
        for name in re.findall(r"(?<![\w\"'/:-])[A-Z][a-z]+[A-Z]\w*|\b[A-Z]{2,}[a-z]\w+", code)
    }
    assert names - DEFINED - OTHERS - in_blocks(page) == set(), "another package's? then add it to OTHERS"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_arguments_exist(page):
    names = {name for code in code_in(page) for name in re.findall(r"(?<![\w-])([a-z_]+)=(?!=)", code)}
    assert names - ARGUMENTS - OTHERS - in_blocks(page) == set(), "another package's? then add it to OTHERS"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_attributes_exist(page):
    kinds = "result|candidate|verdict|failure|session|error|estimate|decision|history|judge|search|store"
    names = {name for code in code_in(page) for name in re.findall(rf"\b(?:{kinds})\.([a-z_]+)", code)}
    assert names - DEFINED - {"py", "json", "jsonl", "db"} == set()


def commands(page):
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    for line in lines + code_in(page):
        for part in re.split(r"&&|\||;|<|>", line.partition("  #")[0]):
            if part.strip().startswith("optscale ") and not re.search(r"[A-Z]{2,}|\.\.\.|\[", part):
                yield part.strip()


COMMANDS = sorted({(page, command) for page in PAGES for command in commands(page)})


@pytest.mark.parametrize(("page", "command"), COMMANDS, ids=[command for _, command in COMMANDS])
def test_commands_and_their_options_are_understood(page, command, capsys):
    status, said = 0, ""
    try:
        _parser().parse_args(shlex.split(command)[1:])
    except SystemExit as end:
        status, said = end.code, capsys.readouterr().err
    # In running text a command is often named without what it needs.
    assert status == 0 or re.search("required|expected one argument", said), f"{page.name}: {said}"
