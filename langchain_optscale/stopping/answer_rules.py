"""The rule on answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from langchain_optscale.answers.model import DEFAULT, AnswerModel
from langchain_optscale.answers.selection import MostProbable, as_selection
from langchain_optscale.errors import InvalidRecordError, SettingsError
from langchain_optscale.records.decisions import StopReason
from langchain_optscale.stopping.base import Rule

if TYPE_CHECKING:
    from langchain_optscale.answers.posterior import AnswerPosterior
    from langchain_optscale.answers.selection import SelectionLike
    from langchain_optscale.records.decisions import Decision
    from langchain_optscale.stopping.base import History

__all__ = ["AnswerConfidence", "answer_model", "default_selection", "selection_for"]


@dataclass(frozen=True)
class AnswerConfidence(Rule):
    r"""Stop when the leading answer is probable enough to be right, or not worth its price to be made surer.

    With D the answers and scores so far, and P(a | D) the posterior of `langchain_optscale.answers`, it stops when

        max_a P(a | D) >= confidence

    and, where `min_gain` is given, when for every considered and allowed number k of further candidates

        ( E[max_a P(a | D, k more) | D] - max_a P(a | D) ) / k < min_gain

    so that questions whose answer will hardly become surer end as well. k runs over 1, 2, 4 and 8: one candidate seldom
    changes a decision that four together may.

    Its `optimal_n` is n + k for the k with the largest expected rise less `min_gain` a candidate; without a `min_gain`,
    for the smallest k after which the expected probability reaches the confidence, None where no k does.

    The probability is a posterior, so repeated interim analyses do not bias it as far as the model holds. Return the
    answer that it judges: `select="posterior"`. A candidate without an answer counts as wrong. While no candidate has
    one the rule neither stops nor requests draws, so join it with rules on scores.

    Args:
        confidence: In (0, 1).
        min_gain: What a candidate must raise the probability by on average, in [0, 1]: a price in accuracy. None
            continues until the confidence is reached.
        model: The law behind answers and scores; None takes the untrained default.

    Example:
        >>> from langchain_optscale.stopping import History
        >>> rule = AnswerConfidence(0.9)
        >>> rule(History(scores=(0.8,), answers=("12",))).stop
        False
        >>> rule(History(scores=(0.8, 0.9, 0.7, 0.8, 0.9), answers=("12",) * 5)).reason.value
        'the leading answer is probable enough to be right'
    """

    confidence: float
    min_gain: float | None = None
    model: AnswerModel | None = None

    def __post_init__(self) -> None:
        if not 0.0 < self.confidence < 1.0:
            raise SettingsError(f"confidence must lie strictly between 0 and 1, got {self.confidence!r}")
        if self.min_gain is not None and not 0.0 <= self.min_gain <= 1.0:
            raise SettingsError(f"min_gain must lie in [0, 1], got {self.min_gain!r}")
        if isinstance(self.model, Mapping):
            try:
                object.__setattr__(self, "model", AnswerModel.from_dict(self.model))
            except InvalidRecordError as error:
                raise SettingsError(str(error)) from error
        if self.model is not None and not isinstance(self.model, AnswerModel):
            raise SettingsError(f"model must be an AnswerModel or None, got {self.model!r}")

    def to_dict(self) -> dict[str, Any]:
        """As every rule's, the model in its own JSON-ready form."""
        data = super().to_dict()
        data["model"] = None if self.model is None else self.model.to_dict()
        return data

    def __call__(self, history: History) -> Decision:
        known = {"confidence": self.confidence}
        if not any(answer is not None for answer in history.answers):
            return self._decision(StopReason.ANSWER_CONFIDENT, known, stop=False)
        # Imports NumPy and SciPy, which a rule that is only constructed does not need.
        from langchain_optscale.answers.posterior import AnswerPosterior

        places = history.independent
        answers = tuple(history.answers[place] for place in places)
        scores = tuple(history.scores[place] for place in places)
        posterior = AnswerPosterior.of(answers, scores, self.model)
        assert posterior.place is not None  # noqa: S101 - there is an answer
        known |= {
            "probability": posterior.probability,
            "leader": places[posterior.place],
            "votes": answers.count(posterior.leader),
            "answers": len(posterior.probabilities),
        }
        if posterior.probability >= self.confidence:
            return self._decision(StopReason.ANSWER_CONFIDENT, known, stop=True, optimal_n=history.n)
        return self._predicting(history, posterior, known)

    def _predicting(self, history: History, posterior: AnswerPosterior, known: dict[str, float]) -> Decision:
        left = 8 if history.max_samples is None else history.max_samples - history.n - history.failures
        rises = {k: rise for k, rise in posterior.expected_rise().items() if k <= max(left, 1)}
        if self.min_gain is None:
            ahead = next((k for k, rise in rises.items() if posterior.probability + rise >= self.confidence), None)
            shown = max(rises) if ahead is None else ahead
            known |= {"ahead": shown, "rise": rises[shown]}
            draw = None if ahead is None else max(0, ahead - history.pending)
            return self._decision(
                StopReason.ANSWER_CONFIDENT,
                known,
                stop=False,
                draw=draw,
                optimal_n=None if ahead is None else history.n + ahead,
            )
        price = self.min_gain
        worth = max(rises, key=lambda k: rises[k] - price * k)
        gain = max(rise / k for k, rise in rises.items())
        known |= {"ahead": worth, "rise": rises[worth], "gain": gain, "min_gain": price}
        stop = gain < price
        return self._decision(
            StopReason.ANSWER_SETTLED,
            known,
            stop=stop,
            draw=max(0, worth - history.pending),
            optimal_n=history.n if stop else history.n + worth,
        )


def answer_model(rule: Rule) -> AnswerModel | None:
    """The model by which a rule judges answers, so that the returned answer can be the one it judged.

    Args:
        rule: An `AnswerConfidence`, or rules joined with one; of several the first counts.

    Returns:
        Its model; None where it uses the untrained default, and where no part of the rule reads answers.

    Example:
        >>> from langchain_optscale.stopping import MaxSamples
        >>> model = AnswerModel(concentration=8.0)
        >>> answer_model(AnswerConfidence(0.9, model=model) | MaxSamples(8)) == model
        True
    """
    models = (part.model for part in rule.parts() if isinstance(part, AnswerConfidence))
    return next((model for model in models if model is not None), None)


def default_selection(rule: Rule) -> str:
    """The default selection under a rule.

    Args:
        rule: The rule that ends the search.

    Returns:
        What a learned rule was fitted for; "posterior" where a part of the rule judges answers; else "best".

    Example:
        >>> from langchain_optscale.stopping import MaxSamples, paper
        >>> default_selection(AnswerConfidence(0.9) | MaxSamples(8)), default_selection(paper())
        ('posterior', 'best')
    """
    for part in rule.parts():
        if isinstance(select := getattr(part, "select", None), str):
            return select
        if isinstance(part, AnswerConfidence):
            return "posterior"
    return "best"


def selection_for(select: SelectionLike, rule: Rule | None) -> SelectionLike:
    """The selection under a rule: the most probable answer is judged by the rule's own model, if it has one.

    Args:
        select: A name of `answers.SELECTIONS`, a `Selection` or a function.
        rule: The rule that ends the search.

    Example:
        >>> model = AnswerModel(concentration=8.0)
        >>> selection_for("posterior", AnswerConfidence(0.9, model=model)).model == model, selection_for("vote", None)
        (True, 'vote')
    """
    chosen = as_selection(select)
    if rule is None or not isinstance(chosen, MostProbable) or chosen.model is not None:
        return select
    judged = any(isinstance(part, AnswerConfidence) for part in rule.parts())
    return replace(chosen, model=answer_model(rule) or (DEFAULT if judged else None))
