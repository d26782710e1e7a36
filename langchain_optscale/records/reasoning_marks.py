r"""Reasoning that a model marks within its text.

Marks are `<think>`, `<thinking>`, `<thought>`, `<reasoning>`, names made of these, such as `<think_fast>`, a few more
such as `<scratchpad>`, and the special tokens of model families. A closing one
without its opening ends reasoning that began with the text, since many chat templates write the opening mark
themselves; an opening one without its closing begins reasoning that was cut off. Marks that are quoted, or stand in a
code block of the answer, are part of the answer.

    >>> split_text("<think>5? No.</think> It is 7.")
    ('It is 7.', '5? No.')
    >>> split_text("5? No.</think>It is 7."), split_text("<think>5? No, wait")
    (('It is 7.', '5? No.'), ('', '5? No, wait'))
    >>> split_text("[[plan]]add[[/plan]]7", tags=(("[[plan]]", "[[/plan]]"),))
    ('7', 'add')

All functions take time linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from langchain_optscale.errors import SettingsError

__all__ = ["ReasoningTag", "answer_spans", "check_tags", "is_enclosed", "may_have_marks", "split_text"]

ReasoningTag: TypeAlias = "str | tuple[str, str]"
"""The name of a tag, "plan" for `<plan>` and `</plan>`, or the opening and the closing mark themselves."""

_WORDS = ("think", "thinking", "thought", "thoughts", "reasoning")
_NAMES = (*_WORDS, "antthinking", "scratchpad", "scratch_pad", "monologue", "reflection", "cot")
_QUOTES = "\"'`“”‘’«»"
_CODE = r"(?P<fence>```)|(?P<inline>`[^`\n]{1,200}`)"
# Where the special tokens of gpt-oss were removed from its output, the names of its channels remain.
_FIRST_CHANNEL, _LAST_CHANNEL = "analysis", "assistantfinal"
_END_TOKENS = ("<|return|>", "<|end|>", "<|END_RESPONSE|>", "<|end_of_solution|>")
_START_TOKENS = re.compile(r"\s*<\|(?:START_RESPONSE|begin_of_solution)\|>")
# Granite 3 says it in words.
_FIRST_WORDS = re.compile(r"\s*Here(?:'s| is) my thought process:")
_LAST_WORDS = re.compile(r"Here(?:'s| is) my response:")

_FIRST_SIGNS = ("<", "[", "◁", "&lt;")
# The beginning of every known mark, and of few other words. That all of it begins with one class of characters lets the
# search skip from one of them to the next, some twenty times faster than the patterns of the marks themselves.
_BEGINNING = re.compile(
    r"[<\[◁&](?:(?<=<)(?:[|｜]|channel\||unused9|(?i:\\?/?\s?[\w.:-]{0,60}?"
    r"(?:think|thought|reasoning|scratch_?pad|monologue|reflection|cot)))"
    r"|(?<=\[)(?i:/?(?:think|thought|reasoning))|(?<=◁)/?think|(?<=&)lt;/?think)"
)


@dataclass(frozen=True, slots=True)
class _Mark:
    """A pair of marks around reasoning, as patterns without groups."""

    opening: str
    closing: str


def _named(name: str) -> _Mark:
    """The tag of a user's name, perhaps with a namespace."""
    return _tag(rf"(?:[a-zA-Z_][\w.-]*:)?{re.escape(name)}")


def _known(name: str) -> _Mark:
    """The tag of a known name, perhaps as part of a longer one: `<seed:think>`, `<think_fast>`, `<inner_monologue>`."""
    return _tag(rf"(?:[a-zA-Z][\w.-]{{0,40}}[:_-])?{name}(?:[:_-][\w.-]{{1,40}})?")


def _tag(name: str) -> _Mark:
    return _Mark(rf"(?i:<\s?{name}(?:\s[^<>]{{0,200}})?>)", rf"(?i:<\\?/\s?{name}\s?>)")


_ANY_WORD = f"(?:{'|'.join(_WORDS)})"
_FAMILIES = (
    # Special tokens: <|think|>, <|thought_begin|>, <|START_THINKING|> (Command), <|begin_of_thought|>.
    _Mark(
        rf"(?i:<[|｜](?:(?:start|begin)_(?:of_)?{_ANY_WORD}|{_ANY_WORD}(?:_(?:start|begin))?)[|｜]>)",
        rf"(?i:<[|｜](?:end_(?:of_)?{_ANY_WORD}|{_ANY_WORD}_end|/{_ANY_WORD})[|｜]>)",
    ),
    _Mark(rf"(?i:\[{_ANY_WORD}\])", rf"(?i:\[/{_ANY_WORD}\])"),  # Magistral
    _Mark("◁think▷", "◁/think▷"),  # Kimi
    _Mark(r"<\|inner_prefix\|>", r"<\|inner_suffix\|>"),  # Apertus
    _Mark(r"<\|channel>thought\b", r"<channel\|>"),  # Gemma
    _Mark(r"<unused94>(?:thought\b)?", r"<unused95>"),  # MedGemma
    _Mark(r"&lt;think(?:ing)?&gt;", r"&lt;/think(?:ing)?&gt;"),  # escaped on the way
    # gpt-oss: whatever stands before its last channel is no answer.
    _Mark(
        r"(?:<\|start\|>assistant)?<\|channel\|>(?:analysis|commentary)[^<>]{0,80}<\|message\|>",
        r"(?:(?:<\|end\|>\s*)?<\|start\|>assistant)?<\|channel\|>final[^<>]{0,80}<\|message\|>",
    ),
)


def may_have_marks(text: str) -> bool:
    """True for every text that has one of the known marks, and for few others; cheap for a text without them.

    Example:
        >>> may_have_marks("<think>5?</think> 7"), may_have_marks("a <b>bold</b> claim [1]")
        (True, False)
    """
    if text.startswith(_FIRST_CHANNEL) or _FIRST_WORDS.match(text):
        return True
    return any(sign in text for sign in _FIRST_SIGNS) and _BEGINNING.search(text) is not None


def check_tags(tags: object) -> tuple[ReasoningTag, ...]:
    """The tags as a tuple.

    Raises:
        SettingsError: One is neither a name nor a pair of marks.
    """
    listed = (tags,) if isinstance(tags, str) else tags
    if not isinstance(listed, Sequence):
        raise SettingsError(f"reasoning_tags must be names of tags or pairs of marks, got {tags!r}")
    return tuple(_checked(tag) for tag in listed)


def _checked(tag: object) -> ReasoningTag:
    if isinstance(tag, str):
        name = tag.strip().removeprefix("<").removesuffix(">").strip()
        if re.fullmatch(r"[^\s<>/][^\s<>]*", name):
            return name
    elif isinstance(tag, Sequence) and len(tag) == 2 and all(isinstance(mark, str) and mark.strip() for mark in tag):
        return (str(tag[0]), str(tag[1]))
    raise SettingsError(
        f"reasoning_tags: {tag!r} is neither the name of a tag, such as 'plan', nor a pair of an opening and a closing "
        "mark, such as ('[plan]', '[/plan]')"
    )


@dataclass(frozen=True)
class _Marks:
    """The marks that are looked for, compiled."""

    marks: tuple[_Mark, ...]
    begins: re.Pattern[str]
    closings: tuple[re.Pattern[str], ...]
    any_mark: re.Pattern[str]


@lru_cache(maxsize=64)
def _marks(tags: tuple[ReasoningTag, ...]) -> _Marks:
    own = [_named(tag) if isinstance(tag, str) else _Mark(re.escape(tag[0]), re.escape(tag[1])) for tag in tags]
    marks = (*own, *(_known(name) for name in _NAMES), *_FAMILIES)
    named = [f"(?P<o{i}>{mark.opening})|(?P<c{i}>{mark.closing})" for i, mark in enumerate(marks)]
    return _Marks(
        marks,
        re.compile("|".join([*named, _CODE])),
        tuple(re.compile(mark.closing) for mark in marks),
        re.compile("|".join(f"{mark.opening}|{mark.closing}" for mark in marks)),
    )


def split_text(text: str, tags: tuple[ReasoningTag, ...] = ()) -> tuple[str, str | None]:
    """The answer in a text, and the reasoning in it.

    Args:
        text: What a model wrote.
        tags: Further tags around reasoning, beside those that are known.

    Returns:
        The answer, without white space around it where reasoning was taken out, and the reasoning; None where there is
        none, and the text as it was.
    """
    spans = answer_spans(text, tags)
    if spans is None:
        return text, None
    answer = "".join(text[start:end] for start, end in spans)
    edges = [0, *(edge for span in spans for edge in span), len(text)]
    parts = (text[edges[i] : edges[i + 1]] for i in range(0, len(edges), 2))
    thoughts = [thought for part in parts if (thought := _unmarked(part, tags))]
    return answer.strip(), "\n\n".join(thoughts)


def _unmarked(reasoning: str, tags: tuple[ReasoningTag, ...]) -> str:
    plain = _marks(tags).any_mark.sub("", reasoning)
    for token in _END_TOKENS:
        plain = plain.replace(token, "")
    if plain.endswith(_LAST_CHANNEL):
        plain = plain.removeprefix(_FIRST_CHANNEL).removesuffix(_LAST_CHANNEL)
    if words := _FIRST_WORDS.match(plain):
        plain = _LAST_WORDS.sub("", plain[words.end() :], count=1)
    return _START_TOKENS.sub("", plain).strip()


def answer_spans(text: str, tags: tuple[ReasoningTag, ...]) -> list[tuple[int, int]] | None:
    """Where the answer stands in a text, in order; None where there is no reasoning in it."""
    if not tags and not may_have_marks(text):
        return None
    marks = _marks(tags)
    if text.startswith(_FIRST_CHANNEL) and (last := text.rfind(_LAST_CHANNEL)) > 0:
        return [(last + len(_LAST_CHANNEL), len(text))]
    if (words := _FIRST_WORDS.match(text)) and (response := _LAST_WORDS.search(text, words.end())):
        return [(response.end(), len(text))]
    if marks.any_mark.search(text) is None:
        return None
    return _Scan(text, marks).spans()


def is_enclosed(text: str) -> bool:
    """Whether the text begins with a mark that opens reasoning, and has one that ends it."""
    begins = _marks(()).begins.match(text)
    if begins is None or not str(begins.lastgroup).startswith("o"):
        return False
    return any(closing.search(text, begins.end()) for closing in _marks(()).closings)


class _Scan:
    """One pass over a text that has marks."""

    def __init__(self, text: str, marks: _Marks) -> None:
        self._text = text
        self._marks = marks
        self._answer: list[tuple[int, int]] = []
        self._found = False
        self._unclosed: set[int] = set()
        self._fences = True
        self._end = len(text.rstrip())
        for token in _END_TOKENS:
            self._end -= len(token) * text.endswith(token, 0, self._end)

    def spans(self) -> list[tuple[int, int]] | None:
        place = start = 0
        while (match := self._marks.begins.search(self._text, place)) is not None:
            kind = str(match.lastgroup)
            if kind in {"fence", "inline"}:
                place = self._after_code(match)
                continue
            number = int(kind[1:])
            if self._is_quoted(match):
                place = match.end()
            elif kind[0] == "c":
                place, start = self._close(match, start)
            else:
                place, start = self._open(match, number, start)
        if start < self._end:
            self._answer.append((start, self._end))
        return self._answer if self._found else None

    def _after_code(self, match: re.Match[str]) -> int:
        """Past a code block or a span of code, whose marks are part of the answer."""
        if match.lastgroup == "inline":
            inside = match.group()[1:-1].strip()
            whole = self._marks.any_mark.fullmatch(inside) or not self._marks.any_mark.search(inside)
            return match.end() if whole else match.start() + 1
        end = self._text.find("```", match.end()) if self._fences else -1
        if end < 0:
            self._fences = False
            return match.end()
        return end + 3

    def _is_quoted(self, match: re.Match[str]) -> bool:
        before, after = self._text[match.start() - 1 : match.start()], self._text[match.end() : match.end() + 1]
        return bool(before and after) and before in _QUOTES and after in _QUOTES

    def _close(self, match: re.Match[str], start: int) -> tuple[int, int]:
        """A closing mark alone: all before it is reasoning, unless it is a stray one at the end."""
        if self._found and match.end() >= self._end and self._text[start : match.start()].strip():
            self._answer.append((start, match.start()))
            return len(self._text), len(self._text)
        self._found = True
        self._answer.clear()
        return self._after(match)

    def _open(self, match: re.Match[str], number: int, start: int) -> tuple[int, int]:
        closing = None if number in self._unclosed else self._marks.closings[number].search(self._text, match.end())
        if closing is None:
            self._unclosed.add(number)
            closing = self._other_closing(match)
        if closing is not None:
            self._found = True
            self._answer.append((start, match.start()))
            return self._after(closing)
        if not self._begins_a_line(match.start()):
            return match.end(), start  # within a sentence: the answer speaks of the mark
        self._found = True
        self._answer.append((start, match.start()))
        return len(self._text), len(self._text)

    def _after(self, closing: re.Match[str]) -> tuple[int, int]:
        """Past a closing mark, and past a token that begins the answer."""
        token = _START_TOKENS.match(self._text, closing.end())
        place = closing.end() if token is None else token.end()
        return place, place

    def _begins_a_line(self, place: int) -> bool:
        while place and self._text[place - 1] in " \t>":
            place -= 1
        return place == 0 or self._text[place - 1] == "\n"

    def _other_closing(self, match: re.Match[str]) -> re.Match[str] | None:
        """The closing mark of another name, where a model closes `<thinking>` by `</think>`."""
        place = match.end()
        following = self._marks.begins.search(self._text, place)
        while following is not None and str(following.lastgroup) in {"fence", "inline"}:
            following = self._marks.begins.search(self._text, following.end())
        if following is None or str(following.lastgroup)[0] != "c" or self._is_quoted(following):
            return None
        return following
