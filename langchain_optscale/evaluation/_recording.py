"""The state of a recording: its finished and missing questions, and its file."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from langchain_core.runnables.config import merge_configs

from langchain_optscale.errors import FileError, InvalidRecordError, OptScaleError, SettingsError
from langchain_optscale.evaluation.pools import Pool, Question, Sample
from langchain_optscale.evaluation.samples import name_of, question_from_dict, question_to_json
from langchain_optscale.models.policy import policy_name
from langchain_optscale.records.failures import AllCandidatesFailed
from langchain_optscale.records.files import append, open_to_append, read_back
from langchain_optscale.records.states import state_to_json
from langchain_optscale.runnables.optscale import OptScale
from langchain_optscale.stopping import MaxSamples

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from langchain_core.runnables import Runnable, RunnableConfig

    from langchain_optscale.answers.base import ExtractorLike
    from langchain_optscale.engine.result import OptScaleResult
    from langchain_optscale.models.policy import Fanout
    from langchain_optscale.records.candidates import Candidate
    from langchain_optscale.verifiers.base import Verifier

__all__ = ["IncompletePool", "Progress", "RecordOptions", "Recording", "id_of"]

# The key of a line for the settings with which it was recorded.
_NOTES = "recorded"
_LINE_START = b'{"id": '


class IncompletePool(OptScaleError, RuntimeError):  # noqa: N818 - it says what there is
    """Every candidate of some questions failed; all other questions were recorded.

    Attributes:
        pool: What was recorded.
        failures: By question id, what went wrong with its candidates.
    """

    def __init__(self, pool: Pool, failures: Mapping[str, AllCandidatesFailed]) -> None:
        self.pool = pool
        self.failures = dict(failures)
        first, error = next(iter(self.failures.items()))
        more = f", and so of {len(self.failures) - 1} more questions" if len(self.failures) > 1 else ""
        super().__init__(f"every candidate failed of question {first!r}{more}: {error}; {len(pool)} are recorded")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a recording is, reported after every question.

    Attributes:
        done: Questions that are finished, those of an earlier call and those that failed included.
        total: All questions.
        id: The question that was finished just now.
        samples: Its candidates that were recorded.
        failed: Its candidates that could not be drawn or not be verified.
        tokens: What policy and verifier spent on it, prompts included.
    """

    done: int
    total: int
    id: str
    samples: int
    failed: int
    tokens: int


class RecordOptions(TypedDict, total=False):
    """Options of `record_pool` and `arecord_pool`.

    Attributes:
        path: Where to keep the pool; a file that is there already is continued, where `n`, `seed` and the names of
            policy and verifier are the same. None keeps it in memory only.
        extract: As in `SearchSettings`.
        gold_check: `(answer, gold) -> bool`, such as `answers.same_answer`. It is given the answer as `extract` found
            it, while the pool keeps its canonical form; without `extract`, the text. A candidate without an answer is
            wrong. Questions without a gold answer, and all without this function, have no `correct`.
        seed: Candidate i of every question is drawn with seed + i, where the policy takes seeds.
        fanout: As in `SearchSettings`.
        max_retries: Further tries of a request that failed for a passing reason.
        max_concurrency: The most requests under way at once, over all questions, at least 1.
        progress: Called after every finished question, in the calling thread.
        config: Callbacks, tags and metadata for every search.
    """

    path: str | os.PathLike[str] | None
    extract: ExtractorLike | None
    gold_check: Callable[[str, str], bool] | None
    seed: int | None
    fanout: Fanout
    max_retries: int
    max_concurrency: int
    progress: Callable[[Progress], None] | None
    config: RunnableConfig | None


class Recording:
    """The recorded and the missing questions, and their file; driven by threads or by tasks."""

    def __init__(
        self,
        policy: Runnable[Any, Any],
        verifier: Verifier | Runnable[Any, Any] | Callable[..., Any],
        questions: Iterable[Question | str],
        n: int,
        *,
        path: str | os.PathLike[str] | None = None,
        gold_check: Callable[[str, str], bool] | None = None,
        max_concurrency: int = 8,
        progress: Callable[[Progress], None] | None = None,
        config: RunnableConfig | None = None,
        **settings: Any,
    ) -> None:
        if isinstance(max_concurrency, bool) or not isinstance(max_concurrency, int) or max_concurrency < 1:
            raise SettingsError(f"max_concurrency must be a whole number of at least 1, got {max_concurrency!r}")
        # A recording shows what the policy gives: answers that were cut off are scored, too, unless told otherwise.
        settings = {"accept_truncated": True} | settings
        self.search = OptScale(
            policy=policy, verifier=verifier, stopping=MaxSamples(n), first_round=n, round_size=n, **settings
        )
        self._questions = {question.id: question for question in _distinct(questions)}
        self._extracts = settings.get("extract") is not None
        self._gold_check = gold_check
        self._progress = progress
        self._path = None if path is None else Path(path)
        self._notes = {
            "policy": policy_name(policy),
            "verifier": self.search.verifier.name,
            "n": n,
            "seed": settings.get("seed"),
        }
        self._mutex = threading.Lock()
        self._file: int | None = None
        self._recorded = {} if self._path is None else self._continued(self._path)
        self._failures: dict[str, AllCandidatesFailed] = {}
        self.missing = [question for id_, question in self._questions.items() if id_ not in self._recorded]
        # Both numbers limit: questions at once, and requests of one question; their product keeps to the limit.
        self.at_once = max(1, min(max_concurrency, len(self.missing)))
        self.config = merge_configs(config, {"max_concurrency": max_concurrency // self.at_once})

    def write(self, question: Question, outcome: OptScaleResult | AllCandidatesFailed) -> None:
        """Record a question's outcome; on disk when this returns."""
        if isinstance(outcome, AllCandidatesFailed):
            self._failures[question.id] = outcome
            return
        try:
            recorded = self._answered(question, outcome)
        except Exception as error:
            error.add_note(f"while the candidates of question {question.id!r} were checked")
            raise
        if self._path is not None:
            notes = {_NOTES: {**self._notes, "failed": len(outcome.failures)}}
            # On the async path a thread may still write when the recording is cancelled and closed.
            with self._mutex:
                if self._file is None:
                    raise SettingsError(f"{self._path} cannot be written: the recording is closed")
                append(self._file, self._path, question_to_json(recorded, notes))
        self._recorded[question.id] = recorded

    def close(self) -> None:
        """Let others write the file again."""
        with self._mutex:
            if self._file is not None:
                os.close(self._file)
            self._file = None

    def report(self, question: Question, outcome: OptScaleResult | AllCandidatesFailed) -> None:
        """Report the progress."""
        if self._progress is None:
            return
        scored, tokens = 0, 0
        if not isinstance(outcome, AllCandidatesFailed):
            scored, tokens = len(outcome.verdicts), outcome.total_usage.total_tokens
        done = len(self._failures) + len(self._recorded.keys() & self._questions.keys())
        self._progress(Progress(done, len(self._questions), question.id, scored, len(outcome.failures), tokens))

    def pool(self) -> Pool:
        """The questions that were recorded, in the order in which they were asked for.

        Raises:
            IncompletePool: There are others.
        """
        recorded = tuple(self._recorded[id_] for id_ in self._questions if id_ in self._recorded)
        pool = Pool(recorded, "pool" if self._path is None else name_of(self._path))
        if self._failures:
            raise IncompletePool(pool, self._failures)
        return pool

    def _answered(self, question: Question, result: OptScaleResult) -> Question:
        samples = []
        for candidate in result.candidates:
            if candidate.index not in result.verdicts:
                continue
            correct = None
            if self._gold_check is not None and question.gold is not None:
                found = self._found_in(candidate)
                correct = found is not None and bool(self._gold_check(found, question.gold))
            samples.append(
                Sample(
                    score=result.verdicts[candidate.index].score,
                    correct=correct,
                    # No reported usage is not zero tokens.
                    tokens=candidate.usage.output_tokens or None,
                    answer=candidate.answer,
                    text=candidate.text,
                    state=None if candidate.state is None else state_to_json(candidate.state),
                )
            )
        return Question(question.id, question.prompt, tuple(samples), question.gold)

    def _found_in(self, candidate: Candidate) -> str | None:
        """What is compared with the gold (reference) answer: the extracted text, not its canonical form."""
        if not self._extracts:
            return candidate.text
        if candidate.answer is None:
            return None
        found = self.search.extract.read(candidate.text, candidate.answer_message, candidate.state)
        return None if found is None else str(found.text)

    def _continued(self, path: Path) -> dict[str, Question]:
        """Read what an earlier call recorded; afterwards the file ends with a whole line."""
        if path.suffix == ".gz":
            raise SettingsError(f"{path}: a recording cannot append to a .gz file; choose another name")
        recorded: dict[str, Question] = {}
        try:
            self._file = open_to_append(path)
        except FileError as error:
            raise FileError.of(f"{path} cannot be continued", error) from error
        try:
            read_back(self._file, path, partial(self._read_back, recorded))
        except OSError as error:
            self.close()
            raise SettingsError(f"{path} cannot be continued: {error.strerror}") from error
        except BaseException:
            self.close()
            raise
        return recorded

    def _read_back(self, recorded: dict[str, Question], line: bytes, place: str) -> bool:
        """Add the question of a line; False for an incomplete last line, as a crash leaves it."""
        try:
            data = json.loads(line)
        except (ValueError, RecursionError) as error:
            if not line.endswith(b"\n") and line.startswith(_LINE_START[: len(line)]):
                return False
            raise InvalidRecordError(f"{place}: not JSON: {error}") from error
        try:
            question = question_from_dict(data)
        except InvalidRecordError as error:
            raise InvalidRecordError(f"{place}: {error}") from error
        if not question.samples:
            raise InvalidRecordError(f"{place}: question {question.id!r} has no samples")
        if question.id in recorded:
            raise InvalidRecordError(f"{place}: id {question.id!r} is already used on an earlier line")
        self._check(question, data.get(_NOTES), place)
        recorded[question.id] = question
        return True

    def _check(self, question: Question, notes: object, place: str) -> None:
        """Check that a recorded question has this recording's settings and prompt."""
        if not isinstance(notes, dict):
            raise SettingsError(f"{place}: this pool was not made by record_pool; choose another file")
        for name, ours in self._notes.items():
            if notes.get(name) != ours:
                raise SettingsError(
                    f"{place}: recorded with {name} {notes.get(name)!r}, not {ours!r}; choose another file"
                )
        asked = self._questions.get(question.id)
        if asked is not None and asked.prompt != question.prompt:
            raise SettingsError(f"{place}: question {question.id!r} was recorded with another prompt")


def _distinct(questions: Iterable[Question | str]) -> list[Question]:
    listed = [Question(id_of(one), one) if isinstance(one, str) else one for one in questions]
    counts = Counter(question.id for question in listed)
    if twice := [id_ for id_, count in counts.items() if count > 1]:
        raise SettingsError(
            f"{len(twice)} questions occur several times, the first is {twice[0]!r}: remove the repeats"
        )
    if not listed:
        raise SettingsError("there are no questions to ask: give at least one")
    return listed


def id_of(prompt: str) -> str:
    """The id of a question that has none of its own: the same prompt has the same one in every run."""
    return hashlib.sha256(prompt.encode("utf-8", "backslashreplace")).hexdigest()[:16]
