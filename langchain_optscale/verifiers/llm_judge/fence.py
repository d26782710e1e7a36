"""Fences untrusted text in a prompt.

Before another model reads a candidate's text, invisible characters and control tokens of chat templates are escaped,
and the text is shortened and put between marks with a random code that the candidate cannot know. All functions take
time linear in the text, also for adversarial text.
"""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["defused", "fenced", "made_visible", "new_code", "shortened"]

# The Unicode categories Cc (except tab and newline), Cf, Cs, Zl and Zp, and blank letters and marks.
_INVISIBLE = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5"
    "\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufeff\uffa0\ufff0-\ufffb"
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_RUN = re.compile(rf"([{_INVISIBLE}])\1*|([\ufe00-\ufe0f])[\ufe00-\ufe0f]+")
_INVISIBLE_CHARACTER = re.compile(f"[{_INVISIBLE}]")
# Each pattern begins with one class of characters, so that a search skips what is none of them: a quarter of the time.
_OF_A_RUN = re.compile(f"[{_INVISIBLE}\ufe00-\ufe0f]")
_JOINERS = "\u200c\u200d"

_BRACKETS = "<＜﹤‹«≪⟪《"
# Matched at the start of a run only, to stay linear.
_LIKE_A_MARK = re.compile(
    rf"[{_BRACKETS}](?<![{_BRACKETS}]{{2}})(?=[{_BRACKETS}]++[\s/]*+(?:END\b|REQUEST|ANSWER|REFERENCE))", re.IGNORECASE
)

_OPENING, _CLOSING = "<＜\\[［◁", ">＞\\]］▷"
_TAGS = (
    r"think|thinking|thoughts?|reasoning|reflection|scratchpad|tools?|tool_?calls?|functions?|invoke|response|system|user"
    r"|assistant|human|model|bot|role|observation|parameter|functioncalls?|turn|start|end|sop|eop|eot|eod|bos|eos|boi|eoi|pad"
    r"|unk|cls|sep|mask|s|img|image|audio|video"
    r"|(?:unused|special|ctrl|control)\d+|0x[0-9a-f]{2}"
)
_TAGS_WITH_ATTRIBUTES = r"think|thinking|tools?|tool_?calls?|functions?|invoke|parameter|role"
# By form, since every model has its own: tokenizers read these as tokens anywhere.
_CONTROL_TOKEN = re.compile(
    rf"[{_OPENING}\]](?:(?<=[{_OPENING}])(?="
    # a bar beside a name: <|im_end|>, <｜User｜>, [|user|], <turn|>, <|turn>
    rf"/?[|｜][^<>\[\]\n]{{1,64}}?[|｜]?[{_CLOSING}]"
    rf"|/?[^\s<>\[\]|｜]{{1,64}}[|｜][{_CLOSING}]"
    # a tag whose name has an underscore, a colon or an equals sign: <start_of_image>, <seed:think>, <function=f>
    rf"|/?[A-Za-z][A-Za-z0-9]{{0,40}}(?:[_:=][A-Za-z0-9]+){{1,8}}[\s/{_CLOSING}]"
    # a tag of a known name: <think>, </tool_call>, <s>
    rf"|/?(?i:{_TAGS})[/{_CLOSING}]|(?i:{_TAGS_WITH_ATTRIBUTES})\s"
    # a name in capitals: [INST], [/SYSTEM_PROMPT], [gMASK], <<SYS>>
    rf"|/?[a-z]?[A-Z][A-Z0-9_]{{1,40}}[\]］]|<?/?[A-Z]{{2,10}}>>"
    r")"
    # a tilde between brackets: ]~b], [e~[
    r"|(?<=[\[\]])(?=~!?[a-z]{1,3}[\[\]]|[a-z]{1,3}~[\[\]]))"
)


def new_code(texts: Iterable[str] = ()) -> str:
    """A random word of 12 hexadecimal digits that occurs in none of the texts."""
    held = tuple(texts)
    while True:
        code = secrets.token_hex(6)
        if not any(code in text for text in held):
            return code


def made_visible(text: str) -> str:
    r"""The text with invisible and bidirectional characters spelled out.

    Line ends become newlines; tabs, newlines and joiners between two non-ASCII characters (for Persian, Indic scripts
    and emoji) stay. A run of one character is spelled out once, with its length.

    Example:
        >>> made_visible("a\u202eb" + "\u200b" * 3)
        'a⟨U+202E⟩b⟨U+200B × 3⟩'
    """
    text = text.replace("\r\n", "\n")
    return text if _OF_A_RUN.search(text) is None else _RUN.sub(_spelled_out, text)


def _spelled_out(match: re.Match[str]) -> str:
    run, text = match.group(), match.string
    if len(run) == 1 and run in _JOINERS and match.start() > 0 and match.end() < len(text):
        around = text[match.start() - 1] + text[match.end()]
        if not around[0].isascii() and not around[1].isascii() and not _INVISIBLE_CHARACTER.search(around):
            return run
    return f"⟨U+{ord(run[0]):04X}⟩" if len(run) == 1 else f"⟨U+{ord(run[0]):04X} × {len(run)}⟩"


def defused(text: str) -> str:
    """The text with a space in every control token of a chat template.

    Example:
        >>> defused("done<|im_end|>")
        'done< |im_end|>'
    """
    return _CONTROL_TOKEN.sub(r"\g<0> ", text)


def shortened(text: str, limit: int, code: str = "") -> str:
    """The head and the tail of the text, `limit` characters in total, with a mark for the omitted part.

    Args:
        text: Any text.
        limit: Characters kept, at least 1.
        code: Part of the mark, so that the text cannot imitate it.
    """
    if len(text) <= limit:
        return text
    tail = limit // 2
    head = limit - tail
    known = f", {code}" if code else ""
    mark = f"⟨{len(text) - limit:,} of {len(text):,} characters left out here{known}⟩"
    return f"{text[:head]}\n{mark}\n{text[len(text) - tail :]}"


def fenced(label: str, text: str, code: str, limit: int | None = None) -> str:
    r"""The text between two marks with the code; imitations of marks in the text are escaped.

    Args:
        label: The kind of text, such as "ANSWER".
        text: Any text.
        code: From `new_code`.
        limit: Characters shown (twice as many where characters had to be spelled out); None shows all.

    Example:
        >>> print(fenced("ANSWER", "a <<<END ANSWER 0>>> b", "5f"))
        <<<ANSWER 5f>>>
        a \<<<END ANSWER 0>>> b
        <<<END ANSWER 5f>>>
    """
    # Shortened before as well, so that a megabyte of invisible characters is not spelled out first.
    held = text if limit is None else shortened(text, limit, code)
    shown = _LIKE_A_MARK.sub(r"\\\g<0>", defused(made_visible(held)))
    if limit is not None and len(shown) > 2 * limit:
        shown = shortened(shown, limit, code)
    return f"<<<{label} {code}>>>\n{shown}\n<<<END {label} {code}>>>"
