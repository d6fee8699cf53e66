"""Images from files, in the form that the networks were trained on: light ink on a dark ground."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from symconv.errors import DataError
from symconv.files import NPZ_FAULTS, import_extra, reason

BOX = 20 / 28  # of the side of an MNIST image is taken by the digit's longer side


def read_images(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Images [n, features] for a network of images (channels, H, W), or (features,), from .npy or a picture.

    Raises DataError for a file that is missing, damaged or of the wrong size.
    """
    if not path.exists():
        raise DataError(f"{path}: no such image file")
    if path.is_dir():
        raise DataError(f"{path}: a directory, not an image")
    return read_array(path, shape) if path.suffix == ".npy" else read_picture(path, shape)


def read_array(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    try:
        array = np.load(path, allow_pickle=False)
    except NPZ_FAULTS as why:
        raise DataError(f"{path}: not a readable .npy file: {why}") from why
    features = math.prod(shape)
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
        raise DataError(f"{path}: holds no numbers")
    last = {(features,), tuple(shape), tuple(shape[1:]) if math.prod(shape[1:]) == features else shape}
    if array.shape in last:
        array = array[None]
    if array.shape[1:] not in last or not len(array):
        raise DataError(
            f"{path}: has shape {list(array.shape)}\n  expected [n, {features}] or "
            f"[n, {', '.join(map(str, shape))}], one image or more"
        )
    pixels = array.reshape(len(array), features).astype(np.float32)
    if not np.isfinite(pixels).all():
        raise DataError(f"{path}: holds NaN or Inf")
    return pixels / 256 if array.dtype.kind in "iu" else pixels


def read_picture(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    pillow = import_extra("PIL.Image", "viz", "reading pictures")
    side = math.isqrt(math.prod(shape))
    size = shape[1:] if len(shape) == 3 else (side, side)
    if math.prod(size) != math.prod(shape):
        raise DataError(f"{path}: the network's images have shape {list(shape)}; give them as .npy")
    try:
        with pillow.open(path) as picture:
            # What is transparent is paper.
            paper = pillow.new("RGBA", picture.size, "white")
            grey = pillow.alpha_composite(paper, picture.convert("RGBA")).convert("L")
    except OSError as why:
        raise DataError(f"{path}: not a readable picture: {reason(why)}") from why
    pixels = ink(np.asarray(grey, np.float32) / 256)
    if pixels.shape != tuple(size):
        pixels = centred(pixels, (size[0], size[1]))
    return pixels.reshape(1, -1)


def ink(pixels: np.ndarray) -> np.ndarray:
    """Light ink on a dark ground: turned over where the border, which shows the ground, is the lighter."""
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    ground = float(np.median(border))
    return np.clip(255 / 256 - pixels, 0, 1) if ground > 0.5 else pixels


def centred(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The ink alone, scaled so that its longer side takes 20/28, with its centre of mass in the middle."""
    pillow = import_extra("PIL.Image", "viz", "reading pictures")
    marked = pixels > pixels.min() + 0.25 * np.ptp(pixels)
    if not marked.any():
        return np.zeros(size, np.float32)
    rows, columns = np.flatnonzero(marked.any(1)), np.flatnonzero(marked.any(0))
    cut = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] - pixels.min()
    scale = min(BOX * size[0] / cut.shape[0], BOX * size[1] / cut.shape[1])
    height, width = (max(1, round(d * scale)) for d in cut.shape)
    small = pillow.fromarray(cut.astype(np.float32)).resize(
        (width, height), pillow.Resampling.BOX if scale < 1 else pillow.Resampling.BILINEAR
    )
    shrunk = np.asarray(small, np.float32)
    shrunk = shrunk * ((255 / 256) / max(float(shrunk.max()), 1e-6))
    mass = shrunk.sum()
    middle = [
        float((shrunk.sum(1 - axis) * (np.arange(shrunk.shape[axis]) + 0.5)).sum() / mass) for axis in (0, 1)
    ]
    picture = np.zeros(size, np.float32)
    top, left = (min(max(round(s / 2 - m), 0), s - d) for s, m, d in zip(size, middle, shrunk.shape))
    picture[top : top + height, left : left + width] = shrunk
    return picture
