"""`FittedStopping`: the stopping time learned from recorded candidates.

    rule = FittedStopping.fit(read_pool("pool.jsonl"), samples=4)
    rule.save("rule.npz")
    model = ChatOptScale(policy=policy, verifier=verifier, extract="number", stopping=FittedStopping.load("rule.npz"))

For every number of candidates the rule has a regression of the gain of continuing on recorded questions, less its
price (`_backward` has the equations; Longstaff and Schwartz 2001), and stops where that is not positive.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, get_args

from langchain_optscale.answers.evidence import EvidenceVote
from langchain_optscale.answers.selection import SELECTIONS
from langchain_optscale.errors import InvalidRecordError, SettingsError
from langchain_optscale.records.decisions import Decision, StopReason
from langchain_optscale.records.stored import MOST_CANDIDATES, Fields, reading
from langchain_optscale.stopping.base import Rule
from langchain_optscale.stopping.learned.costs import CandidatePrice, Labels
from langchain_optscale.stopping.learned.prefix import (
    ANSWER_FEATURES,
    SCORE_FEATURES,
    answer_features,
    leading,
    score_features,
    selection_of,
)
from langchain_optscale.stopping.learned.rule_file import read_rule, write_rule
from langchain_optscale.stopping.learned.stage import Stage
from langchain_optscale.stopping.presets import optscale

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence

    from langchain_optscale.stats.calibration import Calibration
    from langchain_optscale.stopping.base import History

__all__ = ["CandidatePrice", "FittedStopping"]

_VERSION = 1


@dataclass(frozen=True, repr=False)
class FittedStopping(Rule):
    """Stops when one more round is not worth its price, as learned from recorded candidates.

    Make one with `fit` or `load`. It values the candidate that `select` would return, so the search must use the same
    selection, which is the default of `OptScale` and `ChatOptScale` under this rule.

    Where a feature is outside the fitted range, `fallback` decides instead, and the figures of its decision name the
    feature. A rule that would spend about as many candidates as the fallback, and was not better by a standard error on
    held-out questions, uses it for every decision.

    Attributes:
        points: Numbers of scores at which it decides, ascending; the last is the cap.
        stages: One for each point but the last; none where everything is left to the fallback.
        calibration: Turns a score into the probability of being right; None leaves scores as they are.
        select: A name of `answers.SELECTIONS`, or an `EvidenceVote` with the same calibration: give it to the search.
        with_answers: Whether it reads answers.
        price: The price that it was fitted for.
        labels: "gold" if it learned from known right and wrong, "none" if from the choice of all recorded samples,
            "worth" if from the probability that each sample is right.
        questions: Number of questions it was fitted to.
        fallback: Decides outside the fitted range.

    Raises:
        SettingsError: The parts do not fit together.

    Example:
        >>> import numpy as np
        >>> from langchain_optscale.evaluation.pools import Pool, Question, Sample
        >>> from langchain_optscale.stopping import History
        >>> scores = np.random.default_rng(0).uniform(size=(60, 4))
        >>> pool = Pool(tuple(Question(f"q{n}", "?", tuple(map(Sample, row.tolist()))) for n, row in enumerate(scores)))
        >>> rule = FittedStopping.fit(pool, price=0.05, labels="none")
        >>> rule(History(scores=(0.99,))).stop, rule(History(scores=(0.1,))).stop
        (True, False)
    """

    points: tuple[int, ...]
    stages: tuple[Stage, ...]
    calibration: Calibration | None = None
    select: str | EvidenceVote = "best"
    with_answers: bool = False
    price: CandidatePrice = field(default_factory=CandidatePrice)
    labels: Labels = "gold"
    questions: int = 0
    fallback: Rule = field(default_factory=optscale)

    def __post_init__(self) -> None:
        size = len(ANSWER_FEATURES if self.with_answers else SCORE_FEATURES)
        sound = (
            len(self.points) >= 2
            and len(self.stages) in (0, len(self.points) - 1)
            and self.points[0] >= 1
            and all(a < b for a, b in pairwise(self.points))
            and all(len(stage.linear) == size for stage in self.stages)
            and (self.select in SELECTIONS or self.select == EvidenceVote(self.calibration))
            and isinstance(self.fallback, Rule)
        )
        if not sound:
            raise SettingsError("a fitted rule needs ascending decision points with a stage for each but the last")

    def __repr__(self) -> str:
        prices = {name: getattr(self.price, name) for name in ("sample", "token", "second")}
        price = ", ".join(f"{name}={value:g}" for name, value in prices.items() if value)
        return (
            f"FittedStopping(<{self.questions} questions>, max_samples={self.points[-1]}, select={self._select!r}, "
            f"{price or 'free'}{', as untrained' if self.defers else ''})"
        )

    @classmethod
    def fit(
        cls,
        pool: Iterable[Any],
        *,
        price: float | CandidatePrice | None = None,
        samples: float | None = None,
        labels: Labels = "gold",
        max_samples: int | None = None,
        select: str | None = None,
        first_round: int = 1,
        round_size: int = 1,
        orders: int | None = None,
        seed: int = 0,
        fallback: Rule | None = None,
    ) -> FittedStopping:
        """Learn when to stop from recorded candidates.

        Args:
            pool: Questions with recorded samples, such as `evaluation.pools.read_pool` reads: every sample has a score.
            price: What a candidate is worth, in units of accuracy; a number is `CandidatePrice(sample=...)`.
            samples: Or the mean number of candidates to spend: the price that spends it is found by cross-validation.
                With neither, the highest price at which cross-validated accuracy is not below best-of-N at the cap;
                without labels, agreement with the whole budget's choice stands for accuracy.
            labels: "gold" learns from known right and wrong; "none" from the choice of all recorded samples by vote, or
                by score where there are no answers; "worth" from each sample's `worth`, the probability in [0, 1] that
                it is right.
            max_samples: The cap; None takes the fewest samples of a question.
            select: What the search will return: "best", "vote", "weighted_vote", "posterior", or "evidence", the
                `EvidenceVote` of calibrated scores. None takes "evidence" where samples have answers, else "best".
            first_round: The first decision point.
            round_size: Candidates between two decision points: rounds of k decide k times less often, and are k times
                faster where a round is drawn at once.
            orders: Random orders of each question's samples; None takes 12, and fewer of more than 400 questions.
            seed: Of the orders.
            fallback: Decides outside the fitted range, and everywhere if it is as good for as many candidates; None
                takes `optscale()` with this cap.

        Returns:
            The rule.

        Raises:
            SettingsError: There are too few questions, the data carry no signal about when to stop, a number is out of
                range, or the pool lacks what is needed.
        """
        goal = {"price": price, "samples": samples}
        return cls.fit_many(
            pool,
            [goal],
            fallback=fallback,
            labels=labels,
            max_samples=max_samples,
            select=select,
            first_round=first_round,
            round_size=round_size,
            orders=orders,
            seed=seed,
        )[0]

    @classmethod
    def fit_many(
        cls, pool: Iterable[Any], goals: Sequence[Mapping[str, Any]], *, fallback: Rule | None = None, **settings: Any
    ) -> list[FittedStopping]:
        """Rules for several goals, such as a frontier of prices, for little more work than one.

        Args:
            pool: As in `fit`; so are `fallback`, `settings` and what is raised.
            goals: Of each rule `price` or `samples`, or neither.
            fallback: Decides outside the fitted range.
            **settings: The others of `fit`.
        """
        from langchain_optscale.stopping.learned.fitting import Fitting, Plan

        fitting = Fitting(tuple(pool), Plan(**{**settings, **goals[0]}))
        return [cls(**fitting.fields(goal.get("price"), goal.get("samples"), fallback)) for goal in goals]

    def __call__(self, history: History) -> Decision:
        n = history.n
        if self.defers and n < self.points[-1]:
            return self.fallback(history)
        place = bisect_right(self.points, n) - 1
        if place < 0:
            return self._decision(StopReason.MARGINAL_GAIN, {}, stop=False, draw=self.points[0] - n or None)
        if place >= len(self.stages):
            return self._decision(StopReason.MAX_SAMPLES, {"limit": self.points[-1]}, stop=True)
        if self.points[place] != n and history.pending:
            # Nothing was fitted within a round; the rule decides at its end.
            return self._decision(StopReason.MARGINAL_GAIN, {}, stop=False)
        independent = frozenset(history.independent)
        answers = tuple(answer if place in independent else None for place, answer in enumerate(history.answers))
        numbers = self._features(answers, history.scores)
        outside = self.stages[place].outside(numbers)
        if outside is not None:
            decision = self.fallback(history)
            names = ANSWER_FEATURES if self.with_answers else SCORE_FEATURES
            figures = {f"outside fitted: {names[outside]}": numbers[outside], **decision.figures}
            return Decision(decision.stop, decision.reason, decision.draw, decision.optimal_n, decision.rule, figures)
        gain = self.stages[place].advantage(numbers)
        ahead = self.points[place + 1] - n
        return self._decision(StopReason.MARGINAL_GAIN, {"advantage": gain}, stop=gain <= 0.0, draw=ahead)

    @property
    def defers(self) -> bool:
        """Whether the fallback was as good for as many candidates, so that it decides."""
        return not self.stages

    @property
    def max_samples(self) -> int | None:
        """The cap that it was fitted for."""
        return self.points[-1]

    @property
    def min_samples(self) -> int | None:
        """The first decision point."""
        return self.points[0]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, which `Rule.from_dict` reads."""
        return {
            "rule": self._key(),
            "version": _VERSION,
            "points": list(self.points),
            "stages": [stage.to_dict() for stage in self.stages],
            "calibration": self.calibration and self.calibration.to_dict(),
            "select": self._select,
            "with_answers": self.with_answers,
            "price": asdict(self.price),
            "labels": self.labels,
            "questions": self.questions,
            "fallback": self.fallback.to_dict(),
        }

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> FittedStopping:
        """The rule of what `to_dict` wrote."""
        from langchain_optscale.stats.calibration import Calibration

        given = dict(settings)
        if given.pop("version", None) != _VERSION:
            raise InvalidRecordError("the fitted rule was written by another version of this package; fit it again")
        fields = Fields(given, "a fitted rule")
        fields.flag("with_answers")
        fields.whole("questions")
        if fields.text("labels") not in get_args(Labels):
            raise InvalidRecordError("the labels of a fitted rule must be gold, none or worth")
        with reading("the fitted rule is damaged: it"):
            given["points"] = fields.wholes("points", most=MOST_CANDIDATES)
            if max(given["points"]) > MOST_CANDIDATES:
                raise InvalidRecordError(f"a fitted rule must end at {MOST_CANDIDATES:,} candidates at the latest")
            given["stages"] = tuple(Stage.from_dict(stage) for stage in given["stages"])
            if given["calibration"] is not None:
                given["calibration"] = Calibration.from_dict(given["calibration"])
            if given["select"] == "evidence":
                given["select"] = EvidenceVote(given["calibration"])
            given["price"] = CandidatePrice(**given["price"])
            return cls(**given)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to a file: an npz of plain arrays, with the rest as JSON text in it; nothing is pickled.

        Raises:
            SettingsError: The file cannot be written.
        """
        write_rule(path, self.to_dict())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> FittedStopping:
        """Read what `save` wrote.

        Raises:
            InvalidRecordError: The file is missing, damaged, of another version, or no fitted rule.
        """
        data = read_rule(path)
        try:
            rule = Rule.from_dict(data)
        except InvalidRecordError as error:
            raise InvalidRecordError(f"{path} cannot be read as a fitted rule: {error}") from error
        if not isinstance(rule, cls):
            raise InvalidRecordError(f"{path} is not a fitted rule")
        return rule

    @property
    def _select(self) -> str:
        return self.select if isinstance(self.select, str) else "evidence"

    def _features(self, answers: Sequence[str | None], scores: Sequence[float]) -> list[float]:
        known = answers or (None,) * len(scores)
        calibrated = [score if self.calibration is None else self.calibration(score) for score in scores]
        if not self.with_answers:
            return score_features(calibrated)
        return answer_features(known, calibrated, leading(selection_of(self.select), known, scores, calibrated))
