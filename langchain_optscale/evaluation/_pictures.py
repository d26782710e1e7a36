"""The size of all plots, the colours and marks of their series, and how they are saved."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_optscale.errors import MissingExtraError, SettingsError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["COLOURS", "GREY", "MARKS", "check_picture", "new_figure", "save_picture", "styles"]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C8C8C")
MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")
GREY = "#666666"


def check_picture(path: str | os.PathLike[str]) -> None:
    """Check before long work that a plot can be saved there.

    Args:
        path: Where to; its ending names the format, such as .png or .svg.

    Raises:
        MissingExtraError: matplotlib is not installed.
        SettingsError: The ending is no format of matplotlib's, or the directory does not exist.
    """
    figure, _ = new_figure()
    kinds = figure.canvas.get_supported_filetypes()
    kind = Path(path).suffix.removeprefix(".").lower()
    if kind not in kinds:
        raise SettingsError(f"{path}: a picture's name must end in one of {', '.join(f'.{name}' for name in kinds)}")
    if not Path(path).parent.is_dir():
        raise SettingsError(f"{path} cannot be written: the directory {Path(path).parent} does not exist")


def save_picture(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Save a figure, 660 pixels wide for one of this module.

    Args:
        figure: Any figure.
        path: Where to; its ending names the format, such as .png or .svg.

    Raises:
        SettingsError: As `check_picture`, or the file cannot be written.
    """
    check_picture(path)
    try:
        figure.savefig(path, dpi=110)
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror or error}") from error


def styles() -> Iterator[dict[str, Any]]:
    """Colour and mark of one series after the other; those after the eighth have open marks, then half-full ones."""
    for fill in cycle(("full", "none", "left")):
        for colour, mark in zip(COLOURS, MARKS, strict=True):
            yield {"color": colour, "marker": mark, "fillstyle": fill}


def new_figure(panels: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure without a window, 6 inches wide and 4 for each panel, and its axes from the top.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("Plotting", 'pip install "langchain-optscale[plots]"') from error
    figure = Figure(figsize=(6, 4 * panels), layout="constrained")
    return figure, list(figure.subplots(panels, squeeze=False)[:, 0])
