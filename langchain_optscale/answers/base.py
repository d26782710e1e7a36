"""The extractor interface, conversion from names and functions, and composite extractors."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from langchain_optscale.answers.equivalence import Equivalence, SameMath
from langchain_optscale.errors import SettingsError
from langchain_optscale.records.reasoning_marks import split_text

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage

__all__ = [
    "EXTRACTORS",
    "Compared",
    "Extractor",
    "ExtractorLike",
    "FirstOf",
    "Found",
    "FunctionAnswer",
    "accepts",
    "as_extractor",
]


@dataclass(frozen=True, slots=True)
class Found:
    """An extracted answer.

    Attributes:
        text: The answer.
        equivalence: Compares it with other answers to the question.

    Example:
        >>> from langchain_optscale.answers import ExactText
        >>> Found("Vienna", ExactText()).text
        'Vienna'
    """

    text: str
    equivalence: Equivalence = SameMath()  # noqa: RUF009 - frozen


@dataclass(frozen=True)
class Extractor:
    """Base of the extractors; implement `find`.

    Extractors are frozen dataclasses of their settings. `a | b` is `FirstOf((a, b))`. An extractor may be called from
    several threads at once.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True)
        ... class LastWord(Extractor):
        ...     def find(self, text, message=None):
        ...         return text.split()[-1].strip(".") if text.split() else None
        >>> LastWord()("The capital is Vienna.")
        'Vienna'
    """

    def find(self, text: str, message: AIMessage | None = None) -> Found | str | None:
        """The answer in a candidate.

        Args:
            text: The candidate's text.
            message: The candidate's message, for answers outside the text; None where only the text is known, as in a
                recorded pool.

        Returns:
            The answer, a plain string being compared by `SameMath`; None where there is none.
        """
        raise NotImplementedError

    def find_in_state(
        self, state: Mapping[str, Any], text: str, message: AIMessage | None = None
    ) -> Found | str | None:
        """The answer of an agent or another graph, given the state it ended in; by default that in its last message."""
        return self.find(text, message)

    def __call__(
        self, text: str, message: AIMessage | None = None, state: Mapping[str, Any] | None = None
    ) -> str | None:
        """The text of the answer, or None."""
        found = self.read(text, message, state)
        return None if found is None else found.text

    def read(self, text: str, message: AIMessage | None = None, state: Mapping[str, Any] | None = None) -> Found | None:
        """The answer with its equivalence, None where there is none or it is blank; reasoning is no part of it."""
        plain = split_text(text)[0]
        found = self.find(plain, message) if state is None else self.find_in_state(state, plain, message)
        if isinstance(found, str):
            found = Found(found)
        if found is None or (isinstance(found, Found) and not found.text.strip()):
            return None
        if not isinstance(found, Found):
            raise SettingsError(f"an extractor must return a string or None, got {type(found).__name__}")
        return found

    def __or__(self, other: ExtractorLike) -> FirstOf:
        return FirstOf((self, other))


ExtractorLike: TypeAlias = Extractor | str | Callable[..., str | None]
"""What `as_extractor` accepts."""

EXTRACTORS: dict[str, Extractor] = {}
"""Extractors by name, registered by `catalogue`."""


@dataclass(frozen=True, init=False, repr=False)
class FirstOf(Extractor):
    """The answer of the first extractor that finds one.

    Attributes:
        extractors: At least one of anything that `as_extractor` accepts.

    Raises:
        SettingsError: There is none, or one is no extractor.

    Example:
        >>> FirstOf("boxed", "choice")("the answer is (D)")
        'D'
    """

    extractors: tuple[ExtractorLike, ...]

    def __init__(self, *extractors: ExtractorLike | tuple[ExtractorLike, ...] | list[ExtractorLike]) -> None:
        listed: list[Any] = []
        for one in extractors:
            listed += one if isinstance(one, tuple | list) else [one]
        if not listed:
            raise SettingsError("FirstOf needs at least one extractor")
        flat: list[Extractor] = []
        for one in listed:
            made = _made(one)
            flat += made.extractors if isinstance(made, FirstOf) else [made]  # type: ignore[arg-type]
        object.__setattr__(self, "extractors", tuple(flat))

    def __repr__(self) -> str:
        return f"FirstOf({', '.join(map(repr, self.extractors))})"

    def find(self, text: str, message: AIMessage | None = None) -> Found | None:
        """The first answer, with its extractor's equivalence."""
        for extractor in self.extractors:
            found: Found | None = extractor.read(text, message)  # type: ignore[union-attr]
            if found is not None:
                return found
        return None

    def find_in_state(self, state: Mapping[str, Any], text: str, message: AIMessage | None = None) -> Found | None:
        """The first answer that an extractor finds in the state or in the last message."""
        read = (extractor.read(text, message, state) for extractor in self.extractors)  # type: ignore[union-attr]
        return next((found for found in read if found is not None), None)


@dataclass(frozen=True)
class Compared(Extractor):
    r"""Another extractor's answers with another equivalence.

    Attributes:
        extractor: Anything that `as_extractor` accepts.
        by: Compares its answers.

    Raises:
        SettingsError: One of them has another type.

    Example:
        >>> from langchain_optscale.answers.equivalence import NormalForm
        >>> half = Compared("boxed", NormalForm(percent=True)).read(r"\boxed{50\%}")
        >>> half.equivalence.canonical(half.text)
        '0.5'
    """

    extractor: ExtractorLike
    by: Equivalence

    def __post_init__(self) -> None:
        object.__setattr__(self, "extractor", _made(self.extractor))
        if not isinstance(self.by, Equivalence):
            raise SettingsError(f"by must be an equivalence such as ExactText() or NormalForm(), got {self.by!r}")

    def find(self, text: str, message: AIMessage | None = None) -> Found | None:
        """The extractor's answer with this equivalence."""
        found = self.extractor(text, message)  # type: ignore[operator]
        return None if found is None else Found(found, self.by)

    def find_in_state(self, state: Mapping[str, Any], text: str, message: AIMessage | None = None) -> Found | None:
        """As `find`, of a graph's state."""
        found = self.extractor(text, message, state)  # type: ignore[operator]
        return None if found is None else Found(found, self.by)


@dataclass(frozen=True)
class FunctionAnswer(Extractor):
    """A function as an extractor.

    Attributes:
        function: `(text)`, `(text, message)` or `(text, message, state)`; returns the answer as a string, or None. The
            state is that of a policy which is a graph, and None for any other.

    Raises:
        SettingsError: It accepts neither.

    Example:
        >>> last_word = FunctionAnswer(lambda text: text.split()[-1] if text else None)
        >>> last_word("The capital is Vienna"), last_word("")
        ('Vienna', None)
    """

    function: Callable[..., str | None]

    def __post_init__(self) -> None:
        if not callable(self.function) or isinstance(self.function, type) or self._arguments() is None:
            raise SettingsError(
                "an extractor must be a function of the candidate's text, or of its text and message, or of its text, "
                f"message and state, got {self.function!r}{_meant(self.function)}"
            )

    def find(self, text: str, message: AIMessage | None = None) -> str | None:
        """The function's result."""
        return self.function(*(text, message, None)[: self._arguments()])

    def find_in_state(self, state: Mapping[str, Any], text: str, message: AIMessage | None = None) -> str | None:
        """The function's result."""
        return self.function(*(text, message, state)[: self._arguments()])

    def _arguments(self) -> int | None:
        """How many positional arguments to pass; None where it takes neither one nor two nor three."""
        return next((count for count in (1, 2, 3) if accepts(self.function, count)), None)


def accepts(function: Callable[..., Any], count: int) -> bool:
    """Whether a function can be called with that many positional arguments; True where it does not tell.

    Example:
        >>> accepts(len, 1), accepts(lambda text, message: None, 1), accepts(max, 3)
        (True, False, True)
    """
    try:
        inspect.signature(function).bind(*[None] * count)
    except TypeError:
        return False
    except ValueError:
        return True  # some functions written in C have no signature
    return True


def as_extractor(value: ExtractorLike | None) -> Extractor | None:
    """Convert to an extractor.

    Args:
        value: An `Extractor` or None (both returned unchanged), a name in `EXTRACTORS`, or a function `(text)`,
            `(text, message)` or `(text, message, state)` that returns a string or None.

    Raises:
        SettingsError: It is anything else.

    Example:
        >>> from langchain_optscale.answers import BoxedAnswer
        >>> as_extractor("boxed"), as_extractor(BoxedAnswer())
        (BoxedAnswer(), BoxedAnswer())
    """
    if value is None or isinstance(value, Extractor):
        return value
    if isinstance(value, str):
        if value not in EXTRACTORS:
            raise SettingsError(
                f"extract: unknown extractor {value!r}; known are {', '.join(EXTRACTORS)}; for a regular "
                "expression write RegexAnswer(pattern)"
            )
        return EXTRACTORS[value]
    return FunctionAnswer(value)


def _meant(value: Any) -> str:
    """What to write instead, where that is plain."""
    if isinstance(value, list | tuple):
        return "; write FirstOf(...) for the first of several that finds an answer"
    return "; write an instance" if isinstance(value, type) and issubclass(value, Extractor) else ""


def _made(value: ExtractorLike) -> Extractor:
    made = as_extractor(value)
    if made is None:
        raise SettingsError("an extractor is needed, got None")
    return made
