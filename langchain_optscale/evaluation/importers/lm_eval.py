"""Pools from the sample logs of lm-evaluation-harness. Which value becomes what: see `importers`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from langchain_optscale.errors import InvalidRecordError, SettingsError
from langchain_optscale.evaluation.importers.logs import Collected, field_of, gold_of, keep_value
from langchain_optscale.evaluation.pools import Question, Sample
from langchain_optscale.evaluation.samples import json_lines, name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from langchain_optscale.answers.base import ExtractorLike
    from langchain_optscale.evaluation.pools import Pool

    Path_ = str | os.PathLike[str]

__all__ = ["from_lm_eval"]

# What a line of the harness has besides its metrics; newer ones list the metrics' names.
_NO_METRICS = frozenset(
    {"doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics"}
    | {"doc_hash", "prompt_hash", "target_hash"}
)
# What its regex filters say where they find nothing.
_NOTHING_FOUND = "[invalid]"


def from_lm_eval(
    paths: Path_ | Sequence[Path_],
    *,
    filter: str | None = None,  # noqa: A002 - the harness's own word
    correct: str | None = None,
    score: str | None = None,
    check: Callable[[str, str], bool] | None = None,
    extract: ExtractorLike | None = None,
    name: str | None = None,
) -> Pool:
    """Read the `samples_*.jsonl` files that lm-evaluation-harness writes with `--log_samples`.

    Of each line count `doc_id`, the first of `arguments` (the prompt), `target` (the gold answer), `resps` (one list
    of texts, as many as the task has `repeats`), `filtered_resps` (the answers), `filter` and the metrics. With
    repeats the harness judges one answer for all of them, which says nothing of the single candidates: they have
    `correct` only by `check`, or from a metric that lists one value for each.

    Args:
        paths: One file, or several runs of the same task, whose samples are joined in this order; ".gz" is unpacked.
        filter: Which filter's lines count; needed where the file has lines of several, as for gsm8k.
        correct: The metric that says whether a candidate is right.
        score: The metric that scores it.
        check: `(answer, gold) -> bool`, decides `correct` instead of a metric; the text stands for the answer where
            the filter gives one answer for several candidates. Both are given as they stand in the log.
        extract: Finds the answers in the texts; None takes those that the filter found. Either way they are kept in
            canonical form: "$18", "18." and "18.00" are all "18".
        name: Of the pool; None takes the (first) file's name.

    Raises:
        InvalidRecordError: A line is not of this format, or runs do not fit together; the message names file, line
            and field.
        SettingsError: A file cannot be read, or a filter or metric must be chosen.

    Example:
        >>> import json, tempfile
        >>> from pathlib import Path
        >>> line = {"doc_id": 0, "target": "4", "arguments": [["2 + 2 =", {}]], "resps": [["It is 4", "5"]],
        ...         "filtered_resps": [["4", "5"]], "filter": "none", "exact_match": 1.0}
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     path = Path(directory, "samples_sums.jsonl")
        ...     _ = path.write_text(json.dumps(line))
        ...     pool = from_lm_eval(path, check=lambda answer, gold: answer == gold)
        >>> [(sample.text, sample.correct) for sample in pool.samples]
        [('It is 4', True), ('5', False)]
    """
    files = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    if not files:
        raise SettingsError("no file to import")
    if check is not None and correct is not None:
        raise SettingsError("check= and correct= both decide what is right; give one of them")
    collected = Collected(extract)
    for path in files:
        seen: dict[str, int] = {}
        for number, line in _lines_of_filter(path, filter):
            place = f"{path}, line {number}"
            try:
                question, values = _harness_question(line, place, check)
            except InvalidRecordError as error:
                raise InvalidRecordError(str(error) if place in str(error) else f"{place}: {error}") from error
            if question.id in seen:
                raise InvalidRecordError(
                    f"{place}: doc_id {question.id} is already used on line {seen[question.id]}; older logs have a "
                    "line for each filter without its name: keep the lines of one filter"
                )
            seen[question.id] = number
            for sample, value in zip(question.samples, values, strict=True):
                collected.add(question, sample, value, place)
    return collected.pool(
        name_of(files[0]) if name is None else name, "metric", correct, score, judged=check is not None
    )


def _lines_of_filter(path: Path_, chosen: str | None) -> Iterator[tuple[int, dict[str, Any]]]:
    found: set[str] = set()
    matched = False
    for number, line in json_lines(path):
        if not isinstance(line, dict):
            raise InvalidRecordError(f"{path}, line {number}: must be an object, got {type(line).__name__}")
        if isinstance(own := line.get("filter"), str):
            found.add(own)
        if chosen is None and len(found) > 1:
            raise SettingsError(f"{path} has lines of the filters {', '.join(sorted(found))}; choose one by filter=")
        if chosen is None or own == chosen:
            matched = True
            yield number, line
    if chosen is not None and not matched:
        raise SettingsError(f"{path} has no lines of the filter {chosen!r}, but of {sorted(found)}")


def _harness_question(
    line: dict[str, Any], place: str, check: Callable[[str, str], bool] | None
) -> tuple[Question, list[dict[str, Any]]]:
    """The question of a line with its samples, and for each of them what the metrics say of it alone."""
    id_ = str(field_of(line, "doc_id", int | str, place))
    responses = field_of(line, "resps", list, place)
    if len(responses) != 1 or not isinstance(responses[0], list) or not _all_strings(responses[0]):
        raise InvalidRecordError(
            f"{place}: resps must hold one list of texts; only tasks that generate text (generate_until) make a pool"
        )
    texts: list[str] = responses[0]
    filtered = field_of(line, "filtered_resps", list, place)
    found = filtered[0] if len(filtered) == 1 and isinstance(filtered[0], list) else filtered
    # One answer for several candidates cannot be assigned to any of them.
    known = len(found) == len(texts) and _all_strings(found)
    answers = [None if answer == _NOTHING_FOUND else answer for answer in found] if known else [None] * len(texts)
    gold = gold_of(line, place)

    def correct(text: str, answer: str | None) -> bool | None:
        if check is None or gold is None:
            return None
        judged = answer if known else text
        return judged is not None and bool(check(judged, gold))

    samples = tuple(
        Sample(text=text, answer=answer, correct=correct(text, answer))
        for text, answer in zip(texts, answers, strict=True)
    )
    names = field_of(line, "metrics", list, place, [name for name in line if name not in _NO_METRICS])
    if not _all_strings(names):
        raise InvalidRecordError(f"{place}: metrics must be a list of names")
    values: list[dict[str, Any]] = [{} for _ in texts]
    for name in names:
        metric = line.get(name)
        each = metric if isinstance(metric, list) and len(texts) > 1 else [metric]
        if len(each) == len(texts):
            for value, own in zip(values, each, strict=True):
                keep_value(value, name, own)
    return Question(id_, _harness_prompt(line, place), samples, gold), values


def _harness_prompt(line: dict[str, Any], place: str) -> str:
    """The first argument of the first request: `{"gen_args_0": {"arg_0": ...}}`, in older logs a list of lists."""
    arguments = field_of(line, "arguments", dict | list, place)
    first = arguments.get("gen_args_0") if isinstance(arguments, dict) else next(iter(arguments), None)
    parts = list(first.values()) if isinstance(first, dict) else first
    prompt = parts[0] if isinstance(parts, list) and parts else None
    if isinstance(prompt, list) and len(prompt) == 1:
        # A chat for an API stands there as JSON within a list.
        prompt = prompt[0]
    if not isinstance(prompt, str):
        raise InvalidRecordError(f"{place}: arguments do not begin with a prompt")
    return prompt


def _all_strings(values: Iterable[Any]) -> bool:
    return all(isinstance(value, str) for value in values)
