"""What of a model is shown: settings without the secrets that may stand in headers, bodies and addresses.

>>> concealed({"model": "m", "extra_headers": {"Authorization": "Bearer k"}, "base_url": "https://me:k@host/v1"})
{'model': 'm', 'extra_headers': '**********', 'base_url': 'https://**********@host/v1'}
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["Shown", "concealed"]

_HIDDEN = "**********"
_SECRET = re.compile(
    r"header|authorization|api_?key|access_?key|secret|password|passwd|credential|cookie"
    r"|(?:\A|auth_|access_|bearer_|api_)token\Z|\Aextra_(?:body|query)\Z|\Adefault_query\Z",
    re.IGNORECASE,
)
_USER = re.compile(r"(?<=://)[^/@\s'\"]+(?=@)")
_DEEPEST = 8


def concealed(value: Any, depth: int = _DEEPEST) -> Any:
    """The value with stars for what stands under the name of a secret, and for users and passwords in addresses.

    Args:
        value: Mappings, lists, strings and anything else, which is returned as it is.
        depth: Levels that are looked into.
    """
    if isinstance(value, str):
        return _USER.sub(_HIDDEN, value) if "://" in value else value
    if not depth:
        return value
    if isinstance(value, Mapping):
        return {
            key: _HIDDEN if one and isinstance(key, str) and _SECRET.search(key) else concealed(one, depth - 1)
            for key, one in value.items()
        }
    return [concealed(one, depth - 1) for one in value] if isinstance(value, list) else value


class Shown:
    """A model in the repr of what uses it: its class and its name, not its settings.

    Args:
        kind: The class of the model.
        name: The model's name.
    """

    def __init__(self, kind: str, name: str) -> None:
        self._text = kind if name == kind else f"{kind}({name!r})"

    def __repr__(self) -> str:
        return self._text
