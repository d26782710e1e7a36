"""Reading a response choice by choice, so that one malformed choice costs one choice.

Clients read all choices of a response in one go: one tool call whose arguments are no object, one content of an odd
type, or one message without a role, and the client raises for the whole response. A client that reads responses by
`_create_chat_result`, as those of the OpenAI family, Groq, Fireworks, Mistral and Hugging Face do, is here given one
that reads each choice by itself where reading them together fails.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatResult

from langchain_optscale.errors import ErrorReplyError
from langchain_optscale.models.error_status import error_in_body, passes, status_in_body
from langchain_optscale.records.shortcomings import CHOICE_ERROR

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_core.language_models import BaseChatModel

__all__ = ["read_by_choice"]

_READER = "_create_chat_result"
_REASONING = ("reasoning_content", "reasoning")


def read_by_choice(model: BaseChatModel) -> BaseChatModel:
    """A copy of the model that loses only the choices that cannot be read; the model itself where it has no `n`.

    A choice that cannot be read becomes an empty message whose metadata say why under `CHOICE_ERROR`. Where a body that
    came with status 200 is an error, `ErrorReplyError` with the status that it names is raised.
    """
    reader = getattr(model, _READER, None)
    if not callable(reader):
        return model
    copy = model.model_copy()
    vars(copy)[_READER] = partial(_read, getattr(copy, _READER))
    return copy


def _read(reader: Callable[..., ChatResult], response: Any, *args: Any, **kwargs: Any) -> ChatResult:
    data = _plain(response)
    if (error := error_in_body(data)) is not None:
        raise ErrorReplyError(_sentence(error), status_in_body({"error": error}))
    choices = data.get("choices") if isinstance(data, Mapping) else None
    if not isinstance(choices, list) or not choices:
        return reader(response, *args, **kwargs)
    sound = [choice for choice in choices if not _passing_fault(choice)]
    if not sound or (len(choices) == 1 and _fault(choices[0])):
        raise ErrorReplyError(str(_fault(choices[0])), status_in_body(choices[0]))
    if len(sound) == len(choices) and not any(map(_is_odd, choices)):
        try:
            return _complete(reader(response, *args, **kwargs), choices)
        except Exception:
            if len(choices) == 1:
                raise
    return _one_by_one(reader, response, {**data, "choices": sound}, *args, **kwargs)


def _one_by_one(
    reader: Callable[..., ChatResult], response: Any, data: Mapping[str, Any], *args: Any, **kwargs: Any
) -> ChatResult:
    generations: list[ChatGeneration] = []
    llm_output: dict[str, Any] = {}
    for choice in data["choices"]:
        fault = _fault(choice)
        if fault is None:
            try:
                result = reader(_holding(response, data, _with_role(choice)), *args, **kwargs)
                generations += _complete(result, [choice]).generations
                llm_output = result.llm_output or llm_output
                continue
            except Exception as error:  # noqa: BLE001 - whatever the client raises for this choice; kept beside it
                fault = f"{type(error).__name__}: {error}"
        lost = AIMessage(
            "", response_metadata={"finish_reason": "error", CHOICE_ERROR: fault}, usage_metadata=_usage(data)
        )
        generations.append(ChatGeneration(message=lost))
    return ChatResult(generations=generations, llm_output=llm_output)


def _holding(response: Any, data: Mapping[str, Any], choice: Any) -> Any:
    """The response with one choice, in the type in which the client expects it."""
    whole = {**data, "choices": [choice]}
    return whole if isinstance(response, Mapping) else type(response).construct(**whole)


def _is_odd(choice: Any) -> bool:
    """Whether a choice has to be read by itself, for what it says is wrong with it or for the role that it lacks."""
    return _fault(choice) is not None or _with_role(choice) is not choice


def _complete(result: ChatResult, choices: list[Any]) -> ChatResult:
    """The result with reasoning and refusals that servers send beside the content, where a client drops them."""
    for generation, choice in zip(result.generations, choices, strict=False):
        message = choice.get("message") if isinstance(choice, Mapping) else None
        if not isinstance(message, Mapping):
            continue
        fields = generation.message.additional_kwargs
        reasoning = next((text for key in _REASONING if isinstance(text := message.get(key), str) and text), None)
        if reasoning is not None and not any(map(fields.get, _REASONING)):
            fields["reasoning_content"] = reasoning
        if isinstance(refusal := message.get("refusal"), str) and refusal:
            fields.setdefault("refusal", refusal)
    return result


def _plain(response: Any) -> Any:
    if callable(dump := getattr(response, "model_dump", None)):
        return dump(warnings=False)
    return response


def _fault(choice: Any) -> str | None:
    """What a choice itself says is wrong with it, as gateways do where one of several upstream requests failed."""
    error = choice.get("error") if isinstance(choice, Mapping) else None
    return _sentence(error) if error else None


def _passing_fault(choice: Any) -> bool:
    """Whether a choice failed for a reason that may pass, so that it is drawn again."""
    return _fault(choice) is not None and passes(status_in_body(choice))


def _sentence(error: Any) -> str:
    about = error if isinstance(error, Mapping) else {"message": error}
    code = about.get("code") or about.get("type")
    return f"the server answered with an error: {about.get('message') or error}" + (f" (code {code})" if code else "")


def _with_role(choice: Any) -> Any:
    """The choice as the assistant's, which it always is; some servers leave the role out or have their own name."""
    message = choice.get("message") if isinstance(choice, Mapping) else None
    if isinstance(message, Mapping) and message.get("role") != "assistant":
        return {**choice, "message": {**message, "role": "assistant"}}
    return choice


def _usage(data: Mapping[str, Any]) -> UsageMetadata | None:
    usage = data.get("usage")
    if not isinstance(usage, Mapping):
        return None
    prompt, output = int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0)
    return UsageMetadata(input_tokens=prompt, output_tokens=output, total_tokens=prompt + output)
