"""The child process of `langchain_optscale.endpoints.local`: a llama.cpp server that ends with its parent.

`_local_process.py` runs this file as a script: it imports only the standard library and `xllamacpp`. Its argument is a
JSON object with the keys `model_path`, `alias`, `n_parallel`, `context`, `threads` and `socket`; its key is in the
environment. It writes its address to standard output, and everything else to standard error.

llama.cpp listens on a socket that this user alone can open. Before it stands a gate on the loopback interface, which
refuses what comes from a web page: a foreign `Host` or `Origin`.

The process ends at the end of its standard input. The parent holds the write end of that pipe, which the kernel closes
however the parent dies, SIGKILL included. A process that the parent forked may hold a copy, so the parent's process id
is checked as well. Both checks wait while a model loads, since llama.cpp then holds the interpreter lock.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import sys
import threading
from pathlib import Path
from typing import Any

_PARENT_CHECK_S = 0.5
_MIN_HTTP_THREADS = 64
_LOG_ERRORS = 1
_KEY = "OPTSCALE_LOCAL_SERVER_KEY"
_LONGEST_HEAD = 1 << 16
_HEAD_TIMEOUT_S = 30.0
_CHUNK = 1 << 16


def _exit(socket: str | None) -> None:
    if socket is not None:
        shutil.rmtree(Path(socket).parent, ignore_errors=True)
    os._exit(0)


def _exit_at_end_of_input(socket: str | None) -> None:
    while os.read(0, 1024):
        pass
    _exit(socket)


def _start(settings: dict[str, Any]) -> Any:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = settings["model_path"]
    # A plain string would be read as a set of one-letter names.
    params.model_alias = [settings["alias"]]
    params.n_parallel = settings["n_parallel"]
    # llama.cpp divides the context among the slots.
    params.n_ctx = settings["context"] * settings["n_parallel"]
    params.cpuparams.n_threads = settings["threads"]
    params.cpuparams_batch.n_threads = settings["threads"]
    # A socket of this user's alone: what reaches it has passed the gate.
    params.hostnames = [settings["socket"] or "127.0.0.1"]
    # With port 0 the kernel chooses a port when it binds, so that no other process can take it.
    params.port = 0
    params.api_keys = [os.environ.pop(_KEY)]
    # The defaults would cache up to 8 GiB of prompts and allow requests from every web page.
    params.cache_ram_mib = 0
    params.cors_origins = "http://127.0.0.1"
    params.ui = False
    # A connection holds a thread until it is answered; with the default of 12, /health would wait for queued requests.
    params.n_threads_http = max(_MIN_HTTP_THREADS, 4 * settings["n_parallel"])
    params.verbosity = _LOG_ERRORS
    return xllamacpp.Server(params)


def refusal(head: bytes, port: int) -> str | None:
    """Why a request is not for this server; None where it is.

    A web page reaches every server of this machine by the visitor's browser, which names the page in `Origin`, or in
    `Host` where the page's name was made to point here.
    """
    known = {b"127.0.0.1:%d" % port, b"localhost:%d" % port}
    lines = head.split(b"\r\n")[1:]
    if any(line[:1] in (b" ", b"\t") for line in lines):
        return "folded headers are not accepted"
    split = [line.lower().partition(b":") for line in lines]
    headers = [(name.strip(), value.strip()) for name, _, value in split]
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) != 1 or hosts[0] not in known:
        return "this server is for its own machine: the Host is another one"
    origins = [value for name, value in headers if name == b"origin"]
    if any(origin.removeprefix(b"http://") not in known for origin in origins):
        return "this server is for no web page: the Origin is another one"
    return None


class _Gate:
    """Listens on the loopback interface and hands on what is for this server, a connection for each request."""

    def __init__(self, socket: str) -> None:
        self._socket = socket
        self._port = 0

    async def open(self) -> str:
        """Listen; returns the address."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_LONGEST_HEAD)
        self._port = server.sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{self._port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            async with asyncio.timeout(_HEAD_TIMEOUT_S):
                head = await reader.readuntil(b"\r\n\r\n")
            reason = refusal(head, self._port)
            if reason is None:
                await self._hand_on(head, reader, writer)
            else:
                body = json.dumps({"error": {"code": 403, "message": reason}}).encode()
                writer.write(
                    b"HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nConnection: close\r\n"
                    b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
                )
                await writer.drain()
        writer.close()

    async def _hand_on(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_unix_connection(self._socket)
        # One request a connection: what follows on it would pass unseen.
        request, *headers = head.split(b"\r\n")
        kept = [line for line in headers if line and not line.lower().startswith((b"connection:", b"keep-alive:"))]
        server_writer.write(b"\r\n".join([request, *kept, b"Connection: close", b"", b""]))
        ways = [
            asyncio.create_task(_copy(reader, server_writer)),
            asyncio.create_task(_copy(server_reader, writer)),
        ]
        try:
            # Whichever side leaves first ends it: the server is to notice at once that its client has left.
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            server_writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()


async def _serve(socket: str | None, announcements: Any, parent: int, address: str) -> None:
    if socket is not None:
        address = await _Gate(socket).open()
    with announcements:
        announcements.write(f"{address}\n")
    while os.getppid() == parent:  # noqa: ASYNC110 - nothing tells when a parent ends
        await asyncio.sleep(_PARENT_CHECK_S)


def main() -> None:
    """Serve until standard input ends or the parent is gone."""
    parent = os.getppid()
    # Standard output has the address alone; llama.cpp's output goes to the log.
    announcements = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    settings = json.loads(sys.argv[1])
    threading.Thread(target=_exit_at_end_of_input, args=(settings["socket"],), daemon=True).start()
    try:
        server = _start(settings)
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent reports it in one sentence
        sys.exit(f"{type(error).__name__}: {error}")
    asyncio.run(_serve(settings["socket"], announcements, parent, server.listening_address))
    _exit(settings["socket"])


if __name__ == "__main__":
    main()
