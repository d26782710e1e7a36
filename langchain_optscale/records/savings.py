"""What an adaptive search saved, and what one that explored spent beyond that."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from langchain_optscale.records.stored import Fields

__all__ = ["Explored", "Saved"]


@dataclass(frozen=True, slots=True)
class Saved:
    """What a search saved against best-of-N at its cap.

    It assumes that each candidate which was not drawn would have cost the mean of those that were, in tokens and in
    money, policy and verifier together.

    Attributes:
        candidates: Candidates of the cap that were not drawn, at least 0.
        cap: The cap N, at least 1.
        tokens: Tokens that they would have consumed.
        cost: Money that they would have cost, in the currency of the prices; None where no price is known.

    Example:
        >>> print(Saved(candidates=12, cap=16, tokens=3_600, cost=0.0018))
        saved against best-of-16: 12 candidates, 3,600 tokens, 0.0018 in money, if each had cost the mean of those drawn
    """

    candidates: int
    cap: int
    tokens: int
    cost: float | None = None

    def __str__(self) -> str:
        money = "" if self.cost is None else f", {self.cost:.4g} in money"
        noun = "candidate" if self.candidates == 1 else "candidates"
        return (
            f"saved against best-of-{self.cap}: {self.candidates} {noun}, {self.tokens:,} tokens{money}, "
            "if each had cost the mean of those drawn"
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; `from_dict` reads it."""
        return {"candidates": self.candidates, "cap": self.cap, "tokens": self.tokens, "cost": self.cost}

    @classmethod
    def from_dict(cls, data: object) -> Saved:
        """Read what `to_dict` wrote.

        Raises:
            InvalidRecordError: A field is missing or of another type.
        """
        fields = Fields(data, "what a search saved")
        cost = None if fields.data.get("cost") is None else fields.real("cost")
        return cls(fields.whole("candidates"), fields.whole("cap", least=1), fields.whole("tokens"), cost)


@dataclass(frozen=True, slots=True)
class Explored:
    """What a search spent by going on to its cap, so that later ones learn what further candidates bring.

    Attributes:
        stopped_at: Candidates after whose outcome it would have ended, at least 1.
        candidates: Candidates drawn beyond those, at least 0.
        tokens: Tokens that they consumed, of policy and verifier.
        cost: Money that they cost, in the currency of the prices; None where no price is known.

    Example:
        >>> print(Explored(stopped_at=4, candidates=12, tokens=3_600))
        this search explored: it would have ended after 4 candidates and went on for 12 more, 3,600 tokens
    """

    stopped_at: int
    candidates: int
    tokens: int
    cost: float | None = None

    def __str__(self) -> str:
        money = "" if self.cost is None else f", {self.cost:.4g} in money"
        noun = "candidate" if self.stopped_at == 1 else "candidates"
        return (
            f"this search explored: it would have ended after {self.stopped_at} {noun} and went on for "
            f"{self.candidates} more, {self.tokens:,} tokens{money}"
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; `from_dict` reads it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: object) -> Explored:
        """Read what `to_dict` wrote.

        Raises:
            InvalidRecordError: A field is missing or of another type.
        """
        fields = Fields(data, "what a search explored")
        cost = None if fields.data.get("cost") is None else fields.real("cost")
        return cls(fields.whole("stopped_at", least=1), fields.whole("candidates"), fields.whole("tokens"), cost)
