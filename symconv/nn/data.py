"""Images and labels as a model takes them, or an error that says what is wrong with them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from symconv.config import config
from symconv.errors import DataError, DTypeError, NonFiniteError, ShapeError
from symconv.graph import SharedVariable, Variable
from symconv.ops.elementwise import add, mul
from symconv.ops.leaf import shared


class Sized(Protocol):
    """What a model tells about its data."""

    input_shape: tuple[int, ...]
    dtype: str

    @property
    def n_classes(self) -> int: ...


def array_of(value: Any) -> np.ndarray:
    """An array of an array, list or shared variable, without a copy if possible."""
    if isinstance(value, SharedVariable):
        return value.get_value(borrow=True)
    return np.asarray(value)


def check_images(images: Any, shape: Sequence[int], dtype: str, who: str) -> np.ndarray:
    """Images as [n, features] of the float dtype, C-contiguous.

    They come as [n, features], [n, *shape], [n, H, W] where there is one channel, or a single image [H, W].
    Raises ShapeError for others and for none, DTypeError for what is not a number, NonFiniteError where
    config.check_data is on.
    """
    array = array_of(images)
    shape = tuple(shape)
    features = math.prod(shape)
    if array.dtype.kind not in "biuf":
        raise DTypeError(f"{who}: images are numbers, not {array.dtype}")
    fits = [(features,), shape]
    if len(shape) == 3 and shape[0] == 1:
        fits.append(shape[1:])
    if array.shape in fits:
        array = array[None]
    if array.shape[1:] not in fits:
        expected = " or ".join(f"[n, {', '.join(map(str, s))}]" for s in dict.fromkeys(fits))
        raise ShapeError(f"{who}: images have shape {list(array.shape)}, expected {expected}")
    if not len(array):
        raise ShapeError(f"{who}: there are no images: shape {list(array.shape)}")
    rows = np.ascontiguousarray(array.reshape(len(array), features), dtype)
    if config.check_data and not np.isfinite(rows).all():
        n, i = np.argwhere(~np.isfinite(rows))[0]
        raise NonFiniteError(f"{who}: image {n} has {rows[n, i]} at pixel {i} (check_data is on)")
    return rows


def check_split(data: Any, model: Sized, who: str) -> tuple[np.ndarray, np.ndarray]:
    """(images [n, features], labels int32 [n]) of a pair or a datasets.Split.

    Raises ShapeError, DTypeError, and DataError for labels outside [0, classes).
    """
    try:
        images, labels = data
    except (TypeError, ValueError):
        raise ShapeError(
            f"{who}: data is a pair (images, labels), such as datasets.mnist().train, not "
            f"{type(data).__name__}"
        ) from None
    rows = check_images(images, model.input_shape, model.dtype, who)
    column = array_of(labels)
    if column.ndim != 1 or len(column) != len(rows):
        hint = "\n  hint: one-hot rows become labels by argmax(1)" if column.ndim == 2 else ""
        raise ShapeError(
            f"{who}: {len(rows)} images need labels [{len(rows)}], got {list(column.shape)}{hint}"
        )
    if column.dtype.kind not in "iu":
        raise DTypeError(f"{who}: labels are integers, not {column.dtype}")
    bad = np.flatnonzero((column < 0) | (column >= model.n_classes))
    if len(bad):
        raise DataError(
            f"{who}: label {column[bad[0]]} of image {bad[0]} is out of range: the network has "
            f"{model.n_classes} classes, 0 to {model.n_classes - 1} ({len(bad)} such labels)"
        )
    return rows, np.ascontiguousarray(column, np.int32)


class MiniBatch:
    """Images i * size to (i + 1) * size - 1 of data that stay in place, and their labels.

    `order`, int64 [n], visits them in another order. numbers: int64, which images they are.
    """

    def __init__(
        self, data: tuple[np.ndarray, np.ndarray], i: Variable, size: int, order: SharedVariable | None = None
    ) -> None:
        rows: Any = slice(mul(i, size), mul(add(i, 1), size))
        self.numbers: Variable = (shared(np.arange(len(data[1])), "numbers") if order is None else order)[
            rows
        ]
        if order is not None:
            rows = self.numbers
        self.images: Variable = shared(data[0], "images", borrow=True)[rows]  # type: ignore[index]
        self.labels: Variable = shared(data[1], "labels", borrow=True)[rows]  # type: ignore[index]
