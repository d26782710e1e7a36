"""The posterior over answers on recorded pools: what it saves at no lower accuracy, and how true its probability is.

On each pool, with the cap of best-of-N in brackets: MATH level 3 (5) and GSM8K with log-probability scores (16) from
`$OPTSCALE_SHARED_DATA`, where they are, and our own arithmetic (32).

- labelled: calibration, constants and the stopping rule's two settings are fitted and chosen on one half of the
  questions, and reported on the other; both ways, for several splits in halves. The fit starts from `NEUTRAL`, which no
  pool has informed. Settings are the cheapest that are as accurate as the reference with a margin of half a standard
  error.
- unlabelled: fitted without labels on the first halves, the rule's settings those of the default.
- untrained: the default model and settings through the real `Session`. Both are reported on the second halves alone,
  since the constants of the package were chosen on the first halves: `python -m benchmarks.answers --constants`.

Prints one JSON document.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_optscale.answers import AnswerModel, AnswerPosterior, fit_labelled, fit_unlabelled
from langchain_optscale.answers._recorded import columns_of, logits_of
from langchain_optscale.answers.fitting import fit_constants, held_out_logits
from langchain_optscale.evaluation.baselines import AdaptiveConsistency, BestOfN, optscale_0
from langchain_optscale.evaluation.catalogue import METHODS
from langchain_optscale.evaluation.pools import Pool, read_pool
from langchain_optscale.evaluation.replay import drawing_orders, replay
from langchain_optscale.stats import expected_calibration_error
from langchain_optscale.stopping import AnswerConfidence, History

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from langchain_optscale.evaluation.pools import Question

SHARED = Path(os.environ.get("OPTSCALE_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
OURS = Path(__file__).parents[1] / "tests" / "data" / "pools"
POOLS = {
    "math_level3": (SHARED / "pools" / "math_level3_gpt4omini_x5.jsonl", 5),
    "gsm8k_logprob_x16_a": (SHARED / "pools" / "gsm8k_logprob_x16_a.jsonl", 16),
    "arithmetic_x64": (OURS / "arithmetic_x64.jsonl", 32),
}
ORDERS = 4
SPLITS = 4
MARGIN = 0.5
CONFIDENCES = (0.8, 0.9, 0.95, 0.98)
PRICES = (0.0, 0.003, 0.005, 0.007, 0.01, 0.014, 0.02, 0.028, 0.04, 0.06)
DEFAULT_SETTING = (0.95, 0.01)
SIMULATIONS = 400
NEUTRAL = AnswerModel(
    right=0.5,
    firmness=2.0,
    concentration=2.0,
    silence=0.1,
    separation=1.5,
    centre=0.0,
    slope=0.5,
    question_std=1.0,
    answer_std=1.0,
    candidate_std=1.0,
)
# The default model must not rest on the scale of the three verifiers at hand: logits are stretched and moved.
DISTORTIONS = ((1.0, 0.0), (0.6, 0.8), (0.6, -0.8), (1.6, 0.8), (1.6, -0.8))


@dataclass(frozen=True, eq=False)
class Tracks:
    """Every prefix of every order of Q questions; arrays of shape (Q, orders, cap) but for `whole`.

    Attributes:
        probability: P(leader is right).
        right: Whether the selected candidate is right.
        leader: The leading answer, "" without one.
        gain: The largest expected rise of the probability per further candidate.
        whole: By question, the posterior given all its samples: answers, and their probabilities.
    """

    probability: NDArray[np.float64]
    right: NDArray[np.bool_]
    leader: NDArray[np.str_]
    gain: NDArray[np.float64]
    whole: tuple[tuple[list[str], list[float]], ...]

    def stopped(self, confidence: float, price: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Samples drawn and accuracy, by question."""
        over = (self.probability >= confidence) | (self.gain < price)
        over[..., -1] = True
        last = over.argmax(-1)
        right = np.take_along_axis(self.right, last[..., None], -1)[..., 0]
        return (last + 1.0).mean(1), right.mean(1)


def ordered(question: Question, cap: int) -> list[tuple[list[str | None], list[float], list[bool]]]:
    """Answers, scores and correctness of the first `cap` samples in each order."""
    columns = []
    for order in drawing_orders(question, ORDERS, 0):
        samples = [question.samples[place] for place in order[:cap]]
        scores = [sample.score or 0.0 for sample in samples]
        columns.append(([sample.answer for sample in samples], scores, [bool(sample.correct) for sample in samples]))
    return columns


def track(questions: Sequence[Question], model: AnswerModel, cap: int) -> Tracks:
    shape = (len(questions), ORDERS, cap)
    probability, gain = np.zeros(shape), np.full(shape, np.inf)
    right, leader, whole = np.zeros(shape, np.bool_), np.zeros(shape, "U64"), []
    for place, question in enumerate(questions):
        for order, (answers, scores, correct) in enumerate(ordered(question, cap)):
            for n in range(1, cap + 1):
                at = (place, order, n - 1)
                posterior = AnswerPosterior.of(answers[:n], scores[:n], model)
                if posterior.place is None:
                    right[at] = correct[int(np.argmax(scores[:n]))]
                    continue
                probability[at], right[at] = posterior.probability, correct[posterior.place]
                leader[at] = posterior.leader
                left = max(cap - n, 1)
                gain[at] = max(rise / k for k, rise in posterior.expected_rise().items() if k <= left)
        final = AnswerPosterior.of(
            [sample.answer for sample in question.samples],
            [sample.score or 0.0 for sample in question.samples],
            model,
        )
        whole.append(([name[:64] for name in final.probabilities], list(final.probabilities.values())))
    return Tracks(probability, right, leader, gain, tuple(whole))


def joined(parts: Sequence[Tracks]) -> Tracks:
    names = ("probability", "right", "leader", "gain")
    arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return Tracks(**arrays, whole=tuple(one for part in parts for one in part.whole))


def error(tracks: Tracks, right: NDArray[np.bool_]) -> float:
    return expected_calibration_error(tracks.probability.ravel().tolist(), right.ravel().tolist())


def band(tracks: Tracks) -> float:
    """The 95th percentile of the error that these predictions have where the model is true."""
    generator = np.random.default_rng(0)
    errors = []
    for _ in range(SIMULATIONS):
        truth = []
        for names, chances in tracks.whole:
            place = int(np.searchsorted(np.cumsum(chances), generator.random()))
            truth.append(names[place] if place < len(names) else "none of them")
        errors.append(error(tracks, tracks.leader == np.array(truth)[:, None, None]))
    return float(np.percentile(errors, 95))


def reference(pool: Pool, cap: int) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Samples and accuracy by question of what ours is compared with."""
    report = replay(pool, [BestOfN(), AdaptiveConsistency()], permutations=ORDERS, max_samples=cap, bootstrap=1)
    return {
        name: (runs["samples"], runs["accuracy"]) for name, runs in zip(("best", "votes"), report.runs, strict=True)
    }


def choose(tracks: Tracks, accuracy: NDArray[np.float64]) -> tuple[float, float]:
    """The cheapest setting that is as accurate as the reference with a margin, else the most accurate one."""
    rows = []
    for confidence in CONFIDENCES:
        for price in PRICES:
            samples, right = tracks.stopped(confidence, price)
            gain = right - accuracy
            able = gain.mean() >= MARGIN * gain.std() / np.sqrt(len(gain)) - 1e-12
            rows.append((not able, samples.mean() if able else -right.mean(), samples.mean(), (confidence, price)))
    return min(rows)[-1]


def labelled(pool: Pool, cap: int) -> dict[str, Any]:
    """Fitted and chosen on one half, reported on the other."""
    against = reference(pool, cap)
    totals: dict[str, list[float]] = {}
    chosen: list[tuple[float, float]] = []
    for seed in range(SPLITS):
        first = {question.id for question in pool.split(seed=seed)[0]}
        is_first = np.array([question.id in first for question in pool])
        tested = []
        for mine in (is_first, ~is_first):
            train = [question for question, is_mine in zip(pool, mine, strict=True) if is_mine]
            test = [question for question, is_mine in zip(pool, mine, strict=True) if not is_mine]
            model = fit_labelled(train, start=NEUTRAL)
            on_train, on_test = track(train, model, cap), track(test, model, cap)
            tested.append(on_test)
            for name, (samples, accuracy) in against.items():
                setting = choose(on_train, accuracy[mine])
                ours = on_test.stopped(*setting)
                chosen += [setting] if name == "best" else []
                for label, values in (
                    ("samples", ours[0]),
                    ("accuracy", ours[1]),
                    ("reference_samples", samples[~mine]),
                    ("reference_accuracy", accuracy[~mine]),
                ):
                    totals.setdefault(f"{name}_{label}", []).append(float(values.mean()))
        both = joined(tested)
        totals.setdefault("ece", []).append(error(both, both.right))
        totals.setdefault("ece_band", []).append(band(both))
    means = {name: float(np.mean(values)) for name, values in totals.items()}
    return {
        "share_of_best_of_n": means["best_samples"] / means["best_reference_samples"],
        "share_of_adaptive_consistency": means["votes_samples"] / means["votes_reference_samples"],
        **means,
        "chosen": chosen,
    }


def unlabelled(pool: Pool, cap: int) -> dict[str, float]:
    """Fitted on the first half without its labels, reported on the second."""
    first, second = pool.split()
    blind = Pool(
        tuple(
            replace(question, gold=None, samples=tuple(replace(one, correct=None) for one in question.samples))
            for question in first
        )
    )
    tracks = track(second.questions, fit_unlabelled(blind), cap)
    samples, accuracy = tracks.stopped(*DEFAULT_SETTING)
    best = reference(second, cap)["best"]
    return {
        "samples": float(samples.mean()),
        "accuracy": float(accuracy.mean()),
        "best_of_n_accuracy": float(best[1].mean()),
        "share_of_best_of_n": float(samples.mean() / cap),
        "ece": error(tracks, tracks.right),
    }


def untrained(pool: Pool, cap: int) -> list[dict[str, Any]]:
    """The default on the second half, through the real session."""
    paper = [optscale_0(target, 0.95, min(3 if cap <= 8 else 5, cap)) for target in (0.85, 0.95)]
    methods = [METHODS["answers"](0.9, DEFAULT_SETTING[0], cap), BestOfN(), AdaptiveConsistency(), *paper]
    report = replay(pool.split()[1], methods, permutations=ORDERS, max_samples=cap)
    kept = ("method", "settings", "accuracy", "accuracy_ci", "samples", "samples_ci", "observed_confidence")
    return [{key: row[key] for key in kept} for row in report.to_dict()]


def decision_ms() -> dict[int, float]:
    """Median milliseconds of one decision with its look-ahead, by the number of candidates."""
    generator = np.random.default_rng(0)
    rule, medians = AnswerConfidence(0.99, min_gain=0.001), {}
    for n in (16, 64):
        seconds = []
        for _ in range(200):
            answers = tuple(str(answer) for answer in generator.integers(0, n // 3, n))
            history = History(scores=tuple(generator.random(n).tolist()), answers=answers, max_samples=4 * n)
            began = time.perf_counter()
            rule(history)
            seconds.append(time.perf_counter() - began)
        medians[n] = float(np.median(seconds)) * 1e3
    return medians


def constants(pools: dict[str, Pool]) -> dict[str, Any]:
    """The constants of the package, from the first halves: each pool counts as 100 questions."""
    columns = [columns_of(pool.split()[0], with_labels=True) for pool in pools.values()]
    raw = [
        (column, [stretch * logit + move for logit in logits_of(column, NEUTRAL.logit)])
        for column in columns
        for stretch, move in DISTORTIONS
    ]
    calibrated = [(column, held_out_logits(column, NEUTRAL)) for column in columns]
    return {
        "DEFAULT": fit_constants(raw, NEUTRAL, prior_std=0.3, questions=100 / len(DISTORTIONS)).to_dict(),
        "CALIBRATED_SCORES": fit_constants(calibrated, NEUTRAL, prior_std=0.3, questions=100).to_dict(),
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--constants", action="store_true", help="fit the package's constants instead")
    arguments = parser.parse_args()
    pools = {name: read_pool(path) for name, (path, _) in POOLS.items() if path.exists()}
    if arguments.constants:
        print(json.dumps(constants(pools), indent=1))
        return
    began = time.process_time()
    figures: dict[str, Any] = {"benchmark": "answers", "orders": ORDERS, "splits": SPLITS, "margin": MARGIN}
    figures["skipped"] = {name: f"{path} is missing" for name, (path, _) in POOLS.items() if name not in pools}
    for name, pool in pools.items():
        cap = POOLS[name][1]
        figures[name] = {
            "cap": cap,
            "labelled": labelled(pool, cap),
            "unlabelled": unlabelled(pool, cap),
            "untrained": untrained(pool, cap),
        }
    for kind, key in (
        ("labelled", "share_of_best_of_n"),
        ("labelled", "share_of_adaptive_consistency"),
        ("unlabelled", "share_of_best_of_n"),
    ):
        figures[f"{kind}_mean_{key}"] = float(np.mean([figures[name][kind][key] for name in pools]))
    saving = 1.0 - figures["labelled_mean_share_of_best_of_n"]
    figures["unlabelled_part_of_saving"] = (1.0 - figures["unlabelled_mean_share_of_best_of_n"]) / saving
    figures["decision_ms"] = decision_ms()
    figures["cpu_s"] = time.process_time() - began
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
