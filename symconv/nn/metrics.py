"""Accuracy and the confusion matrix, in NumPy, from predicted classes or from scores."""

from __future__ import annotations

import numpy as np

from symconv.errors import DataError, ShapeError


def accuracy(labels: np.ndarray, predictions: np.ndarray) -> float:
    """mean(predicted class == label): labels [n]; predictions [n] classes, or [n, k] scores (argmax taken).

    Raises ShapeError where they do not fit or are empty.
    """
    labels, predictions = classes_of("accuracy", labels, predictions)
    return float((labels == predictions).mean())


def confusion_matrix(labels: np.ndarray, predictions: np.ndarray, n_classes: int | None = None) -> np.ndarray:
    """m[i, j] = how many of class i were taken for class j: int64 [k, k].

    labels [n] integers; predictions [n] classes or [n, k] scores. k is `n_classes`, else the number of
    scores, else the greatest class + 1. Raises ShapeError where they do not fit, DataError for a class
    out of range.
    """
    if n_classes is None and np.ndim(predictions) == 2:
        n_classes = np.shape(predictions)[1]
    labels, predictions = classes_of("confusion_matrix", labels, predictions)
    k = int(max(labels.max(), predictions.max())) + 1 if n_classes is None else n_classes
    for name, column in (("labels", labels), ("predictions", predictions)):
        bad = np.flatnonzero((column < 0) | (column >= k))
        if len(bad):
            raise DataError(f"confusion_matrix: {name}[{bad[0]}] is {column[bad[0]]}, not in 0 to {k - 1}")
    return np.bincount(labels.astype(np.int64) * k + predictions, minlength=k * k).reshape(k, k)


def classes_of(name: str, labels: np.ndarray, predictions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    labels, predictions = np.asarray(labels), np.asarray(predictions)
    given = (
        f"\n  labels {labels.dtype}{list(labels.shape)}, "
        f"predictions {predictions.dtype}{list(predictions.shape)}"
    )
    if predictions.ndim == 2 and predictions.shape[1]:
        predictions = predictions.argmax(1)
    if labels.ndim != 1 or predictions.shape != labels.shape:
        raise ShapeError(f"{name}: labels are [n], predictions [n] or [n, k]{given}")
    if not len(labels):
        raise ShapeError(f"{name}: there are no labels{given}")
    if labels.dtype.kind not in "iu" or predictions.dtype.kind not in "iu":
        raise ShapeError(f"{name}: classes are integers{given}")
    return labels, predictions
