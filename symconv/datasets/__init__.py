"""Data sets: mnist(), fashion_mnist(), load(path); one-pixel shifts, one-hot labels; the form of MNIST."""

from __future__ import annotations

from symconv.datasets.augment import one_hot, shift_expand
from symconv.datasets.dataset import Dataset, Split
from symconv.datasets.drawing import centred
from symconv.datasets.fetch import fashion_mnist, mnist
from symconv.datasets.idx import read_idx
from symconv.datasets.load import load

__all__ = [
    "Dataset",
    "Split",
    "centred",
    "fashion_mnist",
    "load",
    "mnist",
    "one_hot",
    "read_idx",
    "shift_expand",
]
