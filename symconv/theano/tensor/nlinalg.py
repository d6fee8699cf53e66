"""theano.tensor.nlinalg: inverses, determinants and decompositions, as steps in NumPy within the plan.

Gradients are those of matrix calculus (Giles, Collected matrix derivative results, 2008).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symconv.errors import DTypeError, ExecutionError, ShapeError
from symconv.theano import dtypes
from symconv.theano.gof.op import Apply, Op
from symconv.theano.tensor import elementwise, reductions, shape_ops
from symconv.theano.tensor.linear import dot, matrix_dot
from symconv.theano.tensor.shape_ops import diag, trace
from symconv.theano.variable import TensorType, as_tensor_variable

alloc_diag = extract_diag = diag


class MatrixOp(Op):
    """An op on one matrix of floats. `compute` gives the outputs, `ranks` and `sizes` their shapes."""

    __props__: tuple[str, ...] = ()
    ranks: tuple[int, ...] = (2,)
    square = True

    def make_node(self, a: Any) -> Apply:
        a = as_tensor_variable(a)
        if a.ndim != 2:
            raise ShapeError(f"{self}: takes a matrix, got {a.type} from {a.native.origin}")
        dtype = dtypes.floating(a.dtype)
        given = elementwise.cast(a, dtype)
        return Apply(self, [given], [TensorType(dtype, (False,) * r)() for r in self.ranks])

    def perform(self, node: Any, inputs: Sequence[np.ndarray], output_storage: list[list[Any]]) -> None:
        (a,) = inputs
        if self.square and a.shape[0] != a.shape[1]:
            raise ExecutionError(f"{self}: takes a square matrix, got one of shape {list(a.shape)}")
        try:
            found = self.compute(a)
        except np.linalg.LinAlgError as error:  # programs catch it
            raise np.linalg.LinAlgError(f"{error}, of a matrix of shape {list(a.shape)}") from None
        for cell, value in zip(output_storage, found):
            cell[0] = np.asarray(value, a.dtype)

    def infer_shape(self, node: Any, shapes: Sequence[Any]) -> list[Any]:
        return list(self.sizes(*shapes[0]))

    def compute(self, a: np.ndarray) -> Sequence[Any]:
        """The outputs for the matrix a."""
        raise NotImplementedError

    def sizes(self, rows: Any, columns: Any) -> Sequence[tuple[Any, ...]]:
        """The outputs' shapes."""
        return [(rows, columns)]


class MatrixInverse(MatrixOp):
    """a^-1; da = -a^-T dy a^-T."""

    def compute(self, a: np.ndarray) -> Sequence[Any]:
        return [np.linalg.inv(a)]

    def grad(self, inputs: Sequence[Any], output_gradients: Sequence[Any]) -> list[Any]:
        inverse = self(inputs[0])
        return [-matrix_dot(inverse.T, output_gradients[0], inverse.T)]


class MatrixPinv(MatrixOp):
    """The pseudo-inverse p [n, m] of a [m, n]."""

    square = False

    def compute(self, a: np.ndarray) -> Sequence[Any]:
        return [np.linalg.pinv(a)]

    def sizes(self, rows: Any, columns: Any) -> Sequence[tuple[Any, ...]]:
        return [(columns, rows)]

    def grad(self, inputs: Sequence[Any], output_gradients: Sequence[Any]) -> list[Any]:
        a, (g,) = inputs[0], output_gradients
        p = self(a)
        rows = shape_ops.identity_like(dot(a, p)) - dot(a, p)
        columns = shape_ops.identity_like(dot(p, a)) - dot(p, a)
        first = -matrix_dot(p, g.T, p)
        more = matrix_dot(p, p.T, g, rows) + matrix_dot(columns, g, p.T, p)
        return [(first + more).T]


class Det(MatrixOp):
    """|a|; da = dy |a| a^-T."""

    ranks = (0,)

    def compute(self, a: np.ndarray) -> Sequence[Any]:
        return [np.linalg.det(a)]

    def sizes(self, rows: Any, columns: Any) -> Sequence[tuple[Any, ...]]:
        return [()]

    def grad(self, inputs: Sequence[Any], output_gradients: Sequence[Any]) -> list[Any]:
        return [output_gradients[0] * self(inputs[0]) * matrix_inverse(inputs[0]).T]


class Eigh(MatrixOp):
    """Eigenvalues, ascending, and eigenvectors (columns) of a symmetric matrix; of UPLO's half."""

    __props__ = ("UPLO",)
    ranks = (1, 2)

    def __init__(self, UPLO: str = "L") -> None:  # noqa: N803 - NumPy's name
        if UPLO not in ("L", "U"):
            raise DTypeError(f"eigh: UPLO must be 'L' or 'U', got {UPLO!r}")
        self.UPLO = UPLO

    def compute(self, a: np.ndarray) -> Sequence[Any]:
        half: Any = self.UPLO
        return tuple(np.linalg.eigh(a, half))

    def sizes(self, rows: Any, columns: Any) -> Sequence[tuple[Any, ...]]:
        return [(rows,), (rows, columns)]

    def grad(self, inputs: Sequence[Any], output_gradients: Sequence[Any]) -> list[Any]:
        w, v = self(inputs[0])
        gw, gv = output_gradients
        gaps = w.dimshuffle("x", 0) - w.dimshuffle(0, "x")
        same = shape_ops.identity_like(gaps)
        shares = (1 - same) / (gaps + same)
        inner = shape_ops.diag(gw) + shares * dot(v.T, gv)
        full = matrix_dot(v, inner, v.T)
        # the op reads one half of the matrix only: the other half's share goes there
        half = shape_ops.tril if self.UPLO == "L" else shape_ops.triu
        k = -1 if self.UPLO == "L" else 1
        return [half(full) + half(full.T, k)]


class Eig(MatrixOp):
    """Eigenvalues and eigenvectors (columns) of a matrix all of whose eigenvalues are real."""

    ranks = (1, 2)

    def compute(self, a: np.ndarray) -> Sequence[Any]:
        w, v = np.linalg.eig(a)
        if np.iscomplexobj(w):
            raise ExecutionError(
                "eig: the matrix has complex eigenvalues; as in Theano the results are of its dtype"
            )
        return [w, v]

    def sizes(self, rows: Any, columns: Any) -> Sequence[tuple[Any, ...]]:
        return [(rows,), (rows, columns)]


class SVD(MatrixOp):
    """u, s, vt with a = u diag(s) vt, s descending; s alone where compute_uv is False."""

    __props__ = ("full_matrices", "compute_uv")
    square = False

    def __init__(self, full_matrices: bool = True, compute_uv: bool = True) -> None:
        self.full_matrices, self.compute_uv = bool(full_matrices), bool(compute_uv)
        self.ranks = (2, 1, 2) if compute_uv else (1,)

    def compute(self, a: np.ndarray) -> Sequence[Any]:
        options: tuple[Any, ...] = (self.full_matrices, self.compute_uv)
        found: Any = np.linalg.svd(a, *options)
        return tuple(found) if self.compute_uv else [found]

    def sizes(self, rows: Any, columns: Any) -> Sequence[tuple[Any, ...]]:
        least = elementwise.minimum(rows, columns)
        if not self.compute_uv:
            return [(least,)]
        if self.full_matrices:
            return [(rows, rows), (least,), (columns, columns)]
        return [(rows, least), (least,), (least, columns)]


class QR(MatrixOp):
    """q, r with a = q r; mode 'reduced', 'complete', 'r' (r alone) or 'raw' (LAPACK's h.T and tau)."""

    __props__ = ("mode",)
    square = False

    def __init__(self, mode: str = "reduced") -> None:
        if mode not in ("reduced", "complete", "r", "raw"):
            raise DTypeError(f"qr: mode must be 'reduced', 'complete', 'r' or 'raw', got {mode!r}")
        self.mode = mode
        self.ranks = {"r": (2,), "raw": (2, 1)}.get(mode, (2, 2))

    def compute(self, a: np.ndarray) -> Sequence[Any]:
        found = np.linalg.qr(a, self.mode)  # type: ignore[call-overload]
        return [found] if self.mode == "r" else tuple(found)

    def sizes(self, rows: Any, columns: Any) -> Sequence[tuple[Any, ...]]:
        least = rows if self.mode == "complete" else elementwise.minimum(rows, columns)
        if self.mode == "raw":
            return [(columns, rows), (least,)]
        return [(least, columns)] if self.mode == "r" else [(rows, least), (least, columns)]


matrix_inverse, pinv, det, eig = MatrixInverse(), MatrixPinv(), Det(), Eig()


def eigh(a: Any, UPLO: str = "L") -> Any:  # noqa: N803
    """[eigenvalues, eigenvectors] of a symmetric matrix."""
    return Eigh(UPLO)(a)


def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """[u, s, vt], or s alone."""
    return SVD(full_matrices, compute_uv)(a)


def qr(a: Any, mode: str = "reduced") -> Any:
    """[q, r], or r alone; with mode 'raw' [h, tau], the Householder reflections as NumPy gives them."""
    return QR(mode)(a)


def matrix_power(M: Any, n: int) -> Any:  # noqa: N803
    """The matrix M to the power n; for n < 0 of its inverse."""
    out = shape_ops.identity_like(M)
    base = as_tensor_variable(M) if n >= 0 else matrix_inverse(M)
    for _ in range(abs(int(n))):
        out = dot(out, base)
    return out


def norm(x: Any, ord: Any = None) -> Any:
    """numpy.linalg.norm of a vector or a matrix; of more dimensions the Euclidean norm of all elements."""
    x = as_tensor_variable(x)
    size = elementwise.abs_(x)
    if ord is None or (ord == "fro" and x.ndim == 2) or (ord == 2 and x.ndim == 1):
        return elementwise.sqrt(reductions.sum(elementwise.sqr(x)))
    known: dict[Any, Callable[[], Any]] = {}
    if x.ndim == 1:
        known = {
            "inf": lambda: reductions.max(size),
            "-inf": lambda: reductions.min(size),
            0: lambda: reductions.sum(elementwise.neq(x, 0)),
        }
    elif x.ndim == 2:
        known = {
            "inf": lambda: reductions.max(reductions.sum(size, 1)),
            "-inf": lambda: reductions.min(reductions.sum(size, 1)),
            1: lambda: reductions.max(reductions.sum(size, 0)),
            -1: lambda: reductions.min(reductions.sum(size, 0)),
            2: lambda: svd(x, compute_uv=False)[0],
            -2: lambda: svd(x, compute_uv=False)[-1],
        }
    key = str(ord) if isinstance(ord, float) and np.isinf(ord) else ord
    if key in known:
        return known[key]()
    if x.ndim == 1 and isinstance(ord, (int, float)):
        return elementwise.pow(reductions.sum(elementwise.pow(size, ord)), 1.0 / ord)
    raise ShapeError(f"norm: there is no norm of order {ord!r} for {x.type}")


def __getattr__(name: str) -> Any:
    if name in ("tensorinv", "tensorsolve", "TensorInv", "lstsq"):
        from symconv.theano.tensor import matrix_functions  # which is built on this module

        return getattr(matrix_functions, name)
    if name in ("AllocDiag", "ExtractDiag"):
        from symconv.theano.tensor import op_classes

        return getattr(op_classes, name)
    raise AttributeError(name)


__all__ = [
    "Det", "Eig", "Eigh", "MatrixInverse", "MatrixPinv", "QR", "SVD",
    "alloc_diag", "det", "diag", "eig", "eigh", "extract_diag", "matrix_dot", "matrix_inverse",
    "matrix_power", "norm", "pinv", "qr", "svd", "trace",
]  # fmt: skip
