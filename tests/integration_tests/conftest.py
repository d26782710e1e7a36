from __future__ import annotations

import os
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


@pytest.fixture(scope="session")
def postgres_url() -> str:
    """A real PostgreSQL with LangGraph's tables; `.ci/with-postgres` starts one."""
    url = os.environ.get("OPTSCALE_POSTGRES")
    if not url:
        pytest.skip("no PostgreSQL: run the tests by .ci/with-postgres, which installs and starts one")
    from langgraph.checkpoint.postgres import PostgresSaver

    with PostgresSaver.from_conn_string(url) as saver:
        saver.setup()
    return url
