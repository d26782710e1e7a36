"""The one set of keyword arguments that every entry point takes, and what is checked about them."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from operator import is_not
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationError,
    model_validator,
)

from langchain_optscale.answers import AnswerBook
from langchain_optscale.engine.defaults import with_learned
from langchain_optscale.engine.fields import (
    read_certificate,
    read_extractor,
    read_limit,
    read_number,
    read_policy,
    read_selection,
    read_store,
    read_verifier,
)
from langchain_optscale.engine.keywords import invalid_setting
from langchain_optscale.engine.learned_part import LearnedPart
from langchain_optscale.engine.permissions import Scope, as_limits, as_overridable, permit, within_limits
from langchain_optscale.engine.prepared import Prepared, new_sampler, new_session, prepare
from langchain_optscale.engine.priors import read_prior
from langchain_optscale.engine.rule_settings import build_rule, check_rule_settings
from langchain_optscale.engine.serialisation import from_spec
from langchain_optscale.engine.signatures import shorten_signature
from langchain_optscale.errors import SettingsError
from langchain_optscale.models.policy import Fanout, Policy, shown
from langchain_optscale.records.reasoning_marks import check_tags
from langchain_optscale.stats.estimation import ScorePrior
from langchain_optscale.stopping import MaxSamples, Rule
from langchain_optscale.stopping.exploration import Exploration
from langchain_optscale.stopping.objective import Effort
from langchain_optscale.stopping.session import Session
from langchain_optscale.verifiers import TournamentSelection

if TYPE_CHECKING:
    from langchain_optscale.engine.sampler import Sampler
    from langchain_optscale.learning.learned_file import LearnedPair
    from langchain_optscale.stopping.certificate import Certificate

__all__ = ["SearchSettings"]


_RUN = Scope.CALL | Scope.CONTEXT
_ANY = _RUN | Scope.STEP


_Number = Annotated[float, BeforeValidator(read_number)]
_MaxFailures = Annotated[int, Field(ge=1, strict=True)] | Literal["auto"] | None


def _overridable(value: Any) -> tuple[str, ...] | None:
    return as_overridable(value, SearchSettings.model_fields)


@shorten_signature
class SearchSettings(BaseModel):
    """Settings of a search.

    Attributes:
        policy: The chat model that draws candidates, its name such as "openai:gpt-5-mini", or any Runnable that answers
            a prompt with a message, a string, a parsed object as `with_structured_output` does, or a state that has
            `messages`, as agents and other graphs do.
        verifier: Scores candidates in [0, 1]: a `Verifier`, a chat model or its name as the judge, a Runnable, or a
            callable `(prompt, candidate) -> float`.
        target: A score in [0, 1] that is good enough: where candidates carry no answers it ends the search, and the
            price of further candidates does not before. None looks for the best that is worth its price.
        confidence: The probability in (0, 1) of what the default rule claims when it ends: that the whole cap would
            return the same answer, or that the target is out of reach.
        max_samples: The most candidates drawn for one question, at least 1. Where `stopping` has a cap of its own and
            this is not given, the rule's cap counts.
        stopping: The stopping rule; None takes `optscale(target, confidence, max_samples, effort=effort)`.
        estimator: How the score distribution is estimated; None takes `Posterior` for a rule that looks ahead, as the
            default does, else maximum likelihood, or maximum a posteriori with a `prior`.
        prior: What is believed about the scores beforehand: a prior for all questions, such as a `FixedPrior`; a
            function that gives the prior of a question from its text, such as a `QuestionPrior`, which is called once
            a search; or the file of a learned one, as `optscale train-prior` writes it. Under the paper's rule and a
            function this is OptScale^t. The default uses it with a `target` and without answers; otherwise it decides
            by agreement and by the best score so far, and a prior changes only the estimates in the result.
        extract: Finds the answer in a candidate: an extractor such as `BoxedAnswer()`, a name of
            `answers.EXTRACTORS` ("boxed", "number", "choice", "math", "text", "tool_call"), or a function `(text)` or
            `(text, message)` that answers with a string or None. Equal answers become the same string, see
            `answers.SameMath`. None where the task has no answers.
        select: Which candidate to return; by default "best", with `extract` and a rule that judges answers, as the
            default does, "posterior", with a learned rule what it was fitted for. "best" takes the highest score,
            "vote" the most frequent answer, "weighted_vote" the answer with the largest sum of scores, "posterior" the
            most probable answer; of an answer's candidates the one with the best score, and the best score of all
            where there are no answers. "tournament" compares the leading candidates by the verifier's own judge where
            their scores cannot tell them apart; `TournamentSelection(judge)`, or a judge that compares, by another. Or
            a `Selection` such as `WeightedVote(exponent=2.0)`, or a function that gets the scored candidates and their
            scores by index and returns the index of the one to take.
        first_round: Candidates in the first round, at least 1; where it is not given the rule chooses, else 2. The
            default rule ends no search with fewer scores, unless one of them reaches the target.
        round_size: The most candidates in a later round, at least 1.
        overlap: Do not wait for the last candidates of a round before the next ones are drawn: up to `round_size` are
            under way all the time. Faster where answers take very different times; more is under way, and cancelled,
            when the search ends.
        max_retries: Retries of a request that failed for a transient reason, at least 0.
        max_failures: Failed candidates after which the search ends. It also ends after a failure that would befall
            every candidate, such as a rejected key, and after a round whose candidates all failed with equal errors
            that no retry helps against; "auto" asks for nothing more. None never ends it for failures.
        effort: "low", "medium" or "high": how much quality the default rule may give up for fewer candidates.
        round_cost: What waiting for a round costs, in candidates; larger values draw more at once.
        token_budget: Tokens of policy and verifier after which the search ends.
        cost_budget: Money for policy and verifier after which the search ends; needs prices.
        price: What the models cost, for the result's `cost` and for `cost_budget`: a `Price` for both roles, or
            `{"policy": Price(...), "verifier": Price(...)}`; None takes the prices in the models' profiles, if any.
            A number instead is what one candidate must be worth, in place of an `effort`; see `Objective`.
        deadline_s: Seconds after which the search ends.
        candidate_timeout_s: Seconds that one attempt to draw or to verify a candidate may take, without the waiting
            for a limit; one that takes longer is cancelled and retried, as after any timeout.
        hedge_after_s: Seconds after which a draw that has no answer yet is asked for a second time; the first answer
            counts, and the other request is cancelled. None never does that. What a cancelled request has generated
            is paid for, but no server reports it.
        cancel: "close" ends a request by closing its connection; "eager" also draws by streaming, for servers such as
            llama.cpp's that only notice then. On the sync path only a streaming draw can be ended at all.
        policy_limit: The most requests under way at once to the policy's endpoint, over all searches in this process
            that set a limit for it; a `SharedLimit` counts for everything that it is given to. None sets no limit.
        verifier_limit: The same for the verifier.
        seed: Candidate i is drawn with seed + i, where the policy takes seeds.
        accept_truncated: Score answers that were cut off at the token limit, or stopped by a content filter, as well;
            by default each is a failure that says so.
        keep_reasoning: Keep the policy's reasoning in the returned message. It never counts as part of the answer; what
            was taken out is in `candidate.reasoning`.
        reasoning_tags: Tags around reasoning in the text, beside those that are known such as `<think>`: names such as
            "plan" for `<plan>`, or pairs of an opening and a closing mark.
        reverify_equal: Whether equal candidates are verified each. By default a deterministic verifier, such as a check
            or a reward model, is asked once for them; False asks any verifier once, True asks for each.
        settings: A file that `optscale learn STORE -o learned.npz` wrote, or `LearnedSettings`: what past searches of
            this policy with this verifier have taught, see `learning.learn`. Or a file that `optscale calibrate POOL -o
            rule.npz` wrote: its rule stops the search, and brings `select`, `first_round` and `round_size` with it.
        learn: "auto" learns from `store` in a background thread: after 50 searches of this process, and again whenever
            their number has grown by a third and by at least 50. What it has learned is kept beside an SQLite file. It
            steps back to the untrained default by itself when the searches no longer look as they did; results, the
            log and the report say so.
        certify: A `Certificate`, or the file that `optscale calibrate --certify` wrote: the result then says whether
            the returned answer is certified as right, and what is promised by that. It holds for the settings that it
            was fitted with. None certifies nothing.
        store: Where every search leaves a row in figures, for `optscale report` and for later searches to learn from:
            the path of an SQLite file, the URL of a PostgreSQL database, or a `ScoreStore`. No run may change it.
        explore: With a store, the share of searches, in [0, 1], that go on to the cap and say so, since what would have
            come beyond a stop is known by no other way; their result is the best of all, and tells what that cost. By
            default none do: `learn` needs none.
        overridable: Names of the settings that a run may change through `config["configurable"]` or a graph's context,
            in whatever form; an empty set allows none. None allows numbers and words, and objects of this process, but
            builds nothing from plain data.
        limits: The largest values that a run may give settings, such as `{"max_samples": 32, "token_budget": 50_000}`;
            see `engine.permissions.CEILINGS`. What has no limit here may not go beyond what is set beside it.
        fanout: "n" for several choices in one request, "calls" for one request a candidate, "auto" for "n" where the
            policy offers it.

    Raises:
        SettingsError: A setting is unknown, out of range or contradicts another.

    Example:
        >>> from langchain_core.language_models import FakeListChatModel
        >>> policy = FakeListChatModel(responses=["4"])
        >>> settings = SearchSettings(policy=policy, verifier=lambda prompt, candidate: 1.0, max_samples=8)
        >>> settings.max_samples, settings.effort, settings.target
        (8, 'medium', None)
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid", protected_namespaces=())

    policy: Annotated[Any, BeforeValidator(read_policy), Scope.CONTEXT]
    verifier: Annotated[Any, BeforeValidator(read_verifier), Scope.CONTEXT | Scope.STEP]
    target: Annotated[_Number | None, _ANY] = Field(default=None, ge=0, le=1)
    confidence: Annotated[_Number, _ANY] = Field(default=0.95, gt=0, lt=1)
    effort: Annotated[Effort, _ANY] = "medium"
    round_cost: Annotated[_Number, _ANY] = Field(default=2.0, ge=0, allow_inf_nan=False)
    max_samples: Annotated[int, _ANY] = Field(default=16, ge=1, strict=True)
    stopping: Annotated[Rule | None, BeforeValidator(from_spec), _ANY] = None
    estimator: Annotated[Callable[..., Any] | None, BeforeValidator(from_spec), _ANY] = None
    prior: Annotated[Any, BeforeValidator(read_prior), _ANY] = None
    extract: Annotated[Any, BeforeValidator(read_extractor), _ANY] = None
    select: Annotated[Any, BeforeValidator(read_selection), _ANY] = "best"
    first_round: Annotated[int, _ANY] = Field(default=2, ge=1, strict=True)
    round_size: Annotated[int, _ANY] = Field(default=8, ge=1, strict=True)
    overlap: Annotated[bool, Scope.CALL] = Field(default=False, strict=True)
    max_retries: Annotated[int, _RUN] = Field(default=3, ge=0, strict=True)
    max_failures: Annotated[_MaxFailures, _ANY] = "auto"
    token_budget: Annotated[int | None, _ANY] = Field(default=None, ge=1, strict=True)
    cost_budget: Annotated[_Number | None, _ANY] = Field(default=None, gt=0, allow_inf_nan=False)
    price: Annotated[Any, _ANY] = None
    deadline_s: Annotated[_Number | None, _RUN] = Field(default=None, gt=0, allow_inf_nan=False)
    candidate_timeout_s: Annotated[_Number | None, _RUN] = Field(default=None, gt=0, allow_inf_nan=False)
    hedge_after_s: Annotated[_Number | None, _RUN] = Field(default=None, gt=0, allow_inf_nan=False)
    cancel: Annotated[Literal["close", "eager"], _RUN] = "close"
    policy_limit: Annotated[Any, BeforeValidator(read_limit), _RUN] = None
    verifier_limit: Annotated[Any, BeforeValidator(read_limit), _RUN] = None
    seed: Annotated[int | None, _RUN] = Field(default=None, strict=True)
    fanout: Annotated[Fanout, _RUN] = "auto"
    accept_truncated: Annotated[bool, _ANY] = Field(default=False, strict=True)
    keep_reasoning: Annotated[bool, _ANY] = Field(default=False, strict=True)
    reasoning_tags: Annotated[Any, BeforeValidator(check_tags), _ANY] = ()
    reverify_equal: Annotated[bool | None, _ANY] = Field(default=None, strict=True)
    settings: Any = None
    learn: Literal["auto"] | None = None
    certify: Annotated[Any, BeforeValidator(read_certificate)] = None
    store: Annotated[Any, BeforeValidator(read_store)] = None
    explore: float = Field(default=0.0, ge=0, le=1, allow_inf_nan=False)
    overridable: Annotated[tuple[str, ...] | None, BeforeValidator(_overridable)] = None
    limits: Annotated[dict[str, float] | None, BeforeValidator(as_limits)] = None

    _ready: tuple[tuple[Any, ...], Policy] | None = PrivateAttr(default=None)
    _known: tuple[list[Any], Prepared] | None = PrivateAttr(default=None)
    _learned: LearnedPart | None = PrivateAttr(default=None)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """The policy by its name alone: the repr of a model shows the headers that it sends."""
        for name, value in super().__repr_args__():
            yield name, shown(value) if name == "policy" else value

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """The classes of ours and of applications that take these settings show them as shortly."""
        super().__pydantic_init_subclass__(**kwargs)
        shorten_signature(cls)

    @model_validator(mode="wrap")
    @classmethod
    def _one_sentence(cls, data: Any, handler: ModelWrapValidatorHandler[Any]) -> Any:
        """Checks what needs more than one setting, and says what is wrong in a sentence of ours."""
        try:
            settings = handler(
                within_limits(with_learned(data), cls.model_fields) if isinstance(data, Mapping) else data
            )
        except ValidationError as error:
            raise SettingsError(invalid_setting(error, cls)) from error
        check_rule_settings(settings)
        settings._learned = LearnedPart.of(settings)  # noqa: SLF001 - of this class
        settings.prepared()
        settings.verifier.for_search(AnswerBook(settings.extract))
        return settings

    @property
    def cap(self) -> int:
        """The most candidates drawn for one question."""
        own = self.stopping.max_samples if self.stopping is not None else None
        return self.max_samples if own is None or "max_samples" in self.model_fields_set else own

    def for_run(self, changes: Mapping[str, Any], reviewed: Container[str] = ()) -> SearchSettings:
        """These settings with what a run changes, where it may; see `overridable` and `limits`.

        Args:
            changes: What the run asks for, by name.
            reviewed: Names that a reviewer has changed, whom the settings beside `limits` do not bind.

        Raises:
            SettingsError: A setting may not be changed, or not so far, is out of range or contradicts another.
        """
        if not changes:
            return self
        permit(self, changes, reviewed)
        changed = self.for_call(changes)
        if "max_samples" not in reviewed and changed.cap > self.cap:
            permit(self, {"max_samples": changed.cap})
        return changed

    def for_call(self, changes: Mapping[str, Any]) -> SearchSettings:
        """These settings with other ones, as this process chooses; `for_run` checks what a run asks for.

        Raises:
            SettingsError: A changed setting is out of range or contradicts another.
        """
        if not changes:
            return self
        names = SearchSettings.model_fields.keys() & self.model_fields_set
        changed = SearchSettings(**{name: getattr(self, name) for name in names} | dict(changes))
        changed._ready = self._ready
        return changed

    def rule(self) -> Rule:
        """The stopping rule with the budgets that are set beside it."""
        return build_rule(self, self.learned_part)

    @property
    def learned_part(self) -> LearnedPair | None:
        """What past searches have taught about searches like these; None for nothing."""
        return None if self._learned is None else self._learned.current

    @property
    def learned_prior(self) -> Any:
        """The learned prior where it counts: in a search for a target without a prior of its own."""
        part = self.learned_part
        return None if part is None or self.target is None or self.stopping is not None else part.best_prior

    @property
    def certificate(self) -> Certificate | None:
        """`certify`, else what was learned from labels."""
        part = self.learned_part
        return self.certify if self.certify is not None or part is None else part.certificate

    @property
    def learning(self) -> LearnedPart | None:
        """What is told of each recorded search; None where nothing is learned."""
        return self._learned

    def prepared(self) -> Prepared:
        """What all searches with these settings share; made anew once one of them has been replaced."""
        made_of = [*self.__dict__.values(), len(self.model_fields_set)]
        if self._learned is not None:
            made_of += self._learned.state
        known = self._known
        if known is None or len(known[0]) != len(made_of) or any(map(is_not, known[0], made_of)):
            self._known = known = (made_of, prepare(self, self.rule(), self._new_sampler({})))
        return known[1]

    def session(self, prior: ScorePrior | None = None, *, explore: bool = False) -> Session:
        """A new session for one question.

        Args:
            prior: That question's; None where all have the same.
            explore: Whether it goes on to the cap.
        """
        if explore:
            return new_session(self, Exploration(self.rule() | MaxSamples(self.cap))).restarted(prior)
        return self.prepared().session.restarted(prior)

    def sampler(self, call_kwargs: Mapping[str, Any] | None = None) -> Sampler:
        """What draws the candidates of one search; `call_kwargs` go to the policy."""
        return self._new_sampler(call_kwargs) if call_kwargs else self.prepared().sampler.for_search()

    def _new_sampler(self, call_kwargs: Mapping[str, Any]) -> Sampler:
        made_of = (id(self.policy), self.cancel, self.candidate_timeout_s)
        if self._ready is None or self._ready[0] != made_of:
            ready = Policy.of(self.policy, eager=self.cancel == "eager", timeout_s=self.candidate_timeout_s)
            self._ready = (made_of, ready)
        return new_sampler(self, self._ready[1], call_kwargs, SearchSettings.model_fields.keys())

    def tournament(self) -> TournamentSelection | None:
        """The tournament that chooses among the leading candidates; None where scores and answers alone do."""
        return self.prepared().tournament
