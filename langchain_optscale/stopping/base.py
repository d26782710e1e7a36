"""The rule algebra: a rule's input, its decision, and how rules are joined.

A rule is a small frozen dataclass that maps a `History` to a `Decision`. Rules hold settings and no state, so they can
be shared between searches, compared by value, and tested on a hand-made history:

    >>> from langchain_optscale.stopping import History, MaxSamples, TargetReached
    >>> rule = TargetReached(0.9) | MaxSamples(8)
    >>> rule(History(scores=(0.2, 0.95))).reason.value
    'a candidate reached the target score'
    >>> rule
    TargetReached(target=0.9) | MaxSamples(limit=8)
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

from langchain_optscale.errors import InvalidRecordError, SettingsError
from langchain_optscale.records.decisions import Decision
from langchain_optscale.records.forks import cached_property
from langchain_optscale.records.stored import Fields, check_plain, reading
from langchain_optscale.stopping.history import History

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from langchain_optscale.records.decisions import StopReason

__all__ = ["Both", "Either", "History", "Rule"]


class Rule(ABC):
    """A stopping rule. Subclass it as a frozen dataclass and write `__call__`.

    It inherits equality by value, a readable repr, `|`, `&`, and JSON by `to_dict` / `Rule.from_dict`.

    Example:
        >>> from dataclasses import dataclass
        >>> from langchain_optscale import StopReason
        >>> from langchain_optscale.stopping import History
        >>> @dataclass(frozen=True)
        ... class Spread(Rule):
        ...     least: float
        ...     def __call__(self, history):
        ...         spread = max(history.scores) - min(history.scores)
        ...         return self._decision(StopReason.MARGINAL_GAIN, {"spread": spread}, stop=spread < self.least)
        >>> Spread(0.1)(History(scores=(0.5, 0.55))).stop
        True
    """

    _known: ClassVar[dict[str, type[Rule]]] = {}

    looks_ahead: ClassVar[bool] = False
    """Whether it predicts the scores of further candidates. The default estimator is then `Posterior`."""

    reads_support: ClassVar[bool] = False
    """Whether it reads `History.support`, so that its tally should be maintained."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        Rule._known[cls._key()] = cls

    @classmethod
    def _key(cls) -> str:
        ours = cls.__module__.partition(".")[0] == __name__.partition(".")[0]
        return cls.__name__ if ours else f"{cls.__module__}.{cls.__qualname__}"

    @abstractmethod
    def __call__(self, history: History) -> Decision:
        """Whether to stop on this history and why, or how many more candidates to draw."""

    def _decision(
        self,
        reason: StopReason,
        figures: Mapping[str, float],
        *,
        stop: bool,
        draw: int | None = None,
        optimal_n: int | None = None,
        claim: str = "not sure",
        probability: float | None = None,
    ) -> Decision:
        """To stop for the rule's reason, or a number of requested draws; with the figures that were compared."""
        if stop:
            return Decision(True, reason, 0, optimal_n, type(self).__name__, figures, claim, probability)
        return Decision(False, None, draw, optimal_n, type(self).__name__, figures)

    def __or__(self, other: Rule) -> Rule:
        return Either(self, other) if isinstance(other, Rule) else NotImplemented

    def __and__(self, other: Rule) -> Rule:
        return Both(self, other) if isinstance(other, Rule) else NotImplemented

    @property
    def max_samples(self) -> int | None:
        """The number of candidates at which this rule stops at the latest, None where it sets no such limit."""
        return None

    @property
    def min_samples(self) -> int | None:
        """The number of scores before which this rule never stops on their evidence.

        None for a rule that does not read scores, such as a budget. The first round is at least this large, since a
        smaller one could not end the search.
        """
        return 1

    def first_draw(self, history: History) -> int | None:
        """How many candidates the first round should have, None where that is the caller's choice.

        Args:
            history: Without scores: the cap and the prior.
        """
        return None

    @property
    def deadlines(self) -> tuple[float, ...]:
        """Elapsed seconds at which this rule must be evaluated even if no candidate has arrived."""
        return ()

    def parts(self) -> Iterator[Rule]:
        """This rule and all rules within it, from left to right."""
        yield self
        for item in fields(self):  # type: ignore[arg-type]  # every rule is a dataclass
            if isinstance(part := getattr(self, item.name), Rule):
                yield from part.parts()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form: the class's name under "rule" and its settings."""
        data: dict[str, Any] = {"rule": self._key()}
        for item in fields(self):  # type: ignore[arg-type]  # every rule is a dataclass
            value = getattr(self, item.name)
            data[item.name] = value.to_dict() if isinstance(value, Rule) else value
        return data

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Rule:
        """The rule with these settings, rules within it already made; for rules whose settings are not all plain."""
        return cls(**settings)

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Rule:
        """Read what `to_dict` wrote; a rule of your own must have been imported before.

        Raises:
            InvalidRecordError: The rule is unknown, or its settings do not fit it.
        """
        check_plain(data, "a stopping rule")
        return _rule(data)


# Names that version 0.1.0 wrote.
_FORMER_NAMES = {"Hopeless": "Futility"}


def _rule(data: Mapping[str, Any]) -> Rule:
    """The rule of data that is not nested too deeply."""
    name = Fields(data, "a stopping rule").get("rule", None)
    if not isinstance(name, str):
        raise InvalidRecordError(f"unknown stopping rule {name if name is None else type(name).__name__}")
    kind = Rule._known.get(_FORMER_NAMES.get(name, name))  # noqa: SLF001 - of this module
    if kind is None:
        raise InvalidRecordError(f"unknown stopping rule {name[:100]!r}; import the module that defines it first")
    with reading(f"stopping rule {name}"):
        settings = {key: value for key, value in data.items() if key != "rule"}
        for key, value in settings.items():
            if isinstance(value, Mapping) and "rule" in value:
                settings[key] = _rule(value)
        return kind.from_settings(settings)


@dataclass(frozen=True)
class _Pair(Rule):
    left: Rule
    right: Rule

    def __post_init__(self) -> None:
        if not (isinstance(self.left, Rule) and isinstance(self.right, Rule)):
            raise SettingsError(f"only two rules can be joined, got {self.left!r} and {self.right!r}")

    def first_draw(self, history: History) -> int | None:
        """The smaller of the two."""
        return _extreme(min, self.left.first_draw(history), self.right.first_draw(history))

    @property
    def deadlines(self) -> tuple[float, ...]:
        return tuple(sorted({*self.left.deadlines, *self.right.deadlines}))


@dataclass(frozen=True)
class Either(_Pair):
    """`left | right`: stops when either stops, and requests the smaller number of draws.

    Example:
        >>> from langchain_optscale.stopping import History, MaxSamples, TargetReached
        >>> rule = TargetReached(0.9) | MaxSamples(3)
        >>> rule
        TargetReached(target=0.9) | MaxSamples(limit=3)
        >>> rule(History(scores=(0.95,))).reason.name, rule(History(scores=(0.5,) * 3)).reason.name
        ('TARGET_REACHED', 'MAX_SAMPLES')
    """

    def __repr__(self) -> str:
        return f"{self.left!r} | {self.right!r}"

    @property
    def max_samples(self) -> int | None:
        """The earlier of the two limits."""
        return _extreme(min, self.left.max_samples, self.right.max_samples)

    @property
    def min_samples(self) -> int | None:
        """The smaller of the two; a rule that does not read scores is ignored."""
        return _extreme(min, self.left.min_samples, self.right.min_samples)

    def __call__(self, history: History) -> Decision:
        decisions: list[Decision] = []
        for side in self._sides:
            decision = side(history)
            decisions.append(decision)
            if decision.stop:  # the others are not evaluated: nothing that they say would count
                return _merged(decision, decisions, draw=0)
        binding = min(decisions, key=lambda one: math.inf if one.draw is None else one.draw)
        return _merged(binding, decisions, draw=binding.draw)

    @cached_property
    def _sides(self) -> tuple[Rule, ...]:
        """`a | b | c` as three rules: a chain that is merged once and not pair by pair."""
        chains = (side._sides if isinstance(side, Either) else (side,) for side in (self.left, self.right))  # noqa: SLF001 - of this class
        return tuple(rule for chain in chains for rule in chain)


@dataclass(frozen=True)
class Both(_Pair):
    """`left & right`: stops when both stop, for the left one's reason, and requests the larger number of draws.

    A side that would stop requests nothing, so the other side's request counts.

    Example:
        >>> from langchain_optscale.stopping import History, MinSamples, TargetReached
        >>> rule = TargetReached(0.9) & MinSamples(3)
        >>> rule
        TargetReached(target=0.9) & MinSamples(limit=3)
        >>> rule(History(scores=(0.95,))).stop, rule(History(scores=(0.95, 0.5, 0.5))).stop
        (False, True)
    """

    def __repr__(self) -> str:
        sides = (f"({side!r})" if isinstance(side, Either) else repr(side) for side in (self.left, self.right))
        return " & ".join(sides)

    @property
    def max_samples(self) -> int | None:
        """The later of the two limits; None where one side has none."""
        limits = (self.left.max_samples, self.right.max_samples)
        return None if None in limits else _extreme(max, *limits)

    @property
    def min_samples(self) -> int | None:
        """The larger of the two."""
        return _extreme(max, self.left.min_samples, self.right.min_samples)

    def __call__(self, history: History) -> Decision:
        a, b = self.left(history), self.right(history)
        if a.stop and b.stop:
            return _merged(a, (a, b), draw=0)
        waiting = [decision for decision in (a, b) if not decision.stop]
        binding = max(waiting, key=lambda decision: math.inf if decision.draw is None else decision.draw)
        return _merged(binding, (a, b), draw=binding.draw)


def _merged(binding: Decision, decisions: Sequence[Decision], *, draw: int | None) -> Decision:
    """The binding decision with the figures of all."""
    figures: dict[str, float] = {}
    optimal = None
    for decision in decisions:
        figures.update(decision.figures)
        if optimal is None:
            optimal = decision.optimal_n
    return Decision(
        binding.stop, binding.reason, draw, optimal, binding.rule, figures, binding.claim, binding.probability
    )


def _extreme(choose: Any, *values: int | None) -> int | None:
    known: Iterable[int] = [value for value in values if value is not None]
    return choose(known, default=None)  # type: ignore[no-any-return]
