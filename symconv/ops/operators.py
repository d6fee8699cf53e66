"""Python's operators and NumPy's methods on Variable, attached here because graph/ knows no ops."""

from __future__ import annotations

from typing import Any

from symconv.graph import Variable
from symconv.ops import axes, bits, gather, index, join, reduce, shape
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
    "__floordiv__": ew.floor_div,
    "__rfloordiv__": _swap(ew.floor_div),
    "__mod__": ew.mod,
    "__rmod__": _swap(ew.mod),
    "__pow__": ew.power,
    "__rpow__": _swap(ew.power),
    "__neg__": ew.neg,
    "__pos__": lambda self: self,
    "__abs__": ew.abs,
    "__lt__": ew.lt,
    "__le__": ew.le,
    "__gt__": ew.gt,
    "__ge__": ew.ge,
    "__and__": bits.bitwise_and,
    "__rand__": _swap(bits.bitwise_and),
    "__or__": bits.bitwise_or,
    "__ror__": _swap(bits.bitwise_or),
    "__xor__": bits.bitwise_xor,
    "__rxor__": _swap(bits.bitwise_xor),
    "__invert__": bits.bitwise_not,
    "__lshift__": bits.left_shift,
    "__rlshift__": _swap(bits.left_shift),
    "__rshift__": bits.right_shift,
    "__rrshift__": _swap(bits.right_shift),
    "__matmul__": matmul,
    "__rmatmul__": _swap(matmul),
    "dot": dot,
    "astype": ew.cast,
    "round": ew.round,
    "clip": ew.clip,
    "sum": reduce.reduce_sum,
    "prod": reduce.prod,
    "max": reduce.reduce_max,
    "min": reduce.reduce_min,
    "argmax": reduce.argmax,
    "argmin": reduce.argmin,
    "any": reduce.reduce_any,
    "all": reduce.reduce_all,
    "mean": reduce.mean,
    "var": reduce.var,
    "std": reduce.std,
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
