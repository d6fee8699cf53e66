"""Gradients of expressions without building their gradient ops. A convolution is linear in its input and in
its filters: its vector-Jacobian product by one of them does not depend on the value of that one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from symconv import autodiff, ops
from symconv.graph import Variable
from symconv.graph.traversal import rebuild
from symconv.ops.operands import as_dim
from symconv.theano.variable import native_of, wrap


def pulled_back(forward: Callable[[Any], Any], x: Variable, dy: Variable) -> Variable:
    """dy^T d forward(x) / dx, also where x is a constant."""
    leaf = Variable(x.type, name="x")
    (dx,) = autodiff.Lop([native_of(forward(wrap(leaf)))], [leaf], [dy])
    (found,) = rebuild([dx], {leaf: x})
    return found


def transposed(forward: Callable[[Any], Any], dims: Sequence[Any], dy: Variable) -> Variable:
    """A^T dy of the linear map `forward`, from tensors of shape `dims` (ints or scalars) to those of dy's
    shape.
    """
    sizes = [as_dim(d if isinstance(d, int) else native_of(d)) for d in dims]
    return pulled_back(forward, ops.zeros(sizes, dtype=dy.dtype), dy)
