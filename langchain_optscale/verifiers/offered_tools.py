"""The tools offered to a policy, for the verifiers of its calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.prompt_values import ChatPromptValue
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field

from langchain_optscale.errors import SettingsError

if TYPE_CHECKING:
    from langchain_core.prompt_values import PromptValue

__all__ = ["ToolPrompt", "offered_tools", "tool_schemas", "with_tools"]


class ToolPrompt(ChatPromptValue):
    """A conversation with the tools offered to the policy; passed to a verifier where tools are bound.

    Attributes:
        tools: The tools as bound; `tool_schemas` reads them.
    """

    tools: Sequence[Any] = Field(default_factory=tuple)


def with_tools(prompt: PromptValue, tools: Sequence[Any]) -> PromptValue:
    """The conversation with the offered tools; unchanged without tools."""
    return ToolPrompt(messages=prompt.to_messages(), tools=tuple(tools)) if tools else prompt


def offered_tools(prompt: PromptValue) -> Sequence[Any]:
    """The tools of a `ToolPrompt`, as bound; empty for other prompts."""
    return prompt.tools if isinstance(prompt, ToolPrompt) else ()


def tool_schemas(tools: Sequence[Any]) -> dict[str, dict[str, Any]]:
    """Tools by name, each with its "description" and the JSON schema of its arguments under "parameters".

    Tools that a provider runs itself, such as a web search, are left out.

    Args:
        tools: LangChain tools, functions, pydantic classes, or dicts in the form of OpenAI, Anthropic or Google.

    Raises:
        SettingsError: An item is no tool.

    Example:
        >>> def add(a: int, b: int) -> int:
        ...     '''Add two numbers.'''
        >>> tool_schemas([add])["add"]["parameters"]["required"]
        ['a', 'b']
    """
    found: dict[str, dict[str, Any]] = {}
    for tool in tools:
        for function in _functions(tool):
            parameters = function.get("parameters") or function.get("input_schema") or {}
            found[function["name"]] = {
                "description": function.get("description") or "",
                "parameters": dict(parameters) or {"type": "object", "properties": {}},
            }
    return found


def _functions(tool: Any) -> list[Mapping[str, Any]]:
    if isinstance(tool, Mapping):
        if isinstance(tool.get("function"), Mapping):
            return [tool["function"]]
        if "function_declarations" in tool:
            return list(tool["function_declarations"])
        if "name" in tool:
            return [tool] if "parameters" in tool or "input_schema" in tool else []
        if "type" in tool and "properties" not in tool:
            return []
    try:
        return [convert_to_openai_tool(tool)["function"]]
    except (TypeError, ValueError, KeyError, NotImplementedError) as error:
        raise SettingsError(f"not a tool: {tool!r}; give LangChain tools, functions or their schemas") from error
