"""Units of measurement after a number: which are the same, and how many of one are another.

>>> [normal_unit(one) for one in ("square centimetres", "cm^2", "kilometers per hour", "apples")]
['cm^2', 'cm^2', 'km/h', None]
>>> cm, m = unit_of("cm"), unit_of("m")
>>> cm.dimension == m.dimension, m.factor / cm.factor
(True, Fraction(100, 1))

Percent signs, degrees, names of what is counted ("5 students") and names with two meanings ("pounds", "tons") are no
units here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

__all__ = ["Unit", "normal_unit", "unit_of"]


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit.

    Attributes:
        dimension: What it measures, as powers of base units: (("m", 1), ("s", -1)) for a speed.
        factor: How many base units it is.
    """

    dimension: tuple[tuple[str, int], ...]
    factor: Fraction


# The normal name: its other names, the base unit, the power of it, and how many it is.
_UNITS: dict[str, tuple[str, str, int, str]] = {
    "mm": ("millimet(?:er|re)s?", "m", 1, "1/1000"),
    "cm": ("centimet(?:er|re)s?", "m", 1, "1/100"),
    "m": ("met(?:er|re)s?", "m", 1, "1"),
    "km": ("kilomet(?:er|re)s?", "m", 1, "1000"),
    "in": ("inch(?:es)?", "m", 1, "0.0254"),
    "ft": ("feet|foot", "m", 1, "0.3048"),
    "yd": ("yards?", "m", 1, "0.9144"),
    "mi": ("miles?", "m", 1, "1609.344"),
    "ml": ("", "m", 3, "1/1000000"),
    "l": ("lit(?:er|re)s?", "m", 3, "1/1000"),
    "mg": ("", "g", 1, "1/1000"),
    "g": ("grams?", "g", 1, "1"),
    "kg": ("kilograms?", "g", 1, "1000"),
    "s": ("seconds?|secs?", "s", 1, "1"),
    "min": ("minutes?|mins", "s", 1, "60"),
    "h": ("hours?|hrs?", "s", 1, "3600"),
    "day": ("days", "s", 1, "86400"),
    "week": ("weeks", "s", 1, "604800"),
    "month": ("months", "month", 1, "1"),
    "year": ("years", "month", 1, "12"),
    "hz": ("", "s", -1, "1"),
    "khz": ("", "s", -1, "1000"),
    "mhz": ("", "s", -1, "1000000"),
    "usd": ("dollars?", "usd", 1, "1"),
    "eur": ("euros?|€", "eur", 1, "1"),
    "gbp": ("£", "gbp", 1, "1"),
    "rupee": ("rupees|₹", "rupee", 1, "1"),
    "joule": ("joules", "joule", 1, "1"),
    "kj": ("", "joule", 1, "1000"),
    "kwh": ("", "joule", 1, "3600000"),
    "watt": ("watts", "watt", 1, "1"),
    "kw": ("", "watt", 1, "1000"),
    "newton": ("newtons", "newton", 1, "1"),
    "volt": ("volts", "volt", 1, "1"),
    "mol": ("moles?", "mol", 1, "1"),
}
_NAMES = {name: re.compile(rf"{name}|{others}" if others else name) for name, (others, *_) in _UNITS.items()}
_WHOLE = {"mph": "mi/h", "kmh": "km/h"}
_SHAPE = re.compile(
    r"(?P<times>square |cubic |sq\.? |cu\.? )?(?P<above>[^\W\d_]+|[€£₹])(?:\^?\{?(?P<power>[23])\}?)?"
    r"(?:(?: ?/ ?| per )(?P<below>[^\W\d_]+)(?:\^?\{?(?P<under>[23])\}?)?)?"
)
_POWERS = {"s": 2, "c": 3}


@lru_cache(maxsize=512)
def normal_unit(text: str) -> str | None:
    """The one name of a unit; None for what is none.

    Args:
        text: What stands after a number, such as "square metres", "km/h" or "m/s^2".
    """
    text = " ".join(text.lower().split())
    if text in _WHOLE:
        return _WHOLE[text]
    shape = _SHAPE.fullmatch(text)
    above = shape and _named(shape["above"])
    if shape is None or above is None or (shape["times"] and shape["power"]):
        return None
    power = _POWERS[shape["times"][0]] if shape["times"] else int(shape["power"] or 1)
    if shape["below"] is None:
        return _raised(above, power)
    below = _named(shape["below"])
    return None if below is None or power > 1 else f"{above}/{_raised(below, int(shape['under'] or 1))}"


@lru_cache(maxsize=512)
def unit_of(text: str) -> Unit | None:
    """The unit of that name, see `normal_unit`; None where it is none."""
    name = normal_unit(text)
    if name is None:
        return None
    factor, powers = Fraction(1), dict[str, int]()
    for place, part in enumerate(name.split("/")):
        single, _, power = part.partition("^")
        _, base, base_power, size = _UNITS[single]
        exponent = int(power or 1) * (-1 if place else 1)
        factor *= Fraction(size) ** exponent
        powers[base] = powers.get(base, 0) + base_power * exponent
    return Unit(tuple(sorted((base, power) for base, power in powers.items() if power)), factor)


def _named(word: str) -> str | None:
    return next((name for name, names in _NAMES.items() if names.fullmatch(word)), None)


def _raised(name: str, power: int) -> str:
    return name if power == 1 else f"{name}^{power}"
