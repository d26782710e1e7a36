from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from langchain_optscale import local
from langchain_optscale.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def local_server() -> Iterator[local.LocalServer]:
    """One embedded model server for all tests; they skip where it is not installed."""
    pytest.importorskip("langchain_openai")
    try:
        server = local.serve(n_parallel=8, context=512)
    except MissingExtraError as error:
        pytest.skip(str(error))
    with server:
        yield server
