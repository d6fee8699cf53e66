"""Test-time augmentation: what a model thinks, on average, of an image and of bent copies of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from symconv.errors import ArgumentError
from symconv.nn.augment import Augmentation
from symconv.nn.model import BATCH, Model


@dataclass(frozen=True)
class Views:
    """Each image as it is, and `count` copies of it that `augment` bends.

    The copies are those of epochs 1 to `count` of a training on the images at hand: image i is bent in the
    same way by every model and on every device, but in another way at another place among the images.
    Raises ArgumentError unless count is a whole number > 0.
    """

    augment: Augmentation
    count: int = 16

    def __post_init__(self) -> None:
        if isinstance(self.count, bool) or not isinstance(self.count, (int, np.integer)) or self.count < 1:
            raise ArgumentError(f"Views: count must be a whole number > 0, not {self.count!r}")

    def predict_proba(
        self, model: Model, images: Any, *, batch_size: int = BATCH, device: str | None = None
    ) -> np.ndarray:
        """The mean of model.predict_proba over the 1 + count views: [n, classes].

        A model of vectors is taken to see square images of one channel, or ShapeError is raised.
        """
        shape = model.input_shape if len(model.input_shape) == 3 else None
        own = model.predict_proba(images, batch_size=batch_size, device=device)
        total = own.astype(np.float64)
        for view in range(1, self.count + 1):
            bent = self.augment(images, view, image_shape=shape, device=device)
            total += model.predict_proba(bent, batch_size=batch_size, device=device)
        return (total / (1 + self.count)).astype(own.dtype)
