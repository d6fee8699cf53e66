"""Small helpers of the package theano that programs use."""

from __future__ import annotations

from typing import Any

import numpy as np

from symconv.theano import dtypes
from symconv.theano.configuration import config


def _asarray(a: Any, dtype: Any, order: Any = None) -> np.ndarray:
    """np.asarray with 'floatX' as a dtype."""
    return np.asarray(a, dtype=dtypes.checked(dtype, "_asarray"), order=order)


change_flags = config.change_flags

__all__ = [
    "_asarray",
    "change_flags",
]
