"""The conversation in the state: LangGraph's `add_messages`, in a channel that stores each message once.

An ordinary channel stands as a whole in every checkpoint that a `SqliteSaver` writes, and a search writes three for a
round. A `DeltaChannel` stores what was added, and merges it anew whenever the thread is read.
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

__all__ = ["Conversation", "fingerprint", "merge_messages"]

# Of identifiers that are made here.
_NAMES = uuid.UUID("6b0f5a0e-0f5c-5a5b-9f2e-6d1f6a1c7d54")
_ROLES = ("human", "user", "ai", "assistant", "system", "developer")
# The whole conversation is stored once for so many updates; reading a thread merges no more of them.
_UPDATES_MERGED = 10


def merge_messages(messages: Sequence[BaseMessage], updates: Iterable[Any]) -> list[BaseMessage]:
    """The conversation with some updates, each added by `add_messages`.

    A message that came without an identifier is given the same one whenever its update is merged: it follows from the
    message and its place. So two batches give the same as both in one, which `DeltaChannel` demands.

    Args:
        messages: The conversation so far.
        updates: What tasks wrote, each as `add_messages` takes it: a message or a list of them, in any of LangChain's
            forms. A list that might as well be a pair of a role and what it says is read as that pair.
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
    """A short name for a conversation, so that a thread knows whether its record belongs to the present question."""
    said = [
        (message.type, message.content, getattr(message, "tool_calls", None), getattr(message, "tool_call_id", None))
        for message in messages
    ]
    return hashlib.blake2b(json.dumps(said, default=str).encode(), digest_size=12).hexdigest()


def _is_pair(update: list[Any]) -> bool:
    """Whether this is `("human", "text")`, as a checkpointer reads it back that knows no tuples."""
    return len(update) == 2 and update[0] in _ROLES and isinstance(update[1], str | list)


def _identifier(message: BaseMessage, place: int, taken: Container[str | None]) -> str:
    said = fingerprint([message])
    # Where messages were removed the place may have been another equal message's.
    names = (str(uuid.uuid5(_NAMES, f"{number} {said}")) for number in count(place))
    return next(name for name in names if name not in taken)


Conversation: TypeAlias = Annotated[list[AnyMessage], DeltaChannel(merge_messages, snapshot_frequency=_UPDATES_MERGED)]
