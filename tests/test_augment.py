"""One-pixel shifts as in the book, and one-hot labels."""

from __future__ import annotations

import numpy as np
import pytest

from symconv import datasets
from symconv.errors import DataError, ShapeError


def book_shifts(image):
    """The book's expand_mnist.py for one image, written with np.roll as there."""
    yield image
    for d, axis, index in [(1, 0, 0), (-1, 0, -1), (1, 1, 0), (-1, 1, -1)]:
        moved = np.roll(image, d, axis)
        if axis == 0:
            moved[index, :] = 0
        else:
            moved[:, index] = 0
        yield moved


def test_shift_expand_is_the_books():
    images, labels = datasets.mnist(limit=50).train
    expanded, expanded_labels = datasets.shift_expand(images, labels, seed=None)
    wanted = np.array([m.ravel() for x in images for m in book_shifts(x.reshape(28, 28))])
    assert np.array_equal(expanded, wanted)
    assert np.array_equal(expanded_labels, np.repeat(labels, 5))
    assert expanded.dtype == np.float32 and expanded_labels.dtype == np.int32


def test_shift_expand_shuffles_images_with_their_labels():
    images = np.arange(1, 20 * 12 + 1, dtype=np.float32).reshape(20, 12)
    labels = np.arange(20, dtype=np.int32)
    ordered = datasets.shift_expand(images, labels, image_shape=(3, 4), seed=None)
    one, two = (datasets.shift_expand(images, labels, image_shape=(3, 4), seed=s) for s in (0, 1))
    again = datasets.shift_expand(images, labels, image_shape=(3, 4), seed=0)
    assert np.array_equal(one[0], again[0]) and not np.array_equal(one[0], two[0])
    assert not np.array_equal(one[1], ordered[1])

    def pairs(expanded):
        return sorted((tuple(x), y) for x, y in zip(*expanded, strict=True))

    assert pairs(one) == pairs(two) == pairs(ordered)


def test_shift_expand_moves_channels_together():
    image = np.arange(2 * 3 * 4, dtype=np.float32).reshape(1, 24)
    expanded, _ = datasets.shift_expand(image, np.zeros(1, int), image_shape=(2, 3, 4), seed=None)
    wanted = [list(book_shifts(c)) for c in image.reshape(2, 3, 4)]
    assert np.array_equal(expanded.reshape(5, 2, 3, 4), np.stack(wanted, 1))


def test_shift_expand_refuses_shapes():
    for shape, n_labels, image_shape in [
        ((2, 3, 3), 2, None),
        ((2, 9), 3, None),
        ((2, 8), 2, None),
        ((2, 9), 2, (9,)),
    ]:
        with pytest.raises(ShapeError, match="shift_expand"):
            datasets.shift_expand(np.zeros(shape), np.zeros(n_labels), image_shape=image_shape)


def test_one_hot():
    assert datasets.one_hot(np.array([2, 0]), 3).tolist() == [[0, 0, 1], [1, 0, 0]]
    assert datasets.one_hot(np.array([], int), 3, "float64").shape == (0, 3)
    for bad in ([3], [-1], [0.5], [[1]]):
        with pytest.raises(DataError, match="one_hot"):
            datasets.one_hot(np.array(bad), 3)
