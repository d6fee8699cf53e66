"""An array as the kernels that work along one axis see it."""

from __future__ import annotations

import math
from typing import Any

from symconv.graph import Apply


def extents(node: Apply) -> tuple[int, int, int]:
    """(outer, n, inner): the elements before, along and behind `axis` of the node's op, output 0's shape."""
    op: Any = node.op
    shape: Any = node.out.type.shape
    return math.prod(shape[: op.axis]), shape[op.axis], math.prod(shape[op.axis + 1 :])
