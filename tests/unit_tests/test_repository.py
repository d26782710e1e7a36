"""What stands around the package: guides, workflows, the Makefile, and the names that they mention."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import langchain_optscale

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SHIPPED = [*PYPROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["include"], "pyproject.toml"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z_]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def text_files():
    """Every file of the repository that is text, by its path from the root."""
    for entry in SHIPPED:
        for path in [ROOT / entry, *(ROOT / entry).rglob("*")]:
            if path.is_file() and "__pycache__" not in path.parts:
                try:
                    yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
                except UnicodeDecodeError:
                    continue


def test_the_sdist_has_all_that_is_under_version_control():
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("this is no checkout: nothing says what is under version control")
    tracked = subprocess.run([git, "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603
    assert {name.partition("/")[0] for name in tracked.stdout.splitlines()} - set(SHIPPED) == set()


def test_the_versions_agree():
    version = PYPROJECT["project"]["version"]
    assert langchain_optscale.__version__ == version
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == version


# Workflows


def steps(workflow):
    for job in yaml.safe_load(workflow.read_text())["jobs"].values():
        yield from job["steps"]


def commands(workflow):
    return [step["run"] for step in steps(workflow) if "run" in step]


def made(command):
    """The make targets that a shell command names."""
    return re.findall(r"\bmake ([a-z_]+)", command)


@pytest.mark.parametrize(
    "path", [*WORKFLOWS, *ROOT.glob(".github/ISSUE_TEMPLATE/*.yml"), ROOT / "CITATION.cff"], ids=str
)
def test_yaml_is_a_mapping(path):
    assert isinstance(yaml.safe_load(path.read_text()), dict)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_steps_name_what_exists(path):
    for command in commands(path):
        assert set(made(command)) <= TARGETS
        for script in re.findall(r"\.ci/[\w-]+", command):
            assert os.access(ROOT / script, os.X_OK), script
    # A job may do no more than it needs to.
    assert yaml.safe_load(path.read_text())["permissions"] == {"contents": "read"}


def test_continuous_integration_runs_the_steps_of_ci_run():
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    ours = {line for line in lines if line.startswith(("make ", ".ci/"))}
    assert len(ours) >= 5
    assert ours <= set(commands(ROOT / ".github" / "workflows" / "ci.yml"))


def test_every_supported_python_is_checked():
    classified = re.findall(r"Python :: (3\.\d+)", "\n".join(PYPROJECT["project"]["classifiers"]))
    for name, job in (("ci.yml", "check"), ("release.yml", "smoke-test")):
        jobs = yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text())["jobs"]
        assert jobs[job]["strategy"]["matrix"]["python"] == classified


def test_hooks_run_the_tools_of_make_lint():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    tools = {Path(hook["entry"].split()[0]).name for hook in hooks}
    recipe = re.search(r"^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert tools == set(re.findall(r"\$\(BIN\)/([\w-]+)", recipe[1]))


def test_help_names_existing_targets():
    text = (ROOT / "Makefile").read_text()
    helped = set(re.findall(r'@echo "make ([a-z_]+)', text))
    phony = set(re.search(r"\.PHONY: ((?:.*\\\n)*.*)", text)[1].replace("\\\n", " ").split())
    assert helped <= TARGETS
    assert phony == TARGETS
    assert TARGETS - helped == {"help", "clean"}


# Guides


# The changelog may name what is gone.
GUIDES = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md")]
PAGES = sorted((ROOT / "docs").rglob("*.md"))


@pytest.mark.parametrize("page", [*GUIDES, *PAGES], ids=lambda page: page.relative_to(ROOT).as_posix())
def test_pages_name_what_exists(page):
    text = page.read_text()
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []
    code = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    assert {target for one in code for target in made(one)} <= TARGETS
    paths = {one for one in code if re.fullmatch(r"[\w./]+\.(py|md|yml|toml|cff)", one)}
    if page in GUIDES:  # elsewhere a slash at the end may mean something else
        paths |= {one for one in code if re.fullmatch(r"[\w./]+/", one)}
    assert [path for path in sorted(paths) if not _exists(path)] == []


def _exists(path):
    """Pages name files from the root, within the package, or by their name alone."""
    folders = [ROOT, ROOT / "langchain_optscale", ROOT / ".github" / "workflows"]
    places = [*folders, *(ROOT / "langchain_optscale").iterdir()]
    return any((place / path).exists() for place in places)


def test_the_architecture_names_every_package_and_the_line_that_stops():
    text = (ROOT / "ARCHITECTURE.md").read_text()
    packages = {path.parent.name for path in (ROOT / "langchain_optscale").glob("*/__init__.py")}
    assert packages <= set(re.findall(r"^\| \d+ \| `(\w+)/` ", text, re.MULTILINE))
    line = re.search(r"the session evaluates `([^`]+)`", text)[1]
    assert line in (ROOT / "langchain_optscale" / "stopping" / "session.py").read_text()


BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)
EXAMPLES = [block for block in BLOCKS if "Conformance" in block]
OTHERS = [block for block in BLOCKS if "Conformance" not in block]


def failures_of(example, folder, monkeypatch):
    """The tests of an example's test class, by name, and for each the error or None."""
    path = folder / "contributed_example.py"
    path.write_text(example)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, path.stem, module)
    spec.loader.exec_module(module)
    (cls,) = [one for name, one in vars(module).items() if name.startswith("Test")]
    errors = {}
    for name in dir(cls):
        if name.startswith("test_"):
            try:
                errors[name] = getattr(cls(), name)()
            except AssertionError as error:
                errors[name] = error
    return errors


def test_there_are_a_rule_and_a_verifier_of_about_thirty_lines():
    assert [("RuleConformance" in block, "VerifierConformance" in block) for block in EXAMPLES] == [
        (True, False),
        (False, True),
    ]
    assert all(len(block.splitlines()) <= 36 for block in EXAMPLES)


@pytest.mark.parametrize("example", EXAMPLES, ids=["rule", "verifier"])
def test_contributed_examples_conform(example, tmp_path, monkeypatch):
    outcomes = failures_of(example, tmp_path, monkeypatch)
    assert len(outcomes) >= 6
    assert set(outcomes.values()) == {None}


@pytest.mark.parametrize(
    ("number", "right", "wrong"),
    [(0, "stop=stalled", "stop=not stalled"), (1, "once / max(1, len(words))", "2.0 * once")],
    ids=["rule", "verifier"],
)
def test_a_wrong_example_fails(number, right, wrong, tmp_path, monkeypatch):
    assert right in EXAMPLES[number]
    outcomes = {}
    try:
        outcomes = failures_of(EXAMPLES[number].replace(right, wrong), tmp_path, monkeypatch)
    except langchain_optscale.OptScaleError as error:  # a score outside of [0, 1] is refused where it is made
        outcomes["refused"] = error
    assert set(outcomes.values()) != {None}


@pytest.mark.parametrize("block", OTHERS, ids=range(len(OTHERS)))
def test_other_blocks_run(block, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    exec(compile(block, "CONTRIBUTING.md", "exec"), {})  # noqa: S102 - our own page
    assert capsys.readouterr().out.count("40 questions, at most 16 samples") == 2  # one half chooses, the other reports


# Modules that have moved, by the package in which they were.
FORMER = {
    "langchain_optscale": """
        _batch_file _local_process _local_server attempts batches card chat_calls chat_identity chat_model cli_batch
        cli_calibrate cli_doctor cli_options cli_pools cli_priors clients conclusion consumption demo display doctor
        drawing estimators jobs learned limits local messages offered_tools policy priors progress results retry
        runnable sampling search serialisation session session_form settings streaming structured_output tool_calls
        tracing usage vllm work
    """,
    "langchain_optscale.evaluation": "_inspect _lm_eval _logs",
    "langchain_optscale.stopping": """
        _backward _costs _fitting _prefix _rule_file _stage _trajectories _untrained fitted
    """,
    "langchain_optscale.verifiers": """
        _fence cached calibrated combined fallback json_check judge judge_calls judge_criteria judge_prompt judge_reply
        judge_scale members reward reward_client reward_logistic reward_prompt reward_reply store text
    """,
}
# Attributes of the package itself: `from langchain_optscale import local`.
STILL_IMPORTED = {"local", "vllm"}


def former_names_in(text):
    """Every mention of a module under the name that it had before, as an import, a dotted name or a path."""
    found = []
    for package, listed in FORMER.items():
        names = set(listed.split())
        name = f"({'|'.join(sorted(names))})"
        start = rf"(?<![\w.]){package.replace('.', '[./]')}"
        found += [match[0] for match in re.finditer(rf"{start}[./]{name}\b", text)]
        for match in re.finditer(rf"from {re.escape(package)} import (\([^)]*\)|[^\n;]*)", text):
            imported = set(re.findall(r"\w+", match[1].split("#")[0]))
            found += sorted(imported & (names - STILL_IMPORTED))
    # Records have become a package; its names are in its modules.
    return found + re.findall(r"langchain_optscale\.records import \(?\s*[A-Z]\w*|langchain_optscale/records\.py", text)


def test_no_former_module_name_is_left():
    checked = dict(text_files())
    assert len(checked) > 300
    # The changelog says what has moved; this test has to know the names.
    own = Path(__file__).relative_to(ROOT).as_posix()
    others = {name: text for name, text in checked.items() if name not in {"CHANGELOG.md", own}}
    assert {name: found for name, text in others.items() if (found := former_names_in(text))} == {}


@pytest.mark.parametrize(
    "text",
    [
        "from langchain_optscale.session import Session",
        "import langchain_optscale.work",
        "from langchain_optscale import Session, settings",
        "from langchain_optscale import (\n    OptScale,\n    jobs,\n)",
        "see `langchain_optscale.vllm`",
        "langchain_optscale/policy.py",
        "from langchain_optscale.records import Candidate",
        "from langchain_optscale.verifiers.judge import LLMJudge",
        "langchain_optscale/verifiers/judge_reply.py",
        "from langchain_optscale.stopping import _costs",
    ],
)
def test_a_former_module_name_is_found(text):
    assert former_names_in(text)


@pytest.mark.parametrize(
    "text",
    [
        "from langchain_optscale import local, vllm",
        "from langchain_optscale.stopping.session import Session",
        "from langchain_optscale.records.candidates import Candidate",
        "import langchain_optscale.endpoints.vllm",
        "langchain_optscale/verifiers/reward_model/reply.py",
        "tests/unit_tests/models/test_policy.py",
        "langchain_optscale.verifiers.text_of",
    ],
)
def test_a_present_name_is_not_a_former_one(text):
    assert former_names_in(text) == []
