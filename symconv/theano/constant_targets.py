"""Gradients by constants: a constant that met another dtype was converted when the graph was built."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from symconv.graph import Constant, Variable
from symconv.graph.traversal import leaves, rebuild
from symconv.ops.elementwise import Cast


def read_from(targets: Iterable[Variable], root: Variable) -> Variable:
    """`root`, in which constants equal to a target that it does not hold are casts of that target."""
    wanted = [w for w in targets if isinstance(w, Constant)]
    if not wanted:
        return root
    there = [v for v in leaves([root]) if isinstance(v, Constant)]
    casts: dict[Variable, Variable] = {}
    for w in wanted:
        if w not in there:
            casts |= {v: Cast(v.dtype)(w) for v in there if _is_cast(v, w)}
    return rebuild([root], casts)[0] if casts else root


def _is_cast(v: Constant, w: Constant) -> bool:
    return v.type.is_inexact and v.dtype != w.dtype and np.array_equal(v.data, w.data.astype(v.dtype))
