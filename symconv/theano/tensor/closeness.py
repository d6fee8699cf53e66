"""How close two arrays must be to count as equal, by their dtypes: what tests of Theano programs compare
with.
"""

from __future__ import annotations

from typing import Any

import numpy as np

NARROW = (1e-5, 1e-5)
WIDE = (1e-8, 1e-5)


def _get_atol_rtol(a: Any, b: Any) -> tuple[float, float]:
    """The absolute and the relative tolerance for two arrays."""
    return NARROW if "float32" in (str(a.dtype), str(b.dtype)) else WIDE


def _allclose(a: Any, b: Any, rtol: float | None = None, atol: float | None = None) -> bool:
    """|a - b| <= atol + rtol |b| everywhere, with the tolerances of the dtypes where none are given."""
    x, y = np.asarray(a), np.asarray(b)
    absolute, relative = _get_atol_rtol(x, y)
    return bool(
        np.allclose(x, y, atol=absolute if atol is None else atol, rtol=relative if rtol is None else rtol)
    )
