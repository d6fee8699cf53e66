"""theano.tensor.slinalg: Cholesky factors, linear systems, Kronecker products, by NumPy (see nlinalg)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symconv.errors import DTypeError, ShapeError
from symconv.theano import dtypes
from symconv.theano.gof.op import Apply, Op
from symconv.theano.tensor import elementwise, shape_ops
from symconv.theano.tensor.linear import dot
from symconv.theano.tensor.nlinalg import MatrixOp
from symconv.theano.variable import TensorType, as_tensor_variable


class Cholesky(MatrixOp):
    """The triangular l with a = l l^T, or the upper one, of a symmetric positive matrix."""

    __props__ = ("lower", "on_error")

    def __init__(self, lower: bool = True, on_error: str = "raise") -> None:
        self.lower, self.on_error = bool(lower), on_error

    def compute(self, a: np.ndarray) -> Sequence[Any]:
        try:
            found = np.linalg.cholesky(a if self.lower else a.T)
        except np.linalg.LinAlgError:
            if self.on_error != "nan":
                raise
            return [np.full_like(a, np.nan)]
        return [found if self.lower else found.T]

    def grad(self, inputs: Sequence[Any], output_gradients: Sequence[Any]) -> list[Any]:
        """Murray, Differentiation of the Cholesky decomposition, 2016."""
        (dl,) = output_gradients
        factor = self(inputs[0])
        if not self.lower:
            factor, dl = factor.T, dl.T
        inner = shape_ops.tril(dot(factor.T, shape_ops.tril(dl)))
        inner = inner - shape_ops.diag(shape_ops.diag(inner)) * np.asarray(0.5, factor.dtype)
        half = solve(factor.T, solve(factor.T, inner.T).T)
        both = half + half.T
        both = shape_ops.tril(both) - shape_ops.diag(shape_ops.diag(half))
        return [both if self.lower else both.T]


def cholesky(a: Any, lower: bool = True, on_error: str = "raise") -> Any:
    """The Cholesky factor of a."""
    return Cholesky(lower, on_error)(a)


class Solve(Op):
    """x with a x = b, for a vector or a matrix b. A_structure says which part of a counts."""

    __props__ = ("A_structure",)

    def __init__(self, A_structure: str = "general", **_: Any) -> None:  # noqa: N803 - Theano's name
        if A_structure not in ("general", "lower_triangular", "upper_triangular", "symmetric"):
            raise DTypeError(f"solve: unknown A_structure {A_structure!r}")
        self.A_structure = A_structure

    def make_node(self, a: Any, b: Any) -> Apply:
        a, b = as_tensor_variable(a), as_tensor_variable(b)
        if a.ndim != 2 or b.ndim not in (1, 2):
            raise ShapeError(f"solve: takes a matrix and a vector or matrix, got {a.type} and {b.type}")
        dtype = dtypes.floating(dtypes.upcast(a.dtype, b.dtype))
        given = [elementwise.cast(v, dtype) for v in (a, b)]
        return Apply(self, given, [TensorType(dtype, (False,) * b.ndim)()])

    def perform(self, node: Any, inputs: Sequence[np.ndarray], output_storage: list[list[Any]]) -> None:
        a, b = inputs
        kept = {"lower_triangular": np.tril, "upper_triangular": np.triu}.get(self.A_structure, np.asarray)(a)
        try:
            wide = np.promote_types(b.dtype, "float32")  # NumPy solves nothing in float16
            found = np.linalg.solve(kept.astype(wide), b.astype(wide))
            output_storage[0][0] = found.astype(b.dtype)
        except ValueError as error:  # a LinAlgError too: programs catch it
            raise type(error)(f"{error}, a is {list(a.shape)}, b {list(b.shape)}") from None

    def infer_shape(self, node: Any, shapes: Sequence[Any]) -> list[Any]:
        return [shapes[1]]

    def grad(self, inputs: Sequence[Any], output_gradients: Sequence[Any]) -> list[Any]:
        """db = a^-T dx, da = -db x^T."""
        (a, b), (dx,) = inputs, output_gradients
        x = self(a, b)
        turned = {"lower_triangular": "upper_triangular", "upper_triangular": "lower_triangular"}
        db = Solve(turned.get(self.A_structure, self.A_structure))(a.T, dx)
        da = -(dot(db, x.T) if b.ndim == 2 else db.dimshuffle(0, "x") * x.dimshuffle("x", 0))
        part = {"lower_triangular": shape_ops.tril, "upper_triangular": shape_ops.triu}.get(self.A_structure)
        return [part(da) if part else da, db]


def solve(a: Any, b: Any) -> Any:
    """x with a x = b."""
    return Solve()(a, b)


solve_lower_triangular = Solve("lower_triangular")
solve_upper_triangular = Solve("upper_triangular")
solve_symmetric = Solve("symmetric")


def kron(a: Any, b: Any) -> Any:
    """The Kronecker product of vectors or matrices, by NumPy's rules for two of one rank."""
    a, b = as_tensor_variable(a), as_tensor_variable(b)
    if a.ndim != b.ndim or a.ndim not in (1, 2):
        raise ShapeError(f"kron: takes two vectors or two matrices, got {a.type} and {b.type}")
    if a.ndim == 1:
        return shape_ops.flatten(a.dimshuffle(0, "x") * b.dimshuffle("x", 0))
    out = a.dimshuffle(0, "x", 1, "x") * b.dimshuffle("x", 0, "x", 1)
    return shape_ops.reshape(out, (a.shape[0] * b.shape[0], a.shape[1] * b.shape[1]))


def __getattr__(name: str) -> Any:
    if name in ("expm", "Expm", "eigvalsh", "Eigvalsh"):
        from symconv.theano.tensor import matrix_functions  # which is built on this module

        return getattr(matrix_functions, name)
    raise AttributeError(name)


__all__ = [
    "Cholesky", "Solve", "cholesky", "kron", "solve", "solve_lower_triangular", "solve_symmetric",
    "solve_upper_triangular",
]  # fmt: skip
