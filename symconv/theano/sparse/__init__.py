"""theano.sparse as it was where SciPy is not installed: enable_sparse is False, nothing is a sparse matrix.

Programs that import the module for what they may never use run; whoever makes a sparse matrix is told.
"""

from typing import Any

from symconv.theano.absent import refusing
from symconv.theano.variable import as_tensor_variable

enable_sparse = False


def _is_sparse_variable(x: Any) -> bool:
    """False: there are dense tensors only."""
    return False


_is_sparse = _is_sparse_variable


def as_sparse_or_tensor_variable(x: Any, name: str | None = None) -> Any:
    """x as a tensor variable."""
    return as_tensor_variable(x, name)


def sparse_grad(var: Any) -> Any:
    """var: rows picked from a matrix, whose gradient by the matrix is dense here and has the same values."""
    return as_tensor_variable(var)


from symconv.theano.sparse import basic as basic  # noqa: E402 - made of the names above

__getattr__ = refusing("sparse", "symconv has no sparse matrices; use dense ones, and T.dot")

__all__ = ["as_sparse_or_tensor_variable", "enable_sparse", "sparse_grad"]
