"""Feature maps: an image, and what each layer of a network makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from symconv.errors import ShapeError
from symconv.files import Pathlike
from symconv.viz.figure import INK, bare, draw_frames, mosaic, new_figure, save
from symconv.viz.filters import stretch

ROW = 50  # values of a layer without maps that stand in one row
WIDTH = 7.0  # inches


def plot_features(
    image: np.ndarray, outputs: Mapping[str, np.ndarray], path: Pathlike, *, title: str | None = None
) -> Path:
    """Draw an image [H, W] and below it every layer's output, from least (white) to greatest (black).

    `outputs` is {layer's name: [C, H, W] or [features]}, in their order, as nn.layer_outputs gives for one
    image. The maps of a layer share one scale, so that a map that found nothing stays light; a layer without
    maps is a strip of small squares. Returns the path. Raises ShapeError for other ranks, OutputError for a
    path that cannot be written, MissingExtraError without matplotlib.
    """
    image = np.asarray(image, np.float64)
    if image.ndim != 2 or not image.size:
        raise ShapeError(f"plot_features: the image is [H, W], not {list(image.shape)}")
    panels = [("image", *picture_of("image", image[None]))]
    panels += [(name, *picture_of(name, np.asarray(value))) for name, value in outputs.items()]
    heights = [max(0.25, scale(p) * p.shape[0]) + 0.3 for _, p, *_ in panels]
    figure = new_figure(WIDTH, sum(heights) + (0.3 if title else 0), path)
    grid = figure.add_gridspec(len(panels), 1, height_ratios=heights)
    for k, (name, picture, corners, size, words) in enumerate(panels):
        axes = figure.add_subplot(grid[k])
        axes.imshow(
            picture, cmap="Greys", vmin=0, vmax=1, interpolation="nearest", aspect="equal", resample=False
        )
        draw_frames(axes, corners, *size)
        axes.set_xlim(-1, WIDTH / scale(picture) - 1)
        axes.set_ylim(picture.shape[0], -1)
        axes.set_anchor("W")
        bare(axes)
        axes.set_title(f"{name}: {words}" if words else name, loc="left", fontsize=8, color=INK)
    if title:
        figure.suptitle(title, color=INK, fontsize=10)
    return save(figure, path)


def scale(picture: np.ndarray) -> float:
    """Inches of one value: as large as fits, but no larger than a twelfth."""
    return float(min(1 / 12, WIDTH / (picture.shape[1] + 2)))


def picture_of(name: str, value: np.ndarray) -> tuple[np.ndarray, np.ndarray, tuple[int, int], str]:
    """(picture, the tiles' corners, the size of a tile, words) of a layer's output."""
    if value.ndim not in (1, 3) or not value.size:
        raise ShapeError(
            f"plot_features: {name} is [C, H, W] or [features] of one image, not {list(value.shape)}"
            "\n  hint: of nn.layer_outputs(model, image[None]), take [0] of each"
        )
    shades = stretch(np.asarray(value, np.float64).reshape(1, 1, -1)).reshape(value.shape)
    if value.ndim == 1:
        picture, corners = mosaic(shades[:, None, None], min(ROW, len(shades)), (0, 0))
        return picture, corners, (1, 1), f"{len(value)} values"
    n, height, width = value.shape
    picture, corners = mosaic(shades, min(n, 10), (1, 1))
    words = "" if n == 1 else f"{n} maps of {height}×{width}"
    return picture, corners, (height, width), words
