"""The chat model's identity in traces, caches and serialised form, and its token counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from langchain_core.language_models import BaseChatModel
from langchain_core.load import dumpd
from langchain_core.runnables.configurable import RunnableConfigurableFields
from pydantic import Field

from langchain_optscale.engine.metadata import settings_metadata
from langchain_optscale.engine.overrides import settings_in
from langchain_optscale.engine.serialisation import NoJSONForm, identity, to_spec
from langchain_optscale.engine.settings import SearchSettings
from langchain_optscale.models.concealed import concealed
from langchain_optscale.models.policy import policy_name, unwrap
from langchain_optscale.models.private_names import prepare_configured
from langchain_optscale.models.travel import reduced

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.language_models import LangSmithParams, ModelProfile
    from langchain_core.messages import BaseMessage
    from langchain_core.runnables import RunnableConfig

__all__ = ["CALL", "IdentifiedChatModel", "for_this_call"]

# The keyword argument with the settings that a call changes; see `ChatOptScale.invoke`.
CALL = "optscale_call"
# LangGraph's own, which differ from run to run.
_OF_THE_THREAD = frozenset({"thread_id", "checkpoint_id", "checkpoint_ns", "checkpoint_map"})
# The standard settings of LangChain chat models; passed to the policy with each draw.
_STANDARD = ("temperature", "max_tokens", "timeout", "stop")


class IdentifiedChatModel(SearchSettings, BaseChatModel):
    """The settings of a chat model that searches, and what follows from them alone."""

    temperature: float | None = Field(default=None, ge=0)
    max_tokens: int | None = Field(default=None, ge=1)
    timeout: float | None = Field(default=None, gt=0)
    stop: list[str] | None = None
    streaming: bool = False

    def configurable_fields(self, **kwargs: Any) -> Any:
        """As for any Runnable: name fields that `config["configurable"]` may change, under names of your own.

        The settings of a search need no such preparation, see `SearchSettings`.
        """
        return _ConfiguredModel(default=self, fields=cast("Any", super().configurable_fields(**kwargs)).fields)

    def standard(self) -> dict[str, Any]:
        """The standard settings of chat models that are set, as keyword arguments of the policy."""
        return {name: value for name in _STANDARD if (value := getattr(self, name)) not in (None, [])}

    @property
    def _llm_type(self) -> str:
        return "optscale"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        model, bound, _ = unwrap(self.policy)
        about = {
            "policy": concealed(model.asdict()) if model else self.policy.get_name(),
            **({"policy_kwargs": concealed(bound)} if bound else {}),
        }
        for name in sorted(self.model_fields_set & _own_fields() - {"policy"}):
            value = getattr(self, name)
            try:
                about[name] = dumpd(to_spec(value))
            except NoJSONForm:
                about[name] = repr(value)
        return about

    def _resolve_model_profile(self) -> ModelProfile | None:
        model, _, _ = unwrap(self.policy)
        return model.profile if model else None

    def get_token_ids(self, text: str) -> list[int]:
        """The tokens of a text by the policy's tokenizer."""
        counter = self._counter()
        return super().get_token_ids(text) if counter is None else counter.get_token_ids(text)

    def get_num_tokens(self, text: str) -> int:
        """The number of tokens of a text by the policy's tokenizer."""
        counter = self._counter()
        return super().get_num_tokens(text) if counter is None else counter.get_num_tokens(text)

    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: Sequence[Any] | None = None, **kwargs: Any
    ) -> int:
        """The number of tokens of a conversation by the policy's tokenizer; `kwargs` are the policy's."""
        counter = self._counter()
        if counter is None:
            return super().get_num_tokens_from_messages(messages, tools, **kwargs)
        return counter.get_num_tokens_from_messages(messages, **({"tools": tools} if tools else {}), **kwargs)

    def _counter(self) -> BaseChatModel | None:
        """The chat model that counts tokens; None without one, or with a `custom_get_token_ids`."""
        return None if self.custom_get_token_ids is not None else unwrap(self.policy)[0]

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop or self.stop, **kwargs)
        params["ls_provider"] = "optscale"
        params["ls_model_name"] = str(kwargs.get("model") or f"optscale/{policy_name(self.policy)}")
        settings = self.for_run(kwargs.get(CALL, {}).get("settings", {}))
        return cast("LangSmithParams", {**params, **settings_metadata(settings)})

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        """The model's part of a cache key: everything that is set."""
        parts = {name: identity(getattr(self, name)) for name in self.model_fields_set & _own_fields()}
        call = {key: value for key, value in kwargs.items() if key != "stream"}
        return str([self._llm_type, sorted(parts.items()), sorted(call.items()), stop])

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """True; see `to_json` for parts that are not serialisable."""
        return True

    @classmethod
    def get_lc_namespace(cls) -> list[str]:
        """The start of the serialised name, independent of the class's module."""
        return ["langchain_optscale"]

    def to_json(self) -> Any:
        """The form for LangChain's `dumpd` and `load`, with the names of secrets instead of their values.

        Returns:
            A constructor where every part has such a form, else LangChain's "not_implemented". Functions have no such
            form.
        """
        given = self.model_fields_set & type(self).model_fields.keys()
        try:
            kwargs = {
                name: to_spec(getattr(self, name))
                for name in type(self).model_fields
                if name in given and not type(self).model_fields[name].exclude
            }
        except NoJSONForm:
            return self.to_json_not_implemented()
        return {"lc": 1, "type": "constructor", "id": self.lc_id(), "kwargs": kwargs}

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Settings, with models that are made anew on arrival; see `models.travel`."""
        return reduced(self)


class _ConfiguredModel(RunnableConfigurableFields):  # type: ignore[type-arg]  # pydantic would build [Any, Any] anew
    """Builds a call's model from the settings that were given; LangChain would pass every default as given, too."""

    def _prepare(self, config: RunnableConfig | None = None) -> tuple[Any, RunnableConfig]:
        given = self.default.model_copy()
        for name in type(given).model_fields.keys() - given.model_fields_set:
            given.__dict__.pop(name, None)
        fields: Any = RunnableConfigurableFields.model_construct(default=given, fields=self.fields)
        prepared, config = prepare_configured(fields, config)
        return (self.default if prepared is given else prepared), config


def _own_fields() -> frozenset[str]:
    return frozenset({*SearchSettings.model_fields, *_STANDARD, "output_version"})


def for_this_call(model: SearchSettings, config: RunnableConfig) -> dict[str, Any]:
    """What `BaseChatModel` drops from a call's config, as one keyword argument, hence part of the cache key."""
    call: dict[str, Any] = {}
    if changes := settings_in(config):
        call["settings"] = changes
    if config.get("max_concurrency"):
        call["max_concurrency"] = config["max_concurrency"]
    if unwrap(model.policy)[0] is None and (others := _for_the_policy(config, changes)):
        call["configurable"] = others
    return {CALL: call} if call else {}


def _for_the_policy(config: RunnableConfig, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The part of "configurable" that a policy which is no plain chat model may read, such as the name of a model."""
    return {
        name: value
        for name, value in (config.get("configurable") or {}).items()
        if name not in changes and not name.startswith("__") and name not in _OF_THE_THREAD
    }
