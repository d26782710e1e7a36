"""What the default does in situations where the truth is known: candidates, accuracy, what it claims, what was true.

    python -m benchmarks.situations            prints the figures as JSON; 2 to 5 minutes
    python -m benchmarks.situations --write    also writes docs/situations.md
    python -m benchmarks.situations --only misconception   those whose name has the word

Where a situation has few claims, further questions are asked of the default alone, until a kind of claim has been made
40 times or 6,000 questions have been asked: a share of three claims says nothing.

Every question draws its own chance of a right candidate from Beta(1.2, 0.8) and
its own law of six wrong answers, unless the situation says otherwise.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_optscale.answers import MostProbable
from langchain_optscale.evaluation.baselines import AdaptiveConsistency, BestOfN, SelfConsistency
from langchain_optscale.evaluation.methods import SessionMethod
from langchain_optscale.evaluation.pools import Question, Sample
from langchain_optscale.evaluation.selection import place_of
from langchain_optscale.stats.binomial import clopper_pearson
from langchain_optscale.stopping import optscale

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from langchain_optscale.evaluation.methods import Method, Outcome

    Draws = tuple[Sequence[str | None], Sequence[float], Sequence[float]]
    Situation = Callable[[np.random.Generator, int], Draws]

PAGE = Path(__file__).parents[1] / "docs" / "situations.md"
QUESTIONS = 300
ENOUGH_CLAIMS, MOST_QUESTIONS = 40, 6000
CAPS = (16, 32)
CONFIDENCE = 0.95
TARGET = 0.9


def _answers(generator: np.random.Generator, cap: int, chance: float | None = None) -> list[str]:
    p = generator.beta(1.2, 0.8) if chance is None else chance
    law = generator.dirichlet([0.5] * 6)
    wrong = generator.choice(6, cap, p=law)
    return ["right" if hit else f"wrong {kind}" for hit, kind in zip(generator.random(cap) < p, wrong, strict=True)]


def _logistic(value: float) -> float:
    return 1.0 / (1.0 + math.exp(-value))


def _truth(answers: Sequence[str | None]) -> list[float]:
    return [float(answer == "right") for answer in answers]


def _check(chance: float, *, answers: bool) -> Situation:
    def draw(generator: np.random.Generator, cap: int) -> Draws:
        given = _answers(generator, cap, chance)
        scores = _truth(given)
        return given if answers else [None] * cap, scores, scores

    return draw


def _verifier(score: Callable[[np.random.Generator, bool, int, int], float], silent: float = 0.0) -> Situation:
    """Scores from whether the candidate is right, its place and the cap; some candidates have no answer."""

    def draw(generator: np.random.Generator, cap: int) -> Draws:
        given = _answers(generator, cap)
        scores = [score(generator, answer == "right", place, cap) for place, answer in enumerate(given)]
        spoken = [None if silent and generator.random() < silent else answer for answer in given]
        return spoken, scores, _truth(spoken)

    return draw


def _misconception(separation: float | None) -> Situation:
    """70 % of the candidates share a wrong answer; the logits of right ones are higher by the separation."""

    def draw(generator: np.random.Generator, cap: int) -> Draws:
        given = ["right" if generator.random() < 0.3 else "shared mistake" for _ in range(cap)]
        if separation is None:
            return given, [0.5] * cap, _truth(given)
        level = generator.normal(0.0, 0.5)
        scores = [
            _logistic(level + separation * ((answer == "right") - 0.5) + generator.normal(0.0, 0.7)) for answer in given
        ]
        return given, scores, _truth(given)

    return draw


def _repeated(*, scored: bool) -> Situation:
    """Every second candidate repeats an earlier one, letter by letter."""

    def draw(generator: np.random.Generator, cap: int) -> Draws:
        fresh = _answers(generator, cap)
        scores = [_informative(generator, answer == "right", 0, cap) for answer in fresh] if scored else [0.5] * cap
        source = [int(generator.integers(place)) if place and generator.random() < 0.5 else -1 for place in range(cap)]
        for place, earlier in enumerate(source):
            if earlier >= 0:
                fresh[place], scores[place] = fresh[earlier], scores[earlier]
        return fresh, scores, _truth(fresh)

    return draw


def _scores(law: Callable[[np.random.Generator, int], np.ndarray[Any, Any]]) -> Situation:
    def draw(generator: np.random.Generator, cap: int) -> Draws:
        scores = np.clip(law(generator, cap), 0.0, 1.0).tolist()
        return [None] * cap, scores, scores

    return draw


def _informative(generator: np.random.Generator, right: bool, _place: int, _cap: int) -> float:
    return _logistic(generator.normal(1.0 if right else -1.0, 1.0))


def _in_steps(generator: np.random.Generator, right: bool, _place: int, _cap: int) -> float:
    if generator.random() < (0.45 if right else 0.15):
        return 1.0
    return round(float(np.clip(generator.normal(0.7 if right else 0.5, 0.2), 0.0, 0.9)), 1)


SITUATIONS: dict[str, Situation] = {
    "0/1 check, p = 0.02, no answers": _check(0.02, answers=False),
    "0/1 check, p = 0.05, no answers": _check(0.05, answers=False),
    "0/1 check, p = 0.05, answers": _check(0.05, answers=True),
    "0/1 check, wrong in 10 %": _verifier(lambda g, right, *_: float(g.random() < (0.9 if right else 0.1))),
    "judge in steps of 0.1, 30 % ones": _verifier(_in_steps),
    "good verifier": _verifier(lambda g, right, *_: _logistic(g.normal(1.5 if right else -1.5, 1.0))),
    "squashed reward logits": _verifier(lambda g, right, *_: 0.5 + 0.05 * math.tanh(g.normal(0.7 if right else -0.3))),
    "verifier likes everything": _verifier(lambda g, *_: round(float(g.uniform(0.9, 1.0)), 3)),
    "blind verifier": _verifier(lambda g, *_: float(g.random())),
    "misconception, votes alone": _misconception(None),
    "misconception, good verifier": _misconception(4.0),
    "misconception, weak verifier": _misconception(1.0),
    "misconception, blind verifier": _misconception(0.0),
    "votes alone": _verifier(lambda *_: 0.5),
    "30 % silent, votes alone": _verifier(lambda *_: 0.5, 0.3),
    "60 % silent, votes alone": _verifier(lambda *_: 0.5, 0.6),
    "30 % silent, scored": _verifier(_informative, 0.3),
    "scores drift up": _verifier(lambda g, r, i, n: _logistic(g.normal(1.0 if r else -1.0, 1.0) + 3.0 * i / n)),
    "scores drift down": _verifier(lambda g, r, i, n: _logistic(g.normal(1.0 if r else -1.0, 1.0) - 3.0 * i / n)),
    "repeated candidates, scored": _repeated(scored=True),
    "repeated candidates, votes alone": _repeated(scored=False),
    "drifting scores, no answers": _scores(lambda g, n: g.normal(0.5, 0.1, n) + 0.3 * np.arange(n) / n),
    "unreachable target": _scores(lambda g, n: g.normal(0.5, 0.08, n)),
    "rare outliers": _scores(lambda g, n: np.where(g.random(n) < 0.05, 0.95, g.normal(0.3, 0.02, n))),
}


@dataclass
class Tally:
    """Sums over the questions of a situation."""

    drawn: float = 0.0
    value: float = 0.0


def figures(name: str, cap: int, questions: int, most: int = MOST_QUESTIONS, seed: int = 5) -> dict[str, Any]:
    """What the default and the baselines do in one situation."""
    generator = np.random.default_rng(seed)
    defaults: dict[str, Method] = {
        "default": SessionMethod(optscale(confidence=CONFIDENCE, max_samples=cap), "optscale")
    }
    if name in ("drifting scores, no answers", "unreachable target", "rare outliers"):
        defaults["default, target"] = SessionMethod(optscale(TARGET, CONFIDENCE, cap), "optscale")
    baselines: dict[str, Method] = {
        "best-of-n": BestOfN(cap),
        "majority": SelfConsistency(cap),
        "adaptive consistency": AdaptiveConsistency(0.95),
    }
    sums = {method: Tally() for method in (*defaults, *baselines)}
    claims = Claims()
    for _ in range(questions):
        question, values = _question(name, generator, cap)
        for method, made in (defaults | baselines).items():
            if method in ("majority", "adaptive consistency") and all(one.answer is None for one in question.samples):
                continue
            outcome = made.run(question, cap)
            sums[method].drawn += outcome.drawn / questions
            sums[method].value += values[outcome.chosen] / questions
            if method in defaults:
                claims.add(question, outcome)
        claims.questions += 1
    while claims.too_few() and claims.questions < most:
        question, _ = _question(name, generator, cap)
        for made in defaults.values():
            claims.add(question, made.run(question, cap))
        claims.questions += 1
    row: dict[str, Any] = {"situation": name, "cap": cap, "questions": questions}
    row |= {
        method: {"candidates": round(tally.drawn, 2), "value": round(tally.value, 4)}
        for method, tally in sums.items()
        if tally.drawn
    }
    row["claims"] = {
        claim: {
            "made": len(kept),
            "questions": claims.questions,
            "true": sum(kept),
            "interval": list(clopper_pearson(sum(kept), len(kept))),
        }
        for claim, kept in claims.made.items()
    }
    return row


def _question(name: str, generator: np.random.Generator, cap: int) -> tuple[Question, Sequence[float]]:
    answers, scores, values = SITUATIONS[name](generator, cap)
    samples = tuple(
        Sample(score=float(score), answer=answer, correct=bool(value == 1.0))
        for answer, score, value in zip(answers, scores, values, strict=True)
    )
    return Question("q", "?", samples), values


@dataclass
class Claims:
    """Whether the claims made at 0.95 hold, by what is claimed."""

    made: dict[str, list[bool]] = field(default_factory=dict)
    questions: int = 0

    def add(self, question: Question, outcome: Outcome) -> None:
        """Count what a search has claimed."""
        if outcome.claim != "not sure" and (outcome.probability or 0.0) >= CONFIDENCE:
            holds = _holds(outcome.claim, question.samples, outcome.chosen, outcome.drawn)
            self.made.setdefault(outcome.claim, []).append(holds)

    def too_few(self) -> bool:
        """Whether some claim is made, too seldom to say how often it holds."""
        return any(len(kept) < ENOUGH_CLAIMS for kept in self.made.values())


def _holds(claim: str, samples: Sequence[Sample], chosen: int, drawn: int) -> bool:
    """Whether what was claimed is so, by all samples up to the cap."""
    if claim == "stable":
        final = place_of(MostProbable(), samples)
        same = samples[final].answer == samples[chosen].answer
        return same if samples[chosen].answer is not None else final == chosen
    best = max(sample.score or 0.0 for sample in (samples[:drawn] if claim == "target reached" else samples))
    return (best >= TARGET) == (claim == "target reached")


def page(rows: Sequence[dict[str, Any]]) -> str:
    """The page with a table for each cap."""
    parts = [_HEAD]
    for cap in CAPS:
        parts.append(f"## Cap of {cap} candidates\n")
        parts.append(
            "| situation | default: candidates | value | best-of-n | majority "
            "| adaptive consistency: candidates, value "
            "| claimed 0.95 | true |\n|---|--:|--:|--:|--:|--:|---|---|"
        )
        for row in (row for row in rows if row["cap"] == cap):
            claimed = (
                "; ".join(_made(claim, found, row["questions"]) for claim, found in row["claims"].items()) or "nothing"
            )
            true = "; ".join(
                f"{found['true'] / found['made']:.3f} ({found['interval'][0]:.2f}-{found['interval'][1]:.2f})"
                for found in row["claims"].values()
            )
            adaptive = row.get("adaptive consistency")
            cells = [
                row["situation"],
                f"{row['default']['candidates']:.1f}",
                f"{row['default']['value']:.3f}",
                f"{row['best-of-n']['value']:.3f}",
                f"{row['majority']['value']:.3f}" if "majority" in row else "",
                f"{adaptive['candidates']:.1f}, {adaptive['value']:.3f}" if adaptive else "",
                claimed,
                true,
            ]
            parts.append("| " + " | ".join(cells) + " |")
        parts.append("")
    return "\n".join(parts)


def _made(claim: str, found: Mapping[str, Any], questions: int) -> str:
    more = f" of {found['questions']:,}" if found["questions"] > questions else ""
    return f"{claim} {found['made']}{more}"


_HEAD = f"""# Situations: what the default does where the truth is known

*Written by `python -m benchmarks.situations --write` (or `make situations`), figures and all.*

This page shows good and bad cases in simulation. It compares the default `optscale()` with best-of-N and majority at
the cap, and with adaptive consistency at 0.95, on {QUESTIONS} questions per situation.

- **Value** is the share of right answers, or the mean score if a task has only scores.
- **Claimed 0.95** counts the searches that claimed something with a probability of 0.95 or more. All others say "not
  sure".
- **True** is the share of these claims that hold, with the 95 % Clopper-Pearson interval.
- *Stable* means that the whole cap would have returned the same answer. Where such claims are rare, more questions
  were asked of the default alone, such as "40 of 1,752".
- *Target reached* and *target out of reach* are claimed only with `target={TARGET}`, in the last three situations.

The scores of a *blind* verifier do not depend on the answer; one that *likes everything* scores each candidate between
0.9 and 1. A *silent* candidate has no answer. Under a *misconception* 70 % of the candidates share a wrong answer.

Two warnings. If most candidates share a misconception and no verifier detects it, nothing untrained can know. The
default then returns the shared mistake, and claims at most that it is stable. And no claim says that an answer is
right: that takes labels.

Three things in the default were changed after they had been seen here. It waits longer if a verifier likes none of
the answers, if all scores are equally high, and while a check may err; how much longer was chosen with the checks
below in view. With scores, it calls fewer answers stable.
"""


def main() -> None:
    """Run every situation at every cap."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write docs/situations.md")
    parser.add_argument("--questions", type=int, default=QUESTIONS)
    parser.add_argument("--most", type=int, default=MOST_QUESTIONS, help="questions at most where claims are rare")
    parser.add_argument("--only", metavar="WORD", default="", help="situations whose name has this word")
    arguments = parser.parse_args()
    if arguments.write and arguments.only:
        parser.error("--write needs every situation: leave --only out")
    names = [name for name in SITUATIONS if arguments.only in name]
    rows = [figures(name, cap, arguments.questions, arguments.most) for cap in CAPS for name in names]
    if arguments.write:
        PAGE.write_text(page(rows), encoding="utf-8")
    print(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
