"""What the package costs at two commits, in turns in the same run: `python -m benchmarks.against THEN [NOW]`.

Each part does the same work with a model that answers at once, so that what is measured is the package: the CPU
milliseconds of its process for one unit of work. Both trees run in processes of their own, one after the other and then
the other way round, so that the ratio does not depend on how busy the machine is. Prints JSON: for each part the median
of both, and the median of the turns' ratios, now to then. THEN and NOW are names that git knows; without NOW it is the
checkout as it stands.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import importlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[1]
CANDIDATES = 8
PARTS = ("import", "search", "async search", "chat model", "judge", "tool call judge", "read a result", "graph")
UNITS = {"search": 40, "async search": 40, "chat model": 40, "judge": 150, "tool call judge": 150, "graph": 8}
TEXT = "The river runs over old stones and under a bridge to the sea, while <b>no</b> boat [1] is in sight.\n" * 20


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("then", nargs="?", help="the commit to compare with")
    parser.add_argument("now", nargs="?", help="the other one; by default the checkout as it stands")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps({part: cost_of(part) for part in PARTS}))
        return
    if arguments.then is None:
        parser.error("give the commit to compare with, such as HEAD~50")
    with contextlib.ExitStack() as leaving:
        then = leaving.enter_context(tree_of(arguments.then))
        now = ROOT if arguments.now is None else leaving.enter_context(tree_of(arguments.now))
        names = {"then": arguments.then, "now": arguments.now or "the checkout"}
        print(json.dumps(names | compare(then, now, arguments.turns), indent=2))


@contextlib.contextmanager
def tree_of(commit: str) -> Iterator[Path]:
    """The files of a commit, in a directory of their own."""
    with tempfile.TemporaryDirectory() as directory:
        tree = Path(directory, "tree")
        git("worktree", "add", "--quiet", "--detach", str(tree), commit)
        try:
            yield tree
        finally:
            git("worktree", "remove", "--force", str(tree))


def git(*arguments: str) -> None:
    """Run git on our own repository."""
    subprocess.run(["git", *arguments], cwd=ROOT, check=True)  # noqa: S603, S607


def compare(then: Path, now: Path, turns: int) -> dict[str, Any]:
    """The figures of both trees."""
    rows: list[tuple[dict[str, float], dict[str, float]]] = []
    for turn in range(turns):
        order = (now, then) if turn % 2 else (then, now)
        costs = {tree: measured(tree) for tree in order}
        rows.append((costs[then], costs[now]))
    return {
        "turns": turns,
        "cpu_ms": {
            part: {
                "then": round(statistics.median(before[part] for before, _ in rows), 3),
                "now": round(statistics.median(now[part] for _, now in rows), 3),
                "ratio": round(statistics.median(now[part] / before[part] for before, now in rows), 3),
            }
            for part in PARTS
        },
    }


def measured(tree: Path) -> dict[str, float]:
    """The costs of one tree, measured in a process of its own."""
    done = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, "-P", str(Path(__file__)), "--child"],
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        check=True,
    )
    costs: dict[str, float] = json.loads(done.stdout)
    return costs


def cost_of(part: str) -> float:
    """CPU milliseconds of one unit of work, after a first one that is not counted."""
    if part == "import":
        return cost_of_import()
    work, units = work_of(part), UNITS.get(part, 40)
    work()
    gc.collect()  # else what the imports left is collected in the middle of some part, at ten times a graph's cost
    began = time.process_time()
    for _ in range(units):
        work()
    return (time.process_time() - began) * 1e3 / units


def cost_of_import() -> float:
    """CPU milliseconds until the command's module is loaded, wherever the tree keeps it."""
    began = time.process_time()
    for module in ("langchain_optscale.cli.main", "langchain_optscale.cli"):
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name != module:
                raise
        else:
            return (time.process_time() - began) * 1e3
    raise ModuleNotFoundError("the tree has no module of the command")


def work_of(part: str) -> Callable[[], object]:
    """One unit of work of a part; only names that the package had from the beginning."""
    from langchain_core.messages import AIMessage
    from langchain_core.prompt_values import StringPromptValue

    from langchain_optscale import ChatOptScale, LLMJudge, OptScale, OptScaleResult, create_optscale_graph
    from langchain_optscale.stopping import MaxSamples
    from langchain_optscale.verifiers.conformance import make_candidate

    policy, judge = models()
    settings: dict[str, Any] = {
        "policy": policy,
        "verifier": lambda prompt, candidate: (len(candidate.text) % 97) / 97,
        "stopping": MaxSamples(CANDIDATES),
        "first_round": CANDIDATES,
        "seed": 0,
    }
    if part in ("judge", "tool call judge"):
        grading = LLMJudge(judge, method="text", cache_size=0)
        candidate = make_candidate(TEXT)
        if part == "tool call judge":
            calls = [{"name": "pay", "args": {"text": TEXT}, "id": "1"}]
            candidate = type(candidate)(0, AIMessage(TEXT, tool_calls=calls), 0)
        return lambda: grading.verify(StringPromptValue(text="Describe the river."), candidate)
    if part == "graph":
        graph: Any = create_optscale_graph(**settings).compile()
        return lambda: graph.invoke({"messages": [("human", "q")]})
    if part == "chat model":
        chat = ChatOptScale(**settings)
        return lambda: chat.invoke("q")
    search = OptScale(**settings)
    if part == "read a result":
        stored = json.loads(json.dumps(search.invoke("q").to_dict()))
        return lambda: OptScaleResult.from_dict(stored)
    if part == "search":
        return lambda: search.invoke("q")
    return lambda: asyncio.run(search.ainvoke("q"))


def models() -> tuple[Any, Any]:
    """A policy and a judge that answer at once; the judge repeats the code of its grading."""
    import re

    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage
    from langchain_core.outputs import ChatGeneration, ChatResult

    class Instant(BaseChatModel):
        seed: int | None = None
        temperature: float = 1.0

        @property
        def _llm_type(self) -> str:
            return "instant"

        def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
            text = f"{TEXT[: 400 + 7 * (kwargs.get('seed') or 0)]}"
            usage = {"input_tokens": 8, "output_tokens": 100, "total_tokens": 108}
            return ChatResult(generations=[ChatGeneration(message=AIMessage(text, usage_metadata=usage))])

    class Grading(Instant):
        def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
            code = re.findall(r"The code is ([0-9a-f]{12})", str(messages[-1].content))[-1]
            return ChatResult(generations=[ChatGeneration(message=AIMessage(f"Because.\nGRADE-{code}: 7"))])

    return Instant(), Grading()


if __name__ == "__main__":
    main()
