"""How a model's message ended, in one vocabulary for all providers, and what it refused.

Every provider has its own name for the same fact: a message that was cut off at the token limit ended by `length`
(OpenAI, Mistral, Ollama), `max_tokens` (Anthropic, Bedrock), `MAX_TOKENS` (Gemini, Cohere), `model_length`,
`max_output_tokens` in `incomplete_details` (OpenAI's Responses API) and more. `end_reason_of` reads them all.

    >>> from langchain_core.messages import AIMessage
    >>> end_reason_of(AIMessage("so 17 * 23 = 3", response_metadata={"stop_reason": "max_tokens"}))
    <EndReason.LENGTH: 'length'>
    >>> end_reason_of(AIMessage("391", response_metadata={"finish_reason": "STOP"})).complete
    True
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum, StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

__all__ = ["EndReason", "end_reason_of", "end_spelling", "refusal_of"]


class EndReason(StrEnum):
    """How a message ended; the values are OpenAI's names."""

    STOP = "stop"
    TOOL_CALLS = "tool_calls"
    LENGTH = "length"
    CONTENT_FILTER = "content_filter"
    REFUSAL = "refusal"
    ERROR = "error"

    @property
    def complete(self) -> bool:
        """Whether the model said all that it wanted to say."""
        return self in _COMPLETE


_COMPLETE = frozenset({EndReason.STOP, EndReason.TOOL_CALLS})


# Letters and digits of the providers' names, in lower case.
_NAMES: dict[EndReason, str] = {
    EndReason.STOP: (
        "stop stopped endturn eos eostoken stopsequence stopword stopstring word complete completed finish finished "
        "normal end endoftext endofsequence endofturn success done eosfound stoptoken stopstr stopphrase "
        "stopcriteria stopcriteriamet"
    ),
    EndReason.TOOL_CALLS: "tool tools toolcalls toolcall tooluse functioncall functioncalls",
    EndReason.LENGTH: (
        "length maxtokens maxtoken maxoutputtokens maxcompletiontokens maxnewtokens maxgeneratedtokens maxlength "
        "maxoutput modellength maximumtokens maximumlength tokenlimit limit contextlength contextlimit contextwindow "
        "contextoverflow contextlengthexceeded modelcontextwindowexceeded errorlimit truncated notfinished"
    ),
    EndReason.CONTENT_FILTER: (
        "contentfilter contentfiltered safety recitation blocklist prohibitedcontent spii language imagesafety "
        "imageprohibitedcontent imagerecitation guardrailintervened guardrails guardrail sensitive errortoxic blocked "
        "flagged moderation moderated modelarmor jailbreak policyviolation"
    ),
    EndReason.REFUSAL: "refusal refused",
    EndReason.ERROR: (
        "error errored failed failure malformedfunctioncall malformedtooluse malformedmodeloutput malformedresponse "
        "malformedtoolcall unexpectedtoolcall toomanytoolcalls invalidtoolcall missingthoughtsignature noimage other "
        "imageother abort aborted cancelled canceled usercancel timeout timelimit networkerror "
        "insufficientsystemresource pauseturn load unload incomplete partial repetition "
        "repetitiontruncation interrupted preempted"
    ),
}
_REASONS = {name: reason for reason, names in _NAMES.items() for name in names.split()}
_LONGEST_NAME = max(map(len, _REASONS))
# Names that providers will yet invent, by the words that they are made of. Only what is incomplete is guessed: a name
# that says nothing of it is no statement.
_SIZE = "(?:token|length|len(?!$)|context|output|window|sequence|seq)"
_TOO_LONG = "(?:max|limit|exceed|reach|overflow|trunc|cut)"
_GUESSES = {
    EndReason.CONTENT_FILTER: re.compile(
        "filter|block|guardrail|safety|unsafe|moderat|toxic|harmful|profan|sensitive|inappropriate|prohibited|recit"
        "|copyright|jailbreak|violat"
    ),
    EndReason.REFUSAL: re.compile("refus"),
    EndReason.LENGTH: re.compile(f"{_TOO_LONG}.*{_SIZE}|{_SIZE}.*{_TOO_LONG}|trunc|cutoff|max.*len$"),
    EndReason.ERROR: re.compile(
        "error|fail|abort|cancel|timeout|timedout|interrupt|preempt|malformed|invalid|unavailable|overload|exhausted"
    ),
}
_LONGEST_GUESS = 60
_KEYS = (
    "finish_reason",
    "finishReason",
    "stop_reason",
    "stopReason",
    "done_reason",
    "doneReason",
    "completion_reason",
    "completionReason",
    "finish_details",
    "stop_type",
    "native_finish_reason",
)
# Flags of servers that say it without a name.
_FLAGS = {
    "is_truncated": EndReason.LENGTH,
    "truncated": EndReason.LENGTH,
    "stopped_limit": EndReason.LENGTH,
    "is_blocked": EndReason.CONTENT_FILTER,
}
_FEEDBACK = {"prompt_feedback": "block_reason", "promptFeedback": "blockReason"}


_STATUSES = ("completed", "incomplete", "failed", "cancelled")
_STATING = frozenset({*_KEYS, *_FLAGS, *_FEEDBACK, "incomplete_details", "status"})


def end_reason_of(message: BaseMessage) -> EndReason | None:
    """How a message ended; None where its metadata do not say, or use a name that is not known.

    Of several statements one that the message is incomplete counts. A message that refuses ended by `REFUSAL`, also
    where the provider says "stop".
    """
    if (message.additional_kwargs or isinstance(message.content, list)) and refusal_of(message) is not None:
        return EndReason.REFUSAL
    first = None
    for _, reason in _statements(message):
        if reason not in _COMPLETE:
            return reason
        first = first or reason
    return first


def end_spelling(message: BaseMessage) -> str | None:
    """The provider's own name for how a message ended, where it is known; the one that `end_reason_of` counts."""
    stated = _statements(message)
    return next((name for name, reason in stated if not reason.complete), stated[0][0] if stated else None)


def refusal_of(message: BaseMessage) -> str | None:
    """What a model said when it refused; "" where it refused without a word, None where it did not refuse.

    Read from OpenAI's `refusal` field, refusal blocks of the content, and Anthropic's `stop_reason` and `stop_details`.
    """
    field = message.additional_kwargs.get("refusal")
    if isinstance(field, str) and field.strip():
        return field.strip()
    content = message.content if isinstance(message.content, list) else []
    blocks = [block for block in content if isinstance(block, dict) and block.get("type") == "refusal"]
    if blocks:
        return "\n".join(filter(None, map(_words_of, blocks)))
    if any(_reason_in(message.response_metadata.get(key)) is EndReason.REFUSAL for key in _KEYS):
        details = message.response_metadata.get("stop_details")
        about = details if isinstance(details, Mapping) else {}
        return str(about.get("explanation") or about.get("category") or "").strip()
    return None


def _words_of(block: Mapping[str, Any]) -> str:
    extras = block.get("extras")
    category = extras.get("category") if isinstance(extras, Mapping) else None
    return str(block.get("refusal") or block.get("text") or category or "").strip()


def _statements(message: BaseMessage) -> list[tuple[str, EndReason]]:
    """Everything that the metadata of a message state about its end, in the provider's words and in ours."""
    found = []
    for key, value in message.response_metadata.items():
        if not value or key not in _STATING:
            continue
        if key in _FLAGS:
            reason, name = _FLAGS[key] if value is True else None, key
        elif key == "incomplete_details":
            why = value.get("reason") if isinstance(value, Mapping) else value
            reason, name = _reason_in(why) or EndReason.ERROR, _spelled(why or "incomplete")
        elif key in _FEEDBACK:
            blocked = value.get(_FEEDBACK[key]) if isinstance(value, Mapping) else None
            reason, name = (EndReason.CONTENT_FILTER if blocked else None), _spelled(blocked)
            reason = None if name.endswith("UNSPECIFIED") else reason
        elif key == "status":
            reason, name = (_REASONS.get(value) if value in _STATUSES else None), str(value)
        else:
            reason, name = _reason_in(value), _spelled(value)
        if reason is not None:
            found.append((name, reason))
    # A status such as "incomplete" says less than its details.
    return sorted(found, key=lambda one: one[0] in _STATUSES)


def _spelled(value: Any) -> str:
    """A provider's name for how a message ended, which may be an enum or stand within a mapping."""
    if isinstance(value, Mapping):
        value = next((value[key] for key in ("type", "reason", "name") if value.get(key)), "")
    if isinstance(value, Enum):
        return str(value.name)
    return str(value).rpartition(".")[2] if isinstance(value, str) else str(value)


def _reason_in(value: Any) -> EndReason | None:
    """What a provider's name means; None for an empty or unknown one."""
    return _meaning(value if type(value) is str else _spelled(value)) if value else None


@lru_cache(maxsize=256)
def _meaning(spelled: str) -> EndReason | None:
    name = re.sub(r"[^a-z0-9]", "", _spelled(spelled).lower())
    if name in _REASONS:
        return _REASONS[name]
    # Joined from the chunks of a stream, a name may stand there several times.
    for size in range(1, min(len(name) // 2, _LONGEST_NAME) + 1):
        if len(name) % size == 0 and name == name[:size] * (len(name) // size) and name[:size] in _REASONS:
            return _REASONS[name[:size]]
    return next((reason for reason, words in _GUESSES.items() if words.search(name[:_LONGEST_GUESS])), None)
