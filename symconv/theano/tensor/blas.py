"""theano.tensor.blas: matrix products by the names of BLAS."""

from __future__ import annotations

from typing import Any

from symconv.theano.tensor.linear import batched_dot, dot, outer
from symconv.theano.variable import as_tensor_variable


def gemm(z: Any, a: Any, x: Any, y: Any, b: Any) -> Any:
    """b z + a dot(x, y)."""
    return b * as_tensor_variable(z) + a * dot(x, y)


def gemv(y: Any, alpha: Any, a: Any, x: Any, beta: Any) -> Any:
    """beta y + alpha dot(a, x)."""
    return gemm(y, alpha, a, x, beta)


def ger(a: Any, alpha: Any, x: Any, y: Any) -> Any:
    """a + alpha outer(x, y)."""
    return as_tensor_variable(a) + alpha * outer(x, y)


_dot22 = dot
gemm_no_inplace = gemm_inplace = gemm
gemv_no_inplace = gemv_inplace = gemv
ger_destructive = ger

__all__ = [
    "_dot22", "batched_dot", "gemm", "gemm_inplace", "gemm_no_inplace", "gemv", "gemv_inplace",
    "gemv_no_inplace", "ger", "ger_destructive",
]  # fmt: skip
