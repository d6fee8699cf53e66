"""Functions of matrices beside the decompositions: expm, eigvalsh, tensorinv, tensorsolve, lstsq."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from symconv.errors import ShapeError
from symconv.theano import dtypes
from symconv.theano.gof.op import Apply, Op
from symconv.theano.tensor import elementwise, joining, shape_ops
from symconv.theano.tensor.nlinalg import MatrixOp, eigh, matrix_inverse
from symconv.theano.tensor.slinalg import cholesky, solve, solve_lower_triangular
from symconv.theano.variable import TensorType, as_tensor_variable

# of the Pade approximant of order 13, and the norm up to which it has the digits of float64: Higham, The
# scaling and squaring method for the matrix exponential revisited, 2005
_PADE = (
    64764752532480000.0, 32382376266240000.0, 7771770303897600.0, 1187353796428800.0, 129060195264000.0,
    10559470521600.0, 670442572800.0, 33522128640.0, 1323241920.0, 40840800.0, 960960.0, 16380.0, 182.0, 1.0,
)  # fmt: skip
_LARGEST = 5.371920351148152


class Expm(MatrixOp):
    """e^a of a square matrix, by scaling and squaring."""

    def compute(self, a: np.ndarray) -> Sequence[Any]:
        norm = float(np.abs(a).sum(0).max()) if a.size else 0.0
        halvings = max(0, math.ceil(math.log2(norm / _LARGEST))) if math.isfinite(norm) and norm > 0 else 0
        x, one, c = a.astype("float64") / 2.0**halvings, np.eye(len(a)), _PADE
        x2 = x @ x
        x4 = x2 @ x2
        x6 = x4 @ x2
        odd = x6 @ (c[13] * x6 + c[11] * x4 + c[9] * x2) + c[7] * x6 + c[5] * x4 + c[3] * x2 + c[1] * one
        even = x6 @ (c[12] * x6 + c[10] * x4 + c[8] * x2) + c[6] * x6 + c[4] * x4 + c[2] * x2 + c[0] * one
        odd = x @ odd
        found = np.linalg.solve(even - odd, even + odd)
        for _ in range(halvings):
            found = found @ found
        return [found]

    def grad(self, inputs: Sequence[Any], output_gradients: Sequence[Any]) -> list[Any]:
        """The upper right block of e^[[a^T, g], [0, a^T]]."""
        (a,), (g,) = inputs, output_gradients
        n = a.shape[0]
        above = joining.concatenate([a.T, g], 1)
        below = joining.concatenate([shape_ops.zeros_like(a), a.T], 1)
        return [self(joining.concatenate([above, below], 0))[:n, n:]]


expm = Expm()


def eigvalsh(a: Any, b: Any = None, lower: bool = True) -> Any:
    """The eigenvalues w, a v = w b v, of a symmetric matrix of which one triangle is read. b is positive, or
    left out: the unit matrix."""
    a = as_tensor_variable(a)
    half = shape_ops.tril(a if lower else a.T)
    both = half + shape_ops.tril(half, -1).T
    if b is not None:
        factor = cholesky(b)
        both = solve_lower_triangular(factor, solve_lower_triangular(factor, both).T)
    return eigh(both)[0]


class Eigvalsh:
    """Eigvalsh(lower)(a, b) is eigvalsh(a, b, lower)."""

    def __init__(self, lower: bool = True) -> None:
        self.lower = bool(lower)

    def __call__(self, a: Any, b: Any = None) -> Any:
        return eigvalsh(a, b, self.lower)


def tensorinv(a: Any, ind: int = 2) -> Any:
    """The inverse for tensordot(inverse, x, ind): a, with the axes before `ind` as rows, as a matrix."""
    a = as_tensor_variable(a)
    if not 0 < ind < a.ndim:
        raise ShapeError(f"tensorinv: ind must be from 1 to {a.ndim - 1} for {a.type}, got {ind}")
    dims = [a.shape[i] for i in range(a.ndim)]
    rows = _product(dims[:ind])
    found = matrix_inverse(shape_ops.reshape(a, (rows, _product(dims[ind:])), ndim=2))
    return shape_ops.reshape(found, (*dims[ind:], *dims[:ind]), ndim=a.ndim)


class TensorInv:
    """TensorInv(ind)(a) is tensorinv(a, ind)."""

    def __init__(self, ind: int = 2) -> None:
        self.ind = ind

    def __call__(self, a: Any) -> Any:
        return tensorinv(a, self.ind)


def tensorsolve(a: Any, b: Any, axes: Sequence[int] | None = None) -> Any:
    """x with tensordot(a, x, x.ndim) = b; `axes` of a are moved to its end first."""
    a, b = as_tensor_variable(a), as_tensor_variable(b)
    if a.ndim <= b.ndim:
        raise ShapeError(f"tensorsolve: a must have more axes than b, got {a.type} and {b.type}")
    moved = [k % a.ndim for k in axes or ()]
    a = a.dimshuffle(*[k for k in range(a.ndim) if k not in moved], *moved)
    dims = [a.shape[i] for i in range(b.ndim, a.ndim)]
    matrix = shape_ops.reshape(a, (b.size, _product(dims)), ndim=2)
    return shape_ops.reshape(solve(matrix, b.flatten()), dims, ndim=len(dims))


def _product(dims: Sequence[Any]) -> Any:
    total = dims[0]
    for d in dims[1:]:
        total = total * d
    return total


class lstsq(Op):  # noqa: N801 - Theano's name
    """lstsq()(a, b, rcond): x of least |a x - b|, the sums of squares that are left, the rank, the singular
    values. There are no gradients: solve(a.T a, a.T b) has them."""

    __props__ = ()

    def make_node(self, a: Any, b: Any, rcond: Any = -1) -> Apply:
        a, b = as_tensor_variable(a), as_tensor_variable(b)
        if a.ndim != 2 or b.ndim not in (1, 2):
            raise ShapeError(f"lstsq: takes a matrix and a vector or matrix, got {a.type} and {b.type}")
        dtype = dtypes.floating(dtypes.upcast(a.dtype, b.dtype))
        given = [elementwise.cast(v, dtype) for v in (a, b)]
        vector = TensorType(dtype, (False,))
        x = TensorType(dtype, (False,) * b.ndim)
        return Apply(self, [*given, rcond], [x(), vector(), TensorType("int64", ())(), vector()])

    def perform(self, node: Any, inputs: Sequence[np.ndarray], output_storage: list[list[Any]]) -> None:
        a, b, rcond = inputs
        found = np.linalg.lstsq(a, b, rcond=float(rcond))
        for cell, value in zip(output_storage, found):
            cell[0] = np.asarray(value, "int64" if value is found[2] else a.dtype)


__all__ = ["Eigvalsh", "Expm", "TensorInv", "eigvalsh", "expm", "lstsq", "tensorinv", "tensorsolve"]
