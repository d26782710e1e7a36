"""The command `train-prior`: learn what scores to expect from recorded ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_optscale.cli.options import add_command, print_json, write_text
from langchain_optscale.errors import InvalidRecordError, SettingsError

if TYPE_CHECKING:
    import argparse

    from langchain_optscale.evaluation.pools import Pool, Question

__all__ = ["add_train_prior"]

_QUESTION, _POPULATION = "question", "population"
# Levels at which a prior is checked on questions that were left out.
_LEVELS = tuple(level / 20 for level in range(1, 20))
_FEWEST, _MOST_HELD_OUT = 8, 200


def add_train_prior(commands: Any) -> None:
    """Add the command `train-prior`."""
    about = "Learn from recorded scores what the next question's scores will be like; OptScale takes it as prior=."
    parser = add_command(commands, "train-prior", _train_prior, about, "optscale train-prior pool.jsonl -o prior.npz")
    parser.add_argument("data", nargs="+", metavar="POOL", help="files with one JSON line a question")
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="the prior's file")
    parser.add_argument(
        "--kind",
        choices=(_POPULATION, _QUESTION),
        help='one prior for all questions (JSON), or one for each from its text (npz); default: "question" where FILE '
        "ends in .npz",
    )
    logits = parser.add_argument_group("pools of logits (by default the logistic is fitted to them)")
    logits.add_argument("--location", type=float, metavar="X", help="the logit that scores 0.5, as in the verifier")
    logits.add_argument("--scale", type=float, metavar="X", help="of the logistic, as in the verifier, above 0")


def _train_prior(arguments: argparse.Namespace) -> None:
    pools, logistic = _scored(arguments)
    questions = [question for pool in pools for question in pool]
    score_lists = [_scores(question) for question in questions]
    by_ending = _QUESTION if Path(arguments.output).suffix == ".npz" else _POPULATION
    kind = arguments.kind or by_ending
    train = _train_question if kind == _QUESTION else _train_population
    figures, sentence = train(arguments.output, [question.prompt for question in questions], score_lists)
    figures = {"output": arguments.output, "kind": kind, **logistic, **figures}
    if arguments.json:
        print_json(figures)
        return
    write_text(sentence)
    if logistic:
        write_text(
            "The logits became scores by Logistic(location={location:.6g}, scale={scale:.6g}): give the verifier the "
            "same as from_logits.\n".format(**logistic)
        )


def _train_population(output: str, prompts: list[str], score_lists: list[list[float]]) -> tuple[dict[str, Any], str]:
    from langchain_optscale.stats.empirical_prior import EmpiricalPrior

    prior = EmpiricalPrior.fit(score_lists)
    prior.save(output)
    figures: dict[str, Any] = {
        "questions": len(score_lists),
        "scores": sum(map(len, score_lists)),
        "mu": prior.mu,
        "mu_std": prior.mu_std,
        "sigma": prior.sigma,
        "sigma_std": prior.sigma_std,
        "dirichlet_weight": prior.dirichlet.weight,
        "held_out": _after_one_score(score_lists),
    }
    sentence = (
        f"{output}: from {figures['scores']} scores of {len(score_lists)} questions; mu {prior.mu:.3g} +- "
        f"{prior.mu_std:.2g}, sigma {prior.sigma:.3g} +- {prior.sigma_std:.2g}; {prior.dirichlet.weight:.0%} of the "
        "questions follow no truncated normal\n"
    )
    if held := figures["held_out"]:
        sentence += (
            "Of {questions} questions left out, the share of scores above a level is predicted from the first score "
            "within {error:.3f} on average, without a prior within {error_without_prior:.3f}.\n".format(**held)
        )
        if held["error"] >= held["error_without_prior"]:
            sentence += "This is no better than without a prior: do not use it, or record more questions.\n"
    sentence += "It holds for this policy and this verifier alone: train another one when either changes.\n"
    return figures, sentence


def _train_question(output: str, prompts: list[str], score_lists: list[list[float]]) -> tuple[dict[str, Any], str]:
    from langchain_optscale.learning.question_prior import FEWEST_QUESTIONS, QuestionPrior

    prior = QuestionPrior.fit(prompts, scores=score_lists)
    prior.save(output)
    report = prior.report
    sentence = f"{output}: from {report['scores']} scores of {report['questions']} questions\n"
    for name, shown in (("mean", "mean score"), ("std", "standard deviation")):
        if name in report:
            sentence += (
                "Of questions left out, the {shown} is predicted within {mae:.4f} on average, by a constant within "
                "{mae_of_constant:.4f}; rank correlation {rank_correlation:.2f}\n".format(shown=shown, **report[name])
            )
    if not report["useful"]:
        why = (
            f"there are fewer than {FEWEST_QUESTIONS} questions"
            if report["questions"] < FEWEST_QUESTIONS
            else "the text of these questions does not tell what their scores will be"
        )
        sentence += f"Every question gets the population's prior, since {why}: --kind population says the same.\n"
    sentence += "It holds for this policy and this verifier alone: train another one when either changes.\n"
    return {**report, "fingerprint": prior.fingerprint}, sentence


def _after_one_score(score_lists: list[list[float]]) -> dict[str, Any]:
    """How well the other scores of questions left out are predicted from the first; empty for too few questions.

    Mean absolute error of the share above a level, over `_LEVELS`, for a random half: with the prior of the other half,
    and without one.
    """
    import numpy as np

    from langchain_optscale.stats.empirical_prior import EmpiricalPrior
    from langchain_optscale.stats.posterior import Posterior

    known = [scores for scores in score_lists if len(scores) > 1]
    if len(known) < _FEWEST:
        return {}
    order = np.random.default_rng(0).permutation(len(known))
    prior = EmpiricalPrior.fit([known[place] for place in order[1::2]])
    errors = []
    for first, *others in (known[place] for place in order[: 2 * _MOST_HELD_OUT : 2]):
        realised = [np.mean([score >= level for score in others]) for level in _LEVELS]
        laws = (Posterior()([first], prior), Posterior()([first]))
        predicted = [[law.prob_next(level) for level in _LEVELS] for law in laws]
        errors.append(np.abs(np.subtract(predicted, realised)).mean(axis=1))
    with_prior, without = np.mean(errors, axis=0).tolist()
    return {"questions": len(errors), "error": with_prior, "error_without_prior": without}


def _scored(arguments: argparse.Namespace) -> tuple[list[Pool], dict[str, float]]:
    """The pools with scores, and the logistic that made them where there were logits."""
    from langchain_optscale.evaluation.pools import read_pool
    from langchain_optscale.verifiers import Logistic

    pools = [read_pool(path) for path in arguments.data]
    raw = [pool for pool in pools if pool.has_logits and not pool.has_scores]
    given = (arguments.location, arguments.scale)
    if not raw:
        if given != (None, None):
            raise SettingsError("--location and --scale are for pools of logits, and these have scores")
        return pools, {}
    if (None in given) != (given == (None, None)):
        raise SettingsError("--location and --scale go together: give both or neither")
    if None in given:
        logistic = Logistic.fit([sample.logit for pool in raw for sample in pool.samples if sample.logit is not None])
    else:
        logistic = Logistic(*given)
    made = [pool.from_logits(logistic.location, logistic.scale) if pool in raw else pool for pool in pools]
    return made, {"location": logistic.location, "scale": logistic.scale}


def _scores(question: Question) -> list[float]:
    scores = [sample.score for sample in question.samples if sample.score is not None]
    if len(scores) < len(question.samples):
        raise InvalidRecordError(f"question {question.id!r} has samples without a score")
    return scores
