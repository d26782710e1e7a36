"""The conversation in the state: LangGraph's `add_messages`, in a channel that stores each message once.

A `SqliteSaver` writes the whole value of an ordinary channel with every checkpoint, three times a round. A
`DeltaChannel` stores only what was added, and merges it whenever the thread is read.
"""

import hashlib
import json
import uuid
from collections.abc import Container, Iterable, Sequence
from itertools import count
from typing import Annotated, Any, TypeAlias, cast

from langchain_core.messages import AnyMessage, BaseMessage, convert_to_messages
from langgraph.channels.delta import DeltaChannel
from langgraph.graph.message import add_messages

from langchain_optscale.records.content import content_of

__all__ = ["Conversation", "fingerprint", "merge_messages"]

_ID_NAMESPACE = uuid.UUID("6b0f5a0e-0f5c-5a5b-9f2e-6d1f6a1c7d54")
_ROLES = ("human", "user", "ai", "assistant", "system", "developer")
# The whole conversation is stored once every so many updates; reading a thread merges at most as many.
_SNAPSHOT_EVERY = 10


def merge_messages(messages: Sequence[BaseMessage], updates: Iterable[Any]) -> list[BaseMessage]:
    """The conversation with some updates, each added by `add_messages`.

    A message without an identifier gets one that follows from the message and its position, so that merging in two
    batches gives the same as merging at once, which `DeltaChannel` requires.

    Args:
        messages: The conversation so far.
        updates: What tasks wrote, each as `add_messages` takes it: a message or a list of them, in any of LangChain's
            forms. A list that could be a pair of a role and its content is read as that pair.
    """
    merged = list(messages)
    for update in updates:
        added = convert_to_messages(update if isinstance(update, list) and not _is_pair(update) else [update])
        taken = {message.id for message in (*merged, *added)}
        for place, message in enumerate(added, len(merged)):
            if message.id is None:
                message.id = _identifier(message, place, taken)
                taken.add(message.id)
        merged = cast("list[BaseMessage]", add_messages(cast("Any", merged), cast("Any", added)))
    return merged


def fingerprint(messages: Sequence[BaseMessage]) -> str:
    """A hash of a conversation, which tells whether the record of a thread belongs to the present question."""
    content = [_said(message) for message in messages]
    return hashlib.blake2b(json.dumps(content, default=_unlike).encode(), digest_size=12).hexdigest()


def _said(message: BaseMessage) -> tuple[Any, ...]:
    """What tells a message from others; what is seldom there is left out, so that stored hashes stay as they are."""
    calls, answered = getattr(message, "tool_calls", None), getattr(message, "tool_call_id", None)
    plain = (message.type, message.content, calls, answered)
    marks = {"role": getattr(message, "role", None), "name": message.name, "status": getattr(message, "status", None)}
    seldom = {key: value for key, value in marks.items() if value not in (None, "success")}
    return (*plain, seldom) if seldom else plain


def _unlike(value: Any) -> Any:
    """The form of what is not JSON, unlike that of any text."""
    return content_of(value, strict=False)


def _is_pair(update: list[Any]) -> bool:
    """Whether this is `("human", "text")`, which a checkpointer without tuples reads back as a list."""
    return len(update) == 2 and update[0] in _ROLES and isinstance(update[1], str | list)


def _identifier(message: BaseMessage, place: int, taken: Container[str | None]) -> str:
    content = fingerprint([message])
    # After a removal an equal message may already have this position's identifier.
    names = (str(uuid.uuid5(_ID_NAMESPACE, f"{number} {content}")) for number in count(place))
    return next(name for name in names if name not in taken)


Conversation: TypeAlias = Annotated[list[AnyMessage], DeltaChannel(merge_messages, snapshot_frequency=_SNAPSHOT_EVERY)]
