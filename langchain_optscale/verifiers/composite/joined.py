"""Members that run at once, and whose scores are joined into one."""

from __future__ import annotations

from abc import abstractmethod
from functools import partial
from typing import TYPE_CHECKING

from langchain_optscale.errors import SettingsError
from langchain_optscale.models.daemon_threads import as_finished
from langchain_optscale.records.candidates import Candidate, Verdict
from langchain_optscale.records.usage import Usage
from langchain_optscale.verifiers._concurrent import arun_together
from langchain_optscale.verifiers.composite.members import Composite, config_for, numbered_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.prompt_values import PromptValue
    from langchain_core.runnables import RunnableConfig

    from langchain_optscale.verifiers.base import Verifier

__all__ = ["JoinedVerifier"]


class JoinedVerifier(Composite):
    """Runs its members at once, in threads on the sync path and in tasks on the async one, and joins their verdicts.

    The verdict's `raw` has each member's score by its name (numbered where a name occurs twice), None for one that
    failed; its `usage` is the sum, its `explanation` joins theirs. A `SettingsError` and a cancellation are always
    raised; another error where `skips_failures` is false, or where all members fail: the first member's.
    """

    @property
    @abstractmethod
    def skips_failures(self) -> bool:
        """Whether the others' scores are joined where a member fails."""

    @abstractmethod
    def joined_score(self, scores: Sequence[float | None]) -> float:
        """The score in [0, 1] of the members' scores in their order, None for one that failed; never all None."""

    def verify(self, prompt: PromptValue, candidate: Candidate, config: RunnableConfig | None = None) -> Verdict:
        """Run all verifiers at once, each in a thread, and join their verdicts.

        Raises:
            Exception: A member's error, see the class.
        """
        calls = [partial(member.verify, prompt, candidate, config_for(member, config)) for member in self.verifiers]
        outcomes: dict[int, Verdict | BaseException] = {}
        for place, outcome in as_finished(calls):
            if isinstance(outcome, BaseException) and self._ends_all(outcome):
                raise outcome
            outcomes[place] = outcome
        return self._joined([outcomes[place] for place in range(len(calls))])

    async def averify(self, prompt: PromptValue, candidate: Candidate, config: RunnableConfig | None = None) -> Verdict:
        """As `verify`, each verifier in a task; where one ends all, the others are cancelled."""

        async def ask(member: Verifier) -> Verdict | Exception:
            try:
                return await member.averify(prompt, candidate, config_for(member, config))
            except Exception as error:
                if self._ends_all(error):
                    raise
                return error

        return self._joined(await arun_together([partial(ask, member) for member in self.verifiers], None))

    def _ends_all(self, error: BaseException) -> bool:
        return not self.skips_failures or not isinstance(error, Exception) or isinstance(error, SettingsError)

    def _joined(self, outcomes: Sequence[Verdict | BaseException]) -> Verdict:
        names = numbered_names(self.verifiers)
        verdicts = {name: one for name, one in zip(names, outcomes, strict=True) if isinstance(one, Verdict)}
        failed = {name: one for name, one in zip(names, outcomes, strict=True) if isinstance(one, BaseException)}
        if not verdicts:
            raise next(iter(failed.values()))
        said = [f"{name}: {verdict.explanation}" for name, verdict in verdicts.items() if verdict.explanation]
        said += [f"{name} failed: {type(error).__name__}: {error}" for name, error in failed.items()]
        spent = [verdict.usage for verdict in verdicts.values() if verdict.usage is not None]
        raw = {name: verdicts[name].score if name in verdicts else None for name in names}
        return Verdict(
            score=self.joined_score(list(raw.values())),
            explanation="; ".join(said) or None,
            usage=Usage.total(spent) if spent else None,
            raw=raw,
        )
