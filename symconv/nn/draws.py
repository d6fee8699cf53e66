"""Random numbers outside the graph: initial weights and the order of the images, from one seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from symconv.errors import ArgumentError
from symconv.ops import philox

# Draws of a RandomStream with the same seed are numbered from 0; those here start beyond them.
WEIGHTS, ORDERS = 2**30, 2**31


class Draws:
    """Draws one after another from Philox (symconv.ops.philox), with some of NumPy's Generator's methods.

    Unlike NumPy's, whose methods may change, the same seed gives the same numbers for good.
    """

    def __init__(self, seed: int, stream: int = WEIGHTS) -> None:
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**64:
            raise ArgumentError(f"a seed must be an integer from 0 to 2**64 - 1, not {seed!r}")
        self.seed = int(seed)
        self.stream = stream

    def _next(self) -> int:
        self.stream += 1
        return self.stream - 1

    def normal(self, loc: float = 0.0, scale: float = 1.0, size: int | Sequence[int] = ()) -> np.ndarray:
        """loc + scale * z, z ~ N(0, 1): float64."""
        n = int(np.prod(size, dtype=np.int64))
        z = philox.normal_pairs(self.seed, self._next(), 0, n, "float64")
        return (loc + scale * z).reshape(size)

    def uniform(self, low: float = 0.0, high: float = 1.0, size: int | Sequence[int] = ()) -> np.ndarray:
        """low + (high - low) * u, u from [0, 1): float64."""
        n = int(np.prod(size, dtype=np.int64))
        u = philox.uniform(self.seed, self._next(), 0, n, "float64")
        return (low + (high - low) * u).reshape(size)

    def permutation(self, n: int) -> np.ndarray:
        """0 to n - 1 in a random order: int64."""
        return np.argsort(philox.words64(self.seed, self._next(), 0, n), kind="stable")
