"""How each peer is called: by its public interface, with the recorded scores as its verifier.

Every method is opened with a `Task` and then answers questions one by one. The adapters do no more than look up the
recorded score, or the stated answer, in the text that the peer holds.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.recorded_pool import RecordedPool, answer_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    Answerer = Callable[[str], str]

__all__ = ["METHODS", "Method", "Task"]

MODEL = "recorded"
# The expression, in the form that its-hub takes, for what `answer_in` finds.
_ANSWER_PATTERN = r"The answer is: (.*)\Z"


@dataclass(frozen=True)
class Task:
    """What a peer is to work with.

    Attributes:
        pool: Where the scores are recorded.
        base_url: Of the pool server.
        api_key: Names the run.
        cap: The most candidates for one question.
        target: The score at which methods that know a target are content.
    """

    pool: RecordedPool
    base_url: str
    api_key: str
    cap: int
    target: float


@dataclass(frozen=True)
class Method:
    """One way to answer questions.

    Attributes:
        name: In the table.
        distribution: The installed package whose version is reported.
        open: Makes the function from question to answer, for as long as the context lasts.
        settings: What is set besides the cap; everything else is the peer's default.
        takes_target: Whether it has a target, so that every target is tried.
        votes: Whether it needs answers that can be compared.
    """

    name: str
    distribution: str
    open: Callable[[Task], AbstractContextManager[Answerer]]
    settings: str
    takes_target: bool = False
    votes: bool = False


@contextlib.contextmanager
def _chat_optscale(task: Task) -> Iterator[Answerer]:
    from langchain_openai import ChatOpenAI

    from langchain_optscale import ChatOptScale

    policy = ChatOpenAI(base_url=task.base_url, api_key=task.api_key, model=MODEL, temperature=1.0)  # type: ignore[arg-type]
    model = ChatOptScale(
        policy=policy,
        verifier=lambda _, candidate: task.pool.score(candidate.text),
        target=task.target,
        max_samples=task.cap,
        extract=answer_in,
    )
    yield lambda question: model.invoke(question).text


@contextlib.contextmanager
def _its_hub(task: Task, make: Callable[[], Any]) -> Iterator[Answerer]:
    """Any algorithm of its-hub, on one event loop and one client for all questions."""
    from its_hub import OpenAICompatibleLanguageModel  # type: ignore[import-not-found]

    random.seed(0)  # its-hub breaks ties of votes by the global generator
    algorithm = make()
    model = OpenAICompatibleLanguageModel(endpoint=task.base_url, api_key=task.api_key, model_name=MODEL)
    with asyncio.Runner() as runner:

        def answer(question: str) -> str:
            return str(runner.run(algorithm.ainfer(model, question, budget=task.cap))["content"])

        try:
            yield answer
        finally:
            runner.run(model.close())


def _its_hub_best_of_n(task: Task) -> AbstractContextManager[Answerer]:
    from its_hub import AbstractOutcomeRewardModel, BestOfN

    class RecordedReward(AbstractOutcomeRewardModel):  # type: ignore[misc]
        """Scores a conversation by the sample that its last message stands for."""

        def score(self, messages: Any, **_: Any) -> Any:
            return [task.pool.score(conversation[-1].content) for conversation in messages]

        async def ascore(self, messages: Any, orchestrator: Any = None, **_: Any) -> Any:
            return self.score(messages)

    return _its_hub(task, lambda: BestOfN(RecordedReward()))


def _votes(name: str) -> Callable[[Task], AbstractContextManager[Answerer]]:
    """A self-consistency of its-hub, which votes on the stated answer."""

    def make() -> Any:
        import its_hub
        from its_hub.core.algorithms.self_consistency import (  # type: ignore[import-not-found]
            create_regex_projection_function,
        )

        return getattr(its_hub, name)(
            consistency_space_projection_func=create_regex_projection_function(_ANSWER_PATTERN)
        )

    return lambda task: _its_hub(task, make)


@contextlib.contextmanager
def _dspy_best_of_n(task: Task) -> Iterator[Answerer]:
    import dspy  # type: ignore[import-not-found]

    def recorded_reward(_: object, prediction: Any) -> float:
        return task.pool.score(prediction.answer)

    # Without the cache, since a second run would otherwise ask nothing.
    model = dspy.LM(f"openai/{MODEL}", api_base=task.base_url, api_key=task.api_key, cache=False)
    module = dspy.BestOfN(
        module=dspy.Predict("question -> answer"), N=task.cap, reward_fn=recorded_reward, threshold=task.target
    )
    with dspy.context(lm=model):
        yield lambda question: str(module(question=question).answer)


@contextlib.contextmanager
def _optillm_best_of_n(task: Task) -> Iterator[Answerer]:
    from openai import OpenAI
    from optillm.bon import best_of_n_sampling  # type: ignore[import-not-found]

    with OpenAI(base_url=task.base_url, api_key=task.api_key) as client:
        yield lambda question: best_of_n_sampling("You are a helpful assistant.", question, client, MODEL, n=task.cap)[
            0
        ]


METHODS = (
    Method(
        "ChatOptScale",
        "langchain-optscale",
        _chat_optscale,
        "default rule; extract: the stated answer",
        takes_target=True,
    ),
    Method("its-hub BestOfN", "its_hub", _its_hub_best_of_n, "reward model: recorded score"),
    Method("its-hub SelfConsistency", "its_hub", _votes("SelfConsistency"), "votes on the answer", votes=True),
    Method(
        "its-hub AdaptiveSelfConsistency",
        "its_hub",
        _votes("AdaptiveSelfConsistency"),
        "votes on the answer; threshold 0.75 (default)",
        votes=True,
    ),
    Method(
        "its-hub BetaSelfConsistency",
        "its_hub",
        _votes("BetaSelfConsistency"),
        "votes on the answer; confidence 0.95 (default)",
        votes=True,
    ),
    Method(
        "dspy BestOfN",
        "dspy",
        _dspy_best_of_n,
        "Predict('question -> answer'); reward: recorded score",
        takes_target=True,
    ),
    Method("optillm bon", "optillm", _optillm_best_of_n, "rated by requests to the same server, 0 to 10"),
)
