"""The form of MNIST: what datasets.centred makes of pictures, and of MNIST's own digits."""

from __future__ import annotations

import numpy as np
import pytest

import symconv as sc
from symconv.datasets import centred
from symconv.datasets.drawing import ink, resampling
from symconv.errors import ShapeError


def box(image):
    """(first row, last row, first column, last column) of what is not zero."""
    rows, columns = np.flatnonzero(image.any(1)), np.flatnonzero(image.any(0))
    return int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])


def middle(image):
    """The centre of mass, (row, column), of pixels whose middles are at 0.5, 1.5, ..."""
    grid = np.indices(image.shape) + 0.5
    return (grid * image).sum((1, 2)) / image.sum()


def test_pictures_of_other_sizes_are_cut_scaled_and_centred():
    big = np.zeros((200, 120), np.float32)
    big[20:120, 60:110] = 0.7  # 100 high, 50 wide, off centre
    small = centred(big, (28, 28))
    assert small.dtype == np.float32 and box(small) == (4, 23, 9, 18)
    assert small.max() == pytest.approx(255 / 256) and small[4:24, 9:19].min() == pytest.approx(255 / 256)
    assert box(centred(big.T, (28, 28))) == (9, 18, 4, 23)
    assert box(centred(big, (56, 42))) == (8, 47, 11, 30)


def test_the_aspect_is_kept_and_the_longer_side_takes_the_box():
    rng = np.random.default_rng(0)
    for _ in range(50):
        h, w = rng.integers(1, 200, 2)
        pixels = np.zeros((230, 260))
        pixels[9 : 9 + h, 30 : 30 + w] = 1
        top, bottom, left, right = box(centred(pixels))
        height, width = bottom - top + 1, right - left + 1
        assert max(height, width) == 20
        assert min(height, width) == max(1, round(20 * min(h, w) / max(h, w)))


def test_the_mass_comes_to_the_middle():
    rng = np.random.default_rng(1)
    for _ in range(20):
        pixels = np.zeros((90, 80))
        for y, x in rng.integers(8, 70, (4, 2)):
            pixels[y : y + 9, x : x + 6] = 1
        image = centred(pixels)
        top, bottom, left, right = box(image)
        row, column = middle(image)
        assert 14 - 1e-4 <= row <= 15 or top == 0 or bottom == 27
        assert 14 - 1e-4 <= column <= 15 or left == 0 or right == 27


def test_where_a_drawing_is_and_how_dark_does_not_matter():
    rng = np.random.default_rng(2)
    mark = np.kron(rng.integers(0, 2, (6, 5)), np.ones((9, 9))) + 0.0
    pictures = []
    for top, left, strength in ((0, 0, 1.0), (30, 7, 0.5), (46, 55, 0.1)):
        pixels = np.full((100, 100), 0.02)
        pixels[top : top + 54, left : left + 45] += strength * mark
        pictures.append(centred(pixels, threshold=0))
    np.testing.assert_allclose(pictures[1], pictures[0], atol=1e-5)
    np.testing.assert_allclose(pictures[2], pictures[0], atol=1e-5)


def test_nothing_drawn_gives_nothing():
    assert not centred(np.full((40, 40), 0.3)).any() and not centred(np.zeros((1, 1)), threshold=0).any()
    dot = np.zeros((300, 300))
    dot[3, 280] = 1
    assert np.isfinite(centred(dot)).all() and centred(dot).max() == pytest.approx(255 / 256)


def test_noise_below_the_threshold_is_not_ink():
    pixels = np.zeros((60, 60))
    pixels[20:40, 20:40] = 1
    pixels[1, 1] = 0.2
    assert np.array_equal(centred(pixels), centred(np.where(pixels > 0.5, pixels, 0)))
    assert box(centred(pixels, threshold=0)) != box(centred(pixels))


@pytest.mark.parametrize("shape", [(5,), (2, 3, 4), (0, 4), ()])
def test_centred_takes_one_picture(shape):
    with pytest.raises(ShapeError, match="a picture is"):
        centred(np.zeros(shape))


def test_mnist_is_in_its_own_form():
    """MNIST's digits, enlarged ten times and moved, come out as they were, in every pixel."""
    images = sc.datasets.mnist(limit=200).test.images.reshape(-1, 28, 28)
    for image in images:
        big = np.zeros((400, 420), np.float32)
        big[90:370, 31:311] = np.kron(image, np.ones((10, 10), np.float32))
        found = centred(big, threshold=0)
        np.testing.assert_allclose(found * (image.max() / found.max()), image, atol=1e-5)


# -- resampling ------------------------------------------------------------------------------------


@pytest.mark.parametrize("old, new", [(1, 1), (7, 7), (40, 20), (13, 5), (200, 3), (3, 7), (1, 20), (20, 40)])
def test_resampling_keeps_constants_lines_and_order(old, new):
    m = resampling(old, new)
    assert m.shape == (new, old) and m.min() >= 0
    np.testing.assert_allclose(m.sum(1), 1, rtol=1e-6)
    ramp = m @ ((np.arange(old) + 0.5) / old)
    want = (np.arange(new) + 0.5) / new
    if new > old:
        np.testing.assert_allclose(ramp, np.clip(want, 0.5 / old, 1 - 0.5 / old), atol=1e-6)
    else:  # a pixel is flat: the ramp is a staircase
        np.testing.assert_allclose(ramp, want, atol=1e-6 if old % new == 0 else 0.25 * new / old / old)
    if old % new == 0:
        values = np.random.default_rng(0).normal(size=old)
        np.testing.assert_allclose(m @ values, values.reshape(new, -1).mean(1), atol=1e-6)


def test_resampling_agrees_with_another_program():
    pillow = pytest.importorskip("PIL.Image")
    values = np.random.default_rng(3).uniform(size=(30, 60)).astype("float32")
    for size, filter in (((20, 10), pillow.Resampling.BOX), ((90, 77), pillow.Resampling.BILINEAR)):
        want = np.asarray(pillow.fromarray(values).resize(size, filter))
        found = resampling(30, size[1]) @ values @ resampling(60, size[0]).T
        np.testing.assert_allclose(found, want, atol=1e-5)


def test_ink_is_light_on_dark():
    dark = np.zeros((8, 8), np.float32)
    dark[3:5, 2:6] = 0.9
    assert ink(dark) is dark
    light = 255 / 256 - dark
    np.testing.assert_allclose(ink(light), dark, atol=1e-6)
