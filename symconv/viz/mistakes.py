"""The misclassified images, each with what it is and what it was taken for, as in the book's chapter 6."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from symconv.errors import ShapeError
from symconv.files import Pathlike
from symconv.viz.figure import INK, bare, grid_columns, mosaic, new_figure, save
from symconv.viz.filters import stretch


def plot_errors(
    images: np.ndarray,
    labels: np.ndarray,
    predictions: np.ndarray,
    path: Pathlike,
    *,
    image_shape: tuple[int, ...] | None = None,
    classes: Sequence[str] | None = None,
    limit: int = 100,
    title: str | None = None,
) -> Path:
    """Draw images where predictions[i] != labels[i]: true class top right, prediction bottom right.

    images [n, features], [n, H, W] or [n, C, H, W] (channels are averaged), dark = 1 on white; labels and
    predictions [n] integers. `image_shape` is (H, W) or (C, H, W) of flat images that are not square. At most
    `limit` images are drawn, the first ones; the heading gives the number of all. Returns the path. Raises
    ShapeError where the arrays do not fit, OutputError where the path cannot be written.
    """
    images, labels, predictions = np.asarray(images), np.asarray(labels), np.asarray(predictions)
    n = len(images)
    if labels.shape != (n,) or predictions.shape != (n,):
        raise ShapeError(
            "plot_errors: one label and one predicted class for each image"
            f"\n  images {list(images.shape)}, labels {list(labels.shape)}, "
            f"predictions {list(predictions.shape)}"
            "\n  hint: of class scores [n, k], pass scores.argmax(1)"
        )
    wrong = np.flatnonzero(labels != predictions)
    shown = wrong[:limit]
    heading = title or f"{len(wrong)} of {n} misclassified" + (
        f", the first {limit}" if len(wrong) > limit else ""
    )
    tiles = grey(images[shown], image_shape)
    if not len(shown):
        figure = new_figure(4, 1.2, path)
        axes = figure.add_subplot()
        bare(axes)
        axes.text(0.5, 0.5, f"none of {n} misclassified", ha="center", va="center", color=INK)
        return save(figure, path)
    tiles = stretch(tiles)
    _, height, width = tiles.shape
    names = [classes[k] if classes else str(k) for k in (*labels[shown], *predictions[shown])]
    # The text stands in a margin to the right of its image, wide enough for the longest name.
    points = 7
    margin = math.ceil(height * 0.22 * (0.4 + max(map(len, names)))) + 2
    columns = grid_columns(len(shown), 1.6 * height / (width + margin) + 0.4)
    picture, corners = mosaic(tiles, columns, (max(2, height // 7), margin + 2))
    scale = 0.42 / height
    # The heading needs 4 inches, however few images there are.
    figure = new_figure(
        max(4.0, scale * (picture.shape[1] + margin) + 0.2), scale * picture.shape[0] + 0.5, path
    )
    axes = figure.add_subplot()
    axes.imshow(picture, cmap="Greys", vmin=0, vmax=1, interpolation="nearest")
    axes.set_xlim(-0.5, picture.shape[1] + margin - 0.5)
    bare(axes)
    style = {"fontsize": points, "color": INK, "ha": "left"}
    for (top, left), true, predicted in zip(corners, names[: len(shown)], names[len(shown) :], strict=True):
        axes.text(left + width, top - 0.5, true, va="top", **style)
        axes.text(left + width, top + height - 0.5, predicted, va="bottom", **style)
    axes.set_title(heading + "  (top: true class, bottom: prediction)", fontsize=8, color=INK)
    return save(figure, path)


def grey(images: np.ndarray, image_shape: tuple[int, ...] | None) -> np.ndarray:
    """[n, H, W] of flat, grey or multi-channel images."""
    if images.ndim == 2:
        if image_shape is None:
            side = math.isqrt(images.shape[1])
            image_shape = (side, side)
        if len(image_shape) not in (2, 3) or math.prod(image_shape) != images.shape[1]:
            raise ShapeError(
                f"plot_errors: image_shape {image_shape} is not {images.shape[1]} features"
                "\n  hint: image_shape=(H, W), or (C, H, W) as in Dataset.image_shape"
            )
        images = images.reshape(len(images), *image_shape)
    if images.ndim == 4:
        images = images.mean(1)
    if images.ndim != 3:
        raise ShapeError(
            f"plot_errors: images are [n, features], [n, H, W] or [n, C, H, W], not {list(images.shape)}"
        )
    return images.astype(np.float64)
