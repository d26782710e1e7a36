"""The letter of a chosen option, as models of many languages write it."""

import pytest

from langchain_optscale.answers import ChoiceLetter

STATED = [
    ("(A) 5\n(B) 6\n(C) 7\n\nSince 2 * 3 = 6, B.", "B"),
    ("A. red\nB. blue\nC. green\n\nThe sky is not red, so C", "C"),
    ("B ✅", "B"),
    ("B - Paris", "B"),
    ("B – the capital\n\nA is a town.", "B"),
    ("(B)", "B"),
    ("B.", "B"),
    ("[B]", "B"),
    ("Answer: b", "B"),
    ("Answer - B", "B"),
    ("Answer = D", "D"),
    ("My final choice is (D).", "D"),
    ("The correct answer is\n**(C) 12**", "C"),
    (r"\boxed{\text{B. Paris}}", "B"),
    ('{"answer": "C"}', "C"),
    ("正确答案是C", "C"),
    ("答案：B", "B"),
    ("答案是 (B)。", "B"),
    ("答案为：D", "D"),
    ("故选：A", "A"),
    ("因此选C。", "C"),
    ("应选 B", "B"),
    ("我选择B", "B"),
    ("【答案】D", "D"),
    ("答案：【B】", "B"),
    ("正确选项为B", "B"),
    ("选项C是正确的", "C"),
    ("正解はBです。", "B"),
    ("答えは「C」です", "C"),
    ("정답은 C입니다", "C"),
    ("정답: B", "B"),
    ("답은 (D)입니다.", "D"),
    ("La respuesta es C", "C"),
    ("La respuesta correcta es la opción C.", "C"),
    ("Respuesta: b)", "B"),
    ("Réponse : (d)", "D"),
    ("La bonne réponse est la C.", "C"),
    ("Die richtige Antwort ist B.", "B"),
    ("Antwort: (C)", "C"),
    ("La risposta corretta è la B.", "B"),
    ("A resposta correta é a alternativa C.", "C"),
    ("Resposta: letra D", "D"),
    ("Het juiste antwoord is B.", "B"),
    ("Svaret är B", "B"),
    ("Odpowiedź: B", "B"),
    ("Ответ: B", "B"),
    ("Правильный ответ — C", "C"),
    ("Cevap: B", "B"),
    ("Đáp án đúng là B", "B"),
    ("Jawaban yang benar adalah C.", "C"),
    ("الإجابة الصحيحة هي B", "B"),
    ("सही उत्तर: B", "B"),
    ("Ｂ", "B"),
    ("（Ｃ）", "C"),
    ("Ⓑ", "B"),
]
REFUSED = [
    "The answer is not B",
    "La respuesta no es B",
    "Die Antwort ist nicht B",
    "答案不是B",
    "정답은 B가 아닙니다",
    "正解はBではない",
    "A dog barks.",
    "A resposta é clara",
    "La respuesta es a veces difícil",
]


@pytest.mark.parametrize(("text", "letter"), STATED)
def test_stated_choices(text, letter):
    assert ChoiceLetter()(text) == letter
    assert ChoiceLetter()(f"(A) or (E)? Let us see.\n\n{text}") == letter


@pytest.mark.parametrize("text", REFUSED)
def test_texts_that_choose_nothing(text):
    assert ChoiceLetter()(text) is None


def test_letters_that_are_no_options():
    assert ChoiceLetter("AB")("答案是C") is None
    assert ChoiceLetter("ABCDEFGHIJ")("答案是J") == "J"
