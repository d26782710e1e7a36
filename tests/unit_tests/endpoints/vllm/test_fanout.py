"""`fanout="auto"` does what the measured table of docs/gpu.md favours."""

import re
import statistics
from pathlib import Path

import pytest

from langchain_optscale.engine.sampler import Sampler

pytest.importorskip("langchain_openai")
from langchain_optscale.endpoints.vllm import vllm_policy

PAGE = Path(__file__).parents[4] / "docs" / "gpu.md"


def rows():
    table = PAGE.read_text().split("<!-- fanout: ")[1].split("<!-- end of fanout -->")[0]
    lines = [line.strip("|").split("|") for line in table.splitlines() if line.startswith(("| on", "| off"))]
    return [[float(re.match(r" *([\d.]+)", cell)[1]) for cell in line[2:]] for line in lines]


def test_the_table_favours_one_request():
    assert len(rows()) == 4
    one_request, *others = (statistics.geometric_mean(column) for column in zip(*rows(), strict=True))
    assert one_request > max(others)
    for fastest, *slower in rows()[:2]:  # prefix caching is on, as it is by default
        assert fastest > max(slower)


def test_auto_draws_a_round_in_one_request():
    sampler = Sampler(vllm_policy("http://localhost:8000", "m"))
    assert sampler.requests(range(8)) == [tuple(range(8))]
