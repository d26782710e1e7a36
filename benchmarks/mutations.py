"""Mutated records: every reader takes what it can use and refuses the rest with `InvalidRecordError`, nothing else.

`python -m benchmarks.mutations [--count 3000] [--only NAME] [--seed 0]` mutates a good record of each kind, each time
reads it and uses what was read, and prints as JSON how many were refused, accepted, or ended in another error, and the
longest time of one reading. The exit status is 1 where there was another error.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import sys
import tempfile
import time
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_optscale.errors import InvalidRecordError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Outcome", "Reader", "mutated_bytes", "mutated_document", "try_reader"]

_HOSTILE = "<img src=x onerror=alert(1)>\x1b]52;c;ZXZpbA==\x07"


def _nested(depth: int) -> list[Any]:
    inner: list[Any] = []
    for _ in range(depth):
        inner = [inner]
    return inner


_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 3, 2**31, 2**63, -(2**63), 10**30, 10**400),
    *(0.5, -0.5, 1.5, 1e308, -1e308, 5e-324, float("nan"), float("inf"), float("-inf")),
    *("", "x", "0.5", "\ud800", _HOSTILE, "9" * 400),
    *([], [[]], [None], [1, 2], {}, {"rule": []}, {"x": {}}, {"index": "0"}, _nested(200)),
)


@dataclass(frozen=True)
class Reader:
    """A reader with a good record for it.

    Attributes:
        name: What it reads.
        good: A record that it reads.
        read: Reads a record and uses what was read; a record is a document, or the bytes of a file.
        allowed: What it may raise.
    """

    name: str
    good: Any
    read: Callable[[Any], object]
    allowed: tuple[type[Exception], ...] = (InvalidRecordError,)


@dataclass
class Outcome:
    """What became of the mutated records of one reader.

    Attributes:
        refused: Those that raised what is allowed.
        accepted: Those that were read.
        other: Other errors, by their text.
        slowest_s: The longest time of one reading, in seconds.
    """

    refused: int = 0
    accepted: int = 0
    other: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0


def try_reader(reader: Reader, count: int, seed: int = 0) -> Outcome:
    """Mutate the good record `count` times and read each; numbers depend on the seed only."""
    generator = random.Random(f"{reader.name} {seed}")
    mutate: Callable[[Any, random.Random], Any] = mutated_document
    if isinstance(reader.good, bytes):
        mutate = mutated_bytes
    reader.read(copy.deepcopy(reader.good))
    outcome = Outcome()
    for _ in range(count):
        record = mutate(reader.good, generator)
        began = time.perf_counter()
        try:
            # A warning of NumPy about a number is an error that was overlooked.
            with warnings.catch_warnings():
                warnings.simplefilter("error", RuntimeWarning)
                reader.read(record)
            outcome.accepted += 1
        except reader.allowed:
            outcome.refused += 1
        except Exception as error:  # noqa: BLE001 - what the benchmark looks for
            outcome.other[f"{type(error).__name__}: {error}"[:200]] += 1
        outcome.slowest_s = max(outcome.slowest_s, time.perf_counter() - began)
    return outcome


def mutated_document(good: Any, generator: random.Random) -> Any:
    """A copy of a JSON document in which one to three parts were replaced, removed, repeated or moved."""
    document = copy.deepcopy(good)
    for _ in range(generator.choice((1, 1, 1, 2, 3))):
        places = list(_places(document))
        if not places or generator.random() < 0.01:
            return copy.deepcopy(generator.choice(_VALUES))
        holder, key = generator.choice(places)
        change = generator.random()
        if change < 0.7:
            holder[key] = copy.deepcopy(generator.choice(_VALUES))
        elif change < 0.85:
            del holder[key]
        elif isinstance(holder, list):
            holder.insert(generator.randrange(len(holder) + 1), copy.deepcopy(holder[key]))
        else:
            other, place = generator.choice(places)
            holder[key] = copy.deepcopy(other[place])
    return document


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every part of a document, as what holds it and its key there."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in list(parts):
        yield value, key
        yield from _places(part)


def mutated_bytes(good: bytes, generator: random.Random) -> bytes:
    """A copy of a file that was cut, filled, flipped or spliced; of JSON, half of the time with a mutated document."""
    if good[:1] in b'{["' and generator.random() < 0.5:
        lines = good.splitlines(keepends=True)
        place = generator.randrange(len(lines))
        changed = mutated_document(json.loads(lines[place]), generator)
        lines[place] = json.dumps(changed).encode() + b"\n"
        return b"".join(lines)
    content = bytearray(good)
    for _ in range(generator.choice((1, 1, 2, 8))):
        at = generator.randrange(len(content) + 1)
        until = min(len(content), at + generator.choice((1, 2, 16, 400)))
        kind = generator.randrange(5)
        if kind == 0:
            del content[at:until]
        elif kind == 1:
            content[at:at] = generator.randbytes(until - at)
        elif kind == 2:
            content[at:until] = bytes(until - at)
        elif kind == 3:
            content[at:at] = content[at:until]
        elif at < len(content):
            content[at] ^= 1 << generator.randrange(8)
    return bytes(content)


def _main() -> int:
    from benchmarks.mutated_readers import readers

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=3000, help="mutations of each record (default 3000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", action="append", metavar="NAME", help="only the reader of this name; may be repeated")
    arguments = parser.parse_args()
    report: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as directory:
        for reader in readers(Path(directory)):
            if arguments.only and reader.name not in arguments.only:
                continue
            outcome = try_reader(reader, arguments.count, arguments.seed)
            report[reader.name] = {
                "mutations": arguments.count,
                "refused": outcome.refused,
                "accepted": outcome.accepted,
                "other_errors": dict(outcome.other.most_common(10)),
                "slowest_ms": round(1000 * outcome.slowest_s, 1),
            }
    sys.stdout.write(json.dumps(report, indent=2) + "\n")
    return int(any(row["other_errors"] for row in report.values()))


if __name__ == "__main__":
    sys.exit(_main())
