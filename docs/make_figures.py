"""The pictures of README and docs, from real searches on the embedded model: `make docs`."""

from __future__ import annotations

from pathlib import Path

from langchain_optscale import EnsembleVerifier, OptScale, local, paper
from langchain_optscale.verifiers import LengthCheck, RequiredWords

PICTURES = Path(__file__).parent / "img"


def search_picture() -> None:
    """One search by the paper's own rule, which draws on to N* even when the target has been reached."""
    with local.serve(context=512) as server:
        search = OptScale(
            policy=server.policy(max_tokens=32),
            verifier=EnsembleVerifier([LengthCheck(at_most=12), RequiredWords(["river"])]),
            stopping=paper(target=0.95, confidence=0.9, max_samples=32, first_round=5),
            round_size=1,
            seed=0,
        )
        result = search.invoke("Write one sentence of at most 12 words that contains the word 'river'.")
    result.plot().savefig(PICTURES / "search.png", dpi=110)


if __name__ == "__main__":
    PICTURES.mkdir(exist_ok=True)
    search_picture()
