r"""One spelling for what LaTeX, Unicode and plain text can write in several ways.

>>> spell(r"\left( \dfrac12,\, 3^{\circ} \right)"), spell("x₁ ≥ −½"), spell(r"$1$ and $\text{two}$")
('( \\frac{1}{2}, 3 )', 'x_1 \\ge - 1/2', '1 and two')
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["spell"]

_WRAPPER = re.compile(
    r"\\(?:text(?:bf|it|rm|sf|tt|normal|up|sc)?|math(?:rm|bf|it|sf|tt|cal|frak|normal|scr|bb)|[mfh]?box(?:ed)?"
    r"|operatorname\*?|boldsymbol|bm|pmb|displaystyle|ensuremath|emph|underline|textnormal|mathop|mathrel)\s*\{|\\[{}\\]|[{}]"
)
_NOISE = re.compile(
    r"(?P<row>\\\\)|\\(?:left|right|middle|[bB]igg?[lrm]?|displaystyle|textstyle|scriptstyle|limits|nolimits|bf|rm|it|tt|sf"
    r"|phantom\{[^{}]*\}|nonumber|notag|tag\*?\{[^{}]*\})(?![A-Za-z])|\\!|\\/|\\-|\u200b|\ufeff|\u2060|\u2061|\u2062"
)
_SPACE = re.compile(
    r"(?P<row>\\\\)|\\[,;:> ]|\\q?quad|\\(?:thin|med|thick)?space(?![A-Za-z])|\\[hv]space\*?\{[^{}]*\}|(?<!\\)~"
)
# Nothing in it has another spelling; sqrt(2) and 1orx=2 do.
_SIMPLE = re.compile(r"(?:[A-Za-z ]++[.,]?)++|[\d \n.,/%-]*+")
_NEXT_BOX = re.compile(r"(?<=\})\s*(?=\\f?box(?:ed)?\s*\{)")
_DELIMITER = re.compile(r"(?<!(?<!\\)\\)\$+|(?<!\\)\\[()\[\]]")
_CLOSE_COMMA = re.compile(r"\d,\d")
_DELIMITED_ENTRY = re.compile(r"(?<=,)\$(?=[^$]*\$)")
_ROW_GAP = re.compile(r"\\\\\s*\[[^\[\]]{0,12}(?:pt|em|ex|mm|cm|in)\]")
_DOUBLED = re.compile(r"\\\\(?=[A-Za-z{}%$])")
_DEGREE = re.compile(
    r"(?:\^\s*\{?\s*\\circ(?![A-Za-z])\s*\}?|\\(?:text)?degrees?(?![A-Za-z])|\^\s*\{?\s*\\degrees?\s*\}?)(?:\s*[CF](?![A-Za-z]))?"
)
_NAMED_FUNCTION = re.compile(
    r"\\(?:operatorname\*?|mathrm|text|mathop)\s*\{\s*((?:arc)?(?:sin|cos|tan|cot|sec|csc)|sinh|cosh|tanh|log|ln|exp|gcd|max|min)\s*\}"
)
# 5 \\choose 2 in braces, and what colours a part of the text.
_CHOOSE = re.compile(r"\{\s*([^{}]+?)\s*\\choose(?![A-Za-z])\s*([^{}]+?)\s*\}")
_COLOUR = re.compile(r"\\(?:textcolor|color|colorbox|bgcolor)\s*(?:\[[A-Za-z]+\])?\{[^{}]*\}\s*")
# At the end of an interval or alone on a side: elsewhere "inf" may be an abbreviation.
_SHORT_INFINITY = re.compile(
    r"(?:(?<=[(\[,;<>=])|(?<=[(\[,;<>=] )|\A)(?P<sign>[-+]? ?)(?:inf(?:inity|ty)?|oo)(?= ?(?:[)\],;<>=]|\Z))"
)
_MODULUS = re.compile(r"\(\s*\\?b?mod(?![A-Za-z])\s*\{?\s*(\w+)\s*\}?\s*\)|\\pmod(?![A-Za-z])\s*\{?\s*(\w+)\s*\}?")
# An angle in degrees of which there is a sine; elsewhere the sign is a unit.
_ANGLE = re.compile(
    r"\\?\b(sin|cos|tan|cot|sec|csc)\s*(?:(?P<open>[({])\s*)?(\d{1,4})\s?"
    r"(?:\^\s*\{?\s*\\circ(?![A-Za-z])\s*\}?|\^?\s*\{?\s*\\(?:text)?degrees?(?![A-Za-z])\s*\}?)(?(open)\s*[)}])"
)
_FRACTION = re.compile(r"\\(?:[dtcx]|nice|s)frac(?![A-Za-z])")
_BINOMIAL = re.compile(r"\\[dt]binom(?![A-Za-z])")
_OVER = re.compile(r"\{([^{}]+?)\\over(?![A-Za-z])([^{}]++)\}")
_SHORT_FRACTION = re.compile(r"\\frac\s*+(\d|[A-Za-z]|\{[^{}]*+\})\s*+(\d|[A-Za-z]|\{[^{}]*+\})")
_SHORT_ROOT = re.compile(r"\\sqrt\s*+(\d|[A-Za-z])(?![A-Za-z])")
_UNICODE_ROOT = re.compile(r"√\s*+(?:\(([^()]*+)\)|(\d++|[A-Za-z]))")
_WRITTEN_ROOT = re.compile(r"(?<![\\A-Za-z])sqrt\s?(?:\(([^()]*+)\)|\{([^{}]*+)\})")
_WRITTEN_POWER = re.compile(r"(?<=[\w)\]}])\s?\*\*\s?(?=[\w(\\{-])")
_NAMES = {
    "leq": "le",
    "leqslant": "le",
    "leqq": "le",
    "geq": "ge",
    "geqslant": "ge",
    "geqq": "ge",
    "neq": "ne",
    "not=": "ne",
    "cdot": "times",
    "ast": "times",
    "to": "rightarrow",
    "longrightarrow": "rightarrow",
    "implies": "Rightarrow",
    "varnothing": "emptyset",
    "ldots": "dots",
    "cdots": "dots",
    "dotsc": "dots",
    "dotsb": "dots",
    "mathR": "R",
    "Reals": "R",
    "reals": "R",
    "lor": "vee",
    "land": "wedge",
    "lnot": "neg",
    "varepsilon": "epsilon",
    "varphi": "phi",
    "vartheta": "theta",
    "varrho": "rho",
    "varsigma": "sigma",
    "iff": "Leftrightarrow",
    "Longrightarrow": "Rightarrow",
    "Longleftrightarrow": "Leftrightarrow",
    "backslash": "setminus",
    "smallsetminus": "setminus",
    "|": "parallel",
    "approxeq": "approx",
    "simeq": "approx",
    "thickapprox": "approx",
}
_NAME = re.compile(rf"\\({'|'.join(map(re.escape, sorted(_NAMES, key=len, reverse=True)))})(?![A-Za-z])")
_CHARACTERS = {
    "lbrace": "\\{",
    "rbrace": "\\}",
    "langle": "(",
    "rangle": ")",
    "lbrack": "[",
    "rbrack": "]",
    "lparen": "(",
    "rparen": ")",
    "lvert": "|",
    "rvert": "|",
    "vert": "|",
    "mid": "|",
    "lt": "<",
    "gt": ">",
    "colon": ":",
    "prime": "'",
    "div": "/",
    "N": "N",
    "Z": "Z",
    "Q": "Q",
    "slash": "/",
}
_CHARACTER = re.compile(rf"\\({'|'.join(_CHARACTERS)})(?![A-Za-z])")
_PRIME = re.compile(r"\^\s*(?:'|\{\s*('+)\s*\})")
_REALS = re.compile(r"\\mathbb\s*(?:\{\s*R\s*\}|R(?![A-Za-z]))|ℝ|(?:\A|(?<=\\in))\s*\\mathbf\s*\{\s*R\s*\}\s*\Z")
_COMMA = re.compile(
    r"\{,\}|(?<=\d)\{\\[,!;: ]\}(?=\d)|(?<=\d)(?:[\u00a0\u2009\u202f]|\\[,!;]|,(?:\\!)+\s*)(?=\d{3}(?!\d))"
)
_ESCAPED = re.compile(r"\\([$%#&_])")
_EXPONENT = re.compile(r"([\^_])\s*\{\s*(\w)\s*\}")
_GLUED = re.compile(r"(?<=[\d)}\]])\s?(or|and)(?=[A-Za-z]?[\d(\\{=_-]|[A-Za-z] ?[=(])")
_SIGNED_INFINITY = re.compile(r"(?<![\w)}\]])\s*\+\s*(?=\\infty)")

_SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ"
_SUBSCRIPTS = "₀₁₂₃₄₅₆₇₈₉₊₋ₙ"
_RAISED_FRACTION = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹]+⁄[₀₁₂₃₄₅₆₇₈₉]+")
_RAISED = re.compile(f"[{_SUPERSCRIPTS}]+")
_LOWERED = re.compile(f"[{_SUBSCRIPTS}]+")
_LEVEL = str.maketrans(_SUPERSCRIPTS + _SUBSCRIPTS, "0123456789+-n" * 2)
_VULGAR = re.compile("[¼-¾⅐-⅞↉]")
_GREEK = {
    letter: unicodedata.name(letter).rpartition(" ")[2].replace("LAMDA", "LAMBDA")
    for letter in "αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΦΨΩ"
}
_SYMBOLS = {
    "−": "-",
    "–": "-",
    "‑": "-",
    "‐": "-",
    "⁄": "/",
    "∕": "/",
    "×": r"\times ",
    "·": r"\times ",
    "⋅": r"\times ",
    "∙": r"\times ",
    "÷": "/",
    "∞": r"\infty ",
    "≤": r"\le ",
    "⩽": r"\le ",
    "≥": r"\ge ",
    "⩾": r"\ge ",
    "≠": r"\ne ",
    "≈": r"\approx ",
    "±": r"\pm ",
    "∓": r"\mp ",
    "∪": r"\cup ",
    "∩": r"\cap ",
    "∈": r"\in ",
    "∅": r"\emptyset ",
    "→": r"\rightarrow ",
    "⟨": "(",
    "⟩": ")",
    "…": r"\dots ",
    "∖": r"\setminus ",
    "∧": r"\wedge ",
    "∨": r"\vee ",
    "△": r"\triangle ",
    "∥": r"\parallel ",
    "¬": r"\neg ",
    "٫": ".",
    "٬": ",",
    "’": "'",
    "‘": "'",
    "“": '"',
    "”": '"',
    "′": "'",
} | {letter: rf"\{name.lower() if letter.islower() else name.title()} " for letter, name in _GREEK.items()}
_SYMBOL = re.compile("|".join(_SYMBOLS))
_ASCII_RELATIONS = {"<=": r"\le ", "=<": r"\le ", ">=": r"\ge ", "!=": r"\ne ", "+/-": r"\pm ", "+-": r"\pm "}
_ASCII_RELATION = re.compile("|".join(map(re.escape, _ASCII_RELATIONS)))


def _undelimited(text: str) -> str:
    """Without the marks of mathematics. An entry in them is no wider apart than its neighbours: 5,2,$1$ has three."""
    if "$" in text and _CLOSE_COMMA.search(text):
        text = _DELIMITED_ENTRY.sub("", text)
    return _DELIMITER.sub(" ", text)


def spell(text: str) -> str:
    r"""The text without wrappers such as \text{} and \left, and with one name for each symbol.

    Degree signs and math delimiters are removed; \dfrac and \frac12 become \frac{1}{2}, ≤ becomes \le, ½ becomes 1/2.
    Meant for answers, not for whole replies: it takes time quadratic in odd cases.
    """
    if _SIMPLE.fullmatch(text):
        return " ".join(text.split())
    text = _COLOUR.sub("", _ROW_GAP.sub(r"\\\\", text))
    if "\\begin" not in text:
        # Backslashes that were escaped once too often, as in JSON within JSON.
        text = _DOUBLED.sub(r"\\", text)
    text = _undelimited(_COMMA.sub(",", _NEXT_BOX.sub(", ", text)))
    text = _unicode(text)
    text = _ASCII_RELATION.sub(lambda match: _ASCII_RELATIONS[match[0]], text)
    text = _MODULUS.sub(lambda match: rf"\pmod{{{match[1] or match[2]}}}", _NAMED_FUNCTION.sub(r"\\\1 ", text))
    text = _REALS.sub(r"\\R ", text)
    text = _SPACE.sub(lambda match: match["row"] or " ", _NOISE.sub(lambda match: match["row"] or "", _unwrapped(text)))
    text = _DEGREE.sub("", _ANGLE.sub(r"\\\1(\\frac{\3\\pi}{180})", text))
    text = _CHOOSE.sub(r"\\binom{\1}{\2}", text)
    text = _BINOMIAL.sub(r"\\binom", _FRACTION.sub(r"\\frac", text))
    text = _OVER.sub(r"\\frac{\1}{\2}", text)
    text = _SHORT_FRACTION.sub(lambda match: rf"\frac{{{_inner(match[1])}}}{{{_inner(match[2])}}}", text)
    text = _SHORT_ROOT.sub(
        r"\\sqrt{\1}", _WRITTEN_ROOT.sub(lambda match: rf"\sqrt{{{match[1] or match[2] or ''}}}", text)
    )
    text = _SHORT_INFINITY.sub(lambda match: match["sign"] + r"\infty ", text)
    text = _NAME.sub(lambda match: "\\" + _NAMES[match[1]], text)
    text = _CHARACTER.sub(lambda match: _CHARACTERS[match[1]], text)
    text = _PRIME.sub(lambda match: match[1] or "'", _WRITTEN_POWER.sub("^", text))
    text = _EXPONENT.sub(r"\1\2", _ESCAPED.sub(r"\1", text))
    text = _SIGNED_INFINITY.sub("", _GLUED.sub(r" \1 ", text))
    return " ".join(text.split())


def _unicode(text: str) -> str:
    if text.isascii():
        return text
    text = _RAISED_FRACTION.sub(lambda match: " " + match[0].translate(_LEVEL), text)
    text = _RAISED.sub(lambda match: "^{" + match[0].translate(_LEVEL) + "}", text)
    text = _LOWERED.sub(lambda match: "_{" + match[0].translate(_LEVEL) + "}", text)
    text = _VULGAR.sub(lambda match: " " + unicodedata.normalize("NFKC", match[0]), text)
    text = unicodedata.normalize(
        "NFKC", text.replace("°", r"\degree ").replace("ℝ", r"\mathbb{R}").replace("…", r"\dots ")
    )
    text = _UNICODE_ROOT.sub(lambda match: rf"\sqrt{{{match[1] or match[2]}}}", text)
    return _SYMBOL.sub(lambda match: _SYMBOLS[match[0]], text)


def _unwrapped(text: str) -> str:
    """Without the wrappers' commands and their own braces; other braces stay."""
    parts: list[str] = []
    keeps: list[bool] = []
    place = 0
    for token in _WRAPPER.finditer(text):
        parts.append(text[place : token.start()])
        place = token.end()
        if token[0] == "}":
            if keeps.pop() if keeps else True:
                parts.append("}")
        elif token[0] in ("\\{", "\\}", "\\\\"):
            parts.append(token[0])
        else:
            keeps.append(token[0] == "{")
            # A space where the command was, so that "5\text{cm}" is two words.
            parts.append("{" if keeps[-1] else " ")
    return "".join([*parts, text[place:]])


def _inner(group: str) -> str:
    return group[1:-1].strip() if group.startswith("{") else group
