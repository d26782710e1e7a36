"""`optscale doctor` against real servers."""

import json
import os
import subprocess
import sys

import pytest

from tests.integration_tests.vllm.servers import KEY

COMMAND = [sys.executable, "-m", "langchain_optscale.cli", "doctor"]


def doctor(*arguments, **env):
    environment = {**os.environ, "OPTSCALE_POLICY_API_KEY": KEY, **env}
    return subprocess.run(  # noqa: S603 - our own command
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=300, env=environment, check=False
    )


@pytest.fixture(scope="module")
def pair(servers):
    return servers.start("policy", "classifier")


def test_all_is_well(pair):
    policy, classifier = pair
    done = doctor("--policy-url", policy.base_url, "--verifier-url", classifier.base_url, "--json")
    report = json.loads(done.stdout)
    assert {check["name"]: check["status"] for check in report["checks"]} == dict.fromkeys(
        [
            *("reachable", "authorised", "served", "answer", "choices", "variety", "seeds", "logprobs", "cancellation"),
            *("kind", "range", "judgement"),
        ],
        "ok",
    ), done.stdout
    assert report["healthy"] is True
    assert done.returncode == 0
    assert done.stderr == ""
    assert KEY not in done.stdout


def test_a_wrong_key(pair):
    done = doctor("--policy-url", pair[0].base_url, OPTSCALE_POLICY_API_KEY="sk-not-the-one")
    assert done.returncode == 1
    assert "$OPTSCALE_POLICY_API_KEY" in done.stdout
    assert "failed: authorised of policy" in done.stderr
    assert "sk-not-the-one" not in done.stdout + done.stderr


def test_the_servers_are_mixed_up(pair):
    classifier = pair[1]
    done = doctor(
        "--policy-url", classifier.base_url, "--verifier-url", classifier.base_url, "--verifier-kind", "judge"
    )
    assert done.returncode == 1
    assert "failed   answer" in done.stdout
    assert "the server is of kind 'classify'" in done.stdout
