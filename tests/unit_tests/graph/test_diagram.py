"""The diagram in the documentation is the one that the graph draws today."""

from docs.graph_diagram import PAGE, diagram, with_diagram


def test_the_page_shows_the_graph_as_it_is():
    page = PAGE.read_text(encoding="utf-8")
    assert with_diagram(page) == page, "run: python -m docs.graph_diagram"


def test_the_diagram_shows_the_loop():
    drawn = diagram()
    for edge in (
        "ask -.-> candidate",
        "ask -.-> draw",
        "candidate --> decide",
        "decide -.-> ask",
        "review -.-> answer",
    ):
        assert edge in drawn
    assert "error_handler" not in drawn
