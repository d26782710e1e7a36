"""How the command `optscale` says what is wrong."""

from docs.messages import PAGE

HELP = "See https://github.com/langchain-optscale/langchain-optscale/blob/main/docs/errors.md#"


def sentence_of(stderr):
    """The one sentence of a failed command; below it is only the address of a section that exists."""
    sentence, address = stderr.splitlines()
    assert sentence.startswith("optscale: ")
    assert address.startswith(HELP)
    headings = (line.removeprefix("## ").lower() for line in PAGE.read_text(encoding="utf-8").splitlines())
    assert address.removeprefix(HELP) in headings
    assert stderr.endswith("\n")
    return sentence
