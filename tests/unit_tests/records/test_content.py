"""Equal content, equal digest; another one for whatever makes a difference."""

import dataclasses
import os
import subprocess
import sys
from enum import Enum
from functools import partial

import pytest
from pydantic import BaseModel, create_model, field_validator

from langchain_optscale.records.content import NoContentError, content_of, digest


class Colour(Enum):
    RED = 1


@dataclasses.dataclass
class Box:
    inside: object


def made(validator=None, **fields):
    base = {"__validators__": {"check": field_validator("x")(validator)}} if validator else {}
    return create_model("Answer", **base, **fields)


DIFFERENT = [
    [1, True, 1.0, "1", b"1", None, [1], {1}, {"1": 1}, {1: 1}, Colour.RED, Box(1), Box("1")],
    [made(x=(int, ...)), made(x=(int, ...), y=(int, ...)), made(x=(str, ...)), made(lambda v: v, x=(int, ...))],
    [lambda a: a + 1, lambda a: a + 2, lambda a, b=1: a, lambda a, b=2: a, lambda a: a.b, lambda a: a.c],
    [partial(max, 1), partial(max, 2), partial(min, 1), max, min],
]


@pytest.mark.parametrize("values", DIFFERENT)
def test_what_differs_has_another_digest(values):
    assert len({digest(value) for value in values}) == len(values)


def test_captured_values_count():
    def outer(limit):
        return lambda text: len(text) < limit

    assert digest(outer(1)) == digest(outer(1))
    assert digest(outer(1)) != digest(outer(2))


def test_a_variable_without_a_value_has_no_content_until_it_is_assigned():
    def check(text):
        return len(text) < limit

    with pytest.raises(NoContentError):
        digest(check)
    assert content_of(check, strict=False) == content_of(check, strict=False)
    limit = 10
    first = digest(check)
    limit = 20
    assert digest(check) not in {first, None}


def test_order_of_keys_and_members_makes_no_difference():
    assert digest({"a": 1, "b": {3, 1, 2}}) == digest({"b": {2, 3, 1}, "a": 1})


def test_objects_without_content_are_refused_or_marked():
    with pytest.raises(NoContentError):
        digest([object()])
    assert content_of(object(), strict=False)["object"] == "builtins.object"
    deep: list = []
    for _ in range(100):
        deep = [deep]
    with pytest.raises(NoContentError, match="too deeply"):
        digest(deep)


def test_a_digest_is_the_same_in_another_process():
    class Answer(BaseModel):
        x: int

    code = (
        "from langchain_optscale.records.content import digest\n"
        "from langchain_optscale.verifiers import RegexCheck\n"
        "print(digest([RegexCheck('a', 2), lambda a, b={'x', 'y'}: a in {'p', 'q', 'r'}]))"
    )
    runs = {
        subprocess.run(  # noqa: S603 - our own code
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(runs) == 1
    assert digest(Answer) == digest(Answer)
