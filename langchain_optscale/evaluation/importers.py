"""Pools from the logs of other programs: lm-evaluation-harness and Inspect.

Both judge a candidate by named values: metrics there, scorers here. Which of them becomes what follows one rule. A
value that says only yes or no (true and false, 1 and 0, Inspect's "C", "P", "I" and "N", of which "C" alone is right)
can be `correct`; any other number can be the `score`, or the `logit` where the log has values of it outside [0, 1].
What is found once is taken; what is found several times must be chosen by name.
"""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_optscale.errors import InvalidRecordError, SettingsError
from langchain_optscale.evaluation._logs import Collected, field_of, gold_of, keep_value
from langchain_optscale.evaluation.pools import Pool, Question, Sample
from langchain_optscale.evaluation.samples import json_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    Path_ = str | os.PathLike[str]

__all__ = ["from_inspect", "from_lm_eval"]

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
            the filter gives one answer for several candidates.
        name: Of the pool; None takes the (first) file's name.

    Raises:
        InvalidRecordError: A line is not of this format, or runs do not fit together; the message names file, line
            and field.
        SettingsError: A file cannot be read, or a filter or metric must be chosen.

    Example:
        >>> import tempfile
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
    collected = Collected()
    for path in files:
        seen: dict[str, int] = {}
        for number, line in _lines_of_filter(path, filter):
            place = f"{path}, line {number}"
            question, values = _harness_question(line, place, check)
            if question.id in seen:
                raise InvalidRecordError(
                    f"{place}: doc_id {question.id} stands on line {seen[question.id]} already; older logs have a "
                    "line for each filter without its name: keep the lines of one"
                )
            seen[question.id] = number
            for sample, value in zip(question.samples, values, strict=True):
                collected.add(question, sample, value, place)
    return collected.pool(_name(files[0], name), "metric", correct, score, judged=check is not None)


def from_inspect(path: Path_, *, correct: str | None = None, score: str | None = None, name: str | None = None) -> Pool:
    """Read a log of Inspect (`inspect_ai`) in its JSON format.

    The epochs of a sample become the samples of one question, in the order of the epochs. A scorer whose value is a
    dictionary stands as "scorer/key"; the answer is that of the first scorer that found one. Samples that ended in an
    error are left out, with a warning.

    Args:
        path: The log; one in the binary format becomes JSON by `inspect log convert LOG.eval --to json`.
        correct: The scorer that says whether a candidate is right.
        score: The scorer that scores it.
        name: Of the pool; None takes the file's name.

    Raises:
        InvalidRecordError: The file is not a log of this format; the message names the file, the sample and the field.
        SettingsError: The file cannot be read, or a scorer must be chosen.

    Warns:
        UserWarning: Samples ended in an error.

    Example:
        >>> import tempfile
        >>> sample = {"id": 1, "input": "2 + 2?", "target": "4", "scores": {"match": {"value": "C", "answer": "4"}}}
        >>> epochs = [sample | {"epoch": n, "output": {"completion": f"4, said {n} times"}} for n in (2, 1)]
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     path = Path(directory, "log.json")
        ...     _ = path.write_text(json.dumps({"version": 2, "eval": {"model": "m"}, "samples": epochs}))
        ...     pool = from_inspect(path)
        >>> [(sample.text, sample.answer, sample.correct) for sample in pool.samples]
        [('4, said 1 times', '4', True), ('4, said 2 times', '4', True)]
    """
    log = _inspect_log(path)
    model = field_of(field_of(log, "eval", dict, str(path), {}), "model", str, f"{path}: eval", "")
    collected = Collected()
    by_epoch: dict[tuple[str, int], tuple[Question, Sample, dict[str, Any], str]] = {}
    failed = []
    for number, entry in enumerate(log["samples"]):
        place = f"{path}: samples[{number}]"
        if not isinstance(entry, dict):
            raise InvalidRecordError(f"{place}: must be an object, got {type(entry).__name__}")
        if entry.get("error") is not None:
            failed.append(str(entry.get("id")))
            continue
        question = Question(
            str(field_of(entry, "id", str | int, place)), _chat(entry, "input", place), gold=gold_of(entry, place)
        )
        epoch = field_of(entry, "epoch", int, place, 1)
        if (question.id, epoch) in by_epoch:
            raise InvalidRecordError(f"{place}: sample {question.id!r} has an epoch {epoch} already")
        sample, values = _inspect_sample(entry, model, place)
        by_epoch[question.id, epoch] = (question, sample, values, place)
    order = {id_: at for at, (id_, _) in reversed(list(enumerate(by_epoch)))}
    for key in sorted(by_epoch, key=lambda key: (order[key[0]], key[1])):
        collected.add(*by_epoch[key])
    if failed:
        warnings.warn(
            f"{path}: left out {len(failed)} samples that ended in an error, of {sorted(set(failed))}", stacklevel=2
        )
    return collected.pool(_name(path, name), "scorer", correct, score)


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
    # One answer for several candidates says nothing of any: nobody knows whose it is.
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


def _inspect_log(path: Path_) -> dict[str, Any]:
    try:
        with Path(path).open("rb") as file:
            content = file.read()
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from error
    if content.startswith(b"PK"):
        raise InvalidRecordError(
            f"{path} is in Inspect's binary format; make JSON of it by: inspect log convert {path} --to json"
        )
    try:
        log = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InvalidRecordError(f"{path}: not JSON: {error}") from error
    if not isinstance(log, dict) or not isinstance(log.get("samples"), list):
        raise InvalidRecordError(f"{path}: no log of Inspect with samples: the field samples is no list")
    return log


def _inspect_sample(entry: dict[str, Any], model: str, place: str) -> tuple[Sample, dict[str, Any]]:
    """A sample, and what the scorers say of it by their names."""
    values: dict[str, Any] = {}
    answers = []
    for scorer, given in (field_of(entry, "scores", dict, place, None) or {}).items():
        if not isinstance(given, dict) or "value" not in given:
            raise InvalidRecordError(f"{place}: scores.{scorer} has no value")
        parts = given["value"]
        for key, value in parts.items() if isinstance(parts, dict) else [(None, parts)]:
            keep_value(values, scorer if key is None else f"{scorer}/{key}", value)
        if isinstance(given.get("answer"), str):
            answers.append(given["answer"])
    output = field_of(entry, "output", dict, place)
    text = field_of(output, "completion", str, f"{place}: output", "")
    if not text and (choices := field_of(output, "choices", list, f"{place}: output", [])):
        text = _content(field_of(field_of(choices[0], "message", dict, place), "content", str | list, place))
    return Sample(
        text=text, answer=next(iter(answers), None), tokens=_inspect_tokens(entry, output, model, place)
    ), values


def _inspect_tokens(entry: dict[str, Any], output: dict[str, Any], model: str, place: str) -> int | None:
    """Generated tokens; the output knows its own request only, so for several turns the model's total counts."""
    messages = field_of(entry, "messages", list, place, [])
    turns = sum(isinstance(message, dict) and message.get("role") == "assistant" for message in messages)
    usage = field_of(output, "usage", dict, f"{place}: output", None)
    if usage is None or turns > 1:
        usage = field_of(entry, "model_usage", dict, place, {}).get(model) or usage or {}
    tokens: int | None = field_of(usage, "output_tokens", int, f"{place}: usage", None)
    return tokens


def _chat(entry: dict[str, Any], key: str, place: str) -> str:
    value = field_of(entry, key, str | list, place)
    if isinstance(value, str):
        return value
    return "\n\n".join(_content(field_of(message, "content", str | list, f"{place}: {key}")) for message in value)


def _all_strings(values: Iterable[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def _name(path: Path_, name: str | None) -> str:
    return Path(path).name.partition(".")[0] if name is None else name


def _content(value: str | list[Any]) -> str:
    """The text of a message, whose content is a string or a list of parts."""
    if isinstance(value, str):
        return value
    return "".join(str(part.get("text", "")) for part in value if isinstance(part, dict) and part.get("type") == "text")
