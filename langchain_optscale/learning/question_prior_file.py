"""A `QuestionPrior` as a file: an npz of plain arrays, and beliefs and figures as JSON text in it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_optscale.errors import InvalidRecordError, SettingsError
from langchain_optscale.learning.text_model import EmbeddedText, HashedText
from langchain_optscale.records.arrays import read_arrays, write_arrays
from langchain_optscale.records.stored import Fields, reading
from langchain_optscale.stats.empirical_prior import EmpiricalPrior

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.embeddings import Embeddings
    from numpy.typing import NDArray

__all__ = ["QUESTION_PRIOR", "read_question_prior", "write_question_prior"]

QUESTION_PRIOR = "langchain-optscale/question-prior"
"""The format of the file's header."""

_VERSION = 1
_WHAT = "a prior of questions"


def write_question_prior(path: str | os.PathLike[str], parts: Mapping[str, Any], fingerprint: str) -> None:
    """Write the parts of a `QuestionPrior`, by the names of its fields, in one step.

    Raises:
        SettingsError: The file cannot be written.
    """
    text = parts["text"]
    header = {
        "format": QUESTION_PRIOR,
        "version": _VERSION,
        "reads": "n-grams" if isinstance(text, HashedText) else "embeddings",
        **{name: list(parts[name]) for name in ("intercept", "centres")},
        "beliefs": [belief.to_dict() for belief in parts["beliefs"]],
        "population": parts["population"].to_dict(),
        **{name: parts[name] for name in ("is_useful", "report")},
        "fingerprint": fingerprint,
    }
    write_arrays(path, header, {**text.arrays, "known": parts["known"].astype(np.float32)})


def read_question_prior(path: str | os.PathLike[str], embeddings: Embeddings | None) -> dict[str, Any]:
    """The parts that `write_question_prior` wrote; arguments and errors as for `QuestionPrior.load`."""
    data, arrays = read_arrays(path, QUESTION_PRIOR, _WHAT)
    reads_text = data.get("reads") == "n-grams"
    if not reads_text and embeddings is None:
        raise SettingsError(f"{path} was fitted on embeddings: give the same model, QuestionPrior.load(path, model)")
    if reads_text and embeddings is not None:
        raise SettingsError(f"{path} was fitted on hashed n-grams: leave the embedding model out")
    try:
        with reading("its content"):
            parts = _parts_in(Fields(data, _WHAT), arrays, embeddings)
    except InvalidRecordError as error:
        raise InvalidRecordError(f"{path} cannot be read as {_WHAT}: {error}") from error
    # Settings cannot name an embedding model beside the file.
    return {**parts, "path": os.fspath(path) if embeddings is None else None}


def _parts_in(data: Fields, arrays: Mapping[str, NDArray[Any]], embeddings: Embeddings | None) -> dict[str, Any]:
    data.whole("version", least=_VERSION, most=_VERSION)
    intercept, centres = (tuple(map(float, data.items(name))) for name in ("intercept", "centres"))
    beliefs = tuple(EmpiricalPrior.from_dict(belief) for belief in data.items("beliefs"))
    is_sound = len(intercept) == 2 and 0 < len(beliefs) == len(centres) and np.isfinite([*intercept, *centres]).all()
    if not is_sound:
        raise InvalidRecordError("it has numbers that do not fit together")
    report = data.mapping("report")
    Fields(report, "its report").whole("questions")
    return {
        "text": _hashed(arrays) if embeddings is None else _embedded(arrays, embeddings),
        "intercept": intercept,
        "known": _real(arrays["known"], (None, 4)),
        "centres": centres,
        "beliefs": beliefs,
        "population": EmpiricalPrior.from_dict(data.mapping("population")),
        "is_useful": data.flag("is_useful"),
        "report": dict(report),
    }


def _hashed(arrays: Mapping[str, NDArray[Any]]) -> HashedText:
    places = arrays["places"]
    if places.dtype != np.uint32 or places.ndim != 1 or not (np.diff(places.astype(np.int64)) > 0).all():
        raise InvalidRecordError("its n-grams are not in ascending order")
    scale, rarest, least = _real(arrays["numbers"], (3,)).tolist()
    rarity = _real(arrays["rarity"], (len(places),)).astype(np.float32)
    return HashedText(places, rarity, _real(arrays["coefficients"], (len(places), 2)) * scale, rarest, least)


def _embedded(arrays: Mapping[str, NDArray[Any]], embeddings: Embeddings) -> EmbeddedText:
    centre = _real(arrays["centre"], (None,))
    directions = _real(arrays["directions"], (len(centre), None))
    coefficients = _real(arrays["coefficients"], (len(centre), 2))
    return EmbeddedText(embeddings, centre, directions, coefficients, float(_real(arrays["numbers"], (1,))[0]))


def _real(array: NDArray[Any], shape: tuple[int | None, ...]) -> NDArray[np.float64]:
    """A stored array as finite numbers of this shape, where None stands for any length of at least 1.

    Raises:
        InvalidRecordError: It is another.
    """
    values = array.astype(np.float64)
    fits = len(shape) == values.ndim and all(
        have == need or (need is None and have > 0) for have, need in zip(values.shape, shape, strict=True)
    )
    if not fits or not np.isfinite(values).all():
        raise InvalidRecordError("it has an array of another shape, or with numbers that are not finite")
    return values
