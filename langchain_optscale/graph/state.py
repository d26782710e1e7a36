"""The graph's state, and how the results of tasks are merged into it.

The two main channels are `messages`, the conversation, and `optscale`, the record of the search: JSON-ready data with
every message and every score once. Both are a `DeltaChannel`: a checkpoint stores only what a task added, so that the
size of a thread grows linearly with the number of candidates. `OptScaleResult.from_dict` reads the finished record.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from langgraph.channels.delta import DeltaChannel
from langgraph.managed import RemainingSteps
from typing_extensions import TypedDict

from langchain_optscale.errors import InvalidRecordError
from langchain_optscale.graph.compact import full_candidate, full_round, full_verdict
from langchain_optscale.graph.conversation import Conversation
from langchain_optscale.records.candidates import Failure, Verdict
from langchain_optscale.records.stored import MOST_CANDIDATES, Fields, read_pairs, reading
from langchain_optscale.stats.priors import FixedPrior, prior_from_dict

if TYPE_CHECKING:
    from langchain_optscale.stats.empirical_prior import EmpiricalPrior
    from langchain_optscale.stats.question_law import QuestionLaw

__all__ = [
    "OptScaleInput",
    "OptScaleOutput",
    "OptScaleState",
    "Reader",
    "SearchRecord",
    "candidate_in",
    "candidates_in",
    "failures_in",
    "merge_record",
    "new_record",
    "record_in",
    "stored_prior",
    "verdicts_in",
]


Read = TypeVar("Read")

_WHAT = "the search in this thread"


class SearchRecord(TypedDict, total=False):
    """What `optscale` holds.

    Attributes:
        search: The search's `id`, the `question` (a fingerprint of the conversation), the `settings` that runs
            changed, those that were changed in `review`, the names of settings that are objects and must be `given`
            again on resuming, the most `choices` a request, where the policy's server accepts fewer than asked for,
            and the question's `prior`, where it is a function of the question.
        rounds: Each round's `number`, the `indexes` of its candidates and, once the search is over, its `observations`.
        candidates: `Candidate.to_dict` of everything that was drawn, by index.
        verdicts: Pairs of an index and its verdict.
        failures: Pairs of an index and its failure.
        seconds: Pairs of an index and the seconds that its draw and verification took.
        comparisons: Pairs of a number and a comparison of a tournament, or its failure; missing without one.
        decision: The decision after the last complete round.
        estimate: The estimated score distribution at that time.
        best: Index of the chosen candidate, once the search has ended; then also `format`, `version`, `usage` and
            `duration_s`, as in `OptScaleResult.to_dict`.

    Example:
        >>> from langchain_core.language_models import FakeListChatModel
        >>> from langchain_optscale import create_optscale_graph
        >>> policy = FakeListChatModel(responses=["4"])
        >>> graph = create_optscale_graph(policy=policy, verifier=lambda prompt, candidate: 1.0).compile()
        >>> record: SearchRecord = graph.invoke({"messages": [("user", "What is 2 + 2?")]})["optscale"]
        >>> record["best"], record["verdicts"][0][1]["score"], record["usage"]["policy"]["requests"]
        (0, 1.0, 2)
    """

    search: dict[str, Any]
    rounds: list[dict[str, Any]]
    candidates: list[dict[str, Any]]
    verdicts: list[Any]
    failures: list[Any]
    seconds: list[Any]
    comparisons: list[Any]
    decision: dict[str, Any]
    estimate: dict[str, Any]
    best: int
    format: str
    version: int
    usage: dict[str, Any]
    duration_s: float


def _first(pair: Sequence[Any]) -> int:
    index: int = pair[0]
    return index


# Lists that tasks add to: the key of an entry, and how it is merged with an earlier entry of the same key.
_LISTS: dict[str, tuple[Callable[[Any], int], Callable[[Any, Any], Any]]] = {
    "rounds": (
        lambda entry: entry["number"],
        lambda before, entry: {"observations": [], **full_round(before), **full_round(entry)},
    ),
    "candidates": (lambda entry: entry["index"], lambda before, entry: full_candidate(entry)),
    "verdicts": (_first, lambda before, entry: [entry[0], full_verdict(entry[1])]),
    "failures": (_first, lambda before, entry: entry),
    "seconds": (_first, lambda before, entry: entry),
    "comparisons": (_first, lambda before, entry: entry),
}


def merge_record(record: Mapping[str, Any], updates: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The record with the updates of some tasks, in whatever order those finished.

    Lists stay in the order of indexes; an existing entry is replaced; `search` and rounds are merged key by key, with
    the smaller of two `choices`. Compact forms (see `compact`) are expanded. Merging in two batches gives the same as
    merging at once, which `DeltaChannel` requires.
    """
    with reading(_WHAT):
        return _merged(record, updates)


def _merged(record: Mapping[str, Any], updates: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    merged = dict(record)
    lists: dict[str, dict[int, Any]] = {}
    for update in updates:
        for key, value in update.items():
            if key in _LISTS:
                key_of, merge = _LISTS[key]
                entries = lists.setdefault(key, {key_of(entry): entry for entry in merged.get(key, ())})
                for entry in value:
                    entries[key_of(entry)] = merge(entries.get(key_of(entry), {}), entry)
            elif key == "search":
                before = merged.get(key, {})
                merged[key] = {**before, **value}
                if "choices" in before and "choices" in value:
                    merged[key]["choices"] = min(before["choices"], value["choices"])
            else:
                merged[key] = value
    for key, entries in lists.items():
        merged[key] = [entries[index] for index in sorted(entries)]
    return merged


class OptScaleInput(TypedDict):
    """The graph's input: a conversation."""

    messages: Conversation


class OptScaleOutput(TypedDict):
    """The graph's output: the conversation with the chosen message at its end, and the record of the search.

    Example:
        >>> from langchain_core.language_models import FakeListChatModel
        >>> from langchain_optscale import create_optscale_graph
        >>> policy = FakeListChatModel(responses=["4"])
        >>> graph = create_optscale_graph(policy=policy, verifier=lambda prompt, candidate: 1.0).compile()
        >>> output: OptScaleOutput = graph.invoke({"messages": [("user", "What is 2 + 2?")]})
        >>> output["messages"][-1].text
        '4'
    """

    messages: Conversation
    optscale: dict[str, Any]


class OptScaleState(TypedDict):
    """The channels: the conversation, the record (a `SearchRecord`), and LangGraph's count of supersteps left.

    Example:
        >>> from langchain_core.language_models import FakeListChatModel
        >>> from langchain_optscale import create_optscale_graph
        >>> policy = FakeListChatModel(responses=["4"])
        >>> graph = create_optscale_graph(policy=policy, verifier=lambda prompt, candidate: 1.0).compile()
        >>> config = {"configurable": {"thread_id": "1"}}
        >>> state: OptScaleState = graph.invoke({"messages": [("user", "What is 2 + 2?")]}, config)
        >>> [message.type for message in state["messages"]]
        ['human', 'ai']
    """

    messages: Conversation
    optscale: Annotated[dict[str, Any], DeltaChannel(merge_record)]
    remaining_steps: RemainingSteps


def new_record(search: Mapping[str, Any]) -> dict[str, Any]:
    """The record of a new search."""
    return {"search": dict(search), **{name: [] for name in _LISTS if name != "comparisons"}}


def candidates_in(record: Mapping[str, Any]) -> dict[int, dict[str, Any]]:
    """The candidates by index, as `Candidate.from_dict` reads them."""
    with reading(_WHAT):
        return {Fields(entry, "a candidate").whole("index"): entry for entry in record.get("candidates", ())}


def candidate_in(record: Mapping[str, Any], index: int) -> dict[str, Any] | None:
    """One candidate, as `Candidate.from_dict` reads it; None where it has not been drawn."""
    with reading(_WHAT):
        return next((entry for entry in record.get("candidates", ()) if entry["index"] == index), None)


def verdicts_in(record: Mapping[str, Any], read: Callable[[Any], Verdict] = Verdict.from_dict) -> dict[int, Verdict]:
    """The verdicts, by index."""
    return read_pairs(Fields(record, _WHAT), "verdicts", read, ())


def failures_in(record: Mapping[str, Any], read: Callable[[Any], Failure] = Failure.from_dict) -> dict[int, Failure]:
    """The failures, by index."""
    return read_pairs(Fields(record, _WHAT), "failures", read, ())


class Reader:
    """Reads each entry of a record once, where a search comes back to it: merging keeps the entries that stay."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, object], tuple[object, Any]] = {}

    def once(self, read: Callable[[Any], Read]) -> Callable[[Any], Read]:
        """The same function for entries, which remembers what it has read; entries are told apart by identity."""

        def remembered(entry: Any) -> Read:
            key = (id(entry), read)
            known = self._known.get(key)
            if known is None or known[0] is not entry:
                known = self._known[key] = (entry, read(entry))
            value: Read = known[1]
            return value

        return remembered


def stored_prior(record: Mapping[str, Any]) -> "FixedPrior | EmpiricalPrior | QuestionLaw | None":
    """The prior of the question that the search began with; None where all questions have the same.

    Raises:
        InvalidRecordError: It is damaged.
    """
    prior = record["search"].get("prior")
    return None if prior is None else prior_from_dict(prior)


def record_in(state: Mapping[str, Any]) -> dict[str, Any]:
    """The record of the search under way, whose rounds are as the graph writes them.

    Raises:
        InvalidRecordError: It is damaged.
    """
    record: Any = state.get("optscale")
    fields = Fields(record, _WHAT)
    search = Fields(fields.mapping("search"), "the search of " + _WHAT)
    search.text("id")
    search.text("question")
    if "choices" in search.data:
        search.whole("choices", least=1)
    search.mapping("settings", {})
    search.mapping("review", {})
    if not all(isinstance(name, str) for name in search.items("given", ())):
        raise InvalidRecordError(f"{_WHAT} has a name of a setting that is not a string")
    drawn = 0
    for number, entry in enumerate(fields.items("rounds", most=MOST_CANDIDATES)):
        round_ = Fields(entry, "a round of " + _WHAT)
        indexes = round_.wholes("indexes", most=MOST_CANDIDATES)
        if round_.whole("number") != number or indexes != tuple(range(drawn, drawn + len(indexes))) or not indexes:
            raise InvalidRecordError(f"{_WHAT} has rounds that are not consecutive")
        drawn += len(indexes)
    if "decision" in record:
        Fields(record["decision"], "the decision of " + _WHAT).flag("stop")
    return dict(record)
