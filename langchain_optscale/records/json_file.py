"""Records that are saved as a JSON file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Self

from langchain_optscale.errors import InvalidRecordError
from langchain_optscale.records.files import read_json, write_json

if TYPE_CHECKING:
    import os

__all__ = ["JSONFile"]


class JSONFile(ABC):
    """A record with `to_dict` and `from_dict`, which a JSON file can hold."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; `from_dict` gives an equal record back."""

    @classmethod
    @abstractmethod
    def from_dict(cls, data: Any) -> Any:
        """Read what `to_dict` wrote.

        Raises:
            InvalidRecordError: The data is no such record, of a later version, or damaged.
        """

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as a JSON file, in one step.

        Raises:
            SettingsError: The file cannot be written.
        """
        write_json(path, self.to_dict())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote.

        Raises:
            InvalidRecordError: The file is no such record, or damaged; the message names it.
            SettingsError: It cannot be read.
        """
        document = read_json(path)
        try:
            record: Self = cls.from_dict(document)
        except InvalidRecordError as error:
            raise InvalidRecordError(f"{path}: {error}") from error
        return record
