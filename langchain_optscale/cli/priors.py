"""The command `train-prior`: learn what scores to expect from recorded ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_optscale.cli.options import add_command, print_json, write_text
from langchain_optscale.errors import InvalidRecordError

if TYPE_CHECKING:
    import argparse

__all__ = ["add_train_prior"]


def add_train_prior(commands: Any) -> None:
    """Add the command `train-prior`."""
    about = "Learn from recorded scores what the next question's scores will be like; OptScale takes it as prior=."
    parser = add_command(commands, "train-prior", _train_prior, about, "optscale train-prior pool.jsonl -o prior.json")
    parser.add_argument("data", nargs="+", metavar="DATA", help="pools: files with one JSON line a question")
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="the prior, as JSON")


def _train_prior(arguments: argparse.Namespace) -> None:
    from langchain_optscale.evaluation.pools import read_pool
    from langchain_optscale.stats.empirical_prior import EmpiricalPrior

    score_lists: list[list[float]] = []
    for path in arguments.data:
        for question in read_pool(path):
            scores = [sample.score for sample in question.samples if sample.score is not None]
            if len(scores) < len(question.samples):
                raise InvalidRecordError(
                    f"{path}: question {question.id!r} has samples without a score: score them first"
                )
            score_lists.append(scores)
    prior = EmpiricalPrior.fit(score_lists)
    prior.save(arguments.output)
    figures = {
        "output": arguments.output,
        "questions": len(score_lists),
        "scores": sum(map(len, score_lists)),
        "mu": prior.mu,
        "mu_std": prior.mu_std,
        "sigma": prior.sigma,
        "sigma_std": prior.sigma_std,
        "dirichlet_weight": prior.dirichlet.weight,
    }
    if arguments.json:
        print_json(figures)
        return
    sentence = (
        "{output}: from {scores} scores of {questions} questions; mu {mu:.3g} +- {mu_std:.2g}, "
        "sigma {sigma:.3g} +- {sigma_std:.2g}; {dirichlet_weight:.0%} of the questions follow no truncated normal\n"
    )
    write_text(sentence.format(**figures))
