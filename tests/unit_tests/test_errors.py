"""What a reader of a traceback, a log or a record sees of an error, and what reaches another process."""

import copy
import logging
import pickle
import traceback

import pytest

from langchain_optscale import errors
from langchain_optscale.errors import (
    ErrorReplyError,
    FileError,
    InvalidScoreError,
    MissingExtraError,
    OptScaleError,
    SettingsError,
    notes_of,
)
from langchain_optscale.records.failures import AllCandidatesFailed, Raised, failure_of
from langchain_optscale.records.shortcomings import RefusedCandidateError
from langchain_optscale.stopping import MaxSamples

PAGE = "https://github.com/langchain-optscale/langchain-optscale/blob/main/docs/errors.md"
MADE = [
    SettingsError("cap must be at least 1, got 0"),
    FileError.of("pool.jsonl cannot be read", OSError(2, "No such file")),
    MissingExtraError("Plotting", "pip install it"),
    ErrorReplyError("overloaded", 503),
    RefusedCandidateError("the policy refused"),
    AllCandidatesFailed({0: failure_of("draw", Raised(SettingsError("no such model"), 1))}),
    *(
        getattr(errors, name)("said")
        for name in errors.__all__
        if name.endswith("Error") and name not in {"MissingExtraError", "ErrorReplyError"}
    ),
]


def sent(error):
    return pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes


def kinds():
    return pytest.mark.parametrize("error", MADE, ids=lambda error: type(error).__name__)


@kinds()
def test_a_traceback_ends_with_the_address_of_the_page(error):
    *above, last = "".join(traceback.format_exception(error)).rstrip().splitlines()
    address = PAGE if type(error) is OptScaleError else f"{PAGE}#{type(error).__name__.lower()}"
    assert last == f"See {address}"
    assert not any("See " in line for line in above)
    assert error.help_url == address


@kinds()
def test_the_text_of_an_error_has_no_address(error):
    assert "http" not in str(error)
    assert "http" not in repr(error)


@kinds()
@pytest.mark.parametrize("passed_on", [copy.copy, copy.deepcopy, sent])
def test_an_error_is_the_same_in_another_process(error, passed_on):
    other = passed_on(error)
    assert type(other) is type(error)
    assert str(other) == str(error)
    assert other.__notes__ == error.__notes__
    assert vars(other).keys() == vars(error).keys()


def test_a_log_with_the_exception_has_the_address_once(caplog):
    try:
        MaxSamples(0)
    except SettingsError:
        logging.getLogger("tests").exception("the search was not begun")
    assert caplog.text.count("See ") == 1
    assert "#settingserror" in caplog.text


def test_the_record_of_a_search_has_the_notes_and_not_the_address():
    error = InvalidScoreError("a score must be in [0, 1], got 7")
    error.add_note("in question 17")
    failure = failure_of("verify", Raised(error, 1))
    assert failure.error == "InvalidScoreError: a score must be in [0, 1], got 7; in question 17"
    assert notes_of(error) == ["in question 17"]


def test_the_notes_of_other_errors_are_all_there():
    error = ValueError("other")
    error.add_note("See the manual")
    assert notes_of(error) == ["See the manual"]
    assert notes_of(ValueError("none")) == []


def test_a_class_derived_elsewhere_leads_to_what_it_derives_from():
    class OursError(InvalidScoreError):
        pass

    class PlainError(OptScaleError):
        pass

    assert OursError("no score").help_url == f"{PAGE}#invalidscoreerror"
    assert PlainError("said").help_url == PAGE
