"""A Mermaid diagram of docs/ as a picture in the page, so that the site loads no script from elsewhere to show it.

GitHub draws the same text by itself. The places of nodes and edges come from grandalf (Sugiyama's layered layout).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from typing import Any

_NODE = re.compile(r"^\s*(\w+)[(\[]+(?:<p>)?(\w+)(?:</p>)?[)\]]+", re.MULTILINE)
_EDGE = re.compile(r"^\s*(\w+) (-->|-\.->) (\w+);", re.MULTILINE)
_FENCE = re.compile(r"```mermaid\n(.*?)```\n", re.DOTALL)
HEIGHT, MARGIN, LOOP = 36, 20, 34


@dataclass(frozen=True)
class Diagram:
    """What a Mermaid flowchart says: names of nodes by their keys, and edges with whether each is dashed."""

    nodes: dict[str, str]
    edges: tuple[tuple[str, str, bool], ...]

    @classmethod
    def read(cls, text: str) -> Diagram:
        """Read a flowchart as LangGraph writes it."""
        nodes = {key: name.strip("_") for key, name in _NODE.findall(text)}
        edges = tuple((start, end, line == "-.->") for start, line, end in _EDGE.findall(text))
        if unknown := {key for start, end, _ in edges for key in (start, end)} - set(nodes):
            raise ValueError(f"the diagram has edges of nodes that it does not describe: {sorted(unknown)}")
        return cls(nodes, edges)


Point = tuple[float, float]


@dataclass
class _Box:
    """The size of a node, and where its centre is placed."""

    w: float
    h: float = HEIGHT
    xy: Point = (0.0, 0.0)


class _Route:
    """The points of an edge, as grandalf's layout hands them over."""

    def __init__(self) -> None:
        self.points: list[Point] = []

    def setpath(self, points: list[Point]) -> None:
        """Keep the list: the layout moves its ends to the borders of the nodes afterwards."""
        self.points = points


def _laid_out(diagram: Diagram) -> tuple[dict[str, _Box], list[tuple[list[Point], bool]]]:
    from grandalf.graphs import Edge, Graph, Vertex
    from grandalf.layouts import SugiyamaLayout
    from grandalf.routing import route_with_lines

    vertices = {key: Vertex(key) for key in diagram.nodes}
    for key, name in diagram.nodes.items():
        vertices[key].view = _Box(len(name) * 9 + 28)
    lines: list[tuple[Any, bool]] = []
    for start, end, dashed in diagram.edges:
        if start != end:
            edge = Edge(vertices[start], vertices[end])
            edge.view = _Route()
            lines.append((edge, dashed))
    graph = Graph(list(vertices.values()), [edge for edge, _ in lines])
    layout = SugiyamaLayout(graph.C[0])
    layout.route_edge = route_with_lines
    layout.xspace, layout.yspace = 40, 44
    layout.init_all(roots=[vertices[next(iter(diagram.nodes))]])
    layout.draw(6)
    boxes = {key: vertex.view for key, vertex in vertices.items()}
    return boxes, [(edge.view.points, dashed) for edge, dashed in lines]


def svg(text: str) -> str:
    """The picture of a flowchart; its colours are those of the page that it stands in.

    Raises:
        ValueError: It has an edge of a node that it does not describe.
    """
    diagram = Diagram.read(text)
    boxes, lines = _laid_out(diagram)
    marks = [_path(points, dashed) for points, dashed in lines]
    marks += [_loop(boxes[start], dashed) for start, end, dashed in diagram.edges if start == end]
    marks += [_node(key, diagram.nodes[key], box) for key, box in boxes.items()]
    places = [point for points, _ in lines for point in points]
    places += [
        (box.xy[0] + side * (box.w / 2 + LOOP), box.xy[1] + side * box.h / 2)
        for box in boxes.values()
        for side in (-1, 1)
    ]
    left, top = (min(place[axis] for place in places) - MARGIN for axis in (0, 1))
    right, bottom = (max(place[axis] for place in places) + MARGIN for axis in (0, 1))
    said = "; ".join(f"{diagram.nodes[start]} leads to {diagram.nodes[end]}" for start, end, _ in diagram.edges)
    return (
        f'<svg class="diagram" viewBox="{left:.0f} {top:.0f} {right - left:.0f} {bottom - top:.0f}" '
        f'width="{right - left:.0f}" role="img" aria-label="{escape(said)}">'
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        f'<path d="M0 0 8 4 0 8z"/></marker></defs>{"".join(marks)}</svg>'
    )


def _path(points: list[Point], dashed: bool) -> str:
    """A line from the first point to the last that rounds the corners between them."""
    (x, y), *inner, last = points
    steps = [f"M{x:.1f} {y:.1f}"]
    for number, (cx, cy) in enumerate(inner):
        nx, ny = inner[number + 1] if number + 1 < len(inner) else last
        end = last if (nx, ny) == last else ((cx + nx) / 2, (cy + ny) / 2)
        steps.append(f"Q{cx:.1f} {cy:.1f} {end[0]:.1f} {end[1]:.1f}")
    if not inner:
        steps.append(f"L{last[0]:.1f} {last[1]:.1f}")
    return _line("".join(steps), dashed)


def _loop(box: _Box, dashed: bool) -> str:
    x, y, up = box.xy[0] - box.w / 2, box.xy[1], box.h / 4
    return _line(
        f"M{x:.1f} {y - up:.1f}C{x - LOOP:.1f} {y - 2 * up:.1f} {x - LOOP:.1f} {y + 2 * up:.1f} {x:.1f} {y + up:.1f}",
        dashed,
    )


def _line(path: str, dashed: bool) -> str:
    return f'<path class="{"dashed" if dashed else "solid"}" d="{path}" marker-end="url(#head)"/>'


def _node(key: str, name: str, box: _Box) -> str:
    x, y = box.xy
    round_ = box.h / 2 if key.startswith("__") else 6
    return (
        f'<rect x="{x - box.w / 2:.1f}" y="{y - box.h / 2:.1f}" width="{box.w}" height="{box.h}" rx="{round_:.0f}"/>'
        f'<text x="{x:.1f}" y="{y:.1f}">{escape(name)}</text>'
    )


def with_pictures(markdown: str) -> str:
    """The page with a picture in place of each Mermaid diagram."""
    return _FENCE.sub(lambda found: f"<figure>{svg(found[1])}</figure>\n", markdown)
