"""A chat model as the verifier."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from langchain_optscale.errors import SettingsError
from langchain_optscale.models.daemon_threads import run_in_thread
from langchain_optscale.models.named import named_model
from langchain_optscale.records.candidates import Candidate, Verdict
from langchain_optscale.records.usage import Usage
from langchain_optscale.verifiers._concurrent import arun_together, run_together
from langchain_optscale.verifiers._memory import Memory
from langchain_optscale.verifiers.base import Verifier
from langchain_optscale.verifiers.coercion import kind
from langchain_optscale.verifiers.llm_judge.calls import AskedJudge, Asker, Grading, JudgeMethod
from langchain_optscale.verifiers.llm_judge.criteria import OVERALL, Criterion, JudgeExample, as_criteria, as_example
from langchain_optscale.verifiers.llm_judge.prompt import Material, Sheet, material
from langchain_optscale.verifiers.llm_judge.scale import Scale
from langchain_optscale.verifiers.llm_judge.template import Template
from langchain_optscale.verifiers.references import find_reference
from langchain_optscale.verifiers.usage import UsageCounter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from langchain_core.prompt_values import PromptValue
    from langchain_core.runnables import Runnable, RunnableConfig

__all__ = ["LLMJudge", "Reference"]

Reference: TypeAlias = "str | Callable[[PromptValue], str | None]"
"""A correct answer, or a function of the prompt that returns it (or None)."""

Images = Literal["mention", "attach"]


@dataclass
class _Cached:
    """A grading, and its usage until a verdict reports it."""

    grading: Grading
    unreported_usage: list[Usage]


class LLMJudge(AskedJudge, Verifier):
    """Asks a chat model how good a candidate is.

    The judge grades on a scale, which is mapped linearly to [0, 1]. It can report its grade by four methods:

    - "logprobs": the expected grade under the probabilities of the tokens where it gives its grade, a continuous score
      from one short reply. Needs a model that returns `top_logprobs`.
    - "structured": an explanation and a grade through `with_structured_output`.
    - "text": an explanation and a line with the grade; works with every model.
    - "labels": the expected grade under the probabilities of the grades as labels, from one prefill that generates no
      text; needs a vLLM server behind a `ChatOpenAI`.

    "auto" takes the first of the first three that the model supports, detected by its first reply, once for each
    endpoint and model. A reply that lacks what was asked for but has the grade in its text counts, and "text" is the
    method from then on: no reply is paid for twice. Falling back is logged as a warning; `method_in_use` and each
    verdict's `raw` name the method.

    A candidate's text is data: it is fenced by a new random code for each grading, and only a grade that carries the
    code is read. A reply without it raises `InvalidReplyError` and becomes a failure in a search, never a score. The
    judge sees the whole conversation, each message fenced, and tool calls by name and arguments.

    Gradings are cached by (request, answer, reference, criterion, vote). Concurrent equal candidates share one grading,
    and a retried verification repeats only what failed. The verdict's usage is that of its own requests, None where all
    gradings were cached. Its `raw` has "method", "scale", "votes" (the score of each), "spread" (their standard
    deviation, None for one vote), and "criteria": by name the weight, the score and each vote's grade; with "logprobs"
    and "labels" also the valid grades' "mass" and "probabilities".

    Args:
        model: A chat model, also bound, its name such as "openai:gpt-5-mini", or another Runnable from messages to a
            message. Its `max_retries` is ignored: the search retries.
        prompt: Your own instructions for the judge in place of ours. `{inputs}` (or `{request}`, `{question}`) stands
            for the conversation, `{outputs}` (or `{answer}`, `{candidate}`) for the candidate, `{reference_outputs}`
            (or `{reference}`) for the reference, each fenced as ever; what the text does not mention follows after it.
            Other braces are kept. The grade's form and scale, and the criteria if there are any, are added.
        method: "auto", "logprobs", "structured", "text" or "labels".
        scale: "yes/no", or whole numbers such as "0-10" or "1-5".
        criteria: Criteria, descriptions, or descriptions with weights, each judged by itself; the score is their
            weighted mean. By default whether the answer does what the request asks for.
        rubric: Describes the grades.
        reference: A correct answer, or a function of the prompt that returns it. A call passes the one of its question
            by `config={"configurable": {"reference": ...}}`.
        examples: Gradings as few-shot examples.
        votes: How often each criterion is judged, at least 1; the score is the mean.
        max_chars: The longest answer in characters that is shown in full, at least 100; of a longer one the head and
            the tail are shown.
        images: "mention" names images in the text, "attach" sends them to a multimodal judge.
        min_mass: With "logprobs" and "labels", the least probability of all valid grades together, in [0, 1].
        top_logprobs: With "logprobs", how many tokens to list, 2 to 20.
        cache_size: The largest number of cached gradings, at least 0.

    Raises:
        SettingsError: A setting is out of range or contradicts another.

    Example:
        ```python
        judge = LLMJudge(
            ChatOpenAI(model="gpt-4.1-mini", temperature=0),
            criteria={"every claim is true": 3, "a child would understand it": 1},
        )
        OptScale(policy=policy, verifier=judge)
        ```

        >>> import re
        >>> from langchain_core.messages import AIMessage
        >>> from langchain_core.prompt_values import StringPromptValue
        >>> from langchain_core.runnables import RunnableLambda
        >>> from langchain_optscale.verifiers.conformance import make_candidate
        >>> def reply(messages):  # stands in for a chat model, and repeats the code of the grading
        ...     return AIMessage(re.findall("GRADE-[0-9a-f]+:", messages[-1].text)[-1] + " 9")
        >>> judge = LLMJudge(RunnableLambda(reply), method="text", scale="0-10")
        >>> judge.verify(StringPromptValue(text="The capital of France?"), make_candidate("Paris")).score
        0.9
    """

    def __init__(
        self,
        model: Runnable[Any, Any] | str,
        *,
        prompt: str | None = None,
        method: JudgeMethod = "auto",
        scale: str = "0-10",
        criteria: Sequence[Criterion | str] | Mapping[str, float] | None = None,
        rubric: str | None = None,
        reference: Reference | None = None,
        examples: Sequence[JudgeExample] = (),
        votes: int = 1,
        max_chars: int = 20_000,
        images: Images = "mention",
        min_mass: float = 0.5,
        top_logprobs: int = 20,
        cache_size: int = 4096,
    ) -> None:
        _check_whole("votes", votes, 1)
        _check_whole("max_chars", max_chars, 100)
        _check_whole("cache_size", cache_size, 0)
        if method == "labels" and images == "attach":
            raise SettingsError("method='labels' sends no images: set images='mention' or another method")
        if images not in get_args(Images):
            raise SettingsError(f"images must be 'mention' or 'attach', got {images!r}")
        if not (reference is None or isinstance(reference, str) or callable(reference)):
            raise SettingsError(f"reference must be text or a function of the prompt, not {kind(reference)}")
        model = named_model(model, "judge") if isinstance(model, str) else model
        template = None if prompt is None else Template(prompt)
        self.criteria = as_criteria(criteria)
        self.scale = Scale.parse(scale)
        self.votes = votes
        self._reference = reference
        self._attach_images = images == "attach"
        sheet = Sheet(self.scale, rubric, tuple(as_example(one, self.scale) for one in examples), max_chars, template)
        self._sheet = sheet
        self._memory: Memory[_Cached] = Memory(cache_size)
        self._asker = Asker(model, method, sheet, min_mass=min_mass, top_logprobs=top_logprobs)
        if votes > 1 and self._asker.temperature == 0:
            raise SettingsError("the judge's temperature is 0, so all votes would be equal: raise it or set votes=1")

    def __repr__(self) -> str:
        about = f"{self._asker.model_name!r}, method={self._asker.method!r}, scale={str(self.scale)!r}"
        names = [criterion.name for criterion in self.criteria]
        criteria = "" if names == [OVERALL] else f", criteria={names}"
        return f"{type(self).__name__}({about}{criteria}{f', votes={self.votes}' if self.votes > 1 else ''})"

    @property
    def content(self) -> Any:
        """The model's name and everything that the judge is asked."""
        about = [self._reference, self._attach_images, self.votes, self.criteria]
        return [type(self).__name__, *self._asker.content, *about]

    def comparing(self) -> dict[str, Any]:
        """The settings with which a judge that compares judges by the same, see `GroupwiseJudge.like`."""
        return {
            "method": self._asker.method,
            "criterion": "; and ".join(criterion.description for criterion in self.criteria),
            "rubric": self._sheet.rubric,
            "reference": self._reference,
            "max_chars": self._sheet.max_chars,
        }

    def verify(self, prompt: PromptValue, candidate: Candidate, config: RunnableConfig | None = None) -> Verdict:
        """Grade one candidate; criteria and votes run in threads, limited by the config's "max_concurrency".

        Returns:
            The verdict; its score is the mean over votes of the weighted mean over criteria.

        Raises:
            InvalidReplyError: The reply has no valid grade.
            Exception: An error of the model.
        """
        shown = self._material(prompt, candidate, config)
        calls = [partial(self._grade, shown, number, vote, config) for number, vote in self._gradings()]
        return self._verdict(run_together(calls, config))

    async def averify(self, prompt: PromptValue, candidate: Candidate, config: RunnableConfig | None = None) -> Verdict:
        """As `verify`, without blocking the event loop; where one grading fails, the others are cancelled."""
        # A function that finds the reference may take long.
        shown = (
            await run_in_thread(self._material, prompt, candidate, config)
            if callable(self._reference)
            else self._material(prompt, candidate, config)
        )
        calls = [partial(self._agrade, shown, number, vote, config) for number, vote in self._gradings()]
        return self._verdict(await arun_together(calls, config))

    def _material(self, prompt: PromptValue, candidate: Candidate, config: RunnableConfig | None) -> Material:
        reference = find_reference(self._reference, prompt, config)
        text = None if reference is None else str(reference)
        return material(prompt, candidate, text, attach_images=self._attach_images)

    def _gradings(self) -> list[tuple[int, int]]:
        return [(number, vote) for vote in range(self.votes) for number in range(len(self.criteria))]

    def _grade(self, shown: Material, number: int, vote: int, config: RunnableConfig | None) -> _Cached:
        key = (shown.digest, number, vote)
        with self._memory.turn(key):
            if (cached := self._memory.get(key)) is not None:
                return cached
            counter = UsageCounter()
            grading = self._asker.ask(shown, self.criteria[number].description, counter.attach(config))
            return self._cache(key, grading, counter)

    async def _agrade(self, shown: Material, number: int, vote: int, config: RunnableConfig | None) -> _Cached:
        key = (shown.digest, number, vote)
        async with self._memory.aturn(key):
            if (cached := self._memory.get(key)) is not None:
                return cached
            counter = UsageCounter()
            grading = await self._asker.aask(shown, self.criteria[number].description, counter.attach(config))
            return self._cache(key, grading, counter)

    def _cache(self, key: tuple[str, int, int], grading: Grading, counter: UsageCounter) -> _Cached:
        usage = grading.usage or counter.usage
        cached = _Cached(grading, [usage] if usage else [])
        self._memory.put(key, cached)
        return cached

    def _verdict(self, gradings: list[_Cached]) -> Verdict:
        count = len(self.criteria)
        rows = [gradings[start : start + count] for start in range(0, len(gradings), count)]
        weights = [criterion.weight for criterion in self.criteria]
        votes = [_mean([self.scale.score(one.grading.value) for one in row], weights) for row in rows]
        score, spread = _mean(votes), statistics.stdev(votes) if len(votes) > 1 else None
        criteria = {}
        reasons = []
        for place, criterion in enumerate(self.criteria):
            own = [row[place].grading for row in rows]
            mean = _mean([self.scale.score(grading.value) for grading in own])
            criteria[criterion.name] = {
                "weight": criterion.weight,
                "score": mean,
                "grades": [grading.value for grading in own],
                **({"judged": details} if any(details := [grading.details for grading in own]) else {}),
            }
            why = " | ".join(dict.fromkeys(grading.explanation for grading in own if grading.explanation))
            reasons.append(why if criterion.name == OVERALL else f"{criterion.name} {mean:.2f}{why and ': '}{why}")
        if spread is not None:
            reasons.insert(
                0, f"mean of {len(votes)} votes from {min(votes):.2f} to {max(votes):.2f}, spread {spread:.2f}"
            )
        spent = [usage for one in gradings if (usage := _take(one.unreported_usage))]
        raw = {
            "method": gradings[0].grading.method,
            "scale": str(self.scale),
            "votes": votes,
            "spread": spread,
            "criteria": criteria,
        }
        return Verdict(score, "; ".join(filter(None, reasons)) or None, sum(spent, Usage()) if spent else None, raw)


def _take(unreported: list[Usage]) -> Usage | None:
    try:
        return unreported.pop()  # atomic, so that only one verdict reports it
    except IndexError:
        return None


def _mean(values: Sequence[float], weights: Sequence[float] | None = None) -> float:
    shares = weights or [1.0] * len(values)
    mean = math.fsum(w * v for w, v in zip(shares, values, strict=True)) / math.fsum(shares)
    return min(max(mean, min(values)), max(values))


def _check_whole(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise SettingsError(f"{name} must be a whole number of at least {least}, got {value!r}")
