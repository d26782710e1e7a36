"""Work that hangs takes no thread of the application, and keeps neither event loop nor interpreter from ending."""

import json
import os
import select
import signal
import subprocess
import sys

import pytest

if not hasattr(os, "fork"):
    pytest.skip("a case is a fork of a process that has imported the package", allow_module_level=True)

HEAD = """
import asyncio, threading, time
from langchain_core.language_models import FakeListChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import RunnableLambda
from langchain_optscale import LLMJudge, OptScale
from langchain_optscale.verifiers import CachedVerifier, EnsembleVerifier
hang = lambda *_: threading.Event().wait()
class HungModel(FakeListChatModel):
    def _call(self, *args, **kwargs): hang()
good = FakeListChatModel(responses=["a"])
judge = lambda **settings: LLMJudge(RunnableLambda(hang), method="text", **settings)
def make(verifier=lambda p, c: 0.3, policy=good, **settings):
    settings = {"max_samples": 2, "max_retries": 0, "candidate_timeout_s": 1, **settings}
    return OptScale(policy=policy, verifier=verifier, **settings)
"""
HUNG = {
    "verifier": "make(hang)",
    "judge": "make(judge())",
    "judge with votes": "make(judge(votes=3))",
    "judge with criteria": "make(judge(criteria=['a', 'b']))",
    "judge with a reference": "make(LLMJudge(good, method='text', reference=hang))",
    "ensemble": "make(EnsembleVerifier([hang, lambda p, c: 0.5]))",
    "cached": "make(CachedVerifier(hang))",
    "runnable": "make(RunnableLambda(hang) | StrOutputParser())",
    "policy": "make(policy=HungModel(responses=['a']))",
    "policy that is no model": "make(policy=RunnableLambda(hang) | StrOutputParser())",
    "extractor": "make(extract=lambda text: hang())",
}
SYNC = """
try:
    {search}.invoke("q")
except Exception as error:
    print(type(error).__name__, flush=True)
"""
ASYNC = """
async def fails(search):
    try:
        await search.ainvoke("q")
    except Exception as error:
        return type(error).__name__
async def main():
    began = time.monotonic()
    search = {search}
    assert set(await asyncio.gather(*[fails(search) for _ in range(20)])) == {{"AllCandidatesFailed"}}
    assert await asyncio.wait_for(asyncio.to_thread(lambda: "free"), 5) == "free"
    assert (await make().ainvoke("q")).score == 0.3
    print("AllCandidatesFailed", flush=True)
asyncio.run(main())
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Runs code in a process that has imported the package, and gives its exit status and what it printed."""
    output = tmp_path_factory.mktemp("output") / "text"
    command = [sys.executable, "-W", "ignore", "-m", "tests.integration_tests.forking_child", HEAD]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:  # noqa: S603

        def run(code):
            output.unlink(missing_ok=True)
            parent.stdin.write(json.dumps({"code": code, "output": str(output)}).encode() + b"\n")
            parent.stdin.flush()
            child = int(parent.stdout.readline())
            if not select.select([parent.stdout], [], [], 60)[0]:
                os.kill(child, signal.SIGKILL)
            return int(parent.stdout.readline()), output.read_text()

        yield run
        parent.stdin.close()


@pytest.mark.timeout(180)
@pytest.mark.parametrize("path", [SYNC, ASYNC], ids=["sync", "async"])
@pytest.mark.parametrize("name", HUNG)
def test_the_process_goes_on_and_ends(name, path, run):
    status, printed = run(path.format(search=HUNG[name]))
    assert (status, printed.strip()) == (0, "AllCandidatesFailed"), printed[-2_000:]
