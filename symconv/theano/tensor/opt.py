"""theano.tensor.opt: Assert, and the ops of shapes and vectors."""

from typing import Any

from symconv.theano.gof.opt import ignored
from symconv.theano.printing import Assert
from symconv.theano.tensor.op_classes import MakeVector, Shape_i

assert_op = assert_ = Assert()

# rewrites of a program's own are not run
register_canonicalize = register_specialize = register_stabilize = register_uncanonicalize = ignored


def make_vector(*scalars: Any) -> Any:
    """The int64 vector of these integers."""
    return MakeVector()(*scalars)


__all__ = ["Assert", "MakeVector", "Shape_i", "assert_", "assert_op", "make_vector"]
