"""`fanout="auto"` does what the measured table of docs/gpu.md favours."""

import re
from pathlib import Path

import pytest

from langchain_optscale.drawing import Drawer

pytest.importorskip("langchain_openai")
from langchain_optscale.vllm import vllm_policy

PAGE = Path(__file__).parents[3] / "docs" / "gpu.md"


def rows():
    table = PAGE.read_text().split("<!-- fanout: ")[1].split("<!-- end of fanout -->")[0]
    lines = [line.strip("|").split("|") for line in table.splitlines() if line.startswith(("| on", "| off"))]
    return [[float(re.match(r" *([\d.]+)", cell)[1]) for cell in line[2:]] for line in lines]


def test_one_request_is_the_fastest_in_every_row():
    assert len(rows()) == 4
    for one_request, one_after_another, at_once in rows():
        assert one_request >= max(one_after_another, at_once)


def test_auto_draws_a_round_in_one_request():
    drawer = Drawer(vllm_policy("http://localhost:8000", "m"))
    assert drawer.requests(range(8)) == [tuple(range(8))]
