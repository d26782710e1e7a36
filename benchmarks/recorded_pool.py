"""A recorded pool as the pool server and the peers' verifiers see it: prompts found in requests, samples in texts."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from langchain_optscale.errors import InvalidRecordError

if TYPE_CHECKING:
    from langchain_optscale.evaluation.pools import Pool, Question, Sample

__all__ = ["RecordedPool", "answer_in", "sample_text"]

_MARKER = re.compile(r"<sample (\d+) of ([^<>]+)>")
# DSPy's adapter takes its end marker away; who sees the raw reply has it still.
_ANSWER = re.compile(r"^The answer is: (.*?)\s*(?:\[\[ ## completed ## \]\]|\Z)", re.DOTALL | re.MULTILINE)


class RecordedPool:
    """A pool with what the server needs of it: prompts to be found in requests, samples to be found in texts.

    Args:
        pool: Every sample has a score, correctness and tokens; ids have no "<" and ">", and prompts differ.

    Raises:
        InvalidRecordError: Something is missing.
    """

    def __init__(self, pool: Pool) -> None:
        if not (pool.has_scores and pool.has_correct and all(sample.tokens is not None for sample in pool.samples)):
            raise InvalidRecordError(f"pool {pool.name!r} must have score, correct and tokens for every sample")
        if bad := next((question.id for question in pool if set("<>") & set(question.id)), None):
            raise InvalidRecordError(f"the pool server marks ids by < and >, and {bad!r} has such a character")
        prompts = Counter(question.prompt.strip() for question in pool)
        if "" in prompts or max(prompts.values(), default=1) > 1:
            raise InvalidRecordError(
                f"pool {pool.name!r}: prompts must differ and not be empty, to be found in requests"
            )
        self._by_id = {question.id: question for question in pool}
        longest_first = sorted(pool, key=lambda question: -len(question.prompt))
        self._by_prompt = [(question.prompt.strip(), question) for question in longest_first]

    def question_in(self, text: str) -> Question | None:
        """The question whose prompt is contained in `text`; the longest prompt, where several are."""
        return next((question for prompt, question in self._by_prompt if prompt in text), None)

    def sample_in(self, text: str) -> Sample | None:
        """The sample that `text` stands for; None where it names none of this pool."""
        for found in _MARKER.finditer(text):
            question = self._by_id.get(found[2])
            if question and int(found[1]) < len(question.samples):
                return question.samples[int(found[1])]
        return None

    def score(self, text: str) -> float:
        """The recorded score of the sample that `text` stands for: the verifier of every peer.

        Raises:
            LookupError: It stands for none.
        """
        sample = self.sample_in(text)
        if sample is None or sample.score is None:
            raise LookupError(f"no recorded sample in {text[:80]!r}")
        return sample.score


def sample_text(question: Question, index: int) -> str:
    """What stands for sample `index` in a reply; `RecordedPool.sample_in` and `answer_in` read it."""
    answer = question.samples[index].answer
    # A sample that was cut off before its answer must not count as agreeing with others on an empty one.
    told = f"The answer is: {answer}" if answer else "There is no answer."
    return f"<sample {index} of {question.id}>\n{told}"


def answer_in(text: str) -> str | None:
    """The final answer that a text of the pool server states, None where it states none."""
    found = _ANSWER.search(text)
    return found[1] if found else None
