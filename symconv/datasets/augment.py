"""Augmentation and encodings in plain NumPy."""

from __future__ import annotations

import math

import numpy as np

from symconv.errors import DataError, ShapeError

# (axis, direction) on [n, C, H, W], in the book's order: down, up, right, left.
SHIFTS = ((2, 1), (2, -1), (3, 1), (3, -1))


def shift_expand(
    images: np.ndarray,
    labels: np.ndarray,
    *,
    image_shape: tuple[int, ...] | None = None,
    seed: int | None = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """[n, features], [n] -> [5n, features], [5n]: each image, and its copies moved by one pixel four ways.

    The border that a move lays bare is zero; the row or column that leaves is lost. 50,000 images become the
    book's 250,000 (chapter 3, expand_mnist.py), shuffled as there; the order depends on `seed` alone, and
    seed=None leaves each image followed by its copies moved down, up, right and left. `image_shape` is (H, W)
    or (C, H, W); square images of one channel need none. Raises ShapeError if it does not fit.
    """
    images, labels = np.asarray(images), np.asarray(labels)
    n = len(images)
    if images.ndim != 2 or labels.shape != (n,):
        raise ShapeError(
            "shift_expand: images are [n, features] and labels [n]"
            f"\n  images {list(images.shape)}, labels {list(labels.shape)}"
        )
    features = images.shape[1]
    if image_shape is None:
        side = math.isqrt(features)
        image_shape = (side, side)
    if len(image_shape) not in (2, 3) or math.prod(image_shape) != features:
        raise ShapeError(
            f"shift_expand: image_shape {image_shape} does not hold {features} features"
            "\n  hint: image_shape=(H, W), or (C, H, W) as in Dataset.image_shape"
        )
    copies = 1 + len(SHIFTS)
    # Where each copy goes: written straight to its shuffled place, for a second copy of 800 MB costs more.
    place = np.arange(n * copies) if seed is None else np.random.default_rng(seed).permutation(n * copies)
    place = place.reshape(n, copies)
    expanded = np.empty((n * copies, features), images.dtype)
    expanded[place[:, 0]] = images
    grid = images.reshape(n, -1, *image_shape[-2:])
    for copy, (axis, direction) in enumerate(SHIFTS, 1):
        moved = np.zeros_like(grid)
        target, source = np.moveaxis(moved, axis, 0), np.moveaxis(grid, axis, 0)
        if direction > 0:
            target[1:] = source[:-1]
        else:
            target[:-1] = source[1:]
        expanded[place[:, copy]] = moved.reshape(n, features)
    expanded_labels = np.empty(n * copies, labels.dtype)
    expanded_labels[place] = labels[:, None]
    return expanded, expanded_labels


def one_hot(labels: np.ndarray, n_classes: int, dtype: str = "float32") -> np.ndarray:
    """y[i, k] = 1 if labels[i] == k else 0: [n] integers -> [n, n_classes]. Raises DataError out of range."""
    labels = np.asarray(labels)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise DataError(f"one_hot: labels are integers of shape [n], not {labels.dtype}{list(labels.shape)}")
    bad = np.flatnonzero((labels < 0) | (labels >= n_classes))
    if len(bad):
        raise DataError(f"one_hot: label {labels[bad[0]]} at index {bad[0]} is not in 0 to {n_classes - 1}")
    encoded = np.zeros((len(labels), n_classes), dtype)
    encoded[np.arange(len(labels)), labels] = 1
    return encoded
