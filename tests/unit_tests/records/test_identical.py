"""Equal candidates: copies, or draws that agree."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from langchain_optscale.records.identical import copies, text_fingerprint

SENTENCE = "The answer is 391."
ESSAY = " ".join(f"word{number}" for number in range(60))


def test_equal_sentences_of_a_policy_without_seeds_are_copies_while_nothing_else_is_drawn() -> None:
    one, other = (text_fingerprint(text, seeded=False) for text in (SENTENCE, "It may be 390."))
    assert one is not None
    assert copies([one] * 4) == [False, True, True, True]
    assert copies([one, one, other, one]) == [False] * 4


def test_with_seeds_of_their_own_equal_sentences_agree() -> None:
    assert text_fingerprint(SENTENCE, seeded=True) is None
    assert copies([text_fingerprint(SENTENCE, seeded=True)] * 3) == [False] * 3


def test_equal_bare_answers_may_agree_by_chance() -> None:
    assert text_fingerprint("391", seeded=False) is None
    assert text_fingerprint("Answer: B", seeded=False) is None


def test_long_texts_are_never_equal_by_chance() -> None:
    for seeded in (False, True):
        essay, other = text_fingerprint(ESSAY, seeded=seeded), text_fingerprint(f"{ESSAY} more", seeded=seeded)
        assert copies([essay, other, essay, None, essay]) == [False, False, True, False, True]


def test_white_space_at_the_ends_makes_no_difference() -> None:
    assert text_fingerprint(f" {SENTENCE}\n", seeded=False) == text_fingerprint(SENTENCE, seeded=False)


@given(st.lists(st.sampled_from(["La", "Lb", "Sa", "Sb", None])))
def test_the_first_of_each_kind_is_no_copy(fingerprints: list[str | None]) -> None:
    found = copies(fingerprints)
    assert len(found) == len(fingerprints)
    for place, is_copy in enumerate(found):
        assert not is_copy or fingerprints[place] in fingerprints[:place]
