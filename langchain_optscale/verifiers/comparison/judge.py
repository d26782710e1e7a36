"""Chat models as judges that compare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_optscale.errors import SettingsError
from langchain_optscale.models.daemon_threads import run_in_thread
from langchain_optscale.models.named import named_model
from langchain_optscale.records.comparisons import Comparison
from langchain_optscale.verifiers._memory import Memory
from langchain_optscale.verifiers.coercion import kind
from langchain_optscale.verifiers.comparison.base import ComparisonJudge
from langchain_optscale.verifiers.comparison.letters import MOST_ANSWERS, letters_for
from langchain_optscale.verifiers.comparison.prompt import Lineup, lineup, sheet_for
from langchain_optscale.verifiers.llm_judge.calls import AskedJudge, Asker, Grading, JudgeMethod
from langchain_optscale.verifiers.llm_judge.criteria import GENERAL
from langchain_optscale.verifiers.references import find_reference
from langchain_optscale.verifiers.usage import UsageCounter

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from langchain_core.prompt_values import PromptValue
    from langchain_core.runnables import Runnable, RunnableConfig

    from langchain_optscale.records.candidates import Candidate
    from langchain_optscale.records.usage import Usage
    from langchain_optscale.verifiers.llm_judge.judge import LLMJudge, Reference

__all__ = ["GroupwiseJudge", "PairwiseJudge"]


@dataclass
class _Cached:
    grading: Grading
    unreported_usage: list[Usage]


class GroupwiseJudge(AskedJudge, ComparisonJudge):
    """Asks a chat model which of several answers is best.

    The judge names a letter, or a tie, by the methods of `LLMJudge`: "logprobs" and "labels" take the probabilities of
    the letters as shares of the win, "structured" and "text" the letter that it chose. Answers are data: each is fenced
    by a new random code, and only a reply that carries the code is read. The order in which they are shown matters to
    models; a tournament asks in rotated orders and their reverses, measures the preference for a place and takes it
    out.

    Comparisons are cached by the request, the answers in their order, and the reference; concurrent equal ones share
    one request. A cached one has no usage.

    Args:
        model: A chat model, also bound, its name such as "openai:gpt-5-mini", or another Runnable from messages to a
            message. Its `max_retries` is ignored: the search retries.
        group_size: The most answers in one comparison, 2 to 8.
        method: "auto", "logprobs", "structured", "text" or "labels".
        criterion: What the best answer does best, completing "that": "the answer is right and short".
        rubric: Describes what makes an answer better.
        reference: A correct answer, or a function of the prompt that returns it. A call passes the one of its question
            by `config={"configurable": {"reference": ...}}`.
        max_chars: The longest answer in characters that is shown in full, at least 100; of a longer one the head and
            the tail are shown.
        min_mass: With "logprobs", the least probability of all letters together, in [0, 1].
        top_logprobs: With "logprobs", how many tokens to list, 2 to 20.
        cache_size: The largest number of cached comparisons, at least 0.

    Raises:
        SettingsError: A setting is out of range or contradicts another.

    Example:
        ```python
        judge = GroupwiseJudge(ChatOpenAI(model="gpt-4.1-mini", temperature=0), group_size=4)
        OptScale(policy=policy, verifier=verifier, select=TournamentSelection(judge))
        ```

        >>> import re
        >>> from langchain_core.messages import AIMessage
        >>> from langchain_core.prompt_values import StringPromptValue
        >>> from langchain_core.runnables import RunnableLambda
        >>> from langchain_optscale.verifiers.conformance import make_candidate
        >>> def reply(messages):  # stands in for a chat model, and repeats the code of the grading
        ...     return AIMessage(re.findall("GRADE-[0-9a-f]+:", messages[-1].text)[-1] + " B")
        >>> candidates = [make_candidate(text, index) for index, text in enumerate(["Rome", "Paris", "Bern"])]
        >>> judge = GroupwiseJudge(RunnableLambda(reply), group_size=3, method="text")
        >>> judge.compare(StringPromptValue(text="The capital of France?"), candidates).shares
        (0.0, 1.0, 0.0)
    """

    def __init__(
        self,
        model: Runnable[Any, Any] | str,
        *,
        group_size: int = 4,
        method: JudgeMethod = "auto",
        criterion: str = GENERAL,
        rubric: str | None = None,
        reference: Reference | None = None,
        max_chars: int = 20_000,
        min_mass: float = 0.5,
        top_logprobs: int = 20,
        cache_size: int = 4096,
    ) -> None:
        for name, value, least, most in (
            ("group_size", group_size, 2, MOST_ANSWERS),
            ("max_chars", max_chars, 100, None),
            ("cache_size", cache_size, 0, None),
        ):
            if isinstance(value, bool) or not isinstance(value, int) or value < least or value > (most or value):
                span = f"from {least} to {most}" if most else f"of at least {least}"
                raise SettingsError(f"{name} must be a whole number {span}, got {value!r}")
        if not isinstance(criterion, str) or not criterion.strip():
            raise SettingsError(f"criterion must be a text that is not blank, got {criterion!r}")
        if not (reference is None or isinstance(reference, str) or callable(reference)):
            raise SettingsError(f"reference must be text or a function of the prompt, not {kind(reference)}")
        model = named_model(model, "judge") if isinstance(model, str) else model
        self._group_size = group_size
        self._criterion = criterion
        self._reference = reference
        self._memory: Memory[_Cached] = Memory(cache_size)
        # A schema names the letters that there are, so each number of answers has a sheet of its own.
        self._askers = {
            count: Asker(
                model, method, sheet_for(count, rubric, max_chars), min_mass=min_mass, top_logprobs=top_logprobs
            )
            for count in range(2, group_size + 1)
        }
        self._asker = self._askers[2]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._asker.model_name!r}, method={self._asker.method!r})"

    @classmethod
    def like(cls, judge: LLMJudge, **settings: Any) -> Self:
        """A judge with the model, rubric, reference and limits of a grading one.

        Args:
            judge: It grades one answer at a time. Several criteria become one that names them all.
            **settings: As for the class, in place of the judge's.
        """
        return cls(judge.model, **{**judge.comparing(), **settings})

    @property
    def group_size(self) -> int:
        """The most answers in one comparison."""
        return self._group_size

    @property
    def content(self) -> Any:
        """The model's name and everything that the judge is asked."""
        return [type(self).__name__, *self._asker.content, self._criterion, self._reference, self._group_size]

    def compare(
        self, prompt: PromptValue, candidates: Sequence[Candidate], config: RunnableConfig | None = None
    ) -> Comparison:
        """Ask once which of the candidates is best, in the order in which they are given.

        Raises:
            InvalidReplyError: The reply names none of them.
            SettingsError: There are fewer than two candidates, or more than `group_size`.
            Exception: An error of the model.
        """
        asker, shown = self._asker_for(candidates), self._lineup(prompt, candidates, config)
        with self._memory.turn(shown.key):
            if (cached := self._memory.get(shown.key)) is None:
                counter = UsageCounter()
                cached = self._cache(shown, asker.ask(shown, self._criterion, counter.attach(config)), counter)
        return _comparison(candidates, cached)

    async def acompare(
        self, prompt: PromptValue, candidates: Sequence[Candidate], config: RunnableConfig | None = None
    ) -> Comparison:
        """As `compare`, without blocking the event loop."""
        asker = self._asker_for(candidates)
        # A function that finds the reference may take long.
        shown = (
            await run_in_thread(self._lineup, prompt, candidates, config)
            if callable(self._reference)
            else self._lineup(prompt, candidates, config)
        )
        async with self._memory.aturn(shown.key):
            if (cached := self._memory.get(shown.key)) is None:
                counter = UsageCounter()
                cached = self._cache(shown, await asker.aask(shown, self._criterion, counter.attach(config)), counter)
        return _comparison(candidates, cached)

    def _asker_for(self, candidates: Sequence[Candidate]) -> Asker:
        if len(candidates) not in self._askers:
            raise SettingsError(f"{self.name} compares 2 to {self._group_size} candidates, got {len(candidates)}")
        return self._askers[len(candidates)]

    def _lineup(self, prompt: PromptValue, candidates: Sequence[Candidate], config: RunnableConfig | None) -> Lineup:
        reference = find_reference(self._reference, prompt, config)
        return lineup(prompt, candidates, None if reference is None else str(reference))

    def _cache(self, shown: Lineup, grading: Grading, counter: UsageCounter) -> _Cached:
        usage = grading.usage or counter.usage
        cached = _Cached(grading, [usage] if usage else [])
        self._memory.put(shown.key, cached)
        return cached


class PairwiseJudge(GroupwiseJudge):
    """Asks a chat model which of two answers is better; see `GroupwiseJudge`.

    Args:
        model: As for `GroupwiseJudge`.
        **settings: All other settings of `GroupwiseJudge` but `group_size`.

    Example:
        ```python
        judge = PairwiseJudge(ChatOpenAI(model="gpt-4.1-mini", temperature=0), rubric="Prefer the shorter proof.")
        judge.rank(prompt, candidates).best
        ```

        >>> import re
        >>> from langchain_core.messages import AIMessage
        >>> from langchain_core.prompt_values import StringPromptValue
        >>> from langchain_core.runnables import RunnableLambda
        >>> from langchain_optscale.verifiers.conformance import make_candidate
        >>> def reply(messages):  # stands in for a chat model, and repeats the code of the grading
        ...     return AIMessage(re.findall("GRADE-[0-9a-f]+:", messages[-1].text)[-1] + " B")
        >>> candidates = [make_candidate(text, index) for index, text in enumerate(["Rome", "Paris"])]
        >>> judge = PairwiseJudge(RunnableLambda(reply), method="text")
        >>> judge.compare(StringPromptValue(text="The capital of France?"), candidates).shares
        (0.0, 1.0)
    """

    def __init__(self, model: Runnable[Any, Any] | str, **settings: Any) -> None:
        if "group_size" in settings:
            raise SettingsError("a PairwiseJudge compares two answers at a time; for more use GroupwiseJudge")
        super().__init__(model, group_size=2, **settings)


def _comparison(candidates: Sequence[Candidate], cached: _Cached) -> Comparison:
    letters = letters_for(len(candidates))
    grading = cached.grading
    try:
        usage = cached.unreported_usage.pop()  # atomic, so that only one comparison reports it
    except IndexError:
        usage = None
    shares = letters.shares(grading.value, grading.details.get("probabilities"))
    if grading.method in ("logprobs", "labels"):
        said = ", ".join(f"{name} {share:.2f}" for name, share in zip(letters.names, shares, strict=True))
    else:
        said = grading.explanation
    return Comparison(tuple(candidate.index for candidate in candidates), shares, said or None, usage)
