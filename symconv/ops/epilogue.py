"""The activations that fused kernels apply as they store: y = act(x), and act'(x) written in y."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Array = np.ndarray


def _sigmoid(x: Array) -> Array:
    e = np.exp(-np.abs(x))  # never overflows
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e)).astype(x.dtype)


# name -> (y from x, dy/dx from y). The order is that of the numbers in kernels/params_{conv,gemm}.h.
ACTIVATIONS: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "linear": (lambda x: x, np.ones_like),
    "relu": (lambda x: np.maximum(x, 0), lambda y: (y > 0).astype(y.dtype)),
    "sigmoid": (_sigmoid, lambda y: y * (1 - y)),
    "tanh": (np.tanh, lambda y: 1 - y * y),
}
