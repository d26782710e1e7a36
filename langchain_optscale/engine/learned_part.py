"""Which part of what was learned the searches of some settings use."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from langchain_optscale.engine.fingerprints import policy_fingerprint, verifier_fingerprint
from langchain_optscale.stopping import Objective

if TYPE_CHECKING:
    from langchain_optscale.engine.settings import SearchSettings
    from langchain_optscale.learning.learned_file import LearnedPair
    from langchain_optscale.stopping import Rule
    from langchain_optscale.stopping.learned.improved import ImprovedStopping

__all__ = ["LearnedPart", "improved_rule"]


class LearnedPart:
    """What was learned for a policy with a verifier, and follows while that changes.

    Args:
        settings: With `settings=` or `learn=`; their policy, verifier and extractor say which part counts.

    Raises:
        SettingsError: There is nothing to learn from, or the file cannot be read.
    """

    def __init__(self, settings: SearchSettings) -> None:
        # Imports SciPy, which only learned settings need.
        from langchain_optscale.learning.watch import watch_of

        self.watch = watch_of(settings.settings, settings.store, auto=settings.learn == "auto")
        self.pair = ("", "")
        if self.watch is not None:
            verifier = verifier_fingerprint(settings.verifier, settings.extract)
            self.pair = policy_fingerprint(settings.policy).digest, verifier.digest

    @classmethod
    def of(cls, settings: SearchSettings) -> LearnedPart | None:
        """The part of these settings; None where they neither use nor learn anything."""
        if settings.settings is None and settings.learn is None:
            return None
        return cls(settings)

    @property
    def state(self) -> list[Any]:
        """What changes, as an object, whenever another part counts."""
        return [] if self.watch is None else [self.watch.learned, len(self.watch.alarms)]

    @property
    def current(self) -> LearnedPair | None:
        """The part in use; None where nothing was learned, or what was learned no longer fits."""
        found = None if self.watch is None else self.watch.part(self.pair)
        return None if found is None else found[0]

    @property
    def version(self) -> str | None:
        """The version of what is in use."""
        found = None if self.watch is None else self.watch.part(self.pair)
        return None if found is None else found[1]


def improved_rule(default: Rule, learned: ImprovedStopping | None) -> Rule:
    """The default with what was learned about it; as it is where that was learned from another default."""
    if learned is None or _objective(default) != _objective(learned.base):
        return default
    return replace(learned, base=default)


def _objective(rule: Rule) -> Objective | None:
    return next((part for part in rule.parts() if isinstance(part, Objective)), None)
