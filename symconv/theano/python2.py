"""What converted programs import: the division of Python 2."""

from __future__ import annotations

from typing import Any

import numpy as np

from symconv.theano.variable import Variable


def _whole(x: Any) -> bool:
    if isinstance(x, Variable):
        return x.dtype not in ("float32", "float64")
    if isinstance(x, (bool, int, np.integer, np.bool_)):
        return True
    return isinstance(x, np.ndarray) and x.dtype.kind in "iub"


def div(a: Any, b: Any) -> Any:
    """a / b as Python 2 had it: floor(a / b) where both are integers (numbers, arrays or variables)."""
    return a // b if _whole(a) and _whole(b) else a / b
