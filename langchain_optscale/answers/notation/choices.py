r"""The letter of a chosen option in a text, in the words of several languages.

>>> [find_choice(one, "ABCD") for one in ("正确答案是C", "Réponse : (d)", "정답은 B입니다", "La respuesta no es A.")]
['C', 'D', 'B', None]
"""

from __future__ import annotations

import re
from functools import lru_cache

from langchain_optscale.answers.numerals import last_match

__all__ = ["find_choice"]

# One character each, so that places in the text stay: full-width forms, letters in circles, brackets of East Asia.
_WIDE = {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
_CIRCLED = {0x24B6 + number: chr(ord("A") + number) for number in range(26)}
_BRACKETS = str.maketrans({"【": "[", "】": "]", "「": '"', "」": '"', "〔": "[", "〕": "]", "“": '"', "”": '"'})
_PLAIN = _BRACKETS | _WIDE | _CIRCLED

# What says that an answer follows; the words of the first group are English.
_ANSWER = (
    r"\b(?i:answer|choose|chose|pick|select|go with|(?:correct|right|best) (?:option|choice|letter)"
    r"|(?:option|choice)(?= is))\b"
    r"|\b(?i:respuesta|opción correcta|réponse|antwort|lösung|risposta|resposta|antwoord|odpowiedź|odpověď|svar(?:et)?"
    r"|răspuns(?:ul)?|válasz|cevap|yanıt|jawaban(?:nya)?|đáp án|ответ|відповідь|απάντηση)\b"
    r"|答案\]?|正确(?:的)?(?:选项|答案)|正解|解答|答え|故选|应选|選ぶ|选择?|選擇?|정답|답|الإجابة|الجواب|उत्तर|คำตอบ|התשובה"
)
_LINKS = (
    r"(?i: (?:is|would be|should be|must be|will be|option|choice|letter|the|therefore|thus"
    r"|correcta|es|la|opción|letra|correcte|est|bonne|lettre|option|ist|lautet|die|richtige|buchstabe|corretta|è|é|opzione"
    r"|lettera|correta|alternativa|juist|to|správná|je|är|este|corect|adalah|yang|benar|đúng|là|верный|правильный"
    r"|είναι|الصحيحة|هي|هو|है|היא)(?=[ :]))| [ao](?= )"
    r"| ?(?:[是为為はが은는이应應该該应当选选择]|应为|应该是|คือ)| ?[—–-](?= )"
)
_NEGATED = (
    r"(?! ?(?:[가이은는] ?아[니닙]|では(?:ない|ありません)|じゃない|不|नहीं|(?:is|was) (?:not|wrong|incorrect)\b))"
)
_NOT_BEFORE = "".join(
    f"(?<!{words})"
    for words in ("not ", "or ", "and ", "no es ", "nicht ", "pas ", "não é ", "non è ", "не ", "不是", "不选", "不選")
)


def find_choice(text: str, letters: str) -> str | None:
    """The letter of the option that the text chooses, as a capital; None where it chooses none.

    Takes time linear in the text.

    Args:
        text: Any text.
        letters: The letters of the options, as capitals.
    """
    text = text.translate(_PLAIN)
    stated, marked, last = _patterns(letters)
    if match := last_match(stated, text):
        return _letter(match)
    listed = list(marked.finditer(text))
    closing = last_match(last, text)
    if closing and len({_letter(one) for one in listed}) > 1 and closing.start() > listed[-1].end():
        return _letter(closing)  # the marks are those of the options, which the text repeats before it chooses
    found = listed[-1] if listed else closing
    return found and _letter(found)


def _letter(match: re.Match[str]) -> str:
    return str(next(group for group in match.groups() if group)).upper()


@lru_cache
def _patterns(letters: str) -> tuple[re.Pattern[str], ...]:
    """From the plainest statement to the weakest hint."""
    capital, either = f"[{letters}]", f"[{letters}{letters.lower()}]"
    # As many marks as people write; of more, each of many boxes within boxes would read all that follow it.
    opening = r"(?:\s++|[:=*_`$\"'“({\[<>«]|\\(?:text(?:bf)?|mathrm|mathbf|boxed|fbox|\(|\[)){0,24}+"
    closing = r"[)}\]*.,;:\"”_`$\\<»]"
    # Before a word, A and I may be no names of options; a small letter counts only where its mark or line ends.
    article = r"(?<=[AI]) (?!(?:because|since|as|is|and|which)\b)[a-z]"
    letter = (
        rf"(?:({capital})(?![A-Za-z0-9]|['’][A-Za-z])(?!{article}){_NEGATED}|({either})(?={closing}|[ \t]*(?:\n|\Z)))"
    )
    stated = (
        rf"(?:{_ANSWER})(?:{_LINKS}){{0,8}}+{opening}(?:(?i:option|choice|letter|opción|letra|选项){opening})?{letter}"
    )
    praised = rf"(?<![A-Za-z0-9'’])({capital})\)? (?:is|would be) (?:the )?(?:correct|right|best|answer)\b"
    praised += (
        rf"|\b(?i:option|choice|answer|letter) \(?({either})\)? (?:is|would be) (?:the )?(?:correct|right|best)\b"
    )
    praised += rf"|选项 ?({capital}) ?(?:是|为)?(?:正确|对的|对)"
    boxed = rf"\\f?box(?:ed)?\s*\{{{opening}({either})(?:[)}}\].\s]*\}}|[.):] )"
    marked = rf"\(({capital})\)|\[({capital})\]|\*\*\(?({capital})\)?[.:]?\*\*"
    marked += rf"|^[ \t]*(?:\*\*)?({capital})(?:[.):][ \t]*(?=\S)|[ \t][-–—][ \t](?=\S)|[.):]?[ \t]*$)"
    last = rf"(?<![A-Za-z0-9'’]){_NOT_BEFORE}({capital})[.!)\s✅✔️☑]*+\Z|\A\s*+\(?({either})[.)\s]*+\Z"
    return tuple(re.compile(pattern, re.MULTILINE) for pattern in (f"{stated}|{praised}|{boxed}", marked, last))
