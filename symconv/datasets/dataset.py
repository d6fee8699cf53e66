"""Dataset: train, validation and test splits of float32 images and int32 labels, checked when made."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from symconv.config import config
from symconv.datasets.idx import data_error
from symconv.errors import DataError, NonFiniteError


@dataclass(frozen=True, eq=False)
class Split:
    """images float32 [n, features] and labels int32 [n]; unpacks as `images, labels = split`."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter((self.images, self.labels))

    def __repr__(self) -> str:
        return f"Split(images float32{list(self.images.shape)}, labels int32{list(self.labels.shape)})"


@dataclass(frozen=True, eq=False)
class Dataset:
    """Three splits, the shape (C, H, W) of one image, and the names of the classes, by label."""

    name: str
    train: Split
    validation: Split
    test: Split
    image_shape: tuple[int, int, int]
    classes: tuple[str, ...]

    @property
    def n_classes(self) -> int:
        return len(self.classes)

    def __repr__(self) -> str:
        return (
            f"Dataset({self.name!r}, train={len(self.train)}, validation={len(self.validation)}, "
            f"test={len(self.test)}, image_shape={self.image_shape}, n_classes={self.n_classes})"
        )


@dataclass(frozen=True)
class Part:
    """Images and labels as they were read, with the names to use in messages."""

    images: np.ndarray
    labels: np.ndarray
    image_source: str
    label_source: str


def build(
    name: str,
    train: Part,
    test: Part,
    validation: Part | None = None,
    *,
    n_validation: int | None = None,
    limit: int | None = None,
    classes: Sequence[str] | None = None,
    check_finite: bool | None = None,
) -> Dataset:
    """Check the parts against each other, split, cut to `limit`, and scale.

    Without a validation part, the last `n_validation` training images are taken, by default one in six: the
    book's 10,000 of MNIST's 60,000. `limit` keeps the first images of each split. uint8 pixels become
    value/256, as in the book; floats are kept as they are. Raises DataError, or NonFiniteError for NaN or Inf
    where `check_finite` (default: config.check_data).
    """
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise DataError(f"limit is the number of images to keep of each split: 1 or more, not {limit!r}")
    parts = [train, test] + ([validation] if validation else [])
    labels = {id(part): check_labels(part, len(classes) if classes else None) for part in parts}
    image_shape = shape_of_image(train)
    for part in parts[1:]:
        if shape_of_image(part) != image_shape:
            raise data_error(
                part.image_source,
                "images of another size than the training images",
                f"{image_shape}, as in {train.image_source}",
                f"{shape_of_image(part)}",
            )
    if classes is None:
        highest = max((int(column.max()) for column in labels.values() if len(column)), default=0)
        classes = [str(label) for label in range(highest + 1)]
    finite = config.check_data if check_finite is None else check_finite

    def split(part: Part, start: int, stop: int) -> Split:
        stop = stop if limit is None else min(stop, start + limit)
        column = labels[id(part)][start:stop]
        return Split(to_float(part, start, stop, finite), column)

    n = len(train.labels)
    if validation is None:
        held_out = n // 6 if n_validation is None else n_validation
        if not 0 <= held_out < n:
            raise data_error(
                train.label_source,
                "too few training images to hold out a validation split",
                f"more than {held_out} images",
                f"{n}",
                "pass a smaller `validation`",
            )
        splits = split(train, 0, n - held_out), split(train, n - held_out, n)
    else:
        splits = split(train, 0, n), split(validation, 0, len(validation.labels))
    return Dataset(name, *splits, split(test, 0, len(test.labels)), image_shape, tuple(classes))


def check_labels(part: Part, n_classes: int | None) -> np.ndarray:
    """Labels as int32 [n], or DataError where they are not one class number for each image."""
    labels, source = part.labels, part.label_source
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise data_error(
            source,
            "not a column of labels",
            "integers, of shape [n]",
            f"{labels.dtype}{list(labels.shape)}",
            "give class numbers, not one-hot rows: labels.argmax(1)",
        )
    if part.images.ndim < 2:
        raise data_error(
            part.image_source,
            "not images",
            "[n, pixels], [n, H, W] or [n, H, W, C]",
            f"{part.images.dtype}{list(part.images.shape)}",
        )
    if len(labels) != len(part.images):
        raise data_error(
            source,
            "not one label for each image",
            f"{len(part.images)} labels, for the images of {part.image_source}",
            f"{len(labels)}",
            "take both files from the same data set and the same split",
        )
    if not len(labels):
        raise data_error(source, "no images", "at least one", "0")
    top = np.iinfo(np.int32).max if n_classes is None else n_classes - 1
    bad = np.flatnonzero((labels < 0) | (labels > top))
    if len(bad):
        raise data_error(
            source,
            "label out of range",
            f"0 to {top}",
            f"{labels[bad[0]]} at index {bad[0]} ({len(bad)} such labels)",
        )
    return labels.astype(np.int32)


def shape_of_image(part: Part) -> tuple[int, int, int]:
    """(C, H, W). Four axes are read as [n, H, W, C] if the last is 1, 3 or 4, else as [n, C, H, W]."""
    shape = part.images.shape[1:]
    if not math.prod(shape):
        raise data_error(part.image_source, "images without pixels", "every size 1 or more", f"{shape}")
    if len(shape) == 1:
        side = math.isqrt(shape[0])
        return (1, side, side) if side * side == shape[0] else (1, 1, shape[0])
    if len(shape) == 2:
        return (1, shape[0], shape[1])
    if len(shape) == 3:
        return (shape[2], shape[0], shape[1]) if channels_last(shape) else (shape[0], shape[1], shape[2])
    raise data_error(
        part.image_source,
        "too many axes",
        "[n, pixels], [n, H, W] or [n, H, W, C]",
        f"{list(part.images.shape)}",
    )


def channels_last(shape: Sequence[int]) -> bool:
    return len(shape) == 3 and shape[2] in (1, 3, 4)


def to_float(part: Part, start: int, stop: int, check_finite: bool) -> np.ndarray:
    """float32 [stop - start, features]: value/256 of uint8 pixels, floats as they are."""
    images, source = part.images[start:stop], part.image_source
    if channels_last(images.shape[1:]):
        images = images.transpose(0, 3, 1, 2)
    if images.dtype.kind in "iu":
        if images.dtype != np.uint8 and images.size and (images.min() < 0 or images.max() > 255):
            raise data_error(
                source,
                "pixels out of range",
                "integers from 0 to 255, or floats",
                f"{images.dtype} from {images.min()} to {images.max()}",
            )
        # 1/256 is a power of two: the product is exact.
        pixels = np.multiply(images, np.float32(1 / 256), dtype=np.float32, casting="unsafe")
    elif images.dtype.kind == "f":
        pixels = images.astype(np.float32)
    else:
        raise data_error(source, "not images", "integers or floats", f"{images.dtype}")
    pixels = np.ascontiguousarray(pixels).reshape(len(images), math.prod(images.shape[1:]))
    if check_finite and not np.isfinite(pixels).all():
        row, column = np.argwhere(~np.isfinite(pixels))[0]
        raise NonFiniteError(
            f"{source}: {pixels[row, column]} in image {start + row}, pixel {column}"
            "\n  hint: clean the data, or pass check_finite=False to take them as they are"
        )
    return pixels
