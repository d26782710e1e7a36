"""Chat models by name, as LangChain users write them, and models whose parameters a call chooses."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from langchain_optscale.errors import MissingExtraError, SettingsError

if TYPE_CHECKING:
    from langchain_core.runnables import Runnable

__all__ = ["is_configurable_model", "named_model"]

# Providers whose package has another name.
_PACKAGES = {"azure_openai": "openai", "bedrock": "aws", "bedrock_converse": "aws", "anthropic_bedrock": "aws"}
_COMMAND = re.compile(r"`(pip install [\w.\[\]-]+)`")


def named_model(name: str, setting: str) -> Runnable[Any, Any]:
    """The chat model that LangChain's `init_chat_model` makes for a name such as "openai:gpt-5-mini".

    Args:
        name: The provider and the model.
        setting: The name of the setting, for messages.

    Raises:
        MissingExtraError: `langchain`, or the provider's package, is not installed.
        SettingsError: LangChain knows no such provider, or cannot make the model, as without an API key.
    """
    given = f"{setting}={name!r}"
    if not name.strip():
        raise SettingsError(
            f"{given} names no model; write the provider and the model in one string, such as 'openai:gpt-5-mini'"
        )
    try:
        from langchain.chat_models import init_chat_model
    except ModuleNotFoundError as error:
        raise MissingExtraError(given, _all_that_is_needed(name)) from error
    try:
        model: Runnable[Any, Any] = init_chat_model(name)
    except ImportError as error:
        command = _COMMAND.search(str(error))
        raise MissingExtraError(given, command[1] if command else f"pip install {_package(name)}") from error
    except Exception as error:
        raise SettingsError(
            f"{given} cannot be made into a chat model; write the provider and the model in one string, such as "
            f"'openai:gpt-5-mini', and set the provider's API key: {_first_line(error)}"
        ) from error
    return model


def _first_line(error: Exception) -> str:
    """Without the list of all providers that may follow."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _all_that_is_needed(name: str) -> str:
    """The command that installs LangChain and the package of the provider, where the name has one."""
    if name.startswith("openai:"):
        return 'pip install "langchain-optscale[agents,openai]"'
    provider = f" {_package(name)}" if ":" in name else ""
    return f'pip install "langchain-optscale[agents]"{provider}'


def _package(name: str) -> str:
    """The package of a name's provider."""
    provider = name.partition(":")[0]
    return f"langchain-{_PACKAGES.get(provider, provider).replace('_', '-')}"


def is_configurable_model(value: object) -> bool:
    """Whether it is a model of `init_chat_model(configurable_fields=...)`, whose parameters a call's config chooses."""
    # A private class, and `langchain` need not be installed.
    return any(
        kind.__name__ == "_ConfigurableModel" and kind.__module__.startswith("langchain.")
        for kind in type(value).__mro__
    )
