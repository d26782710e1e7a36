"""Labelled answers: what a search returns on recorded questions, how sure it looks, and whether it is right."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from langchain_optscale.answers.selection import SELECTIONS, Selection, as_selection
from langchain_optscale.errors import SettingsError
from langchain_optscale.records.candidates import Verdict
from langchain_optscale.stopping.answer_rules import default_selection, selection_for
from langchain_optscale.stopping.objective import Objective
from langchain_optscale.stopping.presets import optscale

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_optscale.answers.selection import SelectionLike
    from langchain_optscale.stopping.base import Rule

__all__ = ["form_of_search", "probability_right", "search_form", "searched"]


def probability_right(answers: Sequence[str | None], scores: Sequence[float], place: int) -> float:
    """The untrained estimate of P(the returned candidate is right): what a certificate puts a threshold on.

    Where a candidate has an answer: P(right) of the returned one by `UntrainedPosterior`, 0 if the returned candidate
    has none. Without answers: the returned candidate's score. Nothing is promised by it; a `Certificate` needs it to
    rank answers, not to be calibrated.

    Args:
        answers: The canonical answer of each verified candidate, or None.
        scores: Their scores in [0, 1].
        place: Which one is returned.

    Example:
        >>> round(probability_right(["4", "4", "4", "7"], [0.8, 0.9, 0.7, 0.4], 1), 2) > 0.5
        True
        >>> probability_right([None, None], [0.2, 0.75], 1)
        0.75
    """
    if all(answer is None for answer in answers):
        return float(scores[place])
    answer = answers[place]
    if answer is None:
        return 0.0
    from langchain_optscale.answers.untrained import UntrainedPosterior  # needs NumPy

    return UntrainedPosterior.of(answers, scores).probabilities[answer]


def search_form(rule: Rule | None, max_samples: int, select: SelectionLike, *, answered: bool) -> dict[str, Any]:
    """What a search does that a certificate depends on, JSON-ready: equal for searches that are the same.

    Args:
        rule: The stopping rule, None for the default; of the default its own settings count, else the whole rule.
        max_samples: The cap.
        select: The selection; it counts where there are answers.
        answered: Whether the candidates have answers.

    Example:
        >>> search_form(None, 16, "posterior", answered=True)["effort"]
        'medium'
    """
    form: dict[str, Any] = {"max_samples": max_samples}
    stopping = optscale(max_samples=max_samples) if rule is None else rule
    objective = next((part for part in stopping.parts() if isinstance(part, Objective)), None)
    if objective is None:
        form["stopping"] = json.loads(json.dumps(stopping.to_dict()))
    else:
        form |= {name: getattr(objective, name) for name in ("target", "confidence", "effort", "price")}
    if answered:
        named = {selection: name for name, selection in SELECTIONS.items()}
        chosen = as_selection(select)
        form["select"] = named.get(chosen, getattr(chosen, "__qualname__", repr(chosen)))  # type: ignore[call-overload]
    return form


def form_of_search(
    questions: Sequence[Any], rule: Rule | None, max_samples: int | None, select: SelectionLike | None
) -> dict[str, Any]:
    """The form of the search by which `searched` searches questions; arguments as there."""
    cap = min(len(question.samples) for question in questions) if max_samples is None else max_samples
    chosen = select or ("posterior" if rule is None else default_selection(rule))
    answered = any(sample.answer is not None for question in questions for sample in question.samples)
    return search_form(rule, cap, chosen, answered=answered)


def searched(
    questions: Sequence[Any],
    rule: Rule | None = None,
    max_samples: int | None = None,
    select: SelectionLike | None = None,
) -> list[tuple[float, bool]]:
    """The pairs of `Certificate.fit` from recorded questions, each searched once in its recorded order.

    Args:
        questions: Each with `samples`, all of them scored and labelled.
        rule: As in `Certificate.fit`.
        max_samples: The same.
        select: The same.

    Raises:
        SettingsError: A sample has no score or does not say whether it is right, or a question has too few samples.
    """
    fewest = min(len(question.samples) for question in questions)
    cap = fewest if max_samples is None else max_samples
    if not 1 <= cap <= fewest:
        raise SettingsError(f"max_samples must be from 1 to {fewest}, the fewest samples of a question, got {cap}")
    stopping = optscale(max_samples=cap, first_round=min(2, cap)) if rule is None else rule
    return [_search(question, stopping, cap, select) for question in questions]


def _search(question: Any, rule: Rule, cap: int, select: SelectionLike | None) -> tuple[float, bool]:
    # NumPy stands behind a session: it is imported when the first question is searched.
    from langchain_optscale.stopping.session import Session

    session, samples, asked, n = Session(rule, max_samples=cap), question.samples, 0, 0
    if any(sample.score is None or sample.correct is None for sample in samples[:cap]):
        raise SettingsError(
            f"question {question.id!r} has samples without a score, or that do not say whether they are right"
        )
    while count := session.ask():
        asked += count
        while n < asked and not session.decision.stop:
            session.tell(n, Verdict(samples[n].score), answer=samples[n].answer, tokens=samples[n].tokens or 0)
            n += 1
    answers, scores = [sample.answer for sample in samples[:n]], [sample.score for sample in samples[:n]]
    chosen = as_selection(selection_for(select or default_selection(rule), rule))
    if not isinstance(chosen, Selection):
        raise SettingsError(f"select must be a name or a Selection for recorded questions, got {select!r}")
    place = chosen.position(answers, scores)
    return probability_right(answers, scores, place), bool(samples[place].correct)
