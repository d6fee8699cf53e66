"""What all pictures share: matplotlib loaded late and without a window, one style, files written whole."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from symconv.errors import OutputError
from symconv.files import Pathlike, atomic_path, import_extra

INK = "#222222"
FORMATS = (".png", ".svg")


def new_figure(width: float, height: float, path: Pathlike, layout: str = "constrained") -> Any:
    """An empty matplotlib Figure of that size in inches; the suffix of `path` is checked before any work.

    Figure is used without pyplot, so that there is no display, no global state, and threads may draw.
    """
    if Path(path).suffix.lower() not in FORMATS:
        raise OutputError(f"cannot write {path}: a picture's name ends in {' or '.join(FORMATS)}")
    figure = import_extra("matplotlib.figure", "viz", "drawing pictures")
    return figure.Figure(figsize=(width, height), layout=layout, facecolor="white")


def save(figure: Any, path: Pathlike) -> Path:
    """Write the figure as PNG or SVG, whole or not at all. The same picture gives the same bytes."""
    matplotlib = import_extra("matplotlib", "viz", "drawing pictures")
    suffix = Path(path).suffix.lower().removeprefix(".")
    # SVG carries the date and random ids unless told not to; and its text stays text, to be found and read.
    metadata = {"Date": None} if suffix == "svg" else None
    style = {"svg.hashsalt": "symconv", "svg.fonttype": "none"}
    with atomic_path(path) as temporary, matplotlib.rc_context(style):
        figure.savefig(temporary, format=suffix, dpi=150, metadata=metadata)
    return Path(path)


def bare(axes: Any) -> None:
    """Take ticks and frame away."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def grid_columns(n: int, aspect: float = 1.25) -> int:
    """Columns for n tiles in a grid about `aspect` times as wide as high: 20 tiles make 5 columns, 4 rows."""
    return max(1, min(n, math.ceil(math.sqrt(n * aspect))))


def mosaic(tiles: np.ndarray, columns: int, gap: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """[n, H, W] tiles in rows of `columns`: one picture with NaN between, and the tiles' top left corners.

    One picture of a thousand tiles draws in the time of one; a thousand axes take a minute.
    """
    n, height, width = tiles.shape
    rows = -(-n // columns)
    index = np.arange(n)
    corners = np.stack([index // columns * (height + gap[0]), index % columns * (width + gap[1])], 1)
    picture = np.full((rows * (height + gap[0]) - gap[0], columns * (width + gap[1]) - gap[1]), np.nan)
    for tile, (top, left) in zip(tiles, corners, strict=True):
        picture[top : top + height, left : left + width] = tile
    return picture, corners


def draw_frames(axes: Any, corners: np.ndarray, height: int, width: int) -> None:
    """A thin grey frame around each tile of a mosaic."""
    collections = import_extra("matplotlib.collections", "viz", "drawing pictures")
    box = np.array([[0, 0], [0, width], [height, width], [height, 0], [0, 0]]) - 0.5
    lines = [(corner + box)[:, ::-1] for corner in corners]
    axes.add_collection(collections.LineCollection(lines, colors="#999999", linewidths=0.5))
