"""One verifier out of several, weighed by data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_optscale.errors import SettingsError
from langchain_optscale.verifiers.composite.joined import JoinedVerifier
from langchain_optscale.verifiers.composite.members import members_of

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence

    from langchain_optscale.stats.stacking import Labels, Stack
    from langchain_optscale.verifiers.adapters import VerifierLike

__all__ = ["StackedVerifier"]


class StackedVerifier(JoinedVerifier):
    """Joins several verifiers by weights that were learnt from data; the score is P(the candidate is right).

    Make it by `fit`, from recorded scores of each member on the same candidates, or by `load`. With labels the weights
    are those of a regularised logistic regression, chosen by cross-validation over questions. Without labels they come
    from the agreement of at least three members, as in Weaver (arXiv 2506.18203): a latent class says how probably each
    candidate is right. `stack.report` has the figures on questions left out, and `stack.chosen` says whether the stack,
    its best member, or equal weights are used: a stack that is worse than its best member by more than a standard error
    is replaced by it wherever labels show that.

    The members run at once, as in `EnsembleVerifier`. Where some fail, their place is taken by the middle of their
    scores, which says nothing; where all fail, the first one's error is raised. A `SettingsError` and a cancellation
    are always raised. The verdict's `raw` has each member's score by its name, None for a failed one; `usage` is the
    sum.

    Args:
        verifiers: Anything that `as_verifier` accepts, in the order in which the stack was fitted.
        stack: Scales and weights, from `stats.stacking.fit_stack`.

    Raises:
        SettingsError: There are not as many verifiers as the stack has members.

    Example:
        ```python
        stacked = StackedVerifier.fit([judge, reward_model, check], [judged, rewarded, checked], labels="none")
        stacked.save("stack.json")
        OptScale(policy=policy, verifier=StackedVerifier.load("stack.json", [judge, reward_model, check]), target=0.9)
        ```

        >>> import numpy as np
        >>> generator = np.random.default_rng(0)
        >>> right = generator.random(300) < 0.5
        >>> noise = generator.normal(0, (0.1, 0.4), (300, 2))
        >>> scores = np.clip(0.4 + 0.2 * right[:, None] + noise, 0, 1)
        >>> recorded = {"scores": scores, "groups": np.arange(300) // 6, "labels": right}
        >>> stacked = StackedVerifier.fit([lambda prompt, candidate: 0.9, lambda prompt, candidate: 0.5], recorded)
        >>> bool(stacked.stack.weights[0] > stacked.stack.weights[1])
        True
    """

    def __init__(self, verifiers: Iterable[VerifierLike], stack: Stack) -> None:
        super().__init__(members_of("StackedVerifier", verifiers))
        if len(self.verifiers) != len(stack.weights):
            raise SettingsError(
                f"the stack was fitted for {len(stack.weights)} members, got {len(self.verifiers)} verifiers"
            )
        self.stack = stack

    def __repr__(self) -> str:
        weights = [round(weight, 3) for weight in self.stack.weights]
        return f"StackedVerifier({list(self.verifiers)}, weights={weights}, chosen={self.stack.chosen!r})"

    @classmethod
    def fit(
        cls,
        verifiers: Iterable[VerifierLike],
        pools: Sequence[Any] | Mapping[str, Any],
        labels: Labels = "gold",
    ) -> StackedVerifier:
        """Learn the weights from recorded candidates.

        Args:
            verifiers: The members.
            pools: A pool for each member (see `evaluation.pools`), with the same questions and samples and that
                member's scores; None for a sample that a member has no score for. Or arrays: `{"scores": [n, m],
                "groups": [n], "labels": [n]}`, NaN for what is missing; labels may be left out with `labels="none"`.
            labels: "gold" learns from `correct` of the samples, "none" from agreement alone; then labels, where there
                are some, only check the stack.

        Raises:
            SettingsError: The pools differ, or there are too few labels.
        """
        from langchain_optscale.stats.stacking import fit_stack

        members = members_of("StackedVerifier", verifiers)
        scores, groups, known = _table(pools, len(members))
        return cls(members, fit_stack(scores, groups, known, labels))

    @classmethod
    def load(cls, path: str | os.PathLike[str], verifiers: Iterable[VerifierLike]) -> StackedVerifier:
        """Read the weights that `save` wrote, for these members.

        Raises:
            InvalidRecordError: The file is no stack, or damaged; the message names it.
            SettingsError: It cannot be read, or was fitted for another number of members.
        """
        from langchain_optscale.stats.stacking import Stack

        return cls(verifiers, Stack.load(path))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write scales and weights as a JSON file, in one step; the members are not written.

        Raises:
            SettingsError: The file cannot be written.
        """
        self.stack.save(path)

    @property
    def skips_failures(self) -> bool:
        """Always: the middle of its scores takes the place of a member that failed."""
        return True

    def joined_score(self, scores: Sequence[float | None]) -> float:
        """P(the candidate is right) by these scores."""
        return self.stack(list(scores))


def _table(pools: Any, count: int) -> tuple[Any, Any, Any]:
    """Scores [n, m], groups [n] and labels [n] of pools or arrays."""
    from collections.abc import Mapping

    if isinstance(pools, Mapping):
        if unknown := sorted(pools.keys() - {"scores", "groups", "labels"}):
            raise SettingsError(f"unknown array {unknown[0]!r}; known are scores, groups and labels")
        if missing := sorted({"scores", "groups"} - pools.keys()):
            raise SettingsError(f"the array {missing[0]!r} is missing")
        if any(len(row) != count for row in pools["scores"]):
            raise SettingsError(f"each row of scores must have one of each of the {count} verifiers")
        return pools["scores"], pools["groups"], pools.get("labels")
    pools = list(pools)
    if len(pools) != count:
        raise SettingsError(f"each of the {count} verifiers needs a pool with its scores, got {len(pools)} pools")
    columns = [[_of(sample.score) for question in pool for sample in question.samples] for pool in pools]
    shapes = {tuple((question.id, len(question.samples)) for question in pool) for pool in pools}
    if len(shapes) > 1:
        raise SettingsError("the pools must have the same questions, with as many samples each, in the same order")
    asked = list(pools[0])
    groups = [number for number, question in enumerate(asked) for _ in question.samples]
    known = [_of(sample.correct) for question in asked for sample in question.samples]
    return [list(row) for row in zip(*columns, strict=True)], groups, known


def _of(value: float | bool | None) -> float:
    return float("nan") if value is None else float(value)
