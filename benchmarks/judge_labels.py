"""A judge that reads label probabilities against one that writes its grade: calls, tokens, time, grades.

`python -m benchmarks.judge_labels` serves SmolLM2-135M by vLLM's CPU build and grades the same right and wrong answers
by `LLMJudge(method="labels")`, over both routes, and by `method="logprobs"`. `--url` takes your own server and model,
whose grades mean more. Prints JSON; times are medians of one grading after another, after a warm-up.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from langchain_core.messages import HumanMessage
from langchain_core.prompt_values import ChatPromptValue
from scipy.stats import rankdata

from langchain_optscale import LLMJudge
from langchain_optscale.endpoints.doctor.verifier import LESSONS
from langchain_optscale.endpoints.vllm import vllm_policy
from langchain_optscale.errors import InvalidReplyError
from langchain_optscale.records.usage import Usage
from langchain_optscale.verifiers.conformance import make_candidate
from langchain_optscale.verifiers.llm_judge import labels
from langchain_optscale.verifiers.llm_judge.criteria import JudgeExample
from tests.integration_tests.environments import NotInstallableError
from tests.integration_tests.vllm import environment
from tests.integration_tests.vllm.servers import Servers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_openai import ChatOpenAI

    from langchain_optscale import Verdict

# Question, right answer, wrong answer.
QUESTIONS = (
    ("What is the capital of France?", "Paris", "Lyon"),
    ("What is 7 + 5?", "12", "13"),
    ("What color is a clear sky?", "Blue", "Green"),
    ("How many legs does a spider have?", "Eight", "Six"),
    ("What is the opposite of hot?", "Cold", "Warm"),
    ("Which planet is closest to the sun?", "Mercury", "Mars"),
    ("How many days has a week?", "Seven", "Nine"),
    ("What do bees make?", "Honey", "Milk"),
)
EXAMPLES = {
    "yes/no": ("yes", "no"),
    "0-9": ("9", "0"),
}
METHODS = ("logprobs", "labels", "labels by /generative_scoring")


def grade(policy: ChatOpenAI, method: str, scale: str) -> dict[str, Any]:
    """The figures of one method, and the score of each answer (None where it gave none)."""
    best, worst = EXAMPLES[scale]
    examples = [
        JudgeExample("What is the capital of Italy?", "Rome", best),
        JudgeExample("What is the capital of Spain?", "Oslo", worst),
    ]
    judge = LLMJudge(
        policy,
        method="logprobs" if method == "logprobs" else "labels",
        scale=scale,
        examples=examples,
        min_mass=0.0,
        cache_size=0,
    )
    if not method.endswith("scoring"):
        return _graded(judge)
    with patch.multiple(labels, _SYSTEMONE="/v1/no-such-route", _from_chat=lambda *args: None):  # the other route
        return _graded(judge)


def _graded(judge: LLMJudge) -> dict[str, Any]:
    seconds: list[float] = []
    scores: list[float | None] = []
    usage = Usage()
    cases = [(question, answer) for question, right, wrong in QUESTIONS for answer in (right, wrong)]
    for number, (question, answer) in enumerate([cases[0], *cases]):
        prompt = ChatPromptValue(messages=[HumanMessage(question)])
        began = time.perf_counter()
        verdict: Verdict | None
        try:
            verdict = judge.verify(prompt, make_candidate(answer))
        except InvalidReplyError:
            verdict = None
        if number == 0:
            continue  # the warm-up
        seconds.append(time.perf_counter() - began)
        scores.append(None if verdict is None else verdict.score)
        usage += (verdict and verdict.usage) or Usage()
    graded = sum(one is not None for one in scores)
    return {
        "graded": graded,
        "of": len(scores),
        "requests_per_grade": usage.requests / max(1, graded),
        "input_tokens_per_grade": usage.input_tokens / max(1, graded),
        "output_tokens_per_grade": usage.output_tokens / max(1, graded),
        "median_s": statistics.median(seconds),
        "auc": auc(scores[::2], scores[1::2]),
        "scores": scores,
    }


def auc(right: Sequence[float | None], wrong: Sequence[float | None]) -> float | None:
    """How often a right answer scores above a wrong one; None without any of one kind."""
    goods, bads = ([one for one in some if one is not None] for some in (right, wrong))
    if not goods or not bads:
        return None
    ranks = rankdata([*goods, *bads])[: len(goods)]
    return float((ranks.sum() - len(goods) * (len(goods) + 1) / 2) / (len(goods) * len(bads)))


def difference(one: Sequence[float | None], other: Sequence[float | None]) -> float | None:
    """The mean absolute difference of the scores that both gave."""
    both = [abs(a - b) for a, b in zip(one, other, strict=True) if a is not None and b is not None]
    return statistics.fmean(both) if both else None


def run(url: str, model: str | None, key: str | None) -> list[dict[str, Any]]:
    """Measure one server."""
    policy = vllm_policy(url, model, api_key=key, temperature=0.0, max_tokens=64)
    rows = []
    for scale in EXAMPLES:
        figures = {method: grade(policy, method, scale) for method in METHODS}
        for method, one in figures.items():
            apart = difference(one["scores"], figures["labels"]["scores"])
            rows.append({"scale": scale, "method": method, **one, "mean_difference_from_labels": apart})
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="measure this server; without it one is started here")
    parser.add_argument("--model", help="the model's name; needed if the server serves several")
    arguments = parser.parse_args()
    if arguments.url:
        rows = run(arguments.url, arguments.model, os.environ.get("OPTSCALE_VERIFIER_API_KEY"))
    else:
        try:
            python = environment.install()
        except NotInstallableError as error:
            sys.exit(f"vLLM cannot be installed here: {error}")
        with tempfile.TemporaryDirectory() as logs:
            servers = Servers(python, environment.models(LESSONS), Path(logs))
            try:
                (server,) = servers.start("smollm2")
                rows = run(server.base_url, None, None)
            finally:
                servers.stop()
    sys.stdout.write(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
