"""Keys as they are sent."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from langchain_optscale.errors import SettingsError

if TYPE_CHECKING:
    from pydantic import SecretStr

__all__ = ["NO_KEY", "POLICY_KEY", "VERIFIER_KEY", "bearer_key", "key_in"]

NO_KEY = "not-needed"
"""What is sent where there is no key: the SDK sends none without."""

POLICY_KEY = "OPTSCALE_POLICY_API_KEY"
"""The environment variable with the key of the policy's server."""

VERIFIER_KEY = "OPTSCALE_VERIFIER_API_KEY"
"""The environment variable with the key of the verifier's server."""


def bearer_key(api_key: SecretStr | str | None) -> SecretStr | None:
    r"""A key as it is sent; None where there is none.

    White space around it is taken off: a key that was read from a file ends with a line break. What an HTTP header
    cannot carry is refused here, since the clients' own errors would show the key.

    Raises:
        SettingsError: It is no text, or holds white space or a character that is not ASCII.

    Example:
        >>> bearer_key("sk-0123\n").get_secret_value(), bearer_key(" ")
        ('sk-0123', None)
    """
    from pydantic import SecretStr

    held = api_key.get_secret_value() if isinstance(api_key, SecretStr) else api_key or ""
    if not isinstance(held, str):
        raise SettingsError(f"api_key must be text, not {type(held).__name__}")
    key = held.strip()
    if not all("!" <= character <= "~" for character in key):
        raise SettingsError("the API key holds a blank, a line break or a character that is not ASCII: copy it again")
    return SecretStr(key) if key else None


def key_in(variable: str, whose: str) -> SecretStr:
    """The key in an environment variable.

    Raises:
        SettingsError: The variable is not set.
    """
    key = bearer_key(os.environ.get(variable))
    if key is None:
        raise SettingsError(f"{whose} needs a key, which is read from ${variable}: set it in this process")
    return key
