"""Small data sets and devices for the tests of networks."""

from __future__ import annotations

import numpy as np
import pytest

from symconv.device import core_error

needs_core = pytest.mark.skipif(core_error() is not None, reason="the C++ core is not built")
DEVICES = ["reference", pytest.param("cpu", marks=needs_core)]


def blobs(n: int, side: int = 8, classes: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Images [n, side * side] float32 in [0, 1), whose bright spot tells the class; labels int32 [n]."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    images = rng.uniform(0, 0.2, (n, side, side))
    half = side // 2
    for image, label in zip(images, labels):
        top, left = (label // 2 % 2) * half, (label % 2) * half
        image[top : top + half, left : left + half] += 0.5 + 0.1 * (label // 4)
    return images.reshape(n, -1).astype("float32"), labels.astype("int32")


def same_weights(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)
