"""The canonical answers of one search's candidates."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_optscale.answers._math_turns import Comparisons, Spent, comparing
from langchain_optscale.errors import SettingsError
from langchain_optscale.records.identical import copies

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.messages import AIMessage

    from langchain_optscale.answers.base import Extractor, Found
    from langchain_optscale.answers.equivalence import Equivalence

__all__ = ["Agreement", "AnswerBook"]


class Agreement(NamedTuple):
    """How many other completed candidates agree with one.

    Attributes:
        same: Other candidates with the same answer; 0 for a candidate without one.
        others: Other candidates, with and without an answer.

    Example:
        >>> from langchain_optscale.answers import AnswerBook, LastNumber
        >>> book = AnswerBook(LastNumber())
        >>> [book.read(place, text) for place, text in enumerate(["It is 4.", "four?", "2 + 2 = 4"])]
        ['4', None, '4']
        >>> book.agreement(0).same, book.agreement(0).others
        (1, 2)
    """

    same: int
    others: int


class AnswerBook:
    r"""Maps the answers of one search's candidates to strings that are equal where the answers are.

    An answer takes its equivalence's canonical form, or that of an earlier answer which the equivalence matches, so the
    order of arrival determines every string. Thread-safe.

    Args:
        extract: The extractor; None where the task has no answers.
        spent: What other books of the same search have spent on comparing, which counts against its budget.

    Example:
        >>> from langchain_optscale.answers.extraction import BoxedAnswer
        >>> book = AnswerBook(BoxedAnswer())
        >>> book.read(0, r"It is \boxed{0.50}."), book.read(1, r"\boxed{\frac12}"), book.read(2, "unclear")
        ('0.5', '0.5', None)
        >>> book.agreement(0)
        Agreement(same=1, others=2)
    """

    def __init__(self, extract: Extractor | None = None, spent: Spent | None = None) -> None:
        self.extract = extract
        self._answers: dict[int, str | None] = {}
        self._errors: dict[int, Exception] = {}
        self._fingerprints: dict[int, str | None] = {}
        # By equivalence: every canonical form and its representative.
        self._forms: dict[Equivalence, dict[str, str]] = {}
        self._restored: list[str] = []
        self._reading = threading.Lock()
        self._comparisons = None if extract is None else Comparisons(spent=spent)

    @property
    def answers(self) -> Mapping[int, str | None]:
        """Answer by candidate index, in order of arrival; None for a candidate without one."""
        return dict(self._answers)

    def close(self) -> None:
        """Withdraw the comparisons that are still waited for, since the search has ended."""
        if self._comparisons is not None:
            self._comparisons.withdraw()

    def read(
        self,
        index: int,
        text: str,
        message: AIMessage | None = None,
        fingerprint: str | None = None,
        state: Mapping[str, Any] | None = None,
    ) -> str | None:
        """The canonical answer of a completed candidate; idempotent.

        Comparing expressions may take seconds, see `SameMath`: do not call it on an event loop.

        Args:
            index: The candidate's number.
            text: Its text.
            message: Its message, where there is one.
            fingerprint: What tells whether it is a copy of another, see `records.identical`.
            state: The state that it ended in, where the policy is a graph.

        Raises:
            Exception: The extractor's error, at every call; the candidate then counts as one without an answer.
        """
        if index not in self._answers:
            answer: str | None = None
            try:
                found = self.extract.read(text, message, state) if self.extract is not None else None
            except Exception as error:  # noqa: BLE001 - kept, and raised below
                self._errors.setdefault(index, error)
                found = None
            with self._reading:
                if index not in self._answers:
                    answer = None if found is None else self._form(found)
                    self._fingerprints[index] = fingerprint
                    self._answers[index] = answer
        if index in self._errors:
            raise self._errors[index]
        return self._answers[index]

    def restore(self, index: int, answer: str | None, fingerprint: str | None = None) -> None:
        """Add a canonical answer from an earlier part of the same search, in the order of arrival."""
        with self._reading:
            self._fingerprints.setdefault(index, fingerprint)
            self._answers.setdefault(index, answer)
            if answer is not None:
                self._restored.append(answer)
                for forms in self._forms.values():
                    forms.setdefault(answer, answer)

    def agreement(self, index: int) -> Agreement:
        """How many other candidates have been read, and how many of them agree with this one; copies count once.

        Raises:
            SettingsError: The candidate has not been read.
        """
        answers = self._answers.copy()
        if index not in answers:
            raise SettingsError(f"the answer of candidate {index} has not been read")
        answer = answers[index]
        others = [other for place, other in answers.items() if place not in self._copies_with(index, list(answers))]
        same = 0 if answer is None else sum(other == answer for other in others)
        return Agreement(same, len(others))

    def _copies_with(self, index: int, places: list[int]) -> set[int]:
        """The candidate itself, the copies among the candidates, and what the candidate is a copy of."""
        marks = [self._fingerprints.get(place) for place in places]
        found = {place for place, is_copy in zip(places, copies(marks), strict=True) if is_copy}
        own = self._fingerprints.get(index)
        copied = {mark for place, mark in zip(places, marks, strict=True) if place in found}
        return (
            found
            | {index}
            | {place for place, mark in zip(places, marks, strict=True) if mark == own and mark in copied}
        )

    def _form(self, found: Found) -> str | None:
        form = found.equivalence.canonical(found.text)
        if not form:
            return None
        forms = self._forms.setdefault(found.equivalence, {answer: answer for answer in self._restored})
        if form not in forms:
            known = list(dict.fromkeys([*forms.values(), *filter(found.equivalence.is_qualified, forms)]))
            token = comparing.set(self._comparisons)
            try:
                match = found.equivalence.match(form, known)
                forms[form] = form if match is None else forms.get(match, match)
            finally:
                comparing.reset(token)
        return forms[form]
