"""`with_structured_output`: every candidate is parsed before it is verified, and the best valid one wins.

A candidate that does not parse is a `Failure` with the validation error and is not verified. Candidates are parsed as
the policy's `with_structured_output` does, with three differences: a candidate cut off at the token limit does not
parse; a schema given as a dict or a TypedDict is checked where `jsonschema` is installed; and an invalid choice does
not fail the other choices of its request.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from langchain_core.runnables import RunnableBinding, RunnableLambda, RunnableParallel, RunnableSequence
from langchain_core.runnables.config import merge_configs
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_function
from pydantic import BaseModel

from langchain_optscale.engine.settings import SearchSettings
from langchain_optscale.errors import EmptyCandidateError, OptScaleError
from langchain_optscale.models.policy import policy_name, unwrap
from langchain_optscale.records.endings import end_reason_of, end_spelling
from langchain_optscale.records.failures import AllCandidatesFailed
from langchain_optscale.runnables.messages import answer_message, with_usage
from langchain_optscale.runnables.optscale import OptScale
from langchain_optscale.verifiers import Verifier

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from langchain_core.language_models import BaseChatModel, LanguageModelInput
    from langchain_core.messages import AIMessage
    from langchain_core.prompt_values import PromptValue
    from langchain_core.runnables import Runnable, RunnableConfig

    from langchain_optscale.engine.result import OptScaleResult
    from langchain_optscale.records.candidates import Candidate, Verdict

__all__ = ["InvalidStructureError", "ParsedVerifier", "structured_search"]


class InvalidStructureError(OptScaleError, ValueError):
    """A candidate does not have the requested structure."""


def structured_search(
    settings: SearchSettings, schema: Any, include_raw: bool, standard: Mapping[str, Any], **kwargs: Any
) -> Runnable[LanguageModelInput, Any]:
    """A search whose candidates have one structure.

    Args:
        settings: The settings of the search.
        schema: A pydantic class, a TypedDict, a JSON schema, or anything else that the policy accepts.
        include_raw: Whether to return "raw", "parsed" and "parsing_error" instead of the parsed answer alone.
        standard: Arguments of the policy that are set, such as `temperature`.
        **kwargs: Passed on to the policy's `with_structured_output`, such as `method` and `strict`.

    Returns:
        A Runnable with the input of a chat model.

    Raises:
        NotImplementedError: The policy has no structured output, or one of an unknown form.
    """
    model, bound, configs = unwrap(settings.policy)
    if model is None:
        raise NotImplementedError(f"{policy_name(settings.policy)} has no structured output: it is not a chat model")
    asked = model.with_structured_output(schema, include_raw=True, **kwargs)
    llm, parser = _halves(asked, policy_name(settings.policy))
    inner, own, own_configs = unwrap(llm)
    if inner is None:
        raise NotImplementedError(f"the structured output of {policy_name(settings.policy)} does not call a chat model")
    arguments = {**standard, **bound, **own}
    parse = partial(_parse, parser=parser, check=_check(schema), tools=bool(kwargs.get("tools")))
    if _raises_for_the_whole_request(inner, arguments):
        arguments, plain = _in_the_body(inner, arguments, strict=kwargs.get("strict") is not False)
        if plain is not None:
            parse = partial(_parse, parser=plain, check=None, tools=bool(kwargs.get("tools")))
    given = {name: getattr(settings, name) for name in SearchSettings.model_fields.keys() & settings.model_fields_set}
    given["policy"] = RunnableBinding(bound=inner, kwargs=arguments, config=merge_configs(*configs, *own_configs))
    given["verifier"] = ParsedVerifier(parse, settings.verifier)
    search = OptScale(**given)
    name = policy_name(settings.policy)
    if not include_raw:
        return search | RunnableLambda(partial(_parsed, parse), name="parsed")
    return RunnableLambda(partial(_raw, search, parse, name), partial(_araw, search, parse, name), name="structured")


class ParsedVerifier(Verifier):
    """Passes candidates that parse to another verifier, as `candidate.parsed`; raises the parser's error for the rest.

    Args:
        parse: Returns the parsed message, given a message and a config, or raises.
        verifier: The other verifier.
    """

    def __init__(self, parse: Callable[[AIMessage, RunnableConfig | None], Any], verifier: Verifier) -> None:
        self.parse = parse
        self.verifier = verifier

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.verifier!r})"

    @property
    def name(self) -> str:
        """The other verifier's name."""
        return self.verifier.name

    @property
    def policy_kwargs(self) -> Mapping[str, Any]:
        """Those of the other verifier."""
        return self.verifier.policy_kwargs

    @property
    def needs_whole_answers(self) -> bool:
        """Half a document may parse, as something else than was meant."""
        return True

    def check_sync(self) -> None:
        """Check the other verifier."""
        self.verifier.check_sync()

    def verify(self, prompt: PromptValue, candidate: Candidate, config: RunnableConfig | None = None) -> Verdict:
        """Parse, then verify.

        Raises:
            Exception: The candidate does not parse, or the other verifier raises.
        """
        parsed = self.parse(candidate.answer_message, config)
        return self.verifier.verify(prompt, replace(candidate, parsed=parsed), config)

    async def averify(self, prompt: PromptValue, candidate: Candidate, config: RunnableConfig | None = None) -> Verdict:
        """As `verify`; parsing is quick and done on the event loop."""
        parsed = self.parse(candidate.answer_message, config)
        return await self.verifier.averify(prompt, replace(candidate, parsed=parsed), config)


def _halves(asked: Runnable[Any, Any], policy: str) -> tuple[Runnable[Any, Any], Runnable[Any, Any]]:
    """The model and the parser of the chain that LangChain's integrations build for `include_raw=True`."""
    if isinstance(asked, RunnableSequence) and isinstance(asked.first, RunnableParallel):
        steps = asked.first.steps__
        if steps.keys() == {"raw"}:
            rest = asked.steps[1:]
            return steps["raw"], rest[0] if len(rest) == 1 else RunnableSequence(*rest)
    raise NotImplementedError(
        f"the structured output of {policy} is not a model and a parser, so its candidates cannot be parsed "
        "one by one; bind the schema to the policy and parse the chosen message instead"
    )


def _parse(
    message: AIMessage,
    config: RunnableConfig | None,
    *,
    parser: Runnable[Any, Any] | Callable[[AIMessage], Any],
    check: Callable[[Any], None] | None,
    tools: bool,
) -> Any:
    ended = end_reason_of(message)
    if ended is not None and not ended.complete:
        # Whatever accept_truncated says: half a document may parse, as something else than was meant.
        raise InvalidStructureError(f"the answer is incomplete: it ended by {end_spelling(message)!r}")
    if callable(parser) and not hasattr(parser, "invoke"):
        return parser(message)
    answer = parser.invoke({"raw": message}, config)
    if answer["parsing_error"] is not None:
        raise answer["parsing_error"]
    if answer["parsed"] is None and not (tools and message.tool_calls):
        raise EmptyCandidateError("the policy answered without the requested structure")
    if check is not None and answer["parsed"] is not None:
        check(answer["parsed"])
    return answer["parsed"]


def _check(schema: Any) -> Callable[[Any], None] | None:
    """A check against a schema that LangChain itself does not check; None without `jsonschema`."""
    try:
        from langchain_optscale.verifiers.checks.json_check import _json_schema_validator

        wanted = convert_to_json_schema(schema)
        validator = _json_schema_validator({key: item for key, item in wanted.items() if key not in {"title", "name"}})
    except (OptScaleError, ValueError, TypeError):
        return None

    def check(data: Any) -> None:
        if not isinstance(data, dict):
            return  # an instance of a class, which has validated itself
        faults = [
            f"{'.'.join(map(str, fault.absolute_path)) or 'the answer'}: {fault.message}"
            for fault in validator.iter_errors(data)
        ]
        if faults:
            raise InvalidStructureError("; ".join(faults[:3]))

    return check


def _raises_for_the_whole_request(model: BaseChatModel, arguments: Mapping[str, Any]) -> bool:
    """Whether this is langchain-openai on chat completions.

    Its client validates `response_format`, and raises for all choices if one of them is cut off or invalid; in the
    request's body the client does not see it.
    """
    fields = type(model).model_fields
    openai = "extra_body" in fields and hasattr(model, "root_client") and not getattr(model, "use_responses_api", None)
    return openai and "response_format" in arguments


def _in_the_body(
    model: BaseChatModel, arguments: Mapping[str, Any], *, strict: bool
) -> tuple[dict[str, Any], Callable[[AIMessage], Any] | None]:
    """The arguments with the format in the body, and a parser where the client would have parsed."""
    rest = dict(arguments)
    wanted = rest.pop("response_format")
    plain: Callable[[AIMessage], Any] | None = None
    if isinstance(wanted, type) and issubclass(wanted, BaseModel):
        plain = partial(_validated, wanted)
        function = convert_to_openai_function(wanted, strict=strict)
        function["schema"] = function.pop("parameters")
        wanted = {"type": "json_schema", "json_schema": function}
    body = {**(getattr(model, "extra_body", None) or {}), **(rest.get("extra_body") or {}), "response_format": wanted}
    return {**rest, "extra_body": body}, plain


def _validated(schema: type[BaseModel], message: AIMessage) -> BaseModel | None:
    if message.tool_calls:
        return None
    return schema.model_validate_json(str(message.text))


def _parsed(
    parse: Callable[[AIMessage, RunnableConfig | None], Any], result: OptScaleResult, config: RunnableConfig
) -> Any:
    return parse(result.best.answer_message, config)


def _raw(
    search: OptScale, parse: Callable[..., Any], name: str, question: LanguageModelInput, config: RunnableConfig
) -> dict[str, Any]:
    try:
        result = search.invoke(question, config)
    except AllCandidatesFailed as error:
        return _nothing_parsed(error)
    return {
        "raw": answer_message(result, name),
        "parsed": parse(result.best.answer_message, config),
        "parsing_error": None,
    }


async def _araw(
    search: OptScale, parse: Callable[..., Any], name: str, question: LanguageModelInput, config: RunnableConfig
) -> dict[str, Any]:
    try:
        result = await search.ainvoke(question, config)
    except AllCandidatesFailed as error:
        return _nothing_parsed(error)
    return {
        "raw": answer_message(result, name),
        "parsed": parse(result.best.answer_message, config),
        "parsing_error": None,
    }


def _nothing_parsed(error: AllCandidatesFailed) -> dict[str, Any]:
    """The answer where no candidate parses: as in LangChain, `include_raw` reports the error instead of raising it."""
    if not error.candidates:
        raise error
    return {"raw": with_usage(error.candidates[0].message, error.total_usage), "parsed": None, "parsing_error": error}
