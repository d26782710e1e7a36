"""What the text of a question tells of its scores: QuestionPrior on recorded score moments, in folds; prints JSON.

    python -m benchmarks.question_prior [--folds 5]         the measurements are found as in benchmarks.decision_pools

For each of five folds of the shuffled questions (the file is in the order of subjects) the predictor is fitted on the
other four. Reported, as means over the folds, beside what is compared:

- `moments`: mean absolute error and Spearman's correlation of the predicted mean and standard deviation, those of the
  best constant, and those of scikit-learn's TF-IDF (words 1-2, characters 3-5) with ridge in the same folds, where
  scikit-learn is installed; the share of 80 % intervals that hold, also by thirds of the predicted mean; process
  seconds of a fit, milliseconds of a prediction in a batch, and the size of the file.
- `first_round`: how many candidates are asked for in one round that shall reach 0.98 with confidence 0.95, at most 64,
  and the share of questions that do, where scores follow the Beta law with the recorded moments.
- `cost`: candidates asked for + 5 x rounds of the default rule in replay with scores of that law, cap 64, for several
  targets: with the question's prior, with the population's, without one, and with the intervals (bootstrap over
  questions) of the difference in percent.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special, stats

from benchmarks.decision_pools import SHARED
from langchain_optscale import QuestionPrior, Session, Verdict, optscale
from langchain_optscale.stats import Posterior
from langchain_optscale.stats.chances import least_draws

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from langchain_optscale.stats.estimation import ScorePrior

    FloatArray = NDArray[np.float64]

_CAP, _TARGET, _CONFIDENCE, _ROUND_COST = 64, 0.98, 0.95, 5.0
_TARGETS = (0.9, 0.95, 0.98)
_REPLAYED = 300


@dataclass(frozen=True)
class Data:
    """Questions with the moments of their scores, shuffled."""

    prompts: list[str]
    moments: FloatArray

    @classmethod
    def read(cls, seed: int) -> Data:
        """The shared measurements, shuffled."""
        path = SHARED / "prior" / "math_train_score_moments.jsonl"
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        order = np.random.default_rng(seed).permutation(len(rows))
        chosen = [rows[place] for place in order]
        return cls([row["prompt"] for row in chosen], np.array([[row["mean"], row["std"]] for row in chosen]))

    def part(self, places: NDArray[np.intp]) -> Data:
        """Some of the questions."""
        return Data([self.prompts[place] for place in places], self.moments[places])

    def shapes(self) -> tuple[FloatArray, FloatArray]:
        """A and b of the Beta law of each question's scores."""
        mean = self.moments[:, 0]
        spread = mean * (1.0 - mean)
        strength = spread / np.clip(self.moments[:, 1] ** 2, 1e-8, 0.98 * spread) - 1.0
        return mean * strength, (1.0 - mean) * strength


def fold(training: Data, held: Data, seed: int) -> dict[str, Any]:
    began = time.process_time()
    prior = QuestionPrior.fit(training.prompts, training.moments[:, 0].tolist(), training.moments[:, 1].tolist())
    seconds = time.process_time() - began
    began = time.process_time()
    laws = prior.predict(held.prompts)
    milliseconds = 1e3 * (time.process_time() - began) / len(laws)
    predicted = np.array([[law.mean, law.std] for law in laws])
    figures = {
        "ours": quality(held.moments, predicted),
        "constant": quality(held.moments, np.broadcast_to(training.moments.mean(axis=0), held.moments.shape)),
        **({"scikit_learn": quality(held.moments, by_scikit_learn(training, held))} if has_scikit_learn() else {}),
        "coverage": coverage(prior, held, predicted),
        "doubtful": float(np.mean([law.doubtful for law in laws])),
        "fit_process_seconds": seconds,
        "prediction_ms": milliseconds,
        "file_mb": size(prior),
    }
    return {"moments": figures, "first_round": first_round(prior, laws, held), "cost": costs(prior, laws, held, seed)}


def quality(truth: FloatArray, predicted: FloatArray) -> dict[str, float]:
    figures = {}
    for column, name in enumerate(("mean", "std")):
        figures[f"mae_{name}"] = float(np.abs(truth[:, column] - predicted[:, column]).mean())
        if np.ptp(predicted[:, column]) > 0.0:
            correlation = stats.spearmanr(truth[:, column], predicted[:, column]).statistic
            figures[f"spearman_{name}"] = float(correlation)
    return figures


def has_scikit_learn() -> bool:
    return importlib.util.find_spec("sklearn") is not None


def by_scikit_learn(training: Data, held: Data) -> FloatArray:
    """TF-IDF of words 1-2 and characters 3-5, and ridge, its strength chosen in hindsight, which favours it."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_union

    union = make_union(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
        TfidfVectorizer(analyzer="char", ngram_range=(3, 5), sublinear_tf=True),
    )
    rows, asked = union.fit_transform(training.prompts), union.transform(held.prompts)
    predictions = [Ridge(strength).fit(rows, training.moments).predict(asked) for strength in (1.0, 2.0, 4.0)]
    errors = np.array([np.abs(one - held.moments).mean(axis=0) for one in predictions])
    return np.column_stack([predictions[best][:, column] for column, best in enumerate(errors.argmin(axis=0))])


def coverage(prior: QuestionPrior, held: Data, predicted: FloatArray) -> dict[str, Any]:
    ends = prior.intervals(held.prompts, 0.8)
    inside = (ends[:, :, 0] <= held.moments) & (held.moments <= ends[:, :, 1])
    thirds = np.array_split(np.argsort(predicted[:, 0]), 3)
    return {
        "mean": float(inside[:, 0].mean()),
        "std": float(inside[:, 1].mean()),
        "mean_by_thirds": [float(inside[third, 0].mean()) for third in thirds],
    }


def size(prior: QuestionPrior) -> float:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "prior.npz")
        prior.save(path)
        return path.stat().st_size / 1e6


def first_round(prior: QuestionPrior, laws: list[Any], held: Data) -> dict[str, float]:
    a, b = held.shapes()
    chance = special.betaincc(a, b, _TARGET)

    def asked(priors: list[Any]) -> tuple[float, float]:
        counts = np.array([least_draws(one, _TARGET, _CONFIDENCE, _CAP) for one in priors])
        return float(counts.mean()), float((1.0 - (1.0 - chance) ** counts).mean())

    with np.errstate(divide="ignore"):
        oracle = np.clip(np.ceil(np.log(1.0 - _CONFIDENCE) / np.log1p(-np.minimum(chance, 1 - 1e-12))), 1, _CAP)
    ours, kept = asked(laws)
    population, kept_by_population = asked([prior.population])
    kept_by_population = float((1.0 - (1.0 - chance) ** population).mean())
    return {
        "question": ours,
        "population": population,
        "ratio": ours / population,
        "oracle": float(oracle.mean()),
        "reached_question": kept,
        "reached_population": kept_by_population,
        "reached_oracle": float((1.0 - (1.0 - chance) ** oracle).mean()),
        "reachable_within_cap": float((1.0 - (1.0 - chance) ** _CAP).mean()),
    }


def costs(prior: QuestionPrior, laws: list[Any], held: Data, seed: int) -> dict[str, Any]:
    """Candidates asked for + 5 x rounds of each question, by target and prior."""
    a, b = (shape[:_REPLAYED] for shape in held.shapes())
    scores = np.random.default_rng(seed).beta(a[:, None], b[:, None], (len(a), _CAP))
    found: dict[str, Any] = {}
    for target in _TARGETS:
        # A price that nothing falls below: the search ends at the target, at the cap, or where it is out of reach.
        rule = optscale(target, _CONFIDENCE, _CAP, round_cost=_ROUND_COST, price=1e-9)
        kinds: dict[str, list[ScorePrior | None]] = {
            "question": list(laws[: len(a)]),
            "population": [prior.population] * len(a),
            "none": [None] * len(a),
        }
        found[str(target)] = {
            kind: [search(rule, one, row) for one, row in zip(priors, scores.tolist(), strict=True)]
            for kind, priors in kinds.items()
        }
    return found


def search(rule: Any, prior: ScorePrior | None, scores: list[float]) -> tuple[float, bool]:
    """The cost of one search, and whether it reached the target."""
    session = Session(rule, estimator=Posterior(), prior=prior, max_samples=_CAP, round_size=_CAP)
    asked = rounds = 0
    while count := session.ask():
        asked, rounds = asked + count, rounds + 1
        for index in session.pending:
            if session.decision.stop:
                break
            session.tell(index, Verdict(scores[index]))
    return asked + _ROUND_COST * rounds, session.history.best >= next(rule.parts()).left.target


def summary(folds: list[dict[str, Any]]) -> dict[str, Any]:
    costs_of = {
        target: {kind: np.array([one for fold in folds for one in fold["cost"][target][kind]]) for kind in kinds}
        for target, kinds in folds[0]["cost"].items()
    }
    return {
        "moments": mean_of([fold["moments"] for fold in folds]),
        "first_round": mean_of([fold["first_round"] for fold in folds]),
        "cost": {target: compared(kinds) for target, kinds in costs_of.items()},
    }


def compared(kinds: dict[str, Any]) -> dict[str, Any]:
    """Mean costs, shares that reached the target, and how far below the others the question's prior is, in percent."""
    ours = kinds["question"][:, 0]
    draws = np.random.default_rng(0).integers(0, len(ours), (2000, len(ours)))
    figures: dict[str, Any] = {kind: float(rows[:, 0].mean()) for kind, rows in kinds.items()}
    figures["reached"] = {kind: float(rows[:, 1].mean()) for kind, rows in kinds.items()}
    for other in ("population", "none"):
        theirs = kinds[other][:, 0]
        below = 100.0 * (1.0 - ours[draws].mean(axis=1) / theirs[draws].mean(axis=1))
        figures[f"percent_below_{other}"] = float(100.0 * (1.0 - ours.mean() / theirs.mean()))
        figures[f"percent_below_{other}_interval"] = [float(end) for end in np.quantile(below, (0.025, 0.975))]
    return figures


def mean_of(parts: list[Any]) -> Any:
    """The mean of equal structures of numbers."""
    if isinstance(parts[0], dict):
        return {name: mean_of([part[name] for part in parts]) for name in parts[0]}
    if isinstance(parts[0], list):
        return [mean_of(list(column)) for column in zip(*parts, strict=True)]
    return float(np.mean(parts))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folds", type=int, default=5, help="how many of the five folds are held out (default 5)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    data = Data.read(arguments.seed)
    parts = np.array_split(np.arange(len(data.prompts)), 5)
    found = [
        fold(data.part(np.setdiff1d(np.arange(len(data.prompts)), held)), data.part(held), number)
        for number, held in enumerate(parts[: arguments.folds])
    ]
    print(json.dumps({"questions": len(data.prompts), "folds": len(found), **summary(found)}, indent=2))


if __name__ == "__main__":
    main()
