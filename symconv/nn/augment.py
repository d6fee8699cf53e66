"""Augmentation: training images bent at random, anew in every epoch, inside the compiled step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symconv.config import config
from symconv.errors import ArgumentError, ShapeError
from symconv.function import function
from symconv.graph import Variable
from symconv.nn.data import array_of
from symconv.ops.leaf import tensor
from symconv.ops.philox import is_seed
from symconv.ops.shape import reshape, shape_of
from symconv.ops.warp import checked_changes, random_warp

Numbers = float | Sequence[float]


@dataclass(frozen=True)
class Augmentation:
    """What sc.random_warp does to each image, and the seed of its draws (None: that of the training).

    rotation and shear in degrees, translation in pixels, scale as a share, crop in pixels, elastic and sigma
    as there. Image i of epoch e is bent in the same way on every device, for any number of threads, any
    mini-batches, any order of the images, and by a training that was taken up again.
    """

    rotation: float = 0.0
    translation: Numbers = 0.0
    scale: float = 0.0
    shear: float = 0.0
    crop: int | Sequence[int] | None = None
    elastic: float = 0.0
    sigma: float = 4.0
    border: str = "zero"
    seed: int | None = None

    def __post_init__(self) -> None:
        for name in ("translation", "crop"):  # hashable, and one form for what is printed
            value = getattr(self, name)
            if isinstance(value, list):
                object.__setattr__(self, name, tuple(value))
        checked_changes(
            self.rotation, self.translation, self.scale, self.shear, self.elastic, self.sigma, self.border
        )
        if self.seed is not None and not is_seed(self.seed):
            raise ArgumentError(f"Augmentation: seed must be None or from 0 to 2**64 - 1, got {self.seed!r}")

    def apply(self, x: Variable, index: Variable, epoch: Variable, seed: int = 0) -> Variable:
        """x [N, C, H, W] bent; index int64 [N] are the images' numbers; `seed`: used where it has none."""
        return random_warp(
            x,
            index,
            epoch,
            seed=seed if self.seed is None else self.seed,
            rotation=self.rotation,
            translation=self.translation,
            scale=self.scale,
            shear=self.shear,
            crop=self.crop,
            elastic=self.elastic,
            sigma=self.sigma,
            border=self.border,
        )

    def rows(
        self, x: Variable, image_shape: Sequence[int], index: Variable, epoch: Variable, seed: int = 0
    ) -> Variable:
        """The same of images as rows [N, features]."""
        if len(image_shape) != 3:
            raise ShapeError(
                f"Augmentation: the model takes vectors {tuple(image_shape)}, not images "
                "(channels, height, width)\n  hint: Sequential([Flatten(), ...], (1, 28, 28))"
            )
        n, features = shape_of(x, 0), x.type.shape[1]
        images = reshape(x, (n, *image_shape))
        return reshape(self.apply(images, index, epoch, seed), (n, features))

    def __call__(
        self,
        images: Any,
        epoch: int = 1,
        *,
        index: Any = None,
        image_shape: Sequence[int] | None = None,
        seed: int = 0,
        device: str | None = None,
    ) -> np.ndarray:
        """Arrays, not variables: images [n, C, H, W], [n, H, W] or rows, bent as in that epoch of a training.

        index: the number of each image, by default 0 to n - 1. image_shape (C, H, W): of images that are
        rows, if they are not square with one channel. The result has the shape of `images`. Raises ShapeError
        and ArgumentError.
        """
        array = np.ascontiguousarray(array_of(images), config.floatX)
        if array.ndim == 2 and image_shape is None:
            side = round(array.shape[1] ** 0.5)
            image_shape = (1, side, side)
        if array.ndim == 3:
            image_shape = (1, *array.shape[1:])
        shape = array.shape[1:] if array.ndim == 4 else tuple(image_shape or ())
        if array.ndim not in (2, 3, 4) or len(shape) != 3 or np.prod(array.shape[1:]) != np.prod(shape):
            raise ShapeError(
                "Augmentation: images are [n, C, H, W], [n, H, W] or rows of image_shape, not "
                f"{list(array.shape)} with image_shape {image_shape}"
            )
        numbers = np.arange(len(array)) if index is None else np.asarray(index)
        if numbers.shape != (len(array),) or numbers.dtype.kind not in "iu":
            raise ArgumentError(
                f"Augmentation: index must hold a whole number for each of {len(array)} images, got "
                f"{numbers.dtype}{list(numbers.shape)}"
            )
        x, i, e = tensor(str(array.dtype), (None, *shape)), tensor("int64", (None,)), tensor("int64", ())
        f = function([x, i, e], self.apply(x, i, e, seed), device=device, on_unused_input="ignore")
        bent = f(array.reshape(-1, *shape), numbers.astype("int64"), np.asarray(epoch, "int64"))
        return np.asarray(bent).reshape(array.shape)
