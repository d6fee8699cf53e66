"""theano.sandbox.linalg.ops: the operations on matrices under their older module."""

from __future__ import annotations

from typing import Any

from symconv.errors import ArgumentError
from symconv.theano.tensor.linear import dot, matrix_dot
from symconv.theano.tensor.matrix_functions import eigvalsh
from symconv.theano.tensor.nlinalg import (
    MatrixInverse,
    alloc_diag,
    det,
    diag,
    eig,
    eigh,
    extract_diag,
    matrix_inverse,
    trace,
)
from symconv.theano.tensor.slinalg import Cholesky, Solve, cholesky, kron, solve


def psd(v: Any) -> Any:
    """v, said to be positive semi-definite: a hint that nothing here needs."""
    return v


def spectral_radius_bound(X: Any, log2_exponent: int) -> Any:  # noqa: N803
    """trace(X^(2^k))^(2^-k), k = log2_exponent > 0: at least the largest eigenvalue of the symmetric X.

    V. Pan, Computers & Mathematics with Applications 20, 1990. Raises ArgumentError.
    """
    if isinstance(log2_exponent, bool) or not isinstance(log2_exponent, int) or log2_exponent <= 0:
        raise ArgumentError(
            f"spectral_radius_bound: the exponent must be a positive integer, got {log2_exponent!r}"
        )
    power = X
    for _ in range(log2_exponent):
        power = dot(power, power)
    return trace(power) ** (2.0**-log2_exponent)


__all__ = [
    "Cholesky", "MatrixInverse", "Solve", "alloc_diag", "cholesky", "det", "diag", "eig", "eigh", "eigvalsh",
    "extract_diag", "kron", "matrix_dot", "matrix_inverse", "psd", "solve", "spectral_radius_bound", "trace",
]  # fmt: skip
