"""Filters as grids of small pictures, as in the book's chapter 6."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from symconv.errors import ShapeError
from symconv.files import Pathlike
from symconv.viz.figure import INK, bare, draw_frames, grid_columns, mosaic, new_figure, save


def plot_filters(
    weights: np.ndarray,
    path: Pathlike,
    *,
    scale: Literal["each", "all"] = "each",
    columns: int | None = None,
    title: str | None = None,
) -> Path:
    """Draw w[K, C, R, S] as R x S pictures, darker = more positive, into a .png or .svg; returns the path.

    With one channel the K filters fill a grid (20 make the book's 5 by 4); with more, row k holds filter k's
    channels. `scale="each"` stretches each picture from its least to its greatest weight, as the book does;
    "all" gives every picture the same scale, symmetric about zero, and a bar to read it by. Raises ShapeError
    for other ranks, OutputError for a path that cannot be written, MissingExtraError without matplotlib.
    """
    weights = np.asarray(weights, dtype=np.float64)
    if weights.ndim != 4 or not weights.size:
        raise ShapeError(f"plot_filters: weights are [K, C, R, S], not {list(weights.shape)}")
    n_filters, channels, height, width = weights.shape
    if columns is None:
        columns = channels if channels > 1 else grid_columns(n_filters)
    tiles = weights.reshape(-1, height, width)
    bound = max_abs(tiles)
    low, high = -bound, bound
    if scale == "each":
        tiles, low, high = stretch(tiles), 0.0, 1.0
    picture, corners = mosaic(tiles, columns, (1, 1))
    # Inches of one weight: 0.11, but the picture is at least 2 inches and at most 10.
    cell = min(max(0.11, 2 / max(picture.shape)), 10 / max(picture.shape))
    figure = new_figure(
        max(1.0, cell * picture.shape[1]) + (0.8 if scale == "all" else 0.1),
        cell * picture.shape[0] + (0.4 if title else 0.1),
        path,
        layout="compressed",
    )
    axes = figure.add_subplot()
    image = axes.imshow(picture, cmap="Greys", vmin=low, vmax=high, interpolation="nearest")
    draw_frames(axes, corners, height, width)
    axes.set_xlim(-1, picture.shape[1])
    axes.set_ylim(picture.shape[0], -1)
    bare(axes)
    if scale == "all":
        figure.colorbar(image, ax=axes, shrink=0.5, aspect=25, label="weight")
    if title:
        axes.set_title(title, color=INK)
    return save(figure, path)


def max_abs(values: np.ndarray) -> float:
    """The greatest finite magnitude, or 1 where there is none: the scale of an all-zero or all-NaN layer."""
    finite = np.abs(values[np.isfinite(values)])
    return float(finite.max(initial=0)) or 1.0


def stretch(tiles: np.ndarray) -> np.ndarray:
    """Each tile from 0 (its least value) to 1 (its greatest); a constant tile is mid-grey, NaN stays NaN."""
    flat = np.where(np.isfinite(tiles), tiles, np.nan).reshape(len(tiles), -1)
    known = np.isfinite(flat).any(1)
    low, high = np.zeros(len(flat)), np.zeros(len(flat))
    low[known], high[known] = np.nanmin(flat[known], 1), np.nanmax(flat[known], 1)
    extent = high - low
    shade = (flat - low[:, None]) / np.where(extent > 0, extent, 1)[:, None]
    shade[known & (extent == 0)] += 0.5
    return shade.reshape(tiles.shape)
