"""Families of questions with known laws of scores, for simulations that know the truth.

Each family is a function of a random generator that answers with an array (QUESTIONS, SCORES + LAW): for every question
the scores that are played, and beside them enough more of the same law to tell an oracle what it is.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_optscale.stats import truncnorm

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_optscale.stats._masses import FloatArray

SHARED = Path(os.environ.get("OPTSCALE_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
QUESTIONS = 600
SCORES = 64
LAW = 1000


def truncated_normal(generator: np.random.Generator) -> FloatArray:
    mu = generator.normal(0.8, 0.15, (QUESTIONS, 1))
    sigma = np.clip(np.exp(generator.normal(math.log(0.12), 0.5, (QUESTIONS, 1))), 0.02, 0.8)
    return np.asarray(truncnorm.ppf(generator.random((QUESTIONS, SCORES + LAW)), mu, sigma))


def truncated_normal_wide(generator: np.random.Generator) -> FloatArray:
    mu, sigma = generator.uniform(0.3, 1.1, (QUESTIONS, 1)), generator.uniform(0.03, 0.4, (QUESTIONS, 1))
    return np.asarray(truncnorm.ppf(generator.random((QUESTIONS, SCORES + LAW)), mu, sigma))


def beta_of_moments(generator: np.random.Generator) -> FloatArray:
    """Beta scores with the moments of real process reward scores, or ones like them where the data is missing."""
    path = SHARED / "prior" / "math_train_score_moments.jsonl"
    if path.exists():
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        moments = np.array([(line["mean"], line["std"]) for line in lines])
        mean, std = moments[generator.choice(len(moments), QUESTIONS, replace=False)].T
    else:
        mean, std = generator.beta(14.0, 1.2, QUESTIONS), np.exp(generator.normal(math.log(0.06), 0.6, QUESTIONS))
    mean = np.clip(mean, 0.01, 0.99)
    std = np.minimum(std, 0.95 * np.sqrt(mean * (1.0 - mean)))
    size = (mean * (1.0 - mean) / std**2 - 1.0)[:, None]
    return generator.beta(mean[:, None] * size, (1.0 - mean[:, None]) * size, (QUESTIONS, SCORES + LAW))


def beta_broad(generator: np.random.Generator) -> FloatArray:
    mean = generator.beta(3.0, 2.0, (QUESTIONS, 1))
    size = np.exp(generator.normal(math.log(8.0), 0.8, (QUESTIONS, 1)))
    return generator.beta(mean * size, (1.0 - mean) * size, (QUESTIONS, SCORES + LAW))


def _right(generator: np.random.Generator) -> Any:
    return generator.random((QUESTIONS, SCORES + LAW)) < generator.beta(1.0, 1.0, (QUESTIONS, 1))


def right_or_wrong(generator: np.random.Generator) -> FloatArray:
    size = (QUESTIONS, SCORES + LAW)
    return np.where(_right(generator), generator.beta(14, 2, size), generator.beta(4, 4, size))


def right_or_wrong_apart(generator: np.random.Generator) -> FloatArray:
    size = (QUESTIONS, SCORES + LAW)
    return np.where(_right(generator), generator.beta(30, 1.5, size), generator.beta(2, 6, size))


FAMILIES: dict[str, Callable[[np.random.Generator], FloatArray]] = {
    "truncated normal": truncated_normal,
    "truncated normal, wide": truncated_normal_wide,
    "Beta, moments of data/prior": beta_of_moments,
    "Beta, broad": beta_broad,
    "right or wrong": right_or_wrong,
    "right or wrong, apart": right_or_wrong_apart,
    "steps of 0.05": lambda generator: np.rint(beta_broad(generator) * 20.0) / 20.0,
    "steps of 0.1": lambda generator: np.rint(beta_broad(generator) * 10.0) / 10.0,
    "passed or failed": lambda generator: _right(generator) * 1.0,
}
