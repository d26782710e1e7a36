"""The answers of one search: equal answers become one string, in the order in which they arrive."""

import itertools
import threading
from dataclasses import dataclass

import pytest

from langchain_optscale.answers import Agreement, AnswerBook, Compared, Equivalence, ExactText, WholeText, as_extractor
from langchain_optscale.errors import SettingsError


@dataclass(frozen=True)
class SameLength(Equivalence):
    """Decides by asking, never by the form."""

    def canonical(self, text):
        return text.strip()

    def match(self, form, known):
        return next((one for one in known if len(one) == len(form)), None)


def read_all(extract, texts):
    book = AnswerBook(as_extractor(extract))
    return [book.read(index, text) for index, text in enumerate(texts)]


def test_canonical_forms_do_not_depend_on_the_order():
    texts = ["0.5", "1/2", "Paris", "paris.", "unclear"]
    for order in itertools.permutations(range(5)):
        answers = read_all("text", [texts[place] for place in order])
        assert [answers[order.index(place)] for place in range(5)] == ["0.5", "0.5", "paris", "paris", "unclear"]


def test_what_forms_leave_open_takes_the_form_that_came_first():
    extract = Compared(WholeText(), SameLength())
    assert read_all(extract, ["aa", "b", "cc", "d", "eee", "cc"]) == ["aa", "b", "aa", "b", "eee", "aa"]
    assert read_all(extract, ["cc", "aa"]) == ["cc", "cc"]


def test_expressions_become_one_string():
    boxes = [r"\boxed{x+1}", r"\boxed{2}", r"\boxed{1+x}", r"\boxed{\sqrt{4}}", "none", r"\boxed{x + 1}"]
    assert read_all("boxed", boxes) == ["x+1", "2", "x+1", "2", None, "x+1"]


def test_reading_twice_changes_nothing():
    book = AnswerBook(as_extractor("text"))
    assert book.read(0, "a") == book.read(0, "something else") == "A"
    assert book.answers == {0: "A"}


def test_an_error_is_raised_each_time_and_counts_as_no_answer():
    book = AnswerBook(as_extractor(lambda text: {}[text]))
    for _ in range(2):
        with pytest.raises(KeyError):
            book.read(0, "a")
    assert book.answers == {0: None}


def test_agreement_counts_the_others():
    book = AnswerBook(as_extractor("text"))
    for index, text in enumerate(["4", "4.0", "5", " ", "a few", "4"]):
        book.read(index, text)
    assert [book.agreement(index) for index in range(6)] == [
        Agreement(2, 5), Agreement(2, 5), Agreement(0, 5), Agreement(0, 5), Agreement(0, 5), Agreement(2, 5)
    ]  # fmt: skip
    with pytest.raises(SettingsError, match="candidate 9 has not been read"):
        book.agreement(9)


def test_a_search_that_is_resumed_goes_on_with_the_answers_it_had():
    extract = Compared(WholeText(), SameLength())
    whole = AnswerBook(extract)
    texts = ["aa", "b", "cc", "ddd", "e"]
    expected = [whole.read(index, text) for index, text in enumerate(texts)]
    for cut in range(6):
        later = AnswerBook(extract)
        for index in range(cut):
            later.restore(index, expected[index])
        assert [later.read(index, text) for index, text in enumerate(texts)] == expected
        assert [later.agreement(index) for index in range(5)] == [whole.agreement(index) for index in range(5)]


def test_threads_agree_on_one_string():
    book = AnswerBook(Compared(WholeText(), SameLength()))
    barrier = threading.Barrier(8)

    def read(index):
        barrier.wait()
        book.read(index, "ab"[index % 2])

    threads = [threading.Thread(target=read, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(book.answers.values())) == 1


def test_no_extractor_no_answers():
    book = AnswerBook()
    assert book.read(0, "4") is None
    assert Compared(WholeText(), ExactText()).read("  ") is None


@pytest.mark.parametrize("extract", ["boxed", "math"])
def test_a_number_without_a_unit_belongs_to_one_unit_only(extract):
    book = AnswerBook(as_extractor(extract))
    texts = ["5", "5 cm", "5 m", "0.05 m", "5", "500 cm"]
    answers = [book.read(index, rf"\boxed{{{text}}}") for index, text in enumerate(texts)]
    assert answers == ["5", "5", "5 m", "5", "5", "5 m"]


def test_an_equal_expression_has_the_unit_of_the_one_that_it_is_equal_to():
    texts = [r"6\sqrt{2}", r"6\sqrt{2}\text{ cm}", r"\sqrt{72}\text{ kg}", r"\sqrt{72}\text{ cm}"]
    one, same, other, again = read_all("boxed", [rf"\boxed{{{text}}}" for text in texts])
    assert one == same == again
    assert other != one
