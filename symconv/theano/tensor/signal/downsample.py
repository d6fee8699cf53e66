"""theano.tensor.signal.downsample: the older name of pooling."""

from __future__ import annotations

from typing import Any

from symconv.theano.tensor.signal.pool import max_pool_2d_same_size, pool_2d


def max_pool_2d(
    input: Any, ds: Any, ignore_border: bool = False, st: Any = None, padding: Any = (0, 0), mode: str = "max"
) -> Any:
    """Pooling by windows `ds`; partial windows are kept unless ignore_border."""
    return pool_2d(input, ds, bool(ignore_border), st, padding, mode)


__all__ = ["max_pool_2d", "max_pool_2d_same_size"]
