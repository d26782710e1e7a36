"""Pools from the logs of Inspect. Which value becomes what: see `importers`."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_optscale.errors import InvalidRecordError
from langchain_optscale.evaluation.importers.logs import Collected, field_of, gold_of, keep_value
from langchain_optscale.evaluation.pools import Question, Sample
from langchain_optscale.evaluation.samples import name_of
from langchain_optscale.records.files import read_file

if TYPE_CHECKING:
    import os

    from langchain_optscale.answers.base import ExtractorLike
    from langchain_optscale.evaluation.pools import Pool

    Path_ = str | os.PathLike[str]

__all__ = ["from_inspect"]

# A log is one document, which is read as a whole.
_MOST_BYTES = 1 << 30


def from_inspect(
    path: Path_,
    *,
    correct: str | None = None,
    score: str | None = None,
    extract: ExtractorLike | None = None,
    name: str | None = None,
) -> Pool:
    """Read a log of Inspect (`inspect_ai`) in its JSON format.

    The epochs of a sample become the samples of one question, in the order of the epochs. A scorer whose value is a
    dictionary stands as "scorer/key"; the answer is that of the first scorer that found one, in canonical form; one
    that names the whole completion has found none. Samples that ended in an error or cannot be read are left out, with
    a warning.

    Args:
        path: The log; one in the binary format becomes JSON by
            `inspect log convert LOG.eval --to json --output-dir .`
        correct: The scorer that says whether a candidate is right.
        score: The scorer that scores it.
        extract: Finds the answers in the completions; None takes those of the scorers.
        name: Of the pool; None takes the file's name.

    Raises:
        InvalidRecordError: The file is not a log of this format, or has no sample that can be read; the message names
            the file, the sample and the field.
        SettingsError: The file cannot be read, or a scorer must be chosen.

    Warns:
        UserWarning: Samples are left out.

    Example:
        >>> import json
        >>> import tempfile
        >>> from pathlib import Path
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
    by_epoch: dict[tuple[str, int], _Recorded] = {}
    failed: list[str] = []
    unread: list[InvalidRecordError] = []
    for number, entry in enumerate(log["samples"]):
        place = f"{path}: samples[{number}]"
        try:
            recorded = _recorded(entry, model, place)
        except InvalidRecordError as error:
            unread.append(error if place in str(error) else InvalidRecordError(f"{place}: {error}"))
            continue
        if recorded is None:
            failed.append(str(entry.get("id")))
        elif (key := (recorded.question.id, recorded.epoch)) in by_epoch:
            raise InvalidRecordError(f"{place}: sample {key[0]!r} has an epoch {key[1]} already")
        else:
            by_epoch[key] = recorded
    if unread and not by_epoch:
        raise unread[0]
    if failed and not by_epoch:
        raise InvalidRecordError(f"{path}: all {len(failed)} samples ended in an error")
    if failed:
        left_out = f"{len(failed)} samples that ended in an error, of {sorted(set(failed))}"
        warnings.warn(f"{path}: left out {left_out}", stacklevel=2)
    if unread:
        warnings.warn(
            f"{path}: left out {len(unread)} samples that cannot be read; the first: {unread[0]}", stacklevel=2
        )
    collected = Collected(extract)
    order = {id_: at for at, (id_, _) in reversed(list(enumerate(by_epoch)))}
    for key in sorted(by_epoch, key=lambda key: (order[key[0]], key[1])):
        one = by_epoch[key]
        collected.add(one.question, one.sample, one.values, one.place)
    if not by_epoch:
        raise InvalidRecordError(f"{path}: the log has no samples")
    return collected.pool(name_of(path) if name is None else name, "scorer", correct, score)


class _Recorded(NamedTuple):
    """One epoch of a sample; `values` is what the scorers say of it by their names."""

    question: Question
    epoch: int
    sample: Sample
    values: dict[str, Any]
    place: str


def _recorded(entry: Any, model: str, place: str) -> _Recorded | None:
    """An entry of the log; None where it ended in an error, or before the model said anything."""
    if not isinstance(entry, dict):
        raise InvalidRecordError(f"{place}: must be an object, got {type(entry).__name__}")
    output = entry.get("output")
    if entry.get("error") is not None or (isinstance(output, dict) and output.get("error") is not None):
        return None
    question = Question(
        str(field_of(entry, "id", str | int, place)), _chat(entry, "input", place), gold=gold_of(entry, place)
    )
    epoch = field_of(entry, "epoch", int, place, 1)
    sample, values = _inspect_sample(entry, model, place)
    return _Recorded(question, epoch, sample, values, place) if sample.text or values else None


def _inspect_log(path: Path_) -> dict[str, Any]:
    content = read_file(path, _MOST_BYTES)
    if content.startswith(b"PK"):
        raise InvalidRecordError(
            f"{path} is in Inspect's binary format; make JSON of it by: "
            f"inspect log convert {path} --to json --output-dir {Path(path).parent}"
        )
    try:
        log = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InvalidRecordError(f"{path}: not JSON: {error}") from error
    if not isinstance(log, dict) or not isinstance(log.get("samples"), list):
        raise InvalidRecordError(f"{path}: not a log of Inspect with samples: the field samples is not a list")
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
        if isinstance(answer := given.get("answer"), str | int | float):
            answers.append(str(answer))
    output = field_of(entry, "output", dict, place)
    text = field_of(output, "completion", str, f"{place}: output", "")
    if not text and (choices := field_of(output, "choices", list, f"{place}: output", [])):
        text = _content(field_of(field_of(choices[0], "message", dict, place), "content", str | list, place))
    # Model-graded and `includes` scorers name all that was said as the answer, perhaps in small letters.
    whole = text.strip().casefold()
    answer = next((one for one in answers if one.strip().casefold() != whole or len(whole.split()) == 1), None)
    return Sample(text=text, answer=answer, tokens=_inspect_tokens(entry, output, model, place)), values


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


def _content(value: str | list[Any]) -> str:
    """The text of a message, whose content is a string or a list of parts."""
    if isinstance(value, str):
        return value
    return "".join(str(part.get("text", "")) for part in value if isinstance(part, dict) and part.get("type") == "text")
