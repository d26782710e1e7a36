"""The keywords of JSON schema that search for regular expressions, with a time limit."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from langchain_optscale.answers.patterns import timed_pattern
from langchain_optscale.models.private_names import schema_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["with_timed_patterns"]


@lru_cache(maxsize=16)
def with_timed_patterns(kind: Any) -> Any:
    """A class of validators of `jsonschema` whose patterns cannot take forever on what a model wrote."""
    from jsonschema.validators import extend

    timed = {
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties,
        "unevaluatedProperties": _unevaluated_properties,
    }
    # What a draft does not know it ignores.
    return extend(kind, {keyword: check for keyword, check in timed.items() if keyword in kind.VALIDATORS})


def _pattern(validator: Any, pattern: str, instance: Any, schema: Mapping[str, Any]) -> Iterator[Any]:
    from jsonschema import ValidationError

    if validator.is_type(instance, "string") and not timed_pattern(pattern).search(instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _pattern_properties(
    validator: Any, patterns: Mapping[str, Any], instance: Any, schema: Mapping[str, Any]
) -> Iterator[Any]:
    if not validator.is_type(instance, "object"):
        return
    for pattern, inner in patterns.items():
        for name, value in instance.items():
            if timed_pattern(pattern).search(name):
                yield from validator.descend(value, inner, path=name, schema_path=pattern)


def _additional_properties(validator: Any, allowed: Any, instance: Any, schema: Mapping[str, Any]) -> Iterator[Any]:
    from jsonschema import ValidationError

    if not validator.is_type(instance, "object"):
        return
    patterns = schema.get("patternProperties", {})
    extras = [
        name
        for name in instance
        if name not in schema.get("properties", {}) and not any(timed_pattern(one).search(name) for one in patterns)
    ]
    if validator.is_type(allowed, "object"):
        for name in extras:
            yield from validator.descend(instance[name], allowed, path=name)
    elif not allowed and extras:
        listed = ", ".join(map(repr, sorted(extras)))
        if patterns:
            verb = "does" if len(extras) == 1 else "do"
            joined = ", ".join(map(repr, sorted(patterns)))
            yield ValidationError(f"{listed} {verb} not match any of the regexes: {joined}")
        else:
            verb = "was" if len(extras) == 1 else "were"
            yield ValidationError(f"Additional properties are not allowed ({listed} {verb} unexpected)")


def _unevaluated_properties(validator: Any, allowed: Any, instance: Any, schema: Mapping[str, Any]) -> Iterator[Any]:
    from jsonschema import ValidationError

    if not validator.is_type(instance, "object"):
        return
    evaluated = _evaluated(validator, instance, schema)
    names = [
        name
        for name, value in instance.items()
        if name not in evaluated and next(validator.descend(value, allowed, path=name), None) is not None
    ]
    if names:
        listed = ", ".join(map(repr, sorted(names)))
        verb = "was" if len(names) == 1 else "were"
        if allowed is False:
            yield ValidationError(f"Unevaluated properties are not allowed ({listed} {verb} unexpected)")
        else:
            said = "Unevaluated properties are not valid under the given schema"
            yield ValidationError(f"{said} ({listed} {verb} unevaluated and invalid)")


def _evaluated(validator: Any, instance: Mapping[str, Any], schema: Any) -> set[str]:
    """The names of the properties that a schema evaluates, section 11.3 of JSON Schema 2020-12."""
    if validator.is_type(schema, "boolean"):
        return set()
    names = set(schema.get("properties", {})) & instance.keys()
    for pattern in schema.get("patternProperties", {}):
        names |= {name for name in instance if timed_pattern(pattern).search(name)}
    for keyword in ("additionalProperties", "unevaluatedProperties"):
        if keyword in schema:
            inner = schema[keyword]
            names |= {name for name, value in instance.items() if _is_valid(validator, value, inner)}
    for keyword in ("$ref", "$dynamicRef", "$recursiveRef"):
        if keyword in schema:
            target = schema_at(validator, keyword, schema[keyword])
            names |= _evaluated(target, instance, target.schema)
    for inner in _applied(validator, instance, schema):
        names |= _evaluated(validator, instance, inner)
    return names


def _applied(validator: Any, instance: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[Any]:
    """The schemas within a schema that apply to the same instance, and that it fulfils."""
    yield from (inner for name, inner in schema.get("dependentSchemas", {}).items() if name in instance)
    for keyword in ("allOf", "anyOf", "oneOf"):
        yield from (inner for inner in schema.get(keyword, ()) if _is_valid(validator, instance, inner))
    if "if" in schema:
        fulfilled = _is_valid(validator, instance, schema["if"])
        if fulfilled:
            yield schema["if"]
        branch = "then" if fulfilled else "else"
        if branch in schema:
            yield schema[branch]


def _is_valid(validator: Any, instance: Any, schema: Any) -> bool:
    return next(validator.descend(instance, schema), None) is None
