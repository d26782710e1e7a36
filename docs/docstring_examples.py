"""Our docstrings say "Example:", which griffe takes for a remark: it reads code under "Examples:" alone."""

from __future__ import annotations

import re
from typing import Any

import griffe

_HEADING = re.compile(r"^( *)Example:\n", re.MULTILINE)


class DocstringExamples(griffe.Extension):
    """Give the heading that is understood."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Of every object whose docstring has an example."""
        if obj.docstring is not None:
            obj.docstring.value = _HEADING.sub(r"\1Examples:\n", obj.docstring.value)
