"""A judge's filled-in form, read from what models write in its place.

Beside proper JSON these are JSON with a trailing comma, with single or no quotes, with comments, with the backslashes
of LaTeX or with quotes inside a text; keys in other words; and tool calls that do not fit the schema. Only a form with
the code of the grading counts. Where it is not proper JSON the grade must follow the code at once, so that nothing that
the judge quotes from a candidate can stand between them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_core.messages import BaseMessage

__all__ = ["form_in_message", "form_in_text", "grade_of", "repeats"]

# Objects of a reply that are tried: each try may read to the end.
_MOST_OBJECTS = 50
_GRADE_KEYS = ("grade", "score", "rating")
_VALUE_KEYS = ("value", *_GRADE_KEYS)
_QUOTE = r"\\?[\"'“”]"
_LOOSE_FORM = re.compile(
    rf"\bcode{_QUOTE}?\s*[:=]\s*(?:{_QUOTE})?(?:GRADE-)?(?P<code>[0-9a-z]{{1,64}})(?:{_QUOTE})?\s*[,;]?\s*"
    rf"(?:(?://|\#)[^\n]{{0,200}}\n\s*)?(?:{_QUOTE})?(?:{'|'.join(_GRADE_KEYS)})(?:{_QUOTE})?\s*[:=]\s*"
    rf"(?:{_QUOTE}(?P<quoted>[^\"'“”\n\\]{{0,80}}){_QUOTE}"
    rf"|(?P<bare>[^}}\n\"'“”\\]{{1,80}}?)(?=\s*(?:,\s*)?(?:[}}\n]|{_QUOTE}\w|,\s*\w+\s*:)))",
    re.IGNORECASE,
)
_LOOSE_EXPLANATION = re.compile(rf"\bexplanation(?:{_QUOTE})?\s*[:=]\s*(?:{_QUOTE})?", re.IGNORECASE)


def form_in_message(message: BaseMessage, code: str) -> Mapping[str, Any] | None:
    """The form in a message that its client could not parse: in a tool call, or in the text; None without one."""
    for call in getattr(message, "tool_calls", []):
        if repeats(call.get("args"), code):
            return dict(call["args"])
    for call in getattr(message, "invalid_tool_calls", []):
        if (form := form_in_text(str(call.get("args") or ""), code)) is not None:
            return form
    return form_in_text(str(message.text), code)


def form_in_text(text: str, code: str) -> Mapping[str, Any] | None:
    """The last form in a text that repeats the code, in a code block or not; None without one."""
    last = None
    for form in _objects(text):
        if repeats(form, code):
            last = form
    return _loose_form(text, code) if last is None else last


def repeats(form: Any, code: str) -> bool:
    """Whether this is a form with the code of the grading."""
    if not isinstance(form, Mapping):
        return False
    written = str(_by_key(form).get("code", "")).strip().strip("*_`").lower()
    return written.removeprefix("grade-") == code.lower()


def grade_of(form: Mapping[str, Any]) -> tuple[Any, str]:
    """The grade of a form as it was written, and the explanation."""
    fields = _by_key(form)
    grade = next((fields[key] for key in _GRADE_KEYS if key in fields), None)
    if isinstance(grade, list) and len(grade) == 1:
        grade = grade[0]
    if isinstance(grade, Mapping):
        inner = _by_key(grade)
        grade = next((inner[key] for key in _VALUE_KEYS if key in inner), None)
    return grade, str(fields.get("explanation") or "").strip()


def _by_key(form: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(key).strip().lower(): value for key, value in form.items()}


def _objects(text: str) -> Iterator[Any]:
    """The JSON objects of a text; also those inside others, and those with line breaks in their strings."""
    decoder = json.JSONDecoder(strict=False)
    for match in islice(re.finditer(r"\{", text), _MOST_OBJECTS):
        try:
            found, _ = decoder.raw_decode(text, match.start())
        except (ValueError, RecursionError):
            continue
        yield found


def _loose_form(text: str, code: str) -> Mapping[str, Any] | None:
    matches = [match for match in _LOOSE_FORM.finditer(text) if match["code"].lower() == code.lower()]
    if not matches:
        return None
    last = matches[-1]
    said = last["quoted"] if last["bare"] is None else last["bare"]
    before = text[: last.start()]
    begins = list(_LOOSE_EXPLANATION.finditer(before))
    explanation = before[begins[-1].end() :].strip(" \t\r\n,;\"'“”\\{") if begins else ""
    return {"code": code, "grade": said.strip(" ,;"), "explanation": explanation}
