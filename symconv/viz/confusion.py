"""The confusion matrix as a table shaded by how often."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from symconv.errors import ShapeError
from symconv.files import Pathlike
from symconv.viz.figure import INK, new_figure, save


def plot_confusion(
    matrix: np.ndarray, path: Pathlike, *, classes: Sequence[str] | None = None, title: str | None = None
) -> Path:
    """Draw m[true, predicted], integers [k, k], as a table of counts; returns the path.

    A cell is shaded by the square root of its share of the row, so that rare errors show beside the diagonal.
    Raises ShapeError for another shape or wrong number of class names, OutputError for a bad path.
    """
    matrix = np.asarray(matrix)
    k = len(matrix)
    if matrix.ndim != 2 or matrix.shape != (k, k) or not k:
        raise ShapeError(
            f"plot_confusion: the matrix is [k, k], true class by prediction, not {list(matrix.shape)}"
        )
    classes = [str(i) for i in range(k)] if classes is None else list(classes)
    if len(classes) != k:
        raise ShapeError(f"plot_confusion: {len(classes)} names for {k} classes")
    shade = np.sqrt(matrix / np.maximum(matrix.sum(1, keepdims=True), 1))
    longest = max(map(len, classes))
    size = max(3.2, 0.45 * k + 1.0) + 0.07 * longest
    figure = new_figure(size, size, path)
    axes = figure.add_subplot()
    axes.imshow(shade, cmap="Greys", vmin=0, vmax=1, interpolation="nearest")
    # Beyond 30 classes the numbers would run into each other; the shades still tell.
    for true, predicted in np.argwhere(matrix) if k <= 30 else ():
        axes.text(
            predicted,
            true,
            str(matrix[true, predicted]),
            ha="center",
            va="center",
            fontsize=7,
            color="white" if shade[true, predicted] > 0.55 else INK,
        )
    axes.set_xticks(range(k), classes, rotation=90 if longest > 2 else 0, fontsize=8)
    axes.set_yticks(range(k), classes, fontsize=8)
    axes.set_xlabel("prediction", color=INK)
    axes.set_ylabel("true class", color=INK)
    correct = np.trace(matrix)
    axes.set_title(title or f"{correct} of {matrix.sum()} right", fontsize=9, color=INK)
    return save(figure, path)
