"""The command `learn`: what the searches in a store teach, as a file for `settings=`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_optscale.cli.options import add_command, print_json, write_text
from langchain_optscale.cli.store import open_store
from langchain_optscale.errors import SettingsError

if TYPE_CHECKING:
    import argparse

    from langchain_optscale.learning.learned_file import LearnedPair, LearnedSettings

__all__ = ["add_learn"]


def add_learn(commands: Any) -> None:
    """Add the command `learn`."""
    about = (
        "Learn from the searches that a store has recorded: what scores are like, when to stop earlier than the "
        "untrained default, how answers agree, and which of them can be certified. Every part is tried on the newest "
        "fifth of the searches, and takes the place of the former one only if it is not worse there."
    )
    example = (
        "optscale learn optscale.db -o learned.npz\n"
        "  optscale learn optscale.db -o learned.npz --effort high\n"
        "  optscale learn --restore learned.npz"
    )
    parser = add_command(commands, "learn", _learn, about, example)
    parser.add_argument(
        "store", metavar="STORE", help="the SQLite file, or the URL of the database; with --restore the learned file"
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="the learned settings, an .npz; what it held is kept")
    parser.add_argument(
        "--effort",
        choices=["low", "medium", "high"],
        default="medium",
        help="of the search (default medium)",
    )
    parser.add_argument("--price", type=float, metavar="P", help="or what the whole cap may cost in accuracy, as 0.04")
    parser.add_argument("--delta", type=float, default=0.1, metavar="P", help="of a certificate (default 0.1)")
    parser.add_argument("--eps", type=float, default=0.1, metavar="P", help="of a certificate (default 0.1)")
    parser.add_argument("--restore", action="store_true", help="put back what the learned file held before")


def _learn(arguments: argparse.Namespace) -> None:
    from langchain_optscale.learning.learned_file import LearnedSettings, restore
    from langchain_optscale.learning.refit import learn
    from langchain_optscale.stopping.learned.improving import PRICES

    if arguments.restore:
        _show(restore(arguments.store), arguments.store, json=arguments.json)
        return
    output = arguments.output
    if output is not None and not str(output).endswith(".npz"):
        raise SettingsError(f"learned settings are an npz file: give -o a name that ends in .npz, not {output}")
    former = LearnedSettings.load(output) if output is not None and Path(output).exists() else None
    price = PRICES[arguments.effort] if arguments.price is None else arguments.price
    with open_store(arguments.store) as store:
        learned = learn(store.rows(), former, price=price, delta=arguments.delta, eps=arguments.eps)
        if output is not None:
            learned.save(output)
            store.add_event("learned", {"version": learned.version, "pairs": len(learned.pairs), "file": str(output)})
    _show(learned, output, json=arguments.json)


def _show(learned: LearnedSettings, path: str | None, *, json: bool) -> None:
    if json:
        print_json({"version": learned.version, "file": path, **learned.to_dict()})
        return
    lines = [f"version {learned.version}, {len(learned.pairs)} pairs of policy and verifier"]
    for part in learned.pairs.values():
        lines += ["", *_told(part)]
    if path is None:
        lines += ["", "# give -o learned.npz to save it"]
    else:
        lines += ["", f"model = ChatOptScale(policy=policy, verifier=verifier, extract=..., settings={str(path)!r})"]
    write_text("\n".join(lines) + "\n")


def _told(part: LearnedPair) -> list[str]:
    """What was learned about one pair, a line a part."""
    name = f"{_name(part.policy)} with {_name(part.verifier)}"
    lines = [f"{name}: {part.searches} searches, {part.labels} with labels, {part.explored} explored"]
    texts = {
        "stopping": "stops earlier than the untrained default",
        "fitted": "stops earlier or later, as explored searches show",
        "prior": "knows what scores are like",
        "question_prior": "knows what scores are like from the question's text",
        "answers": "knows how answers agree",
        "certificate": "certifies answers",
    }
    for key, text in texts.items():
        about = part.report.get(key, {})
        reason = about.get("reason")
        known = getattr(part, key) is not None
        note = "" if reason is None else f": {reason}"
        figures = _figures(key, about) if known else ""
        lines.append(f"  {'yes' if known else 'no ':3}  {text}{figures}{note}")
    return lines


def _figures(key: str, about: Any) -> str:
    if key == "stopping" and (left := about.get("left_out")):
        return (
            f"; on {left['searches']} searches left out it saves {left['saved']:.0%} of the candidates and loses "
            f"{100.0 * left['lost']:+.1f} points (standard error {100.0 * left['lost_error']:.1f})"
        )
    if key == "fitted" and "gain" in about:
        return (
            f"; on the {about['explored']} explored searches, each left out of the fit, it gains "
            f"{100.0 * about['gain']:+.1f} points less the price (standard error {100.0 * about['gain_error']:.1f})"
        )
    if key == "certificate":
        return f"; {about['accepted']} of {about['labels']} labelled ones, {about['wrong']} of them wrong"
    return ""


def _name(facts: Any) -> str:
    return " ".join(str(facts[key]) for key in ("class", "model") if facts.get(key)) or "unknown"
