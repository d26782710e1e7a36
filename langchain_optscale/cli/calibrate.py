"""The command `calibrate`: what to set, a learned stopping rule, or a certificate, from recorded candidates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_optscale.cli.options import add_command, counter, print_json, write_text
from langchain_optscale.errors import SettingsError

if TYPE_CHECKING:
    import argparse

    from langchain_optscale.evaluation.pools import Pool

__all__ = ["add_calibrate"]

_AS_UNTRAINED = (
    "the learned rule is not significantly better than the untrained default at as many samples, so the saved rule "
    "uses the default"
)


def add_calibrate(commands: Any) -> None:
    """Add the command `calibrate`."""
    about = (
        "Recommend target, confidence, cap and price from recorded candidates, and fit a calibration of the scores; "
        "or, with -o FILE.npz, learn when to stop; or, with --certify, which answers can be certified as right."
    )
    example = (
        "optscale calibrate pool.jsonl --budget 4 -o calibration.json\n"
        "  optscale calibrate pool.jsonl --samples 4 -o rule.npz\n"
        "  optscale calibrate pool.jsonl --certify --delta 0.05 -o certificate.json"
    )
    parser = add_command(commands, "calibrate", _calibrate, about, example)
    parser.add_argument("pool", metavar="POOL", help="a file with one JSON line a question")
    goal = parser.add_mutually_exclusive_group()
    goal.add_argument("--accuracy", type=float, metavar="P", help="the fewest samples for this accuracy, such as 0.9")
    goal.add_argument("--budget", type=float, metavar="N", help="the best accuracy for N samples a question")
    parser.add_argument("--max-samples", type=int, metavar="N", help="use the first N samples of each question")
    parser.add_argument("--seed", type=int, default=0, help="of orders and intervals (default 0)")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="save the calibration as .json, for CalibratedVerifier; or learn when to stop and save the rule as .npz",
    )
    learned = parser.add_argument_group("a learned rule (with -o FILE.npz)")
    learned.add_argument("--price", type=float, metavar="P", help="what a candidate is worth in accuracy, such as 0.01")
    learned.add_argument("--samples", type=float, metavar="N", help="or the mean number of samples to spend")
    learned.add_argument(
        "--no-labels", action="store_true", help="without right and wrong: learn from the choice of all samples"
    )
    learned.add_argument("--round-size", type=int, default=1, metavar="N", help="candidates a round (default 1)")
    certified = parser.add_argument_group("a certificate (with --certify)")
    certified.add_argument("--certify", action="store_true", help="fit a certificate for answers of the default search")
    certified.add_argument(
        "--delta", type=float, metavar="P", help="share of wrong answers to promise among the certified (default 0.1)"
    )
    certified.add_argument("--eps", type=float, metavar="P", help="probability that the promise fails (default 0.1)")
    learned.add_argument("--splits", type=int, default=2, metavar="N", help="splits in halves to judge it (default 2)")


def _calibrate(arguments: argparse.Namespace) -> None:
    from langchain_optscale.evaluation.pools import read_pool
    from langchain_optscale.evaluation.recommendation import recommend

    # Checked before the work, not after it.
    if arguments.output and not Path(arguments.output).parent.is_dir():
        raise SettingsError(
            f"{arguments.output} cannot be written: the directory {Path(arguments.output).parent} does not exist"
        )
    pool = read_pool(arguments.pool).scored()
    if arguments.max_samples is not None:
        pool = pool.head(arguments.max_samples)
    if arguments.certify:
        _certify(arguments, pool)
        return
    if arguments.delta is not None or arguments.eps is not None:
        raise SettingsError("--delta and --eps are for a certificate: give --certify as well")
    if str(arguments.output).endswith(".npz"):
        _learn(arguments, pool)
        return
    if arguments.price is not None or arguments.samples is not None or arguments.no_labels:
        raise SettingsError("--price, --samples and --no-labels are for a learned rule: give -o FILE.npz as well")
    if arguments.output and not pool.has_correct:
        raise SettingsError(
            f"pool {pool.name!r} does not say which samples are right, so there is no calibration to save; "
            "leave --output out"
        )
    with counter(arguments) as show:
        recommendation = recommend(
            pool, accuracy=arguments.accuracy, budget=arguments.budget, seed=arguments.seed, on_question=show
        )
    if arguments.output and recommendation.calibration is not None:
        recommendation.calibration.calibration.save(arguments.output)
    if arguments.json:
        print_json(recommendation.to_dict())
        return
    calibration = (arguments.output or "calibration.json") if recommendation.calibration else None
    usage = _usage(calibration, recommendation.choice.to_dict(), answers=pool.has_answers)
    if calibration and not arguments.output:
        usage = f"# give -o {calibration} to save the calibration that the target is to be read with\n{usage}"
    write_text(f"{recommendation.text()}\n\n{usage}\n")


def _certify(arguments: argparse.Namespace, pool: Pool) -> None:
    from langchain_optscale.evaluation.certification import certify

    goals = ("accuracy", "budget", "price", "samples")
    if any(getattr(arguments, name) is not None for name in goals) or arguments.no_labels:
        raise SettingsError("--certify fits a certificate to the default search: leave out what chooses other settings")
    if str(arguments.output).endswith(".npz"):
        raise SettingsError("a certificate is saved as JSON: give -o a name that ends in .json")
    delta, eps = (0.1 if value is None else value for value in (arguments.delta, arguments.eps))
    report = certify(pool, delta, eps)
    if arguments.output:
        report.certificate.save(arguments.output)
    if arguments.json:
        print_json(report.to_dict())
        return
    extract = "extract=..., " if pool.has_answers else ""
    file = arguments.output or "certificate.json"
    code = f"model = ChatOptScale(policy=policy, verifier=verifier, {extract}max_samples={pool.cap}, certify={file!r})"
    note = "" if arguments.output else f"# give -o {file} to save the certificate\n"
    write_text(f"{report.text()}\n\n{note}{code}\n")


def _learn(arguments: argparse.Namespace, pool: Pool) -> None:
    from langchain_optscale.evaluation.learning import assess
    from langchain_optscale.stopping import FittedStopping

    if arguments.accuracy is not None or arguments.budget is not None:
        raise SettingsError("--accuracy and --budget choose settings; for a learned rule give --price or --samples")
    fit: dict[str, Any] = {
        "price": arguments.price,
        "samples": arguments.samples,
        "labels": "none" if arguments.no_labels else "gold",
        "round_size": arguments.round_size,
    }
    with counter(arguments, "halves") as show:
        if show is not None:
            show(0, 2 * max(1, arguments.splits))
        rule = FittedStopping.fit(pool, seed=arguments.seed, **fit)
        assessment = assess(pool, splits=arguments.splits, seed=arguments.seed, on_half=show, **fit)
    rule.save(arguments.output)
    more = [_AS_UNTRAINED] if rule.defers else []
    if arguments.json:
        warnings = assessment.warnings() + more
        print_json({"file": arguments.output, "rule": repr(rule), **assessment.to_dict(), "warnings": warnings})
        return
    extract = "extract=..., " if rule.with_answers else ""
    code = f"model = ChatOptScale(policy=policy, verifier=verifier, {extract}settings={arguments.output!r})"
    warned = "".join(f"warning: {sentence}\n" for sentence in more)
    write_text(f"{assessment.text()}\n{warned}\n{rule!r}\n{code}\n")


def _usage(calibration: str | None, settings: dict[str, Any], *, answers: bool) -> str:
    """Code that uses the recommendation; with a target one candidate at a time, with answers if the pool has them."""
    gain = settings["min_gain"]
    shown = {name: value for name, value in settings.items() if name != "min_gain" and value is not None}
    given = ", ".join(f"{name}={value!r}" for name, value in shown.items())
    models = f"policy=policy, verifier=verifier{', extract=...' if answers else ''}"
    lines = []
    if calibration is not None:
        lines.append(f"verifier = CalibratedVerifier(verifier, Calibration.load({calibration!r}))")
    if settings["target"] is None:
        lines.append(f"model = ChatOptScale({models}, {given})")
    elif gain is None:
        lines.append(f"model = ChatOptScale({models}, {given}, round_size=1)")
    else:
        lines.append(f"rule = optscale({given}) | MarginalGain({gain!r})")
        most = settings["max_samples"]
        lines.append(f"model = ChatOptScale({models}, stopping=rule, max_samples={most}, round_size=1)")
    return "\n".join(lines)
