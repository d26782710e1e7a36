"""Answers that agree: what is asked of a model whose answers nothing checks, and what is compared of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from langchain_core.messages import SystemMessage
from langchain_core.prompt_values import ChatPromptValue

from langchain_optscale.answers import Extractor, LastNumber, NormalForm
from langchain_optscale.answers.base import Found
from langchain_optscale.models.prompts import to_prompt
from langchain_optscale.verifiers import ConfidenceVerifier

if TYPE_CHECKING:
    import argparse

    from langchain_core.messages import AIMessage
    from langchain_core.prompt_values import PromptValue
    from langchain_core.runnables import RunnableConfig

    from langchain_optscale.records.candidates import Candidate, Verdict

__all__ = ["ShortAnswer", "Wording", "instructed"]

# The embedded model's own instruction, and a form in which its answers end and can be compared.
_BRIEF = "You are a helpful AI assistant named SmolLM, trained by Hugging Face. Answer in one short sentence."
# Of "So it is 24." or "= **24**$", not of "It has 24 rooms."
_NUMBER_AT_END, _END_CHARS = re.compile(r"\d\W*$"), 40
_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])|\n+")


def instructed(arguments: argparse.Namespace, question: PromptValue | str, *, is_checked: bool) -> PromptValue:
    """The question with the instruction of `--system`, or the one that the embedded model needs.

    Without a check the search ends when answers agree. The embedded model answers at length unless it is told not to,
    in ever other words; five in a hundred of its answers even never end. What has no word in it, such as "17 * 23", it
    answers briefly anyway. A conversation with an instruction of its own keeps that one alone.
    """
    prompt = to_prompt(question)
    messages = prompt.to_messages()
    text: str | None = arguments.system
    if text is None and arguments.policy is None and arguments.policy_url is None and not is_checked:
        text = _BRIEF if any(map(str.isalpha, "".join(str(message.text) for message in messages))) else None
    if not text or any(isinstance(message, SystemMessage) for message in messages):
        return prompt
    return ChatPromptValue(messages=[SystemMessage(text), *messages])


@dataclass(frozen=True)
class ShortAnswer(Extractor):
    """The last number of an answer whose first sentence has one or whose last ends with one, else the first sentence.

    What a model adds to "The capital of France is Paris." is another thing each time, and so are the numbers in it.

    Example:
        >>> answer = ShortAnswer()
        >>> answer("Four times six is 24. So it is 24."), answer("It is Rome. It was built long ago.")
        ('24', 'It is Rome.')
    """

    def find(self, text: str, message: AIMessage | None = None) -> Found | None:
        """The number or the sentence."""
        sentences = [one for one in _SENTENCE_END.split(text.strip()) if one.strip()]
        if not sentences:
            return None
        number = LastNumber()
        if number.find(sentences[0]) or _NUMBER_AT_END.search(sentences[-1][-_END_CHARS:]):
            return number.find(text)
        return Found(sentences[0], NormalForm())


@dataclass(frozen=True, repr=False)
class Wording(ConfidenceVerifier):
    """The policy's confidence p in its wording, as the score (1 + p) / 2.

    An answer is no less likely right because its wording was one of many: below 1/2 a score would speak against it, and
    keep a search going whose candidates all agree. The order of the candidates is that of their confidence.
    """

    def verify(self, prompt: PromptValue, candidate: Candidate, config: RunnableConfig | None = None) -> Verdict:
        """Score one candidate, from 1/2 to 1."""
        verdict = super().verify(prompt, candidate, config)
        return replace(verdict, score=(1.0 + verdict.score) / 2.0)
