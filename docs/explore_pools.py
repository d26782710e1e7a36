"""The recorded pools as the page concepts/explore.md has them: compact, and written into the page when it is built.

Scores are in thousandths, `right` has a character for each candidate, and answers are those of the model.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_optscale.evaluation.pools import read_pool

if TYPE_CHECKING:
    from langchain_optscale.evaluation.samples import Question

__all__ = ["embedded", "excerpt"]

POOLS = Path(__file__).parents[1] / "tests" / "data" / "pools"
NAMES = ("arithmetic_x64", "writing_x64")
MARK = "<!-- recorded pools -->"
_LONGEST_ANSWER = 16


def excerpt() -> dict[str, list[dict[str, Any]]]:
    """Every question of the pools with all its candidates."""
    return {name: [_question(one) for one in read_pool(POOLS / f"{name}.jsonl")] for name in NAMES}


def _question(question: Question) -> dict[str, Any]:
    samples = question.samples
    made: dict[str, Any] = {
        "prompt": question.prompt,
        "scores": [round(1000 * sample.score) for sample in samples if sample.score is not None],
    }
    if all(sample.correct is not None for sample in samples):
        made["right"] = "".join("01"[bool(sample.correct)] for sample in samples)
        made["answers"] = [(sample.answer or "")[:_LONGEST_ANSWER] for sample in samples]
    return made


def embedded(markdown: str) -> str:
    """The page with the pools in it, so that it needs no network and opens from the disk as well."""
    if MARK not in markdown:
        return markdown
    data = json.dumps(excerpt(), separators=(",", ":"), ensure_ascii=True).replace("<", "\\u003c")
    return markdown.replace(MARK, f'<script type="application/json" id="explore-pools">{data}</script>')
