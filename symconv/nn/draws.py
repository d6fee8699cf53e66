"""Random numbers outside the graph: initial weights and the order of the images, from one seed.

They come from NumPy's RandomState, whose numbers are frozen for good. Initial weights are those of a
program that calls numpy.random.seed(seed) and then draws layer by layer: for the layers of
symconv.nn.book, those of network3.py.
"""

from __future__ import annotations

import numpy as np

from symconv.errors import ArgumentError
from symconv.ops.philox import is_seed


def weight_draws(seed: int) -> np.random.RandomState:
    """The source of initial weights."""
    _check(seed)
    return np.random.RandomState(int(seed) if seed < 2**32 else _words(seed))


def order_draws(seed: int) -> np.random.RandomState:
    """The source of the orders in which the images of an epoch are shown."""
    _check(seed)
    return np.random.RandomState([*_words(seed), 1])


def _words(seed: int) -> list[int]:
    return [int(seed) % 2**32, int(seed) >> 32]


def _check(seed: int) -> None:
    if not is_seed(seed):
        raise ArgumentError(f"a seed must be an integer from 0 to 2**64 - 1, not {seed!r}")
