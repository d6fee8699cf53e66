"""Images from files, in the form that the networks were trained on: light ink on a dark ground."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from symconv.datasets.drawing import centred, ink
from symconv.errors import DataError
from symconv.files import NPZ_FAULTS, import_extra, reason


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
