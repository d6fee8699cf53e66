"""Classes of theano.tensor.extra_ops, made with options and called with tensors, over the functions."""

from __future__ import annotations

from typing import Any

from symconv.errors import ArgumentError
from symconv.theano.tensor import shape_ops, sort
from symconv.theano.tensor.counting import SearchSorted as SearchsortedOp


class CumOp:
    """CumOp(axis, mode)(x): running sums (mode 'add') or products ('mul'), of x flattened without axis."""

    def __init__(self, axis: int | None = None, mode: str = "add") -> None:
        if mode not in ("add", "mul"):
            raise ArgumentError(f"CumOp: mode must be 'add' or 'mul', got {mode!r}")
        self.axis, self.mode = axis, mode

    def __call__(self, x: Any) -> Any:
        return (sort.cumsum if self.mode == "add" else sort.cumprod)(x, self.axis)


class DiffOp:
    """DiffOp(n, axis)(x): the n-th differences along `axis`."""

    def __init__(self, n: int = 1, axis: int = -1) -> None:
        self.n, self.axis = n, axis

    def __call__(self, x: Any) -> Any:
        return sort.diff(x, self.n, self.axis)


class RepeatOp:
    """RepeatOp(axis)(x, repeats): elements repeated along `axis`, of x flattened without one."""

    def __init__(self, axis: int | None = None) -> None:
        self.axis = axis

    def __call__(self, x: Any, repeats: Any) -> Any:
        return shape_ops.repeat(x, repeats, self.axis)


__all__ = ["CumOp", "DiffOp", "RepeatOp", "SearchsortedOp"]
