"""The pictures of README and docs, from real searches on the embedded model: `make figures`."""

from __future__ import annotations

from pathlib import Path

from langchain_optscale import EnsembleVerifier, OptScale, local
from langchain_optscale.verifiers import LengthCheck, RequiredWords

PICTURES = Path(__file__).parent / "img"


def search_picture() -> None:
    """One search under the default rule, for light and for dark pages."""
    with local.serve(context=512) as server:
        search = OptScale(
            policy=server.policy(max_tokens=32),
            verifier=EnsembleVerifier([LengthCheck(at_most=18), RequiredWords(["winter", "old", "light"])]),
            target=0.99,
            seed=0,
        )
        result = search.invoke("Write one sentence of at most 18 words with the words 'winter', 'old' and 'light'.")
    for name, dark in (("search.png", False), ("search-dark.png", True)):
        result.plot(dark=dark).savefig(PICTURES / name, dpi=160)


if __name__ == "__main__":
    PICTURES.mkdir(exist_ok=True)
    search_picture()
