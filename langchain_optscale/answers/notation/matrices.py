r"""Matrices and column vectors: their cells, whatever brackets and white space stand around them.

>>> cells(r"\begin{pmatrix}1&2\\3&4\end{pmatrix}") == cells(r"[\begin{array}{cc} 1 & 2 \\ 3 & 4 \\ \end{array}]")
True
>>> cells("[[1, 2], [3, 4]]")
[['1', '2'], ['3', '4']]
"""

from __future__ import annotations

import re

from langchain_optscale.answers.notation.splitting import bracketed, split_top

__all__ = ["cells", "equations"]

_FRAME = re.compile(
    r"(?P<open>[(\[]?)\s*\\begin\{(?P<name>[pbB]?(?:small)?matrix\*?|array)\}\s*(?:\{[lcr|\s]*\}|\[[lcr]\])?"
    r"(?P<body>(?:(?!\\begin|\\end).)*+)\\end\{(?P=name)\}\s*(?P<close>[)\]]?)",
    re.DOTALL,
)
_SYSTEM = re.compile(
    r"(?:\\\{)?\s*\\begin\{(?P<name>cases|aligned|align\*?|array|gathered)\}\s*(?:\{[lcr|\s]*\})?"
    r"(?P<body>(?:(?!\\begin|\\end).)*+)\\end\{(?P=name)\}\s*\.?",
    re.DOTALL,
)
# As Python writes one.
_CALL = re.compile(
    r"(?:(?:np|numpy|sp|sympy|torch)\.)?(?:Matrix|matrix|array|tensor)\((?P<rows>\[\[.*\]\])(?:, ?dtype=[\w.]+)?\)",
    re.DOTALL,
)
_ROW = re.compile(r"\\\\|\\cr(?![A-Za-z])|\\tabularnewline")


def cells(text: str) -> list[list[str]] | None:
    """The rows of a matrix; None where the text is none. A determinant, between bars, is none."""
    frame = _FRAME.fullmatch(text)
    if frame is None:
        return _list_of_lists(text)
    if (frame["open"] + frame["close"]) not in ("", "()", "[]") or (frame["name"] == "array" and not frame["open"]):
        return None
    return _rectangle([row.split("&") for row in _rows(frame["body"])])


def equations(text: str) -> list[str] | None:
    r"""The lines of a system of equations, as in \begin{cases}; None where the text is none."""
    frame = _SYSTEM.fullmatch(text)
    if frame is None:
        return None
    return [row.replace("&", " ").strip().rstrip(",;") for row in _rows(frame["body"])] or None


def _rows(body: str) -> list[str]:
    # The last row may end like the others.
    return [row for row in _ROW.split(body) if row.strip()]


def _list_of_lists(text: str) -> list[list[str]] | None:
    call = _CALL.fullmatch(text)
    outer = bracketed(call["rows"] if call else text)
    if outer is None or (outer[0], outer[2]) != ("[", "]"):
        return None
    rows = [bracketed(row.strip()) for row in split_top(outer[1], ",")]
    if len(rows) < 2 or not all(row is not None and (row[0], row[2]) == ("[", "]") for row in rows):
        return None
    return _rectangle([split_top(row[1], ",") for row in rows if row is not None])


def _rectangle(rows: list[list[str]]) -> list[list[str]] | None:
    rows = [[cell.strip() for cell in row] for row in rows]
    if not rows or len({len(row) for row in rows}) > 1 or not all(all(row) for row in rows):
        return None
    return rows
