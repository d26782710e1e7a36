"""The command `optscale doctor`."""

from __future__ import annotations

import os
import sys
from textwrap import fill
from typing import TYPE_CHECKING, Any

from langchain_optscale.cli.options import add_command, print_json, write_text
from langchain_optscale.cli.screen import terminal_width
from langchain_optscale.errors import EndpointError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from pydantic import SecretStr

    from langchain_optscale.endpoints.doctor import Check, Report

__all__ = ["add_doctor"]

_KINDS = ("auto", "judge", "classify", "pooling", "score", "prm")


def add_doctor(commands: Any) -> None:
    """Add the command `doctor`."""
    about = "Examine the servers of policy and verifier as a search would use them, with a hint for every failure."
    example = "optscale doctor --policy-url http://localhost:8000/v1 --verifier-url http://localhost:8001/v1"
    parser = add_command(commands, "doctor", _doctor, about, example)
    policy = parser.add_argument_group("policy; its key is read from $OPTSCALE_POLICY_API_KEY")
    policy.add_argument("--policy-url", action="append", metavar="URL", help="may be repeated: several replicas")
    policy.add_argument("--policy-model", metavar="NAME", help="by default the only one that is served")
    verifier = parser.add_argument_group("verifier; its key is read from $OPTSCALE_VERIFIER_API_KEY")
    verifier.add_argument("--verifier-url", action="append", metavar="URL", help="may be repeated: several replicas")
    verifier.add_argument("--verifier-model", metavar="NAME", help="by default the only one that is served")
    verifier.add_argument("--verifier-kind", choices=_KINDS, default="auto", help="by default found by asking")
    parser.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS", help="for one answer (default 60)")


def _doctor(arguments: argparse.Namespace) -> None:
    from langchain_optscale.endpoints.doctor import Report, diagnose
    from langchain_optscale.endpoints.vllm.discovery import POLICY_KEY, VERIFIER_KEY

    checks = diagnose(
        arguments.policy_url or (),
        arguments.verifier_url or (),
        policy_model=arguments.policy_model,
        verifier_model=arguments.verifier_model,
        verifier_kind=arguments.verifier_kind,
        policy_key=_secret(POLICY_KEY),
        verifier_key=_secret(VERIFIER_KEY),
        timeout_s=arguments.timeout,
    )
    if arguments.json:
        report = Report(tuple(checks))
        print_json(report.to_dict())
    else:
        report = _show(checks)
    if not report.healthy:
        names = ", ".join(f"{check.name} of {check.subject}" for check in report.checks if check.status == "failed")
        raise EndpointError(f"failed: {names}")


def _show(checks: Iterator[Check]) -> Report:
    """Write the table line by line: where a server is waited for, one sees which, and for what."""
    from langchain_optscale.endpoints.doctor.report import Report, lines

    made: list[Check] = []
    width = terminal_width()

    def kept() -> Iterator[Check]:
        for check in checks:
            made.append(check)
            yield check

    for line in lines(kept()):
        # What does not fit goes on below, two characters further in.
        write_text(f"{line}\n" if width is None or len(line) <= width else f"{_wrapped(line, width)}\n")
        sys.stdout.flush()
    return Report(tuple(made))


def _wrapped(line: str, width: int) -> str:
    indent = len(line) - len(line.lstrip())
    words = " ".join(line.split())
    return fill(words, width, initial_indent=" " * indent, subsequent_indent=" " * min(indent + 2, 4))


def _secret(variable: str) -> SecretStr | None:
    from pydantic import SecretStr

    value = os.environ.get(variable)
    return SecretStr(value) if value else None
