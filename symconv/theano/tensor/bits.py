"""Bits of integers, reduced: what CAReduce of scalar.or_, and_ and xor computes, as a step of NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symconv.theano.gof.op import Apply, Op
from symconv.theano.variable import TensorType, as_tensor_variable

_JOINED: dict[str, np.ufunc] = {"or_": np.bitwise_or, "and_": np.bitwise_and, "xor": np.bitwise_xor}


class ReduceBits(Op):
    """Integers or bools along `axes` joined bit by bit, in their dtype; of none: 0, of and_ -1."""

    __props__ = ("name", "axes")

    def __init__(self, name: str, axes: tuple[int, ...]) -> None:
        self.name, self.axes = name, axes

    def make_node(self, x: Any) -> Apply:
        x = as_tensor_variable(x)
        kept = [b for k, b in enumerate(x.broadcastable) if k not in self.axes]
        return Apply(self, [x], [TensorType(x.dtype, kept)()])

    def perform(self, node: Any, inputs: Sequence[np.ndarray], output_storage: list[list[Any]]) -> None:
        (x,) = inputs
        output_storage[0][0] = np.asarray(_JOINED[self.name].reduce(x, axis=self.axes), x.dtype)

    def infer_shape(self, node: Any, shapes: Sequence[Any]) -> list[Any]:
        return [tuple(d for k, d in enumerate(shapes[0]) if k not in self.axes)]

    def grad(self, inputs: Sequence[Any], output_gradients: Sequence[Any]) -> list[Any]:
        return [x.zeros_like(dtype="floatX") for x in inputs]


def reduce_bits(x: Any, name: str, axis: Any) -> Any:
    """ReduceBits along `axis`: an int, a sequence, or None for all."""
    x = as_tensor_variable(x)
    axes = range(x.ndim) if axis is None else [axis] if isinstance(axis, int) else axis
    return ReduceBits(name, tuple(sorted({a % x.ndim for a in axes})))(x)
