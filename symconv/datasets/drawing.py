"""From a picture of ink to the form of MNIST's images: cut, scaled into a box, centred by its mass.

Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits": the digits were fitted into 20x20
pixels keeping their aspect ratio, with grey levels from anti-aliasing, and placed into 28x28 so that their
centre of mass is in the middle. Measured in the files: that centre lies in row 14 and column 14, counted from
0.
"""

from __future__ import annotations

import math

import numpy as np

from symconv.errors import ShapeError

BOX = 20 / 28  # of the side of an image is taken by the digit's longer side
WHITE = 255 / 256  # the greatest value of a pixel, which is value/256


def ink(pixels: np.ndarray) -> np.ndarray:
    """Light ink on a dark ground: turned over where the border, which shows the ground, is the lighter."""
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    ground = float(np.median(border))
    return np.clip(WHITE - pixels, 0, 1) if ground > 0.5 else pixels


def centred(pixels: np.ndarray, size: tuple[int, int] = (28, 28), *, threshold: float = 0.25) -> np.ndarray:
    """The ink of a picture [H, W], light on dark, as an image of `size` in the form of MNIST: float32.

    Ink is what lies above the least value by more than `threshold` of the range (0 for a picture without
    noise). Its bounding box is scaled so that the longer side takes 20/28 of `size`, the greatest value
    becomes 255/256, and the centre of mass comes into the pixel (H/2, W/2) of `size`, as far as the box stays
    inside. A picture without ink gives zeros. Raises ShapeError for other ranks.
    """
    pixels = np.asarray(pixels, np.float32)
    if pixels.ndim != 2 or not pixels.size:
        raise ShapeError(f"centred: a picture is [H, W], not {list(pixels.shape)}")
    picture = np.zeros(size, np.float32)
    marked = pixels > pixels.min() + threshold * np.ptp(pixels)
    if not marked.any():
        return picture
    rows, columns = np.flatnonzero(marked.any(1)), np.flatnonzero(marked.any(0))
    cut = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] - pixels.min()
    scale = min(BOX * size[0] / cut.shape[0], BOX * size[1] / cut.shape[1])
    height, width = (max(1, round(d * scale)) for d in cut.shape)
    small = resampling(cut.shape[0], height) @ cut @ resampling(cut.shape[1], width).T
    small *= WHITE / float(small.max())
    corner = []
    for axis, room in enumerate(size):
        profile = small.sum(1 - axis, dtype=np.float64)
        middle = float(profile @ (np.arange(len(profile)) + 0.5) / profile.sum())
        first = math.ceil(room / 2 - middle - 1e-5)  # rounding must not move what is symmetric
        corner.append(min(max(first, 0), room - len(profile)))
    top, left = corner
    picture[top : top + height, left : left + width] = small
    return picture


def resampling(old: int, new: int) -> np.ndarray:
    """The matrix [new, old], rows summing to 1, that resamples a line: means over areas where it shrinks,
    linear interpolation where it grows."""
    step = old / new
    at = np.arange(new)[:, None] * step
    cell = np.arange(old)[None]
    if new < old:
        weights = np.minimum(at + step, cell + 1) - np.maximum(at, cell)
    else:
        weights = 1 - np.abs(at + step / 2 - (cell + 0.5))
    weights = np.maximum(weights, 0)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)
