"""What an evaluator is shown of one candidate, in the forms that evaluators expect."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage, convert_to_openai_messages

from langchain_optscale.verifiers.checks.json_check import json_document
from langchain_optscale.verifiers.references import last_question

if TYPE_CHECKING:
    from langchain_core.prompt_values import PromptValue

    from langchain_optscale.records.candidates import Candidate

__all__ = ["Adapter", "Case", "is_conversation"]


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

    @cached_property
    def own_steps(self) -> list[BaseMessage]:
        """The messages of the candidate alone: what an agent's run added to the conversation, or the answer."""
        steps = list(getattr(self.candidate, "trajectory", None) or ())
        return steps[len(self.conversation) :] or [self.candidate.answer_message]

    @cached_property
    def called_tools(self) -> list[tuple[str, dict[str, Any], Any]]:
        """Name, arguments and result of each tool call of the candidate; the result is None where it is not known."""
        results = {step.tool_call_id: step.content for step in self.own_steps if isinstance(step, ToolMessage)}
        calls = [call for step in self.own_steps if isinstance(step, AIMessage) for call in step.tool_calls]
        return [(call["name"], call["args"], results.get(call["id"] or "")) for call in calls]

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
        fields = self._structured
        if isinstance(fields, Mapping):
            return {**mapping, **fields}
        if isinstance(self.reference, Mapping) and len(self.reference) == 1:
            return {**mapping, next(iter(self.reference)): self.answer}
        return mapping

    @cached_property
    def comparable(self) -> Any:
        """The answer in the form of the reference, for evaluators that compare values of any kind.

        Where the reference is a mapping or a list, a structured answer or a JSON document in the text stands for the
        answer, and a plain text stands under the only key of the reference. Otherwise it is the text.
        """
        reference = self.reference
        form = Mapping if isinstance(reference, Mapping) else list
        if not isinstance(reference, Mapping | list) or is_conversation(reference):
            return self.answer
        document = json_document(self.answer) if self._structured is None else ("", self._structured)
        if document is not None and isinstance(document[1], form):
            return document[1]
        if isinstance(reference, Mapping) and len(reference) == 1:
            return {next(iter(reference)): self.answer}
        return self.answer

    @cached_property
    def _structured(self) -> Any:
        """A structured answer as plain data, None for text."""
        dump = getattr(self.candidate.parsed, "model_dump", None)
        return dump() if callable(dump) else self.candidate.parsed


def is_conversation(reference: Any) -> bool:
    """Whether it is a list of messages, or a mapping with one."""
    if isinstance(reference, Mapping):
        return is_conversation(reference.get("messages"))
    if not isinstance(reference, Sequence) or isinstance(reference, str):
        return False
    kinds = [isinstance(one, BaseMessage) or (isinstance(one, Mapping) and "role" in one) for one in reference]
    return bool(kinds) and all(kinds)


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
