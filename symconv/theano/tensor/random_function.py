"""RandomFunction: any function of a numpy.random.RandomState as an op, a step in Python within the plan."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symconv.errors import ArgumentError, ShapeError
from symconv.ops.mt19937 import pack_state, unpack_state
from symconv.theano import dtypes
from symconv.theano.gof.op import Apply, Op
from symconv.theano.random_state import random_state_type, state_variable
from symconv.theano.variable import as_tensor_variable


class RandomFunction(Op):
    """RandomFunction(fn, outtype)(state, shape, *args): [state after, fn(state, *args, shape)].

    fn: the name of a method of RandomState, or a function with such a signature. The values have the type
    `outtype`, of as many dimensions as `shape` has elements, and ndim_added more; an empty shape lets the
    arguments tell. With another number of dimensions the call raises ValueError. inplace has no effect.
    """

    __props__ = ("fn", "outtype", "inplace", "ndim_added")
    draws = True

    def __init__(self, fn: Any, outtype: Any, inplace: bool = False, ndim_added: int = 0) -> None:
        if isinstance(fn, str) and not hasattr(np.random.RandomState, fn):
            raise ArgumentError(f"RandomFunction: numpy.random.RandomState has no method {fn!r}")
        self.fn, self.outtype, self.inplace, self.ndim_added = fn, outtype, inplace, ndim_added
        if inplace:
            self.destroy_map = {0: [0]}

    @property
    def exec_fn(self) -> Callable[..., Any]:
        return getattr(np.random.RandomState, self.fn) if isinstance(self.fn, str) else self.fn  # type: ignore[no-any-return]

    def __str__(self) -> str:
        return f"RandomFunction{{{getattr(self.exec_fn, '__name__', self.exec_fn)}}}"

    def make_node(self, r: Any, shape: Any, *args: Any) -> Apply:
        size = as_tensor_variable(
            np.zeros(0, "int64") if isinstance(shape, (tuple, list)) and not shape else shape
        )
        if size.ndim != 1 or size.dtype not in dtypes.DISCRETE:
            raise ShapeError(f"{self}: a shape is a vector of integers, got {size!r}, {size.type}")
        node = Apply(self, [r, size, *args], [random_state_type(), self.outtype()])
        node.native.outputs[0].front = None  # a state again
        state_variable(node.native.outputs[0])
        return node

    def perform(self, node: Any, inputs: Sequence[np.ndarray], output_storage: list[list[Any]]) -> None:
        packed, size, *args = inputs
        state = unpack_state(packed)
        shape = tuple(int(n) for n in size)
        wanted = self.outtype.ndim
        if shape and len(shape) + self.ndim_added != wanted:
            raise ValueError(
                f"{self}: {len(shape)} elements of shape, ndim_added={self.ndim_added} for {self.outtype}"
            )
        values = np.asarray(self.exec_fn(state, *(a[()] if a.ndim == 0 else a for a in args), shape or None))
        if not shape and values.ndim < wanted:
            values = values.reshape((1,) * (wanted - values.ndim) + values.shape)
        if values.ndim != wanted:
            raise ValueError(f"{self}: the draw has {values.ndim} dimensions, {self.outtype} has {wanted}")
        output_storage[0][0] = pack_state(state)
        output_storage[1][0] = values.astype(self.outtype.dtype, copy=False)


def permutation_helper(random_state: np.random.RandomState, n: int, shape: Any) -> np.ndarray:
    """Permutations of 0 ... n - 1 in an array [*shape, n]; a single one without a shape."""
    shape = () if shape is None else tuple(shape)
    rows = [random_state.permutation(int(n)) for _ in range(int(np.prod(shape)))]
    return np.reshape(np.array(rows, "int64"), (*shape, int(n)))


__all__ = ["RandomFunction", "permutation_helper"]
