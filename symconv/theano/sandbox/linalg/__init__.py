"""theano.sandbox.linalg: where programs before Theano 0.6 find theano.tensor.nlinalg and slinalg."""

from symconv.theano.sandbox.linalg.ops import (
    alloc_diag,
    cholesky,
    det,
    diag,
    eig,
    eigh,
    eigvalsh,
    extract_diag,
    kron,
    matrix_inverse,
    psd,
    solve,
    spectral_radius_bound,
    trace,
)

__all__ = [
    "alloc_diag", "cholesky", "det", "diag", "eig", "eigh", "eigvalsh", "extract_diag", "kron",
    "matrix_inverse", "psd", "solve", "spectral_radius_bound", "trace",
]  # fmt: skip
