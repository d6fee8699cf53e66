"""Where an augmented image takes its pixels from, in NumPy: the kernels equal this bit for bit.

Image `index` in epoch `epoch` has the words of philox.py with the seed, stream STREAM, and
draw = epoch * 2^32 + index (each taken modulo 2^32):

    word 0 to 4    rotation, scale, shear, translation along x and along y: s = (word >> 8) * 2^-23 - 1
    word 5, 6      where the crop lies along x and y: (word * places) >> 32
    from word 8    elastic noise, a byte b for each value u = 2 b - 255, row by row, of a row first that of x

Geometry is float32 for images of every dtype. Each line below is one rounding of one IEEE operation, and the
kernels do the same in the same order, without fused multiply-add. The Gaussian smoothing rounds nothing: its
weights are whole numbers of 2^-12, and every sum of products is a whole number below 2^24, exact in float32
in any order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from symconv.ops import philox

STREAM = 0xA0600000  # far from the numbers that a RandomStream gives its draws
TURN_BITS = 24  # a full turn is 2^24
NOISE_WORD = 8  # the first word of the noise
WEIGHT_BITS = 12
F = np.float32


@dataclass(frozen=True)
class Warp:
    """The largest change of each kind, as random_warp has them; turns in 2^-24, shear as a tangent."""

    seed: int
    height: int
    width: int
    turns: int = 0
    scale: float = 0.0
    shear: float = 0.0
    shift: tuple[float, float] = (0.0, 0.0)  # pixels along y and x
    crop: tuple[int, int] = (0, 0)  # height and width; those of the image where there is none
    alpha: float = 0.0
    edge: bool = False


def gaussian_weights(n: int, sigma: float) -> np.ndarray:
    """float32 [n, n]: 2^12 times the Gaussian of |i - k|, rounded down; its sum is at most 2^12."""
    reach = int(np.ceil(10 * sigma)) + 1
    distance = np.arange(max(n, reach), dtype="float64")
    bell = np.exp(-(distance**2) / (2 * sigma**2))
    weights = np.floor(2.0**WEIGHT_BITS * bell / (2 * bell.sum() - bell[0]))
    i = np.arange(n)
    return weights[np.abs(i[:, None] - i[None, :])].astype("float32")


def noise(words: np.ndarray, height: int, width: int) -> np.ndarray:
    """[H, 2, W] odd whole numbers in [-255, 255], from all words of an image."""
    count = 2 * height * width
    data = words[NOISE_WORD : NOISE_WORD + (count + 3) // 4].astype("<u4").view("u1")[:count]
    return 2.0 * data.reshape(height, 2, width) - 255.0


def displacement(
    words: np.ndarray, w: Warp, rows: np.ndarray, columns: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The elastic field along x and y, float32 [H, W] each: noise smoothed by `rows` and `columns`."""
    u = noise(words, w.height, w.width)
    v = np.floor(np.einsum("ik,kcj->icj", rows.astype("float64"), u) * 2.0**-8)
    d = np.einsum("ick,jk->cij", v, columns.astype("float64")).astype("float32")
    factor = F(w.alpha * 2.0 ** (-2 * WEIGHT_BITS))
    return d[0] * factor, d[1] * factor


def positions(
    w: Warp, index: int, epoch: int, weights: tuple[np.ndarray, ...] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """x and y, float32 [H, W], of the place in the image where each pixel of the result is read.

    Pixel (i, j) stands at q = o + (j + 1/2) * crop / W - 1/2 + d (along y alike), o being the crop's corner
    and d the elastic displacement, and shows the image at c + R K (q - c - t) / z: c is the image's centre,
    R turns, K shears x by y, z is the scale, t the translation.
    """
    count = NOISE_WORD + (w.height * w.width // 2 + 1 if weights else 0)
    words = philox.words32(w.seed, STREAM, (epoch & 0xFFFFFFFF) << 32 | index & 0xFFFFFFFF, count)
    s = (words[:5] >> np.uint32(8)).astype("float32") * F(2.0**-23) - F(1)
    turns = ((int(words[0]) >> 8) - 2**23) * w.turns >> 23
    sine, cosine = (part[0] for part in philox.sin_cos(np.asarray([turns]), TURN_BITS, "float32"))
    z = F(1) / (F(1) + s[1] * F(w.scale))
    k = s[2] * F(w.shear)
    xx, xy = cosine * z, (cosine * k - sine) * z
    yx, yy = sine * z, (sine * k + cosine) * z

    def axis(size: int, crop: int, word: np.uint32, shift: np.float32) -> tuple[np.ndarray, np.float32]:
        """Places on the crop less centre and translation, and the centre."""
        centre = F(size - 1) * F(0.5)
        corner = int(word) * (size - crop + 1) >> 32
        start = ((F(corner) - F(0.5)) - centre) - shift
        return (np.arange(size, dtype="float32") + F(0.5)) * F(crop / size) + start, centre

    qx, cx = axis(w.width, w.crop[1], words[5], s[3] * F(w.shift[1]))
    qy, cy = axis(w.height, w.crop[0], words[6], s[4] * F(w.shift[0]))
    x, y = np.broadcast_arrays(qx[None, :], qy[:, None])
    if weights:
        dx, dy = displacement(words, w, *weights)
        x, y = x + dx, y + dy
    return (xx * x + xy * y) + cx, (yx * x + yy * y) + cy


def cells(w: Warp, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, ...]:
    """Whole parts and fractions of places held within a pixel of the image (within it, for edges).

    int64 column and row, -1 to the size, and the float32 fractions.
    """
    low, beyond = (F(0), 1) if w.edge else (F(-1), 0)
    x = np.minimum(np.maximum(x, low), F(w.width - beyond))
    y = np.minimum(np.maximum(y, low), F(w.height - beyond))
    left, top = np.floor(x), np.floor(y)
    return left.astype("int64"), top.astype("int64"), x - left, y - top


def bordered(x: np.ndarray, edge: bool) -> np.ndarray:
    """x [..., H, W] with a row and column before and two behind: zeros, or the edge's pixels."""
    widths = [(0, 0)] * (x.ndim - 2) + [(1, 2), (1, 2)]
    return np.pad(x, widths, mode="edge" if edge else "constant")


def warp(
    x: np.ndarray, w: Warp, index: np.ndarray, epoch: int, weights: tuple[np.ndarray, ...]
) -> np.ndarray:
    """The warped images, for x [N, C, H, W]: bilinear between the four pixels around each place."""
    y = np.empty_like(x)
    source = bordered(x, w.edge)
    for n, number in enumerate(index.tolist()):
        left, top, fx, fy = cells(w, *positions(w, number, epoch, weights))
        a, b = left + 1, top + 1
        fx, fy = fx.astype(x.dtype), fy.astype(x.dtype)
        image = source[n]
        upper = image[:, b, a] + fx * (image[:, b, a + 1] - image[:, b, a])
        lower = image[:, b + 1, a] + fx * (image[:, b + 1, a + 1] - image[:, b + 1, a])
        y[n] = upper + fy * (lower - upper)
    return y


def spread(
    y: np.ndarray, w: Warp, index: np.ndarray, epoch: int, weights: tuple[np.ndarray, ...]
) -> np.ndarray:
    """The transpose of `warp`: each value goes to the four pixels that it was made of, with their shares."""
    found = np.zeros((*y.shape[:2], w.height + 3, w.width + 3), y.dtype)
    one = y.dtype.type(1)
    for n, number in enumerate(index.tolist()):
        left, top, fx, fy = cells(w, *positions(w, number, epoch, weights))
        a, b = left + 1, top + 1
        fx, fy = fx.astype(y.dtype), fy.astype(y.dtype)
        for row, column, share in (
            (b, a, (one - fy) * (one - fx)),
            (b, a + 1, (one - fy) * fx),
            (b + 1, a, fy * (one - fx)),
            (b + 1, a + 1, fy * fx),
        ):
            place: Any = (slice(None), row, column)
            np.add.at(found[n], place, y[n] * share)
    # With edges no place lies beyond the last pixel, and what would go behind it has no share.
    return found[:, :, 1:-2, 1:-2].copy()
