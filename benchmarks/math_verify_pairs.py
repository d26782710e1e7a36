"""How `same_answer` agrees with the pairs that math-verify publishes in its own tests.

The source distribution comes from PyPI by pip into a temporary directory; its tests are read, never run. A pair is
comparable where each side is an answer: where it has one box, what stands in the box. Left out are pairs that ask what
is to be extracted from a sentence, and those that switch math-verify's own settings.

    python -m benchmarks.math_verify_pairs [--sdist math_verify-0.9.0.tar.gz]
"""

from __future__ import annotations

import argparse
import ast
import json
import math
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

from langchain_optscale.answers import NormalForm, same_answer
from langchain_optscale.answers.latex import last_box
from langchain_optscale.answers.notation.plain import is_prose, undressed

VERSION = "0.9.0"
DEFAULTS = {"strict": True, "allow_set_relation_comp": False}


def main() -> None:
    """Print the agreement as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sdist", type=Path, help="the source distribution, where it need not be downloaded")
    chosen = parser.parse_args().sdist
    with tempfile.TemporaryDirectory() as directory:
        pairs = published_pairs(chosen or download(Path(directory)))
    print(json.dumps(agreement(pairs), indent=1, ensure_ascii=False))


def download(directory: Path) -> Path:
    """Have pip put the source distribution into the directory."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
    subprocess.run([*command, "--dest", str(directory), f"math-verify=={VERSION}"], check=True)  # noqa: S603
    return next(directory.glob("*.tar.gz"))


def published_pairs(sdist: Path) -> list[dict[str, Any]]:
    """Every different pair of the parametrised tests: gold, pred, same, settings."""
    found: dict[str, dict[str, Any]] = {}
    with tarfile.open(sdist) as archive:
        for member in sorted(archive.getmembers(), key=lambda member: member.name):
            name = Path(member.name)
            if name.parent.name == "tests" and name.name.startswith("test_") and (file := archive.extractfile(member)):
                for pair in _pairs(ast.parse(file.read())):
                    found.setdefault(json.dumps(pair, sort_keys=True), pair | {"file": name.name})
    return list(found.values())


def agreement(pairs: list[dict[str, Any]]) -> dict[str, Any]:
    """The share of comparable pairs that are answered alike, and the others one by one."""
    compared, disagreements, seconds = 0, [], []
    for pair in pairs:
        gold, pred = answer_of(pair["gold"]), answer_of(pair["pred"])
        if gold is None or pred is None or pair["settings"]:
            continue
        compared += 1
        began = time.perf_counter()
        same = same_answer(gold, pred)
        seconds.append(time.perf_counter() - began)
        if same != same_answer(pred, gold):
            raise AssertionError(f"not symmetric: {gold!r}, {pred!r}")
        if same != pair["same"]:
            forms = [NormalForm().canonical(one) for one in (gold, pred)]
            disagreements.append(
                {"gold": pair["gold"], "pred": pair["pred"], "published": pair["same"], "forms": forms}
            )
    return {
        "version": VERSION,
        "pairs": len(pairs),
        "comparable": compared,
        "agree": compared - len(disagreements),
        "median_ms": round(1000 * sorted(seconds)[len(seconds) // 2], 2),
        "disagreements": disagreements,
    }


def answer_of(text: str) -> str | None:
    """The answer that the text is, or has in its one box; None where it must be extracted from a sentence."""
    text = text.replace("\\\\boxed", "\\boxed")
    boxes = text.count("\\boxed")
    if boxes == 1 and (box := last_box(text)) is not None:
        return box
    plain = undressed(text)
    mathematical = any(sign in text for sign in ("$", "\\", "=")) or any(map(str.isdigit, text))
    words = plain.replace("and", " ").split()
    if boxes and "+++" in plain:
        return None
    return None if mathematical and is_prose(plain) and len(words) > 1 and not _is_quantity(plain) else text


def _is_quantity(text: str) -> bool:
    """A number with its unit, or words in place of a number."""
    form = NormalForm().canonical(text)
    return not is_prose(form) or not ("\\" in text or any(map(str.isdigit, text)))


def _pairs(tree: ast.AST) -> list[dict[str, Any]]:
    pairs = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or ast.unparse(node.func) != "pytest.mark.parametrize":
            continue
        names = [name.strip() for name in ast.literal_eval(node.args[0]).split(",")]
        if names[:2] != ["gold", "pred"] or not isinstance(node.args[1], ast.List):
            continue
        for element in node.args[1].elts:
            values = dict(zip(names, _values(element), strict=True))
            same = bool(values.get("expected", values.get("result")))
            settings = {name: values[name] for name, usual in DEFAULTS.items() if values.get(name, usual) != usual}
            pairs.append({"gold": values["gold"], "pred": values["pred"], "same": same, "settings": settings})
    return pairs


def _values(element: ast.expr) -> list[Any]:
    """The values of a tuple; one of them is computed, as f"{math.sqrt(17):.15f}"."""
    assert isinstance(element, ast.Tuple)  # noqa: S101 - as all of them are
    return [_value(part) for part in element.elts]


def _value(part: ast.expr) -> Any:
    if isinstance(part, ast.JoinedStr):
        return "".join(
            str(piece.value) if isinstance(piece, ast.Constant) else f"{math.sqrt(17):.15f}" for piece in part.values
        )
    return ast.literal_eval(part)


if __name__ == "__main__":
    main()
