"""A model object behind which other middleware recognises the model that it stands for.

Middleware of providers asks what the agent's model is, by `isinstance`, by its attributes and by its provider, before
it marks a prompt for caching or offers a provider's own tools. A step's searching model therefore answers as the
policy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from langchain_optscale.models.policy import unwrap

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel, LangSmithParams

__all__ = ["RecognisablePolicy"]


class RecognisablePolicy:
    """Put before the class of a model with a `policy`.

    `isinstance` is true of the model's own class and of the policy's; `type` gives the own class alone. Public
    attributes that the model lacks are the policy's. Where the policy is no plain chat model, nothing changes.
    """

    @property
    def __class__(self) -> type[Any]:  # as unittest.mock does with a `spec`
        model = _policy_of(self)
        return type(self) if model is None else type(model)

    @__class__.setter
    def __class__(self, kind: type[Any]) -> None:
        raise TypeError(f"the class of a {type(self).__name__} cannot be changed to {kind.__name__}")

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)  # type: ignore[misc]  # pydantic's, for private attributes
        except AttributeError:
            model = None if name.startswith("_") else _policy_of(self)
            if model is None or not hasattr(model, name):
                raise
            return getattr(model, name)

    def __setattr__(self, name: str, value: Any) -> None:
        # Pydantic asks `__class__` for the fields and private attributes, which would be those of the policy.
        kind: Any = type(self)
        if name in kind.__private_attributes__:
            held = cast("Any", self).__pydantic_private__
            held[name] = value
        elif name in kind.model_fields:
            self.__dict__[name] = value
            cast("Any", self).__pydantic_fields_set__.add(name)
        else:
            super().__setattr__(name, value)

    def __repr_name__(self) -> str:
        """Pydantic's name of the class, in the repr."""
        return type(self).__name__

    def to_json(self) -> Any:
        """As of the class behind, under the object's own name and class."""
        kind = type(self)
        own = {"id": [*kind.__module__.split("."), kind.__name__], "name": self.get_name()}
        return {**super().to_json(), **own}  # type: ignore[misc]

    @property
    def _llm_type(self) -> str:
        model = _policy_of(self)
        return "optscale" if model is None else model._llm_type  # noqa: SLF001 - the method to override

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)  # type: ignore[misc]  # that of the class behind
        model = _policy_of(self)
        own = {} if model is None else model._get_ls_params(stop=stop)  # noqa: SLF001 - the method to override
        provider = {"ls_provider": own["ls_provider"]} if "ls_provider" in own else {}
        return cast("LangSmithParams", {**params, **provider})


def _policy_of(model: Any) -> BaseChatModel | None:
    """The chat model that is searched with; None while the object is being made."""
    held = object.__getattribute__(model, "__dict__")
    return unwrap(held["policy"])[0] if "policy" in held else None
