"""The child process of `langchain_optscale.endpoints.local`: a llama.cpp server that ends with its parent.

`_local_process.py` runs this file as a script: it imports only the standard library and `xllamacpp`. Its argument is a
JSON object with the keys `model_path`, `alias`, `n_parallel`, `context` and `threads`. It writes its address to
standard output, and everything else to standard error.

The process ends at the end of its standard input. The parent holds the write end of that pipe, which the kernel closes
however the parent dies, SIGKILL included. A process that the parent forked may hold a copy, so the parent's process id
is checked as well. Both checks wait while a model loads, since llama.cpp then holds the interpreter lock.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from typing import Any

_PARENT_CHECK_S = 0.5
_MIN_HTTP_THREADS = 64
_LOG_ERRORS = 1


def _exit_at_end_of_input() -> None:
    while os.read(0, 1024):
        pass
    os._exit(0)


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
    params.hostnames = ["127.0.0.1"]
    # With port 0 the kernel chooses a port when it binds, so that no other process can take it.
    params.port = 0
    # The defaults would cache up to 8 GiB of prompts and allow requests from every web page.
    params.cache_ram_mib = 0
    params.cors_origins = "http://127.0.0.1"
    params.ui = False
    # A connection holds a thread until it is answered; with the default of 12, /health would wait for queued requests.
    params.n_threads_http = max(_MIN_HTTP_THREADS, 4 * settings["n_parallel"])
    params.verbosity = _LOG_ERRORS
    return xllamacpp.Server(params)


def main() -> None:
    """Serve until standard input ends or the parent is gone."""
    parent = os.getppid()
    # Standard output is for the address alone; llama.cpp's output goes to the log.
    announcements = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    threading.Thread(target=_exit_at_end_of_input, daemon=True).start()
    try:
        server = _start(json.loads(sys.argv[1]))
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent reports it in one sentence
        sys.exit(f"{type(error).__name__}: {error}")
    with announcements:
        announcements.write(f"{server.listening_address}\n")
    while os.getppid() == parent:
        time.sleep(_PARENT_CHECK_S)
    os._exit(0)


if __name__ == "__main__":
    main()
