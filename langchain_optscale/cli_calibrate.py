"""The command `calibrate`: what to set, from recorded candidates."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from langchain_optscale.cli_options import add_command, print_json
from langchain_optscale.errors import SettingsError

if TYPE_CHECKING:
    import argparse

__all__ = ["add_calibrate"]


def add_calibrate(commands: Any) -> None:
    """Add the command `calibrate`."""
    about = "Recommend target, confidence, cap and price from recorded candidates, and fit a calibration of the scores."
    parser = add_command(
        commands, "calibrate", _calibrate, about, "optscale calibrate pool.jsonl --budget 4 -o calibration.json"
    )
    parser.add_argument("pool", metavar="POOL", help="a file with one JSON line a question")
    goal = parser.add_mutually_exclusive_group()
    goal.add_argument("--accuracy", type=float, metavar="P", help="the fewest samples for this accuracy, such as 0.9")
    goal.add_argument("--budget", type=float, metavar="N", help="the best accuracy for N samples a question")
    parser.add_argument("--max-samples", type=int, metavar="N", help="look at the first N samples of each question")
    parser.add_argument("--seed", type=int, default=0, help="of orders and intervals (default 0)")
    parser.add_argument("-o", "--output", metavar="FILE", help="save the calibration as JSON, for CalibratedVerifier")


def _calibrate(arguments: argparse.Namespace) -> None:
    from langchain_optscale.evaluation.pools import read_pool
    from langchain_optscale.evaluation.recommendation import recommend

    pool = read_pool(arguments.pool).scored()
    if arguments.max_samples is not None:
        pool = pool.head(arguments.max_samples)
    if arguments.output and not pool.has_correct:
        raise SettingsError(
            f"pool {pool.name!r} does not say which samples are right, so there is no calibration to save; "
            "leave --output out"
        )
    shown = None if arguments.json or not sys.stderr.isatty() else _show_progress
    recommendation = recommend(
        pool, accuracy=arguments.accuracy, budget=arguments.budget, seed=arguments.seed, on_question=shown
    )
    if arguments.output and recommendation.calibration is not None:
        recommendation.calibration.calibration.save(arguments.output)
    if arguments.json:
        print_json(recommendation.to_dict())
        return
    calibration = (arguments.output or "calibration.json") if recommendation.calibration else None
    sys.stdout.write(f"{recommendation.text()}\n\n{_usage(calibration, recommendation.choice.to_dict())}\n")
    if calibration and not arguments.output:
        sys.stderr.write(
            f"optscale: give -o {calibration} to save the calibration that the target is to be read with\n"
        )


def _usage(calibration: str | None, settings: dict[str, Any]) -> str:
    """How to use the recommendation, as code."""
    given = ", ".join(f"{name}={value!r}" for name, value in settings.items() if name != "min_gain")
    price = settings["min_gain"]
    lines = []
    if calibration is not None:
        lines.append(f"verifier = CalibratedVerifier(verifier, Calibration.load({calibration!r}))")
    if price is None:
        lines.append(f"model = ChatOptScale(policy=policy, verifier=verifier, {given})")
    else:
        lines.append(f"rule = optscale({given}) | MarginalGain({price!r})")
        most = settings["max_samples"]
        lines.append(f"model = ChatOptScale(policy=policy, verifier=verifier, stopping=rule, max_samples={most})")
    return "\n".join(lines)


def _show_progress(done: int, total: int) -> None:
    sys.stderr.write(f"\r{done} of {total} questions")
    if done == total:
        sys.stderr.write("\n")
    sys.stderr.flush()
