"""A check of JSON against a schema."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_optscale.errors import MissingExtraError, SettingsError
from langchain_optscale.records.candidates import Verdict
from langchain_optscale.verifiers.checks.base import TextCheck
from langchain_optscale.verifiers.checks.json_patterns import with_timed_patterns

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["JSONCheck", "json_document"]


@dataclass(frozen=True)
class JSONCheck(TextCheck):
    """1 where the text is a JSON document that fulfils the schema.

    The document is the whole text, or else the last fenced block marked `json` or unmarked. Text without a document
    scores 0, other documents the fulfilled share of these requirements: being JSON; each top-level property of the
    schema; everything else in the schema as one. For a schema with the properties `name` and `age`,
    `{"name": "Ann", "age": "x"}` scores 3/4 and `[]` 1/4.

    Formats (`"format": "date"`) are not checked, and references are resolved within the schema only.

    Attributes:
        schema: A pydantic model class, or a JSON schema, which needs the extra `checks`.

    Raises:
        SettingsError: It is no schema.
        MissingExtraError: It is a JSON schema and `jsonschema` is not installed.

    Example:
        >>> from langchain_core.prompt_values import StringPromptValue
        >>> from pydantic import BaseModel
        >>> from langchain_optscale.verifiers.conformance import make_candidate
        >>> class Person(BaseModel):
        ...     name: str
        ...     age: int
        >>> candidate = make_candidate('{"name": "Ann", "age": "x"}')
        >>> JSONCheck(Person).verify(StringPromptValue(text="Who?"), candidate).score
        0.75
    """

    schema: type[BaseModel] | Mapping[str, Any] = field(hash=False)

    def __post_init__(self) -> None:
        if isinstance(self.schema, Mapping):
            schema = copy.deepcopy(dict(self.schema))
            _json_schema_validator(schema)
            object.__setattr__(self, "schema", schema)
        elif not _is_model(self.schema):
            raise SettingsError(f"schema must be a pydantic model class or a JSON schema, not {self.schema!r}")

    def check(self, text: str) -> Verdict:
        """Score the JSON document in a text.

        Raises:
            SettingsError: The JSON schema has an unresolvable reference.
        """
        found = json_document(text)
        if found is None:
            return Verdict(0.0, "the text is no JSON document and has none in a fenced block")
        source, data = found
        if isinstance(self.schema, Mapping):
            requirements = _json_schema_faults(self.schema, data)
        else:
            requirements = _model_faults(self.schema, source, data)
        faults = [fault for fault in requirements if fault is not None]
        if not faults:
            return Verdict(1.0, "the JSON document fulfils the schema")
        examples = "; ".join(_shortened(fault) for fault in faults[:3])
        return Verdict(
            (1 + len(requirements) - len(faults)) / (1 + len(requirements)),
            f"{len(faults)} of {len(requirements)} requirements of the schema are not fulfilled: {examples}",
        )


def json_document(text: str) -> tuple[str, Any] | None:
    """The source and the data of the JSON document in the text."""
    for source in (text.strip(), *_fenced_blocks(text)):
        try:
            return source, json.loads(source, parse_constant=_refuse)
        except (ValueError, RecursionError):
            continue
    return None


def _fenced_blocks(text: str) -> Iterable[str]:
    """The last suitable block. Split, since a pattern would be quadratic in unclosed fences."""
    pieces = text.split("```")
    for number in range(len(pieces) - 3 + len(pieces) % 2, 0, -2):
        mark, _, block = pieces[number].partition("\n")
        if mark.strip().lower() in ("", "json"):
            yield block.strip()
            return


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _is_model(schema: Any) -> bool:
    from pydantic import BaseModel

    return isinstance(schema, type) and issubclass(schema, BaseModel)


def _model_faults(model: type[BaseModel], source: str, data: Any) -> list[str | None]:
    """The violation of each field and of everything else, or None."""
    from pydantic import RootModel, ValidationError

    fields = {} if issubclass(model, RootModel) else model.model_fields
    owner = {
        key: name
        for name, info in fields.items()
        for key in (name, info.alias, info.validation_alias)
        if isinstance(key, str)
    }
    faults: dict[str | None, str | None] = dict.fromkeys([*fields, None])
    try:
        # From the source: pydantic converts dates, tuples and enumerations from JSON only.
        model.model_validate_json(source)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_context=False, include_input=False)
        for one in errors:
            place = owner.get(str(one["loc"][0])) if one["loc"] else None
            if faults[place] is None:
                faults[place] = ": ".join(filter(None, (".".join(map(str, one["loc"])), one["msg"])))
        # Python's parser accepts some documents, such as very deep ones, that pydantic's rejects.
        if not isinstance(data, Mapping) or errors[0]["type"] == "json_invalid":
            faults = {place: fault or f"{place} is missing" for place, fault in faults.items()}
    return list(faults.values())


def _json_schema_validator(schema: Mapping[str, Any]) -> Any:
    try:
        from jsonschema import Draft202012Validator, SchemaError
        from jsonschema.validators import validator_for
        from jsonschema_specifications import REGISTRY  # type: ignore[import-untyped]
    except ImportError:
        raise MissingExtraError("checking against a JSON schema", 'pip install "langchain-optscale[checks]"') from None
    kind = validator_for(schema, default=Draft202012Validator)
    try:
        kind.check_schema(schema)
    except SchemaError as error:
        raise SettingsError(f"not a valid JSON schema: {_shortened(error.message)}") from None
    # An explicit registry, since the default one fetches references from the network.
    return with_timed_patterns(kind)(schema, registry=REGISTRY)


def _json_schema_faults(schema: Mapping[str, Any], data: Any) -> list[str | None]:
    """The violation of each property and of everything else, or None."""
    from referencing.exceptions import Unresolvable

    validator = _json_schema_validator(schema)
    properties = schema.get("properties", {})
    required = schema.get("required", [])
    names = dict.fromkeys([*properties, *required])
    try:
        first = next(validator.iter_errors(data), None)
        if first is None:
            return [None] * (len(names) + 1)
        if not isinstance(data, Mapping):
            return [*(f"{name} is missing" for name in names), first.message]
        faults: list[str | None] = []
        for name in names:
            if name not in data:
                faults.append(f"{name} is missing" if name in required else None)
                continue
            wrong = next(validator.descend(data[name], properties.get(name, True)), None)
            faults.append(wrong and f"{name}: {wrong.message}")
        # The properties keep their names, which additionalProperties excludes.
        others = {key: value for key, value in schema.items() if key not in ("properties", "required")}
        others["properties"] = dict.fromkeys(properties, True)
        other = next(validator.evolve(schema=others).iter_errors(data), None)
    except Unresolvable as error:
        raise SettingsError(f"the JSON schema refers to {error.ref!r}, which it does not contain") from error
    return [*faults, other and other.message]


def _shortened(text: str, length: int = 120) -> str:
    return text if len(text) <= length else text[:length] + "…"
