"""theano.tensor.nlinalg: what needs no decomposition."""

from __future__ import annotations

from typing import Any

from symconv.errors import UnsupportedError
from symconv.theano.tensor.linear import matrix_dot
from symconv.theano.tensor.reductions import sum
from symconv.theano.tensor.shape_ops import diag, trace
from symconv.theano.variable import as_tensor_variable

DECOMPOSITIONS = (
    "matrix_inverse", "pinv", "det", "svd", "eig", "eigh", "qr", "tensorinv", "tensorsolve", "lstsq"
)  # fmt: skip
alloc_diag = extract_diag = diag


def norm(x: Any, ord: Any = None) -> Any:
    """The Euclidean norm of all elements; ord as numpy.linalg.norm has it for vectors."""
    from symconv.theano.tensor import basic as T

    x = as_tensor_variable(x)
    if ord in (None, 2, "fro"):
        return T.sqrt(sum(T.sqr(x)))
    if ord == float("inf"):
        return T.max(T.abs_(x))
    return T.norm(x, ord)


def __getattr__(name: str) -> Any:
    if name in (
        "matrix_inverse",
        "pinv",
        "det",
        "svd",
        "eig",
        "eigh",
        "qr",
        "tensorinv",
        "tensorsolve",
        "lstsq",
    ):
        raise UnsupportedError(
            f"theano.tensor.nlinalg.{name} is not supported: symconv has no matrix decompositions\n"
            "  hint: compute it with NumPy outside the graph, or in a custom Op (theano.gof.Op)"
        )
    raise AttributeError(name)


__all__ = ["alloc_diag", "diag", "extract_diag", "matrix_dot", "norm", "trace"]
