"""Objects on their way to another process, by pickle or cloudpickle.

Models hold clients, locks and keys, which no pickle can or should carry. `Parcel` writes whatever it holds with a
pickler of its own: a chat model, wherever it is nested, becomes its class and its settings, and is made anew on
arrival, with clients of that process. Secrets are left out, and come from the environment there, unless they are asked
for by `secrets_included`. As with every pickle, only data from a trusted source may be read.
"""

from __future__ import annotations

import io
import pickle
import sys
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

from langchain_core.language_models import BaseLanguageModel
from langchain_core.load.serializable import Serializable
from pydantic import BaseModel, SecretBytes, SecretStr

from langchain_optscale.errors import SettingsError
from langchain_optscale.models.keys import NO_KEY, bearer_key, key_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Parcel", "SentKey", "content_of", "made_by", "reduced", "revived", "secrets_included"]

T = TypeVar("T")

_ORIGIN = "optscale_origin"
_with_secrets: ContextVar[bool] = ContextVar("optscale_with_secrets", default=False)


@contextmanager
def secrets_included() -> Iterator[None]:
    """Within the block, pickles of models and verifiers contain their keys, in plain text.

    Example:
        >>> import pickle
        >>> from langchain_optscale import RewardModelVerifier
        >>> verifier = RewardModelVerifier("http://localhost:8000", "reward", api_key="sk-0123")
        >>> with secrets_included():
        ...     b"sk-0123" in pickle.dumps(verifier)
        True
        >>> b"sk-0123" in pickle.dumps(verifier)
        False
    """
    token = _with_secrets.set(True)
    try:
        yield
    finally:
        _with_secrets.reset(token)


class Parcel:
    """Any object as part of another one's pickle; reading it gives the object itself.

    Args:
        content: What to send.
    """

    def __init__(self, content: Any) -> None:
        self.content = content

    def __reduce__(self) -> Any:
        return _opened, (_packed(self.content),)


def content_of(value: Any) -> Any:
    """What a `Parcel` holds, else the value itself: `copy.copy` passes a parcel on unopened."""
    return value.content if isinstance(value, Parcel | SentKey) else value


def made_by(thing: T, function: Callable[..., Any], *args: Any) -> T:
    """The same object, which is sent as a call of a function that makes its like."""
    setattr(thing, _ORIGIN, (function, args))
    return thing


class SentKey:
    """A key as an argument of what is made on arrival, where it is found in the environment.

    Inside `secrets_included` it is written itself. Pickling it raises `SettingsError` where it may not be written and
    no variable is known for it.

    Args:
        key: The key; None where there is none.
        variable: The environment variable that holds it on arrival, or None.
        whose: What it is the key of, for messages.
    """

    def __init__(self, key: SecretStr | None, variable: str | None, whose: str) -> None:
        self.content, self.variable, self.whose = key, variable, whose

    def __reduce__(self) -> Any:
        if self.content is None or _with_secrets.get():
            return content_of, (self.content,)
        if self.content.get_secret_value() == NO_KEY:
            return bearer_key, (NO_KEY,)
        if self.variable is None:
            raise SettingsError(
                f"the key of {self.whose} is not written into a pickle; pickle inside `with secrets_included():`, or "
                "build the model in the other process"
            )
        return key_in, (self.variable, self.whose)


def reduced(model: BaseModel) -> Any:
    """`__reduce_ex__` of a pydantic model of ours: its fields, but for those that LangChain excludes."""
    state = {**model.__getstate__(), "__pydantic_private__": None}
    fields = type(model).model_fields
    state["__dict__"] = {
        name: fields[name].get_default(call_default_factory=True) if name in fields and fields[name].exclude else value
        for name, value in state["__dict__"].items()
    }
    return revived, (type(model), Parcel(state))


def revived(kind: type[BaseModel], state: Any) -> BaseModel:
    """What `reduced` wrote; private attributes begin anew."""
    model = kind.__new__(kind)
    model.__setstate__(content_of(state))
    model.model_post_init(None)
    return model


def _packed(content: Any) -> bytes:
    """The pickle of an object. Where cloudpickle is in use, functions without a module are written as well."""
    written = io.BytesIO()
    cloudpickle: Any = sys.modules.get("cloudpickle")
    pickler = _Pickler if cloudpickle is None else _with_models(cloudpickle.Pickler)
    pickler(written).dump(content)
    return written.getvalue()


def _opened(data: bytes) -> Any:
    return pickle.loads(data)  # noqa: S301 - part of a pickle that is being read


def _with_models(base: type[Any]) -> Any:
    class Sending(base):  # type: ignore[misc]  # cloudpickle has no types
        def reducer_override(self, thing: Any) -> Any:
            how = _how_to_send(thing)
            return super().reducer_override(thing) if how is None else how

    return Sending


class _Pickler(pickle.Pickler):
    def reducer_override(self, thing: Any) -> Any:
        how = _how_to_send(thing)
        return NotImplemented if how is None else how


def _how_to_send(thing: Any) -> Any:
    """How an object is written that cannot be written as it is; None for all others."""
    if isinstance(thing, SecretStr | SecretBytes) and not _with_secrets.get():
        raise SettingsError(
            f"{thing!r} is a secret, which is not written into a pickle: pickle inside `with secrets_included():`"
        )
    origin = _origin_of(thing)
    if origin is not None:
        return origin
    own = type(thing).__module__.partition(".")[0] == __name__.partition(".")[0]
    if isinstance(thing, BaseLanguageModel) and not own and _has_clients(thing):
        return _made_anew, (type(thing), _settings_of(thing), str(thing.get_name()))
    return None


def _origin_of(thing: Any) -> Any:
    if isinstance(thing, type):
        return None
    held = getattr(thing, "__dict__", None) or {}
    if not isinstance(thing, BaseModel):
        return held.get(_ORIGIN)
    origin = getattr(held.get("root_client"), "__dict__", {}).get(_ORIGIN)
    if origin is None:
        return None
    function, args = origin
    # A copy of the model may have other settings by now.
    return _made_like, (function, args, _settings_of(thing))


def _made_like(function: Callable[..., Any], args: tuple[Any, ...], settings: dict[str, Any]) -> Any:
    made: BaseModel = function(*args)
    by_alias = {field.alias: name for name, field in type(made).model_fields.items() if field.alias}
    return made.model_copy(update={by_alias.get(name, name): value for name, value in settings.items()})


def _made_anew(kind: type[Any], settings: dict[str, Any], name: str) -> Any:
    try:
        return kind(**settings)
    except Exception as error:
        raise SettingsError(
            f"{name} could not be created from a pickle: {error}; set its key in the environment of this process, or "
            "pickle it inside `with secrets_included():`"
        ) from error


def _has_clients(model: BaseModel) -> bool:
    """Whether a model holds what cannot be written, or must not be: clients, locks, keys."""
    held = dict(model.__dict__)
    fields = type(model).model_fields
    if any(
        isinstance(value, SecretStr) or (name in fields and fields[name].exclude and value is not None)
        for name, value in held.items()
    ):
        return True
    try:
        _packed(model.__pydantic_private__)
    except Exception:  # noqa: BLE001 - whatever it holds, it cannot be written
        return True
    return False


def _settings_of(model: BaseModel) -> dict[str, Any]:
    """The arguments that make an equal model: the fields that are set, without clients and, as a rule, secrets."""
    fields = type(model).model_fields
    secret = model.lc_secrets.keys() if isinstance(model, Serializable) and not _with_secrets.get() else ()
    return {
        fields[name].alias or name: getattr(model, name)
        for name in model.model_fields_set & fields.keys()
        if not fields[name].exclude
        and name not in secret
        and fields[name].alias not in secret
        and (_with_secrets.get() or not isinstance(getattr(model, name), SecretStr | SecretBytes))
    }
