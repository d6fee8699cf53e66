"""Gradients of convolutions without building their gradient ops: a convolution is linear in its input and
in its
filters, so that its vector-Jacobian product by one of them does not depend on the value of that one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from symconv import autodiff, ops
from symconv.graph import Constant, TensorType, Variable
from symconv.graph.traversal import rebuild
from symconv.ops.operands import as_dim
from symconv.theano.variable import native_of, wrap


def transposed(forward: Callable[[Any], Any], dims: Sequence[Any], dy: Variable) -> Variable:
    """A^T dy of the linear map `forward`, from tensors of shape `dims` (ints or scalars) to those of dy's
    shape.
    """
    sizes = [as_dim(d if isinstance(d, int) else native_of(d)) for d in dims]
    static = tuple(int(d.data) if isinstance(d, Constant) else None for d in sizes)
    x = Variable(TensorType(dy.dtype, static), name="x")
    (dx,) = autodiff.Lop([native_of(forward(wrap(x)))], [x], [dy])
    (found,) = rebuild([dx], {x: ops.zeros(sizes, dtype=dy.dtype)})
    return found
