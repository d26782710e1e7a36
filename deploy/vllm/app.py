"""Answer questions by an adaptive search over two vLLM servers.

`python app.py QUESTION...` answers each question; without one it reads them from standard input, a line each. The
servers are in POLICY_URL and VERIFIER_URL, several of a kind separated by commas; their keys in
OPTSCALE_POLICY_API_KEY and OPTSCALE_VERIFIER_API_KEY.
"""

from __future__ import annotations

import asyncio
import os
import sys

from langchain_optscale import ChatOptScale, OptScaleError
from langchain_optscale.endpoints.vllm import vllm_policy, vllm_verifier
from langchain_optscale.errors import printable


def build() -> ChatOptScale:
    """The chat model that searches."""
    return ChatOptScale(
        policy=vllm_policy(
            os.environ["POLICY_URL"].split(","),
            temperature=0.8,
            max_tokens=int(os.environ.get("MAX_TOKENS", "4096")),
        ),
        verifier=vllm_verifier(os.environ["VERIFIER_URL"].split(",")),
        target=0.9,
        max_samples=int(os.environ.get("MAX_SAMPLES", "16")),
    )


async def answer(questions: list[str]) -> int:
    """Answer the questions, several at a time, and print figures for each; the number without an answer."""
    messages = await build().abatch(questions, {"max_concurrency": 8}, return_exceptions=True)
    unanswered = 0
    for question, message in zip(questions, messages, strict=True):
        if isinstance(message, OptScaleError):  # the others have been paid for
            unanswered += 1
            sys.stdout.write(f"{question}\n  [no answer: {message}]\n\n")
            continue
        if isinstance(message, BaseException):
            raise message
        about = message.response_metadata["optscale"]
        sys.stdout.write(f"{question}\n{printable(message.text)}\n")
        sys.stdout.write(
            f"  [{len(about['scores'])} candidates, score {about['score']:.3f}, {about['stop_reason']}]\n\n"
        )
    return unanswered


if __name__ == "__main__":
    lines = sys.argv[1:] or [line.strip() for line in sys.stdin if line.strip()]
    try:
        if unanswered := asyncio.run(answer(lines)):
            sys.exit(f"app: {unanswered} of {len(lines)} questions have no answer")
    except OptScaleError as error:
        sys.exit(f"app: {error}")
