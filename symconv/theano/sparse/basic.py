"""theano.sparse.basic: see theano.sparse."""

from symconv.theano.absent import refusing
from symconv.theano.sparse import (
    _is_sparse,
    _is_sparse_variable,
    as_sparse_or_tensor_variable,
    enable_sparse,
)

__getattr__ = refusing("sparse.basic", "symconv has no sparse matrices; use dense ones, and T.dot")

__all__ = ["_is_sparse", "_is_sparse_variable", "as_sparse_or_tensor_variable", "enable_sparse"]
