"""Diagrams are read as Mermaid has them, and drawn whole."""

import re

import pytest

from docs.graph_diagram import PAGE, diagram
from docs.graph_picture import Diagram, svg, with_pictures

TEXT = diagram()
DRAWN = {"start", "ask", "draw", "candidate", "decide", "review", "answer", "end"}


def test_nodes_and_edges_are_those_of_the_graph():
    read = Diagram.read(TEXT)
    assert set(read.nodes.values()) == DRAWN
    assert len(read.edges) == len(re.findall("-->|-[.]->", TEXT))
    assert ("candidate", "decide", False) in read.edges
    assert ("draw", "draw", True) in read.edges


def test_an_edge_of_an_unknown_node_is_refused():
    with pytest.raises(ValueError, match="nowhere"):
        Diagram.read(TEXT.replace("answer --> __end__", "answer --> nowhere"))


def test_the_picture_has_every_node_and_edge():
    pytest.importorskip("grandalf")
    picture = svg(TEXT)
    assert set(re.findall(r"<text[^>]*>(\w+)</text>", picture)) == DRAWN
    assert picture.count('marker-end="url(#head)"') == len(Diagram.read(TEXT).edges)
    assert "candidate leads to decide" in picture  # for those who hear the page


def test_a_page_shows_pictures_in_place_of_text():
    pytest.importorskip("grandalf")
    page = PAGE.read_text(encoding="utf-8")
    assert "```mermaid" in page
    assert "```mermaid" not in with_pictures(page)
