"""What a replay compares: methods that draw some of a question's recorded samples and return one of them.

A method reads a question whose samples are in drawing order. `SessionMethod` runs a stopping rule in the real
`Session`, one sample after another, so that its decisions are those of production.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast

from langchain_optscale.answers import BestScore, MostProbable
from langchain_optscale.answers.selection import claim_about
from langchain_optscale.errors import SettingsError
from langchain_optscale.evaluation.selection import place_of, replayable
from langchain_optscale.records.candidates import Verdict
from langchain_optscale.records.decisions import StopReason
from langchain_optscale.records.forks import cached_property
from langchain_optscale.stopping import AnswerConfidence, Rule
from langchain_optscale.stopping.answer_rules import default_selection, selection_for
from langchain_optscale.stopping.session import Session
from langchain_optscale.stopping.trained import carried_prior, is_prior, prior_for

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from langchain_optscale.answers.selection import SelectionLike
    from langchain_optscale.evaluation.samples import Question, Sample
    from langchain_optscale.records.decisions import Decision
    from langchain_optscale.stats.estimation import Estimator, ScorePrior

__all__ = ["Method", "Outcome", "Prior", "SessionMethod", "best_score", "same_answer"]

Prior: TypeAlias = "ScorePrior | Callable[[str], ScorePrior]"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one search.

    Attributes:
        drawn: Verified samples: the first `drawn` of the question; they count as spent.
        asked: Requested samples; those beyond `drawn` were in progress when the search ended, and are cancelled.
        rounds: Sequential steps, the latency where all samples of a round are drawn at once.
        chosen: The place of the returned sample, below `drawn`.
        stop_reason: Why the search ended.
        reached: Whether a drawn sample reached the method's target, None where it has none.
        kept: Whether the claim on which it stopped is true by the recorded samples: that the whole cap would return the
            same answer, that no sample up to the cap has the target, that the target was reached by N* samples, or that
            the answer is right. None where it stopped without a claim, as at the cap, or on what it had already
            observed, as at a score that has the target: that cannot fail, so it is no evidence.
        claim: What the search claims about the returned sample, see `answers.selection.claim_about`.
        probability: The probability of it.
    """

    drawn: int
    asked: int
    rounds: int
    chosen: int
    stop_reason: StopReason
    reached: bool | None = None
    kept: bool | None = None
    claim: str = "not sure"
    probability: float | None = None


class Method(Protocol):
    """What can be replayed. Its outcome depends only on its settings and arguments."""

    @property
    def name(self) -> str:
        """Its name in tables, shared by all settings of one method."""
        ...

    @property
    def settings(self) -> Mapping[str, Any]:
        """Its settings, JSON-ready."""
        ...

    @property
    def needs(self) -> frozenset[str]:
        """What it reads of the samples: any of "scores", "answers" and "correct"."""
        ...

    def run(self, question: Question, max_samples: int) -> Outcome:
        """Search among a question's samples.

        Args:
            question: Its samples are in drawing order. Only an oracle reads those it has not drawn.
            max_samples: The most it may draw, from 1 to the number of samples.
        """
        ...


@dataclass(frozen=True)
class SessionMethod:
    """A stopping rule, run in `langchain_optscale.Session` as the engine runs it.

    The samples of a round are recorded one by one in drawing order. Where the rule stops within a round, the rest of
    the round counts as requested, not as drawn.

    Attributes:
        rule: When to stop; the cap of the replay holds as well.
        name: What it is called in tables.
        estimator: As in `Session`.
        prior: As in `Session`, or a function that gives it for a prompt, such as a `QuestionPrior`. None takes the
            one that the rule brings.
        first_round: As in `Session`.
        round_size: As in `Session`.
        select: What to return of the drawn: a name of `answers.SELECTIONS` or a `Selection`, as in a search. None takes
            the most probable answer where the rule judges answers, else the best score. The most probable answer is
            judged by the model of the rule's own `AnswerConfidence`, if it has one.

    Raises:
        SettingsError: The selection is unknown; the other settings are checked by `Session`, in the first run.

    Example:
        >>> from langchain_optscale.evaluation.pools import Question, Sample
        >>> from langchain_optscale.stopping import TargetReached
        >>> question = Question("a", "2 + 2?", tuple(Sample(score=s) for s in (0.3, 0.5, 0.95, 0.4, 0.1)))
        >>> outcome = SessionMethod(TargetReached(0.9), "until 0.9").run(question, max_samples=5)
        >>> outcome.drawn, outcome.asked, outcome.rounds, outcome.chosen, outcome.reached
        (3, 5, 2, 2, True)
    """

    rule: Rule
    name: str
    estimator: Estimator | None = None
    prior: Prior | None = None
    first_round: int | None = None
    round_size: int = 8
    select: SelectionLike | None = None

    def __post_init__(self) -> None:
        replayable(self._select)

    @property
    def settings(self) -> Mapping[str, Any]:
        """The rule in the form of `Rule.to_dict`, and whatever else was set."""
        given: dict[str, Any] = {"stopping": self.rule.to_dict()}
        for item in fields(self)[2:]:
            value = getattr(self, item.name)
            if value != item.default:
                given[item.name] = _plain(value)
        return given

    @property
    def needs(self) -> frozenset[str]:
        """Scores, and answers where it votes, or stops by nothing else.

        What is most probable without answers is the best score, so that selection does not need them.
        """
        by_score = isinstance(replayable(self._select), BestScore | MostProbable)
        return frozenset(
            {"scores"} if by_score and not isinstance(self.rule, AnswerConfidence) else {"scores", "answers"}
        )

    def run(self, question: Question, max_samples: int) -> Outcome:
        """Search among a question's samples.

        Raises:
            SettingsError: A sample has no score, or a setting is not one that `Session` takes.
        """
        session = self._session(question, max_samples)
        samples, asked, drawn, rounds = question.samples, 0, 0, 0
        while count := session.ask():
            rounds += 1
            asked += count
            while drawn < asked and not session.decision.stop:
                sample = samples[drawn]
                if sample.score is None:
                    raise SettingsError(f"{self.name}: a sample of question {question.id!r} has no score")
                session.tell(drawn, Verdict(sample.score), answer=sample.answer, tokens=sample.tokens or 0)
                drawn += 1
        decision = session.decision
        assert decision.reason is not None  # noqa: S101 - a session ends with a reason
        verified = samples[:drawn]
        chosen = place_of(self._selection, verified)
        reached = best_score(verified) >= max(self._targets.values()) if self._targets else None
        claim, probability = claim_about(decision, session.history.answers, session.history.scores, chosen)
        kept = self._kept(decision, claim, samples[:max_samples], drawn, chosen)
        return Outcome(drawn, asked, rounds, chosen, decision.reason, reached, kept, claim, probability)

    def _kept(self, decision: Decision, claim: str, samples: Sequence[Sample], drawn: int, chosen: int) -> bool | None:
        """Whether the claim of the decision is true by all samples up to the cap, see `Outcome.kept`."""
        target = self._targets.get(decision.rule)
        if claim == "stable" and drawn < len(samples):
            return same_answer(samples, chosen, place_of(self._selection, samples))
        if decision.reason is StopReason.FUTILITY and target is not None:
            return best_score(samples) < target
        if decision.reason is StopReason.OPTIMAL_N and target is not None:
            return best_score(samples[:drawn]) >= target
        if decision.reason is StopReason.ANSWER_CONFIDENT:
            return samples[chosen].correct
        return None

    def _session(self, question: Question, max_samples: int) -> Session:
        """A session for one question; what all questions have in common is checked and computed once."""
        prior = self._prior
        if callable(prior) and not is_prior(prior):
            return self._new_session(prior_for(prior, question.prompt), max_samples)
        if max_samples not in self._sessions:
            self._sessions[max_samples] = self._new_session(prior, max_samples)
        return self._sessions[max_samples].restarted()

    def _new_session(self, prior: ScorePrior | None, max_samples: int) -> Session:
        return Session(
            self.rule,
            estimator=self.estimator,
            prior=prior,
            max_samples=max_samples,
            first_round=self.first_round,
            round_size=self.round_size,
            interim_draws=False,
        )

    @cached_property
    def _sessions(self) -> dict[int, Session]:
        """By cap, one that has not begun."""
        return {}

    @cached_property
    def _prior(self) -> Any:
        return carried_prior(self.rule, self.prior)

    @property
    def _select(self) -> SelectionLike:
        return default_selection(self.rule) if self.select is None else self.select

    @cached_property
    def _selection(self) -> SelectionLike:
        return selection_for(self._select, self.rule)

    @cached_property
    def _targets(self) -> dict[str, float]:
        """The target of each kind of rule that has one, the highest where there are several."""
        targets: dict[str, float] = {}
        for rule in self.rule.parts():
            if isinstance(target := getattr(rule, "target", None), float | int):
                kind = type(rule).__name__
                targets[kind] = max(target, targets.get(kind, target))
        return targets


def best_score(samples: Sequence[Sample]) -> float:
    """The highest score among samples that all have one.

    Example:
        >>> from langchain_optscale.evaluation.pools import Sample
        >>> best_score([Sample(score=0.2), Sample(score=0.9)])
        0.9
    """
    return max(cast("float", sample.score) for sample in samples)


def same_answer(samples: Sequence[Sample], one: int, other: int) -> bool:
    """Whether two places hold the same answer; samples without one are the same only to themselves.

    Example:
        >>> from langchain_optscale.evaluation.pools import Sample
        >>> samples = [Sample(answer="4"), Sample(answer="4"), Sample(), Sample()]
        >>> same_answer(samples, 0, 1), same_answer(samples, 2, 3), same_answer(samples, 2, 2)
        (True, False, True)
    """
    answer = samples[one].answer
    return one == other or (answer is not None and answer == samples[other].answer)


def _plain(value: Any) -> Any:
    """JSON-ready form of an estimator, a prior or a number."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if (fingerprint := getattr(value, "fingerprint", None)) is not None:
        return {"kind": type(value).__name__, "fingerprint": str(fingerprint)}
    known = asdict(value) if is_dataclass(value) and not isinstance(value, type) else {}
    return {"kind": getattr(value, "__name__", type(value).__name__)} | {
        key: one if isinstance(one, str | int | float | bool) else repr(one) for key, one in known.items()
    }
