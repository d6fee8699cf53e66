"""Committees: several models that decide together, by vote or by the mean of their probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symconv.errors import ArgumentError, ShapeError
from symconv.nn import metrics
from symconv.nn.data import check_split
from symconv.nn.model import BATCH, Model
from symconv.nn.views import Views

RULES = ("vote", "mean")


class Committee:
    """Models of the same images and classes.

    rule "vote": the plurality of their classes; "mean": argmax of the mean of their probabilities. Raises
    ArgumentError where the models do not fit together.
    """

    def __init__(self, models: Sequence[Model]) -> None:
        self.models = list(models)
        kinds = {(m.input_shape, m.n_classes) for m in self.models}
        if len(kinds) != 1:
            raise ArgumentError(
                "Committee: needs models of the same images and classes, got (input shape, classes) "
                f"{', '.join(map(str, sorted(kinds))) or 'of no model'}"
            )

    def probabilities(
        self,
        images: Any,
        *,
        views: Views | None = None,
        batch_size: int = BATCH,
        device: str | None = None,
    ) -> np.ndarray:
        """[members, n, classes]: what each member thinks; with `views`, on average over those of an image."""

        def of(model: Model) -> np.ndarray:
            if views is None:
                return model.predict_proba(images, batch_size=batch_size, device=device)
            return views.predict_proba(model, images, batch_size=batch_size, device=device)

        return np.stack([of(m) for m in self.models])

    def predict(
        self,
        images: Any,
        *,
        rule: str = "vote",
        views: Views | None = None,
        batch_size: int = BATCH,
        device: str | None = None,
    ) -> np.ndarray:
        """The class of each image: int64 [n]."""
        p = self.probabilities(images, views=views, batch_size=batch_size, device=device)
        return decide(p, rule)

    def accuracy(
        self, data: Any, *, rule: str = "vote", views: Views | None = None, device: str | None = None
    ) -> float:
        """The share of `data`, (images, labels), that the committee gets right."""
        images, labels = check_split(data, self.models[0], "Committee.accuracy")
        return metrics.accuracy(labels, self.predict(images, rule=rule, views=views, device=device))


def decide(probabilities: np.ndarray, rule: str = "vote") -> np.ndarray:
    """The committee's class of each image, int64 [n], from [members, n, classes]."""
    if rule not in RULES:
        raise ArgumentError(f"a committee decides by {' or '.join(RULES)}, not {rule!r}")
    if probabilities.ndim != 3 or not len(probabilities):
        raise ShapeError(
            f"a committee decides on probabilities [members, n, classes], not {list(probabilities.shape)}"
        )
    if rule == "mean":
        return probabilities.mean(0, dtype=np.float64).argmax(1)
    return plurality(probabilities.argmax(2), probabilities.shape[2])


def plurality(votes: np.ndarray, n_classes: int) -> np.ndarray:
    """The class with the most votes, for votes int [members, n]: int64 [n].

    Of classes with equally many, the one that was voted for first, as the book's Counter.most_common.
    """
    counts = (votes[..., None] == np.arange(n_classes)).sum(0)
    leading = np.take_along_axis(counts, votes.T, 1) == counts.max(1, keepdims=True)
    return votes.T[np.arange(votes.shape[1]), leading.argmax(1)]
