"""What converted programs import: the division of Python 2, and numbers read from its strings of bytes."""

from __future__ import annotations

from typing import Any

import numpy as np

from symconv.theano.dtypes import DISCRETE
from symconv.theano.variable import Variable


def _whole(x: Any) -> bool:
    if isinstance(x, Variable):
        return x.dtype in DISCRETE
    if isinstance(x, (bool, int, np.integer, np.bool_)):
        return True
    return isinstance(x, np.ndarray) and x.dtype.kind in "iub"


def div(a: Any, b: Any) -> Any:
    """a / b as Python 2 had it: floor(a / b) where both are integers (numbers, arrays or variables)."""
    return a // b if _whole(a) and _whole(b) else a / b


def array_of_bytes(text: str | bytes, dtype: Any = float, count: int = -1) -> np.ndarray:
    """np.fromstring(text, dtype, count) without sep: the numbers that the bytes hold, as a new array.

    A str, read from a file in Latin-1, stands for the bytes with its characters' numbers.
    """
    data = text.encode("latin1") if isinstance(text, str) else text
    return np.frombuffer(data, dtype, count).copy()
