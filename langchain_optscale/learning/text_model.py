"""What a linear predictor reads of a question's text: weighted hashed n-grams, or an embedding.

Both make rows for a ridge regression, keep its coefficients, and know a question that is unlike those of the fit.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_optscale.errors import SettingsError
from langchain_optscale.learning.features import DIMENSIONS, WORDS, hashed_features

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.embeddings import Embeddings
    from numpy.typing import NDArray

    from langchain_optscale.learning.features import QuestionFeatures
    from langchain_optscale.learning.ridge import FloatArray, Rows

__all__ = ["EmbeddedText", "HashedText", "TextModel", "text_model"]

# The share of the questions of a fit that are as unlike the rest as a new one may be, and what is allowed beyond it.
_UNLIKE, _BEYOND = 0.005, 0.8
# A question is like the others if this share of it is known, however much alike those are.
_ENOUGH = 0.6
# Directions of embeddings that are kept to know an unlike one.
_DIRECTIONS = 48
_TARGETS = 2


class TextModel(ABC):
    """What is read of a question, and the coefficients of it."""

    @abstractmethod
    def predict(self, prompts: Sequence[str | QuestionFeatures]) -> tuple[FloatArray, NDArray[np.bool_]]:
        """Predictions without the intercept, shape (questions, 2), and whether each question is like those known."""

    @abstractmethod
    def with_coefficients(self, coefficients: FloatArray) -> TextModel:
        """This one with the coefficients of a fit, shape (columns, 2)."""

    @property
    @abstractmethod
    def arrays(self) -> dict[str, NDArray[Any]]:
        """What is stored of it, by name."""


@dataclass(frozen=True, eq=False)
class HashedText(TextModel):
    """Hashed n-grams with inverse document frequencies; words and characters are brought to length 1 apart.

    Attributes:
        places: The places that occurred in the fit, ascending.
        rarity: log((1 + questions) / (1 + questions that have it)) + 1 of each.
        coefficients: Shape (places, 2).
        rarest: `rarity` of what the fit did not have.
        least_known: The least share of a question's n-grams that must be known.
    """

    places: NDArray[np.uint32] = field(repr=False)
    rarity: NDArray[np.float32] = field(repr=False)
    coefficients: FloatArray = field(repr=False)
    rarest: float
    least_known: float

    @classmethod
    def fit(cls, features: Sequence[QuestionFeatures]) -> tuple[HashedText, Rows]:
        """Read the questions of a fit: the model without coefficients, and their rows."""
        found = np.concatenate([places for places, _ in features]) if features else np.empty(0, np.uint32)
        places, counts = np.unique(found, return_counts=True)
        rarest = float(np.log(1.0 + len(features)) + 1.0)
        rarity = (rarest - np.log1p(counts)).astype(np.float32)
        model = cls(places.astype(np.uint32), rarity, np.zeros((len(places), _TARGETS)), rarest, 0.0)
        # Of a question itself everything is known, so what occurs once says nothing.
        shares = model._rows(features, alone=counts < 2)[1]
        least = min(_ENOUGH, float(np.quantile(shares, _UNLIKE)) * _BEYOND) if len(shares) else 0.0
        return replace(model, least_known=least), model._rows(features)[0]

    def with_coefficients(self, coefficients: FloatArray) -> HashedText:
        """This one with coefficients, rounded as they are stored: to 11 bits."""
        scale = float(np.abs(coefficients).max()) or 1.0
        rounded = (coefficients / scale).astype(np.float16).astype(np.float64) * scale
        return replace(self, coefficients=rounded)

    def predict(self, prompts: Sequence[str | QuestionFeatures]) -> tuple[FloatArray, NDArray[np.bool_]]:
        """Predictions without the intercept, and whether enough of each question's n-grams is known."""
        rows, shares = self._rows([as_features(prompt) for prompt in prompts])
        return rows @ self.coefficients, shares >= self.least_known

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """What is stored of it, by name."""
        scale = float(np.abs(self.coefficients).max(initial=0.0)) or 1.0
        return {
            "places": self.places,
            "rarity": self.rarity,
            "coefficients": (self.coefficients / scale).astype(np.float16),
            "numbers": np.array([scale, self.rarest, self.least_known]),
        }

    def _rows(
        self, features: Sequence[QuestionFeatures], alone: NDArray[np.bool_] | None = None
    ) -> tuple[Any, FloatArray]:
        """The rows, shape (questions, places), and the share of each question's n-grams that is known."""
        from scipy import sparse

        count = len(features)
        lengths = [len(places) for places, _ in features]
        places = np.concatenate([one for one, _ in features])
        values = np.concatenate([one for _, one in features]).astype(np.float64)
        question = np.repeat(np.arange(count), lengths)
        at = np.minimum(self.places.searchsorted(places), max(0, len(self.places) - 1))
        is_known = self.places[at] == places if len(self.places) else np.zeros(len(places), dtype=bool)
        counted = is_known if alone is None else is_known & ~alone[at]
        known = np.bincount(question, values * counted, minlength=count)
        shares: FloatArray = known / np.maximum(np.bincount(question, values, minlength=count), 1e-12)
        values *= np.where(is_known, self.rarity[at] if len(self.places) else 0.0, self.rarest)
        block = 2 * question + (places >= WORDS)
        squares = np.bincount(block, values**2, minlength=2 * count)
        values /= np.sqrt(np.maximum(squares, 1e-12))[block]
        entries = (values[is_known], (question[is_known], at[is_known]))
        return sparse.csr_array(entries, shape=(count, len(self.places))), shares


@dataclass(frozen=True, eq=False)
class EmbeddedText(TextModel):
    """A model's embeddings, centred and brought to length 1.

    Attributes:
        embeddings: The model.
        centre: The mean embedding of the fit.
        directions: The main directions of the fit, shape (columns, directions).
        coefficients: Shape (columns, 2).
        least_known: The least share of an embedding's square length that must lie in `directions`.
    """

    embeddings: Embeddings = field(repr=False)
    centre: FloatArray = field(repr=False)
    directions: FloatArray = field(repr=False)
    coefficients: FloatArray = field(repr=False)
    least_known: float

    @classmethod
    def fit(cls, prompts: Sequence[str | QuestionFeatures], embeddings: Embeddings) -> tuple[EmbeddedText, Rows]:
        """Read the questions of a fit: the model without coefficients, and their rows."""
        raw = _embedded(embeddings, prompts)
        centre = raw.mean(axis=0)
        rows = _unit(raw - centre)
        _, vectors = np.linalg.eigh(rows.T @ rows)
        directions = vectors[:, ::-1][:, :_DIRECTIONS].astype(np.float32).astype(np.float64)
        shares = ((rows @ directions) ** 2).sum(axis=1)
        least = min(_ENOUGH, float(np.quantile(shares, _UNLIKE)) * _BEYOND)
        return cls(embeddings, centre, directions, np.zeros((len(centre), _TARGETS)), least), rows

    def with_coefficients(self, coefficients: FloatArray) -> EmbeddedText:
        """This one with coefficients."""
        return replace(self, coefficients=coefficients)

    def predict(self, prompts: Sequence[str | QuestionFeatures]) -> tuple[FloatArray, NDArray[np.bool_]]:
        """Predictions without the intercept, and whether each embedding lies in the directions of the fit."""
        rows = _unit(_embedded(self.embeddings, prompts) - self.centre)
        return rows @ self.coefficients, ((rows @ self.directions) ** 2).sum(axis=1) >= self.least_known

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """What is stored of it, by name."""
        return {
            "centre": self.centre,
            "directions": self.directions.astype(np.float32),
            "coefficients": self.coefficients,
            "numbers": np.array([self.least_known]),
        }


def text_model(
    prompts: Sequence[str | QuestionFeatures], embeddings: Embeddings | None
) -> tuple[HashedText | EmbeddedText, Rows]:
    """The model of the texts of a fit, without coefficients, and their rows."""
    if embeddings is not None:
        return EmbeddedText.fit(prompts, embeddings)
    return HashedText.fit([as_features(prompt) for prompt in prompts])


def as_features(prompt: str | QuestionFeatures) -> QuestionFeatures:
    """The hashed n-grams of a text, or those that are given in its place.

    Raises:
        SettingsError: It is neither, or features that `hashed_features` does not give.
    """
    if isinstance(prompt, str):
        return hashed_features(prompt)
    wrong = f"a question must be a text or what hashed_features gave, got {type(prompt).__name__}"
    try:
        places, values = np.asarray(prompt[0], dtype=np.uint32), np.asarray(prompt[1], dtype=np.float32)
    except (TypeError, ValueError, IndexError) as error:
        raise SettingsError(wrong) from error
    if places.shape != values.shape or places.ndim != 1 or (len(places) and places.max() >= DIMENSIONS):
        raise SettingsError(wrong)
    return places, values


def _embedded(embeddings: Embeddings, prompts: Sequence[str | QuestionFeatures]) -> FloatArray:
    """The embeddings of some texts, shape (texts, columns).

    Raises:
        SettingsError: A question is no text, or the model gives something else than finite vectors of one length.
    """
    texts = [prompt for prompt in prompts if isinstance(prompt, str)]
    if len(texts) < len(prompts):
        raise SettingsError("an embedding model reads texts: hashed n-grams cannot be given to it")
    try:
        vectors = np.array(embeddings.embed_documents(texts), dtype=np.float64)
    except ValueError as error:
        raise SettingsError("the embedding model gave vectors of different lengths") from error
    if vectors.ndim != 2 or len(vectors) != len(texts) or not np.isfinite(vectors).all():
        raise SettingsError(f"the embedding model gave no finite vector for each of {len(texts)} texts")
    return vectors


def _unit(rows: FloatArray) -> FloatArray:
    """The rows brought to length 1."""
    lengths = np.sqrt((rows**2).sum(axis=1, keepdims=True))
    scaled: FloatArray = rows / np.maximum(lengths, 1e-12)
    return scaled
