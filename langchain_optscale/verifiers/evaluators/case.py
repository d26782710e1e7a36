"""What an evaluator is shown of one candidate, in the forms that evaluators expect."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

from langchain_core.messages import BaseMessage, convert_to_openai_messages

from langchain_optscale.verifiers.references import last_question

if TYPE_CHECKING:
    from langchain_core.prompt_values import PromptValue

    from langchain_optscale.records.candidates import Candidate

__all__ = ["Adapter", "Case"]


@dataclass(frozen=True)
class Case:
    """One candidate with its question and its reference.

    Attributes:
        prompt: The conversation that it answers.
        candidate: The candidate.
        reference: A correct answer in whatever form the evaluator expects, or None.
        own_inputs: What `EvaluatorVerifier(inputs=...)` made of it, None where that is not set.
        own_outputs: What `EvaluatorVerifier(outputs=...)` made of it, None where that is not set.
    """

    prompt: PromptValue
    candidate: Candidate
    reference: Any = None
    own_inputs: Any = None
    own_outputs: Any = None

    @cached_property
    def question(self) -> str:
        """The text of the question."""
        return last_question(self.prompt)

    @cached_property
    def conversation(self) -> list[BaseMessage]:
        """The messages that the candidate answers."""
        return self.prompt.to_messages()

    @property
    def answer(self) -> str:
        """The candidate's text."""
        return self.candidate.text

    @cached_property
    def trajectory(self) -> list[BaseMessage]:
        """The messages from the question to the answer: an agent's steps where the candidate has them."""
        steps = getattr(self.candidate, "trajectory", None)
        return list(steps) if steps else [*self.conversation, self.candidate.answer_message]

    @cached_property
    def openai_messages(self) -> list[dict[str, Any]]:
        """The trajectory as dicts in OpenAI's form."""
        converted = convert_to_openai_messages(self.trajectory)
        return [dict(one) for one in converted]

    @property
    def reference_text(self) -> str | None:
        """The reference where an evaluator takes text alone; a mapping with one value stands for it."""
        reference = self.reference
        if isinstance(reference, Mapping) and len(reference) == 1:
            (reference,) = reference.values()
        return None if reference is None else str(reference)

    @property
    def reference_mapping(self) -> dict[str, Any] | None:
        """The reference where an evaluator takes a mapping; None without one."""
        if self.reference is None:
            return None
        return dict(self.reference) if isinstance(self.reference, Mapping) else {"output": self.reference}

    @cached_property
    def inputs_mapping(self) -> dict[str, Any]:
        """The inputs where an evaluator takes a mapping, as LangSmith's do."""
        return {"input": self.question, "messages": self.conversation}

    @cached_property
    def outputs_mapping(self) -> dict[str, Any]:
        """The outputs where an evaluator takes a mapping.

        Beside "output" and "messages" it has the fields of a structured answer, or the answer's text under the only key
        of the reference: a data set names both alike.
        """
        mapping: dict[str, Any] = {"output": self.answer, "messages": self.trajectory}
        parsed = self.candidate.parsed
        dump = getattr(parsed, "model_dump", None)
        fields = dump() if callable(dump) else parsed
        if isinstance(fields, Mapping):
            return {**mapping, **fields}
        if isinstance(self.reference, Mapping) and len(self.reference) == 1:
            return {**mapping, next(iter(self.reference)): self.answer}
        return mapping


Call: TypeAlias = Callable[[Case], Any]


@dataclass(frozen=True)
class Adapter:
    """How one evaluator is called.

    Attributes:
        name: The evaluator's name.
        call: Calls it, and returns its result or an awaitable of it; may block.
        acall: Calls it natively asynchronously; None where `call` runs in a thread instead.
        read: Turns its result into one that `read_results` knows.
        needs_reference: Whether it cannot work without a reference.
    """

    name: str
    call: Call
    acall: Call | None = None
    read: Callable[[Any], Any] = lambda result: result
    needs_reference: bool = False
