"""The page of errors has every class that can be raised and every message that the code has for it."""

import pytest

from docs import messages
from langchain_optscale import errors
from langchain_optscale.stopping import MaxSamples

WRITTEN = messages.PAGE.read_text(encoding="utf-8")
CODE = messages.Code.read()
FOUND = messages.messages(CODE)
# What is raised with the text of another error, or builds its own from what it lists.
PASSED_ON = {
    ("AllCandidatesFailed", "engine/failing.py"),
    ("EmptyCandidateError", "records/shortcomings.py"),
    ("EndpointError", "cli/doctor.py"),
    ("ErrorReplyError", "models/single_choices.py"),
    ("IncompletePool", "evaluation/_recording.py"),
    ("InvalidRecordError", "cli/batch_file.py"),
    ("InvalidRecordError", "evaluation/_recording.py"),
    ("InvalidRecordError", "evaluation/importers/inspect.py"),
    ("InvalidRecordError", "evaluation/importers/lm_eval.py"),
    ("InvalidRecordError", "evaluation/samples.py"),
    ("InvalidRecordError", "learning/database.py"),
    ("InvalidRecordError", "records/json_file.py"),
    ("InvalidStructureError", "runnables/structured_output.py"),
    ("SettingsError", "learning/database.py"),
    ("SettingsError", "learning/store.py"),
    ("SettingsError", "learning/watch.py"),
    ("SettingsError", "models/prompts.py"),
    ("SettingsError", "stopping/answer_rules.py"),
    ("SettingsError", "stopping/certificate.py"),
    ("SettingsError", "verifiers/llm_judge/calls.py"),
    ("UnsupportedMethodError", "verifiers/llm_judge/calls.py"),
}


def sections():
    """The sections about a class; others have several words as their heading."""
    parts = {part.split("\n", 1)[0]: part for part in WRITTEN.split("\n## ")[1:]}
    return {heading: part for heading, part in parts.items() if heading.isidentifier()}


def test_every_class_has_a_section_that_says_why_and_what_to_do():
    assert set(sections()) == (CODE.errors - {"OptScaleError"}) | {"NotImplementedError"}
    for name, text in sections().items():
        assert "**Why:** " in text, name
        assert "**What to do:** " in text, name


def test_the_classes_of_the_package_are_found():
    assert set(errors.__all__) - {"notes_of", "printable"} <= CODE.errors
    assert {"AllCandidatesFailed", "IncompletePool", "RefusedCandidateError"} <= CODE.errors  # of other modules


def test_every_message_is_on_the_page():
    page = messages.page(WRITTEN, FOUND)
    assert len(FOUND) > 700
    missing = [text for one in FOUND for text in one.texts if messages._escaped(text) not in page]
    assert missing == []


def test_what_has_no_text_of_its_own_passes_one_on():
    silent = {
        (one.error, one.place.removeprefix("langchain_optscale/").rsplit(":")[0]) for one in FOUND if not one.texts
    }
    assert silent - PASSED_ON == set(), "write the message where it is raised, or list it here"


@pytest.mark.parametrize(
    ("source", "texts"),
    [
        ('def f(n):\n    raise SettingsError(f"n must be at least 1, got {n}")', ("n must be at least 1, got {n}",)),
        ('def f(a):\n    wrong = "it cannot be read"\n    raise SettingsError(wrong)', ("it cannot be read",)),
        ('def f(a):\n    raise SettingsError("not one" if a else "not two")', ("not one", "not two")),
        ('def g():\n    return "made elsewhere"\ndef f():\n    raise SettingsError(g())', ("made elsewhere",)),
        ("def f(error):\n    raise SettingsError(str(error))", ()),
        (
            'def f():\n    raise MissingExtraError("Plotting", "pip install it")',
            ("Plotting needs an optional dependency; install it with: pip install it",),
        ),
    ],
)
def test_texts_are_read_from_code(source, texts, tmp_path, monkeypatch):
    monkeypatch.setattr(messages, "PACKAGE", tmp_path)
    monkeypatch.setattr(messages, "ROOT", tmp_path)
    (tmp_path / "module.py").write_text(source)
    code = messages.Code.read(tmp_path)
    code.errors |= {"SettingsError", "MissingExtraError"}
    (found,) = messages.messages(code)
    assert found.texts == texts


def test_messages_lead_to_their_section():

    with pytest.raises(errors.OptScaleError) as caught:
        MaxSamples(0)
    address, _, anchor = caught.value.help_url.partition("#")
    assert address.endswith("/docs/errors.md")
    assert anchor in {name.lower() for name in sections()}
