"""The whole record of a search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from langchain_optscale.errors import InvalidRecordError
from langchain_optscale.records.candidates import Candidate, Failure, Verdict
from langchain_optscale.records.comparisons import Ranking
from langchain_optscale.records.decisions import Decision, Estimate, Round, StopReason
from langchain_optscale.records.endings import EndReason
from langchain_optscale.records.identical import identical_note
from langchain_optscale.records.savings import Explored, Saved
from langchain_optscale.records.shortcomings import truncation_note
from langchain_optscale.records.stored import Fields, read_pairs, reading
from langchain_optscale.records.usage import Usage
from langchain_optscale.stopping.certificate import Certification

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage
    from matplotlib.figure import Figure


__all__ = ["OptScaleResult"]

_FORMAT = "langchain-optscale/result"
_VERSION = 1


class _WrittenByToDict:
    """Pydantic's serialiser of a result: `to_dict`, so that a message which carries one survives a checkpoint."""

    def __get__(self, result: object, kind: type) -> Any:
        from pydantic_core import SchemaSerializer, core_schema

        written = core_schema.plain_serializer_function_ser_schema(lambda one: one.to_dict())
        return SchemaSerializer(core_schema.any_schema(serialization=written))


@dataclass(frozen=True, repr=False)
class OptScaleResult:
    """The best candidate, and everything that led to it.

    Attributes:
        best: The chosen candidate.
        candidates: Every candidate that was drawn, by index; also those that were not verified because the search
            ended, since they were paid for.
        verdicts: What the verifier thought, by candidate index, in order of arrival.
        failures: What could not be drawn or not be verified, by candidate index.
        rounds: The rounds of the search, with the estimate and the decision after every candidate.
        decision: The decision that ended the search, with the figures after all candidates that are scored.
        estimate: The estimated distribution of all scores.
        usage: What was consumed, under "policy" and "verifier".
        duration_s: Wall-clock seconds of the search.
        cost: What that cost, in the currency of the prices; None where no price is known.
        saved: What was saved against best-of-N at the cap; None in records of version 0.1.0.
        claim: What the search promises about the returned candidate with the rule's confidence. "stable": the whole cap
            would return the same answer; "target reached"; "target out of reach"; or "not sure". Nothing is promised
            about its being right, except with `certify=`: "right" where the answer is certified.
        probability: Of what could be claimed, also where it is below the confidence and nothing is; None where unknown.
        search_id: The search's id in the store of `store=`, for `ScoreStore.label`; None without one.
        explored: What was spent for later searches to learn from, see `explore=`; None where nothing was.
        certification: What the certificate of `certify=` says about the returned answer; None without one.
        ranking: The comparisons of a tournament and what came of them; None where there was nothing to compare.
        drift: With `learn=` or `settings=`, what has changed since it was learned, so that the untrained default
            decided; None where nothing has.

    Example:
        >>> from langchain_core.language_models import FakeListChatModel
        >>> from langchain_optscale import OptScale
        >>> policy = FakeListChatModel(responses=["four", "3 + 1 is 4"])
        >>> search = OptScale(policy=policy, verifier=lambda prompt, candidate: "4" in candidate.text)
        >>> result = search.invoke("What is 2 + 2?")
        >>> result.text, result.score, result.stop_reason.name
        ('3 + 1 is 4', 1.0, 'MARGINAL_GAIN')
        >>> result.best in result.candidates, result.verdicts[result.best.index].score
        (True, 1.0)
    """

    best: Candidate
    candidates: tuple[Candidate, ...]
    verdicts: Mapping[int, Verdict]
    failures: Mapping[int, Failure]
    rounds: tuple[Round, ...]
    decision: Decision
    estimate: Estimate
    usage: Mapping[str, Usage]
    duration_s: float
    cost: float | None = None
    saved: Saved | None = None
    claim: str = "not sure"
    probability: float | None = None
    certification: Certification | None = None
    search_id: str | None = None
    explored: Explored | None = None
    ranking: Ranking | None = None
    drift: str | None = None

    __pydantic_serializer__ = _WrittenByToDict()

    @property
    def message(self) -> AIMessage:
        """The policy's message of the chosen candidate, as it came."""
        return self.best.message

    @property
    def state(self) -> Mapping[str, Any] | None:
        """What the chosen run of an agent, or of another graph, ended in; None for a policy that answers a message."""
        state: Mapping[str, Any] | None = self.best.state
        return state

    @property
    def text(self) -> str:
        """The text of the chosen candidate."""
        return self.best.text

    @property
    def score(self) -> float:
        """The verifier's score of the chosen candidate, in [0, 1]."""
        return self.verdicts[self.best.index].score

    @property
    def optimal_n(self) -> int | None:
        """N* at the end: None where no bound was computed, or where no finite number reaches the target."""
        return self.decision.optimal_n

    @property
    def stop_reason(self) -> StopReason:
        """Why the search ended."""
        if self.decision.reason is None:
            raise InvalidRecordError("the stopping rule ended this search without a reason: give its Decision one")
        return self.decision.reason

    @property
    def certified(self) -> bool | None:
        """Whether the answer is certified as right, see `Certificate`; None without `certify=`."""
        return None if self.certification is None else self.certification.certified

    @property
    def promise(self) -> str | None:
        """What the certificate promises about the answer, in a sentence; None without `certify=`."""
        return None if self.certification is None else self.certification.promise

    @property
    def total_usage(self) -> Usage:
        """What policy and verifier consumed together."""
        return Usage.total(self.usage.values())

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know: of candidates, of drift, of what was explored, and of what comparing changed."""
        explored = None if self.explored is None else str(self.explored)
        drift = None if self.drift is None else f"drift: {self.drift}"
        compared = None if self.ranking is None or not self.ranking.comparisons else str(self.ranking)
        found = (truncation_note(self.candidates), identical_note(self.candidates), drift, explored, compared)
        return tuple(note for note in found if note is not None)

    @property
    def truncated(self) -> int:
        """How many candidates were cut off at the token limit."""
        return sum(candidate.end_reason is EndReason.LENGTH for candidate in self.candidates)

    @property
    def scores(self) -> tuple[float, ...]:
        """The scores of all scored candidates, in the order of their indexes."""
        return tuple(self.verdicts[index].score for index in sorted(self.verdicts))

    @property
    def best_index(self) -> int:
        """The position of the chosen candidate's score in `scores`; the candidate's own number is `best.index`."""
        return sorted(self.verdicts).index(self.best.index)

    def __repr__(self) -> str:
        bound = "" if self.optimal_n is None else f", optimal_n={self.optimal_n}"
        return (
            f"<OptScaleResult score={self.score:.4g}, n={len(self.verdicts)}{bound}, "
            f"{self.decision.reason and self.decision.reason.name}: {shorten(self.text, 60, placeholder='…')!r}>"
        )

    def summary(self) -> dict[str, Any]:
        """The search in a few JSON-ready figures; what a message carries under `response_metadata["optscale"]`.

        Returns:
            `n` scored candidates, `drawn` ones, `failed` ones, `rounds`, `scores` in the order of candidates,
            `best_index` (the position of the chosen one's score in them), `best` (the chosen one's number among all
            candidates), `score`, `mu`, `sigma`, `optimal_n`, `claim`, `probability`, `stop_reason` (its
            name), `explanation` (its sentence), `usage` by role, `cost`, `saved` (`candidates`, `cap`, `tokens`,
            `cost`), `duration_s`, `truncated` candidates, and `notes`, sentences about candidates that were cut off
            or are identical; with `certify=` also `certified` and `promise`, with `store=` also `search_id`, and of a
            search that explored `explored` (`stopped_at`, `candidates`, `tokens`, `cost`); where learned parts stepped
            back `drift`, why; after a tournament `ranking` (`indexes`, `strengths`, `probabilities`, `place_bias`,
            `pointwise`, and how many `comparisons` and `failures`).
        """
        return {
            "n": len(self.verdicts),
            "drawn": len(self.candidates),
            "failed": len(self.failures),
            "rounds": len(self.rounds),
            "scores": list(self.scores),
            "best_index": self.best_index,
            "best": self.best.index,
            "score": self.score,
            "mu": self.estimate.mu,
            "sigma": self.estimate.sigma,
            "optimal_n": self.optimal_n,
            "claim": self.claim,
            "probability": self.probability,
            "stop_reason": self.stop_reason.name,
            "explanation": self.stop_reason.value,
            "usage": {role: usage.to_dict() for role, usage in self.usage.items()},
            "cost": self.cost,
            "saved": self.saved and self.saved.to_dict(),
            "duration_s": self.duration_s,
            "truncated": self.truncated,
            "notes": list(self.notes),
            **({} if self.certification is None else {"certified": self.certified, "promise": self.promise}),
            **self._recorded(),
            **({} if self.ranking is None else {"ranking": self.ranking.summary()}),
        }

    def _recorded(self) -> dict[str, Any]:
        """What a store adds."""
        return {
            **({} if self.search_id is None else {"search_id": self.search_id}),
            **({} if self.explored is None else {"explored": self.explored.to_dict()}),
            **({} if self.drift is None else {"drift": self.drift}),
        }

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form of the whole record; `from_dict` gives an equal one back."""
        return {
            "format": _FORMAT,
            "version": _VERSION,
            "best": self.best.index,
            "candidates": [candidate.to_dict() for candidate in self.candidates],
            "verdicts": [[index, verdict.to_dict()] for index, verdict in self.verdicts.items()],
            "failures": [[index, failure.to_dict()] for index, failure in self.failures.items()],
            "rounds": [round_.to_dict() for round_ in self.rounds],
            "decision": self.decision.to_dict(),
            "estimate": asdict(self.estimate),
            "usage": {role: usage.to_dict() for role, usage in self.usage.items()},
            "duration_s": self.duration_s,
            **({} if self.saved is None else {"cost": self.cost, "saved": self.saved.to_dict()}),
            **({} if self.certification is None else {"certification": asdict(self.certification)}),
            **({} if self.ranking is None else {"ranking": self.ranking.to_dict()}),
            "claim": self.claim,
            "probability": self.probability,
            **self._recorded(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> OptScaleResult:
        """Read what `to_dict` wrote.

        Raises:
            InvalidRecordError: The data is not a result, of a later version, or damaged.
        """
        known = data if isinstance(data, Mapping) else {}
        if known.get("format") != _FORMAT or known.get("version") != _VERSION:
            raise InvalidRecordError(f"not a result of format {_FORMAT!r}, version {_VERSION}")
        fields = Fields(data, "a result")
        with reading("the result"):
            candidates = {item["index"]: Candidate.from_dict(item) for item in fields.items("candidates")}
            verdicts = read_pairs(fields, "verdicts", Verdict.from_dict)
            certified = fields.data.get("certification")
            if fields.whole("best") not in verdicts:
                raise InvalidRecordError("the chosen candidate of the result has no verdict")
            return cls(
                best=candidates[data["best"]],
                candidates=tuple(candidates.values()),
                verdicts=verdicts,
                failures=read_pairs(fields, "failures", Failure.from_dict),
                rounds=tuple(Round.from_dict(item) for item in fields.items("rounds")),
                decision=Decision.from_dict(fields.get("decision")),
                estimate=Estimate.from_dict(fields.get("estimate")),
                usage={role: Usage.from_dict(item) for role, item in fields.mapping("usage").items()},
                duration_s=fields.seconds("duration_s"),
                cost=None if fields.data.get("cost") is None else fields.seconds("cost"),
                saved=None if fields.data.get("saved") is None else Saved.from_dict(fields.get("saved")),
                claim=fields.text("claim", "not sure"),
                probability=None if fields.data.get("probability") is None else fields.real("probability"),
                certification=None if certified is None else Certification.from_dict(certified),
                ranking=None if fields.data.get("ranking") is None else Ranking.from_dict(fields.get("ranking")),
                search_id=fields.optional_text("search_id"),
                explored=None if fields.data.get("explored") is None else Explored.from_dict(fields.get("explored")),
                drift=fields.optional_text("drift"),
            )

    def plot(self, *, dark: bool = False) -> Figure:
        """A picture of the search: scores as they arrived, the estimate, and N* beside n.

        Args:
            dark: Whether for a dark page.

        Raises:
            MissingExtraError: matplotlib is not installed.
        """
        from langchain_optscale.engine.result_plot import plot_search

        return plot_search(self, dark=dark)

    def _repr_html_(self) -> str:
        from langchain_optscale.engine.result_html import html_card

        return html_card(self)
