"""Accuracy and confusion matrix."""

from __future__ import annotations

import numpy as np
import pytest

from symconv.errors import DataError, ShapeError
from symconv.nn.metrics import accuracy, confusion_matrix


def test_accuracy_of_classes_and_of_scores():
    labels = np.array([0, 1, 2, 1], np.int32)
    assert accuracy(labels, np.array([0, 1, 1, 1])) == 0.75
    assert accuracy(labels, np.eye(3)[[0, 1, 2, 0]]) == 0.75
    assert type(accuracy(labels, labels)) is float


def test_confusion_matrix_counts_true_class_by_prediction():
    labels, predictions = np.array([0, 0, 1, 2, 2, 2]), np.array([0, 1, 1, 0, 2, 2])
    wanted = [[1, 1, 0], [0, 1, 0], [1, 0, 2]]
    matrix = confusion_matrix(labels, predictions)
    assert matrix.tolist() == wanted and matrix.dtype == np.int64
    assert confusion_matrix(labels, np.eye(3)[predictions]).tolist() == wanted
    assert confusion_matrix(labels, np.eye(5)[predictions]).shape == (5, 5)
    assert confusion_matrix(labels, predictions, 4)[:3, :3].tolist() == wanted


def test_confusion_matrix_of_random_data_adds_up():
    rng = np.random.default_rng(0)
    labels, predictions = rng.integers(0, 7, (2, 1000)).astype(np.uint8)
    matrix = confusion_matrix(labels, predictions)
    assert matrix.sum() == 1000 and np.trace(matrix) == accuracy(labels, predictions) * 1000
    assert np.array_equal(matrix.sum(1), np.bincount(labels, minlength=7))
    assert np.array_equal(matrix.sum(0), np.bincount(predictions, minlength=7))


@pytest.mark.parametrize("metric", [accuracy, confusion_matrix])
@pytest.mark.parametrize(
    "labels, predictions",
    [
        (np.zeros(3, int), np.zeros(4, int)),
        (np.zeros((3, 1), int), np.zeros(3, int)),
        (np.zeros(3, int), np.zeros((3, 0))),
        (np.zeros(3, int), np.zeros((4, 10))),
        (np.zeros(0, int), np.zeros(0, int)),
        (np.zeros(3), np.zeros(3, int)),
        (np.zeros(3, int), np.zeros(3)),
    ],
)
def test_metrics_refuse_what_does_not_fit(metric, labels, predictions):
    with pytest.raises(ShapeError, match=f"{metric.__name__}: (.|\n)*labels .*predictions"):
        metric(labels, predictions)


def test_confusion_matrix_refuses_classes_out_of_range():
    with pytest.raises(DataError, match=r"labels\[1\] is 3, not in 0 to 2"):
        confusion_matrix(np.array([0, 3]), np.array([0, 0]), 3)
    with pytest.raises(DataError, match=r"predictions\[0\] is -1"):
        confusion_matrix(np.array([0, 3]), np.array([-1, 0]))
