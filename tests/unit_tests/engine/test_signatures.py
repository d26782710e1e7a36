"""What `help` shows first: names and defaults, and not the types with all their validators."""

import inspect
import pydoc
import re

import pytest
from langchain_core.language_models import FakeListChatModel

from langchain_optscale import ChatOptScale, OptScale, SearchSettings


class WithASettingMore(OptScale):
    """A class of an application."""

    audience: str = "children"


@pytest.mark.parametrize("owner", [OptScale, ChatOptScale, SearchSettings, WithASettingMore])
def test_names_and_defaults_on_less_than_a_screen(owner):
    shown = str(inspect.signature(owner))
    assert shown.startswith("(*, policy, verifier, ")
    assert "max_samples=16" in shown
    assert len(shown) < 1000
    assert not any(word in shown for word in ("Annotated", "Validator", "Scope", " at 0x"))


@pytest.mark.parametrize("owner", [OptScale, ChatOptScale, SearchSettings])
def test_help_comes_to_the_description_at_once(owner):
    text = pydoc.plain(pydoc.render_doc(owner))
    assert text.index(owner.__doc__.splitlines()[0]) < 1200


@pytest.mark.parametrize("owner", [OptScale, ChatOptScale])
def test_help_describes_each_setting_with_its_default_before_any_method(owner):
    text = pydoc.plain(pydoc.render_doc(owner))
    first = text[: text.index("Method resolution order")].replace(" |  ", "")
    own = inspect.getdoc(SearchSettings).partition("Attributes:\n")[2].partition("\n\n")[0]
    for name, field in SearchSettings.model_fields.items():
        entry = re.search(rf"^    {name}: (.+(?:\n {{8}}.+)*)", first, re.MULTILINE)[1]
        *words, default = entry.split("\n")
        assert "\n".join(words) in own
        expected = "Required." if field.is_required() else f"Default: {field.get_default()!r}."
        assert default.strip() == expected
    assert len(first) < 15_000


def test_a_class_of_an_application_keeps_its_own_docstring():
    assert WithASettingMore.__doc__ == "A class of an application."


@pytest.mark.parametrize("owner", [OptScale, ChatOptScale, SearchSettings, WithASettingMore])
def test_every_field_is_a_parameter_and_only_required_ones_have_no_default(owner):
    parameters = inspect.signature(owner).parameters
    assert parameters.keys() == owner.model_fields.keys()
    required = {name for name, one in parameters.items() if one.default is inspect.Parameter.empty}
    assert required == {"policy", "verifier"}


def test_a_class_keeps_the_parameters_of_its_own_constructor():
    class Named(OptScale):
        def __init__(self, *, audience="children", **settings):
            super().__init__(name=audience, **settings)

    assert inspect.signature(Named).parameters["audience"].default == "children"


def test_an_instance_does_not_show_how_it_is_made():
    search = OptScale(policy=FakeListChatModel(responses=["4"]), verifier=lambda prompt, candidate: 1.0)
    assert not hasattr(search, "__signature__")
