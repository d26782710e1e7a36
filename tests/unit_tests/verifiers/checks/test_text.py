import pytest

from langchain_optscale.verifiers.checks.text import (
    count_characters,
    count_items,
    count_sentences,
    count_words,
    find_words,
    last_number,
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 0),
        (" - … ", 0),
        ("one", 1),
        ("A well-known fact — isn't it?", 5),
        ("1990–2000", 2),
        ("3.14 is π", 3),
        ("naïve\u00a0café\tüber\nдом", 4),
        ("漢字 and kana かな", 6),
    ],
)
def test_count_words(text, words):
    assert count_words(text) == words


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("", 0),
        ("...", 0),
        ("No end", 1),
        ("One. Two! Three?", 3),
        ('Dr. Who said "No!" Then it was 3.14', 2),
        ("1. Apples are red.\n2. Pears are green.", 2),
        ("The answer is 42.", 1),
        ("42.", 1),
        ("A title\n\nA sentence\nover two lines.", 2),
        ("これは文です。次の文！", 2),
        ("Fruit, e.g. apples, is good (really.) Yes.", 2),
    ],
)
def test_count_sentences(text, sentences):
    assert count_sentences(text) == sentences


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("", 0),
        ("apple", 1),
        ("apples, pears and plums.", 3),
        ("apples, pears, and plums.", 3),
        ("apples, and ham and eggs", 2),
        ("a and b", 2),
        ("a or b & c", 3),
        ("sand, band", 2),
        ("a,, b,", 2),
        ("りんご、梨、桃", 3),
    ],
)
def test_count_items(text, items):
    assert count_items(text) == items


def test_count_characters_is_the_same_for_every_encoding():
    assert count_characters(" caf\u00e9 ") == count_characters("cafe\u0301") == 4


def test_find_words_whole_words_phrases_and_accents():
    text = "In New\nYork the CAFE\u0301 is not concatenated; C++ and 黒猫."
    wanted = ["new york", "caf\u00e9", "cafe", "cat", "c++", "猫", "is"]
    assert find_words(wanted, text) == ["new york", "caf\u00e9", "c++", "猫", "is"]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("", None),
        ("none", None),
        ("x2 and v1.2.3", None),
        ("It took 3 days and cost -$1,234.50.", -1234.5),
        ("10-5", 5.0),
        ("the answer is −7", -7.0),
        (r"\boxed{1{,}234}", 1234.0),
        ("1\u202f234", 1234.0),
        ("1, 2, 3", 3.0),
        ("1,2345", 1.2345),
        ("1.5 × 10^{-3}", 0.0015),
        ("2.5×10⁵", 250_000.0),
        (r"6 \times 10^2", 600.0),
        ("3e5.", 300_000.0),
        ("1e999", None),
        (".5", 0.5),
        ("5.", 5.0),
        ("答案是42。", 42.0),
        ("٤٢", 42.0),
        ("3/4", 4.0),
        ("45 %", 45.0),
    ],
)
def test_last_number(text, number):
    assert last_number(text) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("3/4", 0.75),
        (r"-\frac{3}{4}", -0.75),
        (r"\dfrac{ -1 }{ 2 }", -0.5),
        ("1/0", None),
        ("45 %", 0.45),
        (r"45\%", 0.45),
        ("5 percent", 0.05),
        ("7", 7.0),
    ],
)
def test_last_number_with_percent_and_fractions(text, number):
    assert last_number(text, percent=True, fractions=True) == number
