"""Python's operators and NumPy's methods on Variable, attached here because graph/ knows no ops."""

from __future__ import annotations

from typing import Any

from symconv.graph import Variable
from symconv.ops import axes, gather, index, join, reduce, shape
from symconv.ops import elementwise as ew
from symconv.ops.dense import dot, matmul


def _swap(function: Any) -> Any:
    return lambda self, other: function(other, self)


def _reshape(self: Variable, *dims: Any) -> Variable:
    return shape.reshape(self, dims[0] if len(dims) == 1 else dims)


def _transpose(self: Variable, *order: Any) -> Variable:
    if not order or order == (None,):
        return shape.transpose(self)
    return shape.transpose(self, order[0] if isinstance(order[0], (list, tuple)) else order)


METHODS: dict[str, Any] = {
    "__add__": ew.add,
    "__radd__": _swap(ew.add),
    "__sub__": ew.sub,
    "__rsub__": _swap(ew.sub),
    "__mul__": ew.mul,
    "__rmul__": _swap(ew.mul),
    "__truediv__": ew.true_div,
    "__rtruediv__": _swap(ew.true_div),
    "__neg__": ew.neg,
    "__matmul__": matmul,
    "__rmatmul__": _swap(matmul),
    "dot": dot,
    "astype": ew.cast,
    "sum": reduce.reduce_sum,
    "reshape": _reshape,
    "flatten": shape.flatten,
    "ravel": shape.flatten,
    "transpose": _transpose,
    "dimshuffle": axes.dimshuffle,
    "swapaxes": axes.swapaxes,
    "squeeze": axes.squeeze,
    "repeat": join.repeat,
    "take": gather.take,
    "__getitem__": index.getitem,
    "__setitem__": index.no_item_assignment,
    "__array__": index.no_array,
    "__iter__": index.iterate,
    "__len__": index.length,
    "shape": property(shape.symbolic_shape),
    "T": property(shape.transpose),
}

for _name, _method in METHODS.items():
    setattr(Variable, _name, _method)
