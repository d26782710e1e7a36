"""The diagram in docs/langgraph.md, drawn by the graph itself: `make figures`, or `python -m docs.graph_diagram`."""

from __future__ import annotations

from pathlib import Path

from langchain_core.language_models import FakeListChatModel

from langchain_optscale import create_optscale_graph

PAGE = Path(__file__).parent / "langgraph.md"
BEGIN, END = "<!-- the graph draws itself: python -m docs.graph_diagram -->\n", "<!-- end of the diagram -->\n"


def diagram() -> str:
    """Mermaid text of the graph with all its nodes, `review` among them."""
    graph = create_optscale_graph(
        policy=FakeListChatModel(responses=["unused"]), verifier=lambda prompt, candidate: 0.0, review=True
    )
    return graph.compile().get_graph().draw_mermaid().strip() + "\n"


def with_diagram(page: str) -> str:
    """The page with the diagram as the graph draws it today."""
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n```mermaid\n{diagram()}```\n\n{END}{tail}"


if __name__ == "__main__":
    PAGE.write_text(with_diagram(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
