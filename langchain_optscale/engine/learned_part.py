"""Which part of what was learned the searches of some settings use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from langchain_optscale.engine.fingerprints import policy_fingerprint, verifier_fingerprint

if TYPE_CHECKING:
    from langchain_optscale.learning.learned_file import LearnedPair

__all__ = ["LearnedPart"]


class LearningSettings(Protocol):
    """The settings that say what is learned, and for whom, as `SearchSettings` describes them."""

    policy: Any
    verifier: Any
    extract: Any
    settings: Any
    store: Any
    learn: str | None


class LearnedPart:
    """What was learned for a policy with a verifier, and follows while that changes.

    Args:
        settings: With `settings=` or `learn=`; their policy, verifier and extractor say which part counts.

    Raises:
        SettingsError: There is nothing to learn from, or the file cannot be read.
    """

    def __init__(self, settings: LearningSettings) -> None:
        # Imports SciPy, which only learned settings need.
        from langchain_optscale.learning.watch import watch_of

        self.watch = watch_of(settings.settings, settings.store, auto=settings.learn == "auto")
        self._made_of = settings.policy, settings.verifier, settings.extract
        self._pair = ("", "")
        self._is_final = self.watch is None

    @classmethod
    def of(cls, settings: LearningSettings) -> LearnedPart | None:
        """The part of these settings; None where they neither use nor learn anything."""
        if settings.settings is None and settings.learn is None:
            return None
        return cls(settings)

    @property
    def pair(self) -> tuple[str, str]:
        """The digests of policy and verifier by which the part is found."""
        if not self._is_final:
            policy, verifier, extract = self._made_of
            read = verifier_fingerprint(verifier, extract)
            pair = policy_fingerprint(policy).digest, read.digest
            self._pair = self._pair if pair == self._pair else pair
            # A function may use a variable that is assigned after the settings are made: its content is read again.
            self._is_final = "content" in read.facts and (extract is None or "extract_content" in read.facts)
        return self._pair

    @property
    def state(self) -> list[Any]:
        """What changes, as an object, whenever another part counts."""
        return [] if self.watch is None else [self.watch.learned, len(self.watch.alarms), self.pair]

    @property
    def current(self) -> LearnedPair | None:
        """The part in use; None where nothing was learned, or what was learned no longer fits."""
        found = None if self.watch is None else self.watch.part(self.pair)
        return None if found is None else found[0]

    @property
    def drift(self) -> str | None:
        """What has changed since it was learned, so that it is not in use; None where nothing has."""
        alarm = None if self.watch is None else self.watch.alarms.get(self.pair)
        return None if alarm is None else str(alarm)

    @property
    def version(self) -> str | None:
        """The version of what is in use."""
        found = None if self.watch is None else self.watch.part(self.pair)
        return None if found is None else found[1]
