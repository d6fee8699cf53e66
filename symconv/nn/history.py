"""What a training did, epoch by epoch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class History:
    """One dict per epoch: epoch (from 1), cost, validation_accuracy, test_accuracy, learning_rate, seconds.

    cost is the mean over the epoch's mini-batches of the cost without its L2 term, each before its step.
    Accuracies are fractions, None where there was no data. best_epoch is that of the best validation
    accuracy, of equal ones the later, as in network3.py (without validation data the last). interrupted: by
    Ctrl-C; stopped: why it ended early otherwise.
    """

    epochs: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int | None = None
    interrupted: bool = False
    stopped: str | None = None
    seconds: float = 0.0
    training_seconds: float = 0.0
    images: int = 0

    @property
    def best(self) -> dict[str, Any]:
        """The row of the best epoch; empty before the first."""
        return {} if self.best_epoch is None else self.epochs[self.best_epoch - 1]

    @property
    def validation_accuracy(self) -> float | None:
        return self.best.get("validation_accuracy")

    @property
    def test_accuracy(self) -> float | None:
        """The test accuracy at the best validation epoch, as the book reports it."""
        return self.best.get("test_accuracy")

    @property
    def images_per_s(self) -> float:
        """Training images per second of training, without evaluation and compilation."""
        return self.images / self.training_seconds if self.training_seconds else 0.0
