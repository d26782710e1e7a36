"""The checks of an examination: how they run, and their report with hints."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import openai
from pydantic import SecretStr

from langchain_optscale.endpoints.vllm.discovery import choose, complaint, connect, models_at
from langchain_optscale.endpoints.vllm.replicas import server_root
from langchain_optscale.errors import EndpointError, OptScaleError, SettingsError, printable
from langchain_optscale.records.causes import cause_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Check", "Examination", "Finding", "Report", "Status", "Task", "describe", "lines"]

Status = Literal["ok", "warning", "failed", "skipped"]
"""A failed check is a "warning" where a search does not need it; "skipped" could not be made."""


@dataclass(frozen=True, slots=True)
class Check:
    """One check of a server.

    Attributes:
        subject: The server, such as "policy http://localhost:8000".
        name: The check.
        status: Its outcome.
        detail: What was found.
        hint: What to do about it; None where nothing is to do.
        seconds: The duration.
    """

    subject: str
    name: str
    status: Status
    detail: str
    hint: str | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Report:
    """All checks."""

    checks: tuple[Check, ...]

    @property
    def healthy(self) -> bool:
        """Whether no check failed that a search needs."""
        return all(check.status != "failed" for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """The report, ready for JSON."""
        return {"healthy": self.healthy, "checks": [asdict(check) for check in self.checks]}

    def table(self) -> str:
        """The report as text: one line a check, and one for each hint."""
        return "\n".join(lines(self.checks))


def lines(checks: Iterable[Check]) -> Iterator[str]:
    """The lines of the table, each as soon as its check is done.

    Example:
        >>> check = Check("policy http://localhost:8000", "reachable", "ok", "answers", None, 0.1)
        >>> for line in lines([check]):
        ...     print(line)
        policy http://localhost:8000
          ok       reachable      answers
    """
    subject = None
    for check in checks:
        if check.subject != subject:
            yield from (check.subject,) if subject is None else ("", check.subject)
            subject = check.subject
        yield f"  {check.status:<8} {check.name:<14} {check.detail}"
        if check.hint:
            yield f"  {'':<8} {'':<14} -> {check.hint}"


class Finding(Exception):  # noqa: N818 - a finding is not an error of the program
    """A problem that a check found.

    Args:
        detail: What was found.
        hint: What to do about it.
        status: None takes "failed" for a required check, else "warning".
    """

    def __init__(self, detail: str, hint: str, status: Status | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.hint = hint
        self.status = status


@dataclass(frozen=True, slots=True)
class Task:
    """A check to make: its name (that of a method), whether a search requires it, and the check that it needs."""

    name: str
    required: bool = True
    needs: str | None = None


class Examination:
    """Examines one server; the method of a check returns what it found, or raises a `Finding`.

    Args:
        url: The server's URL, with or without `/v1`.
        model: The model; None takes the only one that is served.
        api_key: The server's key.
        timeout_s: The timeout of one request, in seconds.
    """

    role: ClassVar[str]
    key_variable: ClassVar[str]
    tasks: ClassVar[tuple[Task, ...]] = ()

    def __init__(self, url: str, model: str | None, api_key: SecretStr | str | None, timeout_s: float) -> None:
        self.root = server_root(url)
        self.subject = f"{self.role} {self.root}"
        self.model = model
        self.max_length: int | None = None
        self.api_key = SecretStr(api_key) if isinstance(api_key, str) else api_key
        self.timeout_s = timeout_s
        self.client = connect(self.root, api_key, timeout_s)
        self._listed: dict[str, int | None] | openai.APIStatusError | SettingsError

    def run(self) -> Iterator[Check]:
        """Make one check after another; a check that needs a failed one is skipped."""
        failed: set[str] = set()
        for task in self.tasks:
            if task.needs in failed:
                failed.add(task.name)
                yield Check(self.subject, task.name, "skipped", f"needs: {task.needs}", None, 0.0)
                continue
            check = self._run(task)
            if check.status != "ok":
                failed.add(task.name)
            yield check

    def _run(self, task: Task) -> Check:
        began = time.perf_counter()
        status: Status = "ok"
        hint: str | None = None
        try:
            detail = getattr(self, task.name.replace(" ", "_"))()
        except Finding as finding:
            status = finding.status or ("failed" if task.required else "warning")
            detail, hint = finding.detail, finding.hint
        except Exception as error:  # noqa: BLE001 - any error is the check's finding
            status = "failed" if task.required else "warning"
            detail, hint = describe(error)
        seconds = time.perf_counter() - began
        return Check(self.subject, task.name, status, self._clean(detail), hint and self._clean(hint), seconds)

    def _clean(self, text: str) -> str:
        """One line without the key, which a server may repeat in its error message."""
        text = " ".join(text.split())
        secret = self.api_key.get_secret_value() if self.api_key else ""
        return printable(text.replace(secret, "***") if secret else text)

    def reachable(self) -> str:
        """A server answers at the URL."""
        try:
            self._listed = models_at(self.client)
        except (openai.APIStatusError, SettingsError) as error:
            self._listed = error
        return "answers"

    def authorised(self) -> str:
        """The server accepts the key."""
        given = "with the key" if self.api_key else "without a key"
        if isinstance(self._listed, openai.APIStatusError) and self._listed.status_code in {401, 403}:
            hint = f"put the server's --api-key into ${self.key_variable}"
            raise Finding(f"rejected {given} (status {self._listed.status_code})", hint)
        return given

    def served(self) -> str:
        """The model is served."""
        if isinstance(self._listed, Exception):
            raise self._listed
        try:
            self.model, self.max_length = choose(self._listed, self.model, f"{self.root}/v1")
        except SettingsError as error:
            raise Finding(str(error), "name one of these, or serve it: vllm serve MODEL") from error
        return self.model + (f", at most {self.max_length} tokens" if self.max_length else "")


def describe(error: Exception) -> tuple[str, str]:
    """An error's meaning, and what to do about it."""
    if isinstance(error, openai.APITimeoutError):
        return "no answer in time", "the server is overloaded or stuck: read its log, or raise --timeout"
    if isinstance(error, openai.APIConnectionError):
        why = cause_of(error) or str(error.__cause__ or error)
        hint = (
            "vLLM speaks plain http unless it is served with --ssl-certfile: check the URL's http or https"
            if "TLS" in why or "SSL" in why
            else "is the server running there? vLLM takes a minute or more to load; check host, port and firewall"
        )
        return f"cannot be reached: {why}", hint
    if isinstance(error, openai.APIStatusError):
        hint = "read the server's log" if error.status_code >= 500 else "the server rejects such a request"
        return complaint(error), hint
    if isinstance(error, SettingsError | EndpointError):
        return str(error), "check the URL and the settings"
    if isinstance(error, OptScaleError):
        return str(error), "the server's answer is not of the form that this check needs"
    return f"{type(error).__name__}: {error}", "the server's answer is not of the form that this check needs"
