"""Python's operators and NumPy's methods on Variable, attached here because graph/ knows no ops."""

from __future__ import annotations

from typing import Any

from symconv.graph import Variable
from symconv.ops import elementwise as ew
from symconv.ops import reduce, shape
from symconv.ops.dense import dot, matmul


def _swap(function: Any) -> Any:
    return lambda self, other: function(other, self)


def _reshape(self: Variable, *dims: Any) -> Variable:
    return shape.reshape(self, dims[0] if len(dims) == 1 else dims)


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
    "transpose": shape.transpose,
    "shape": property(shape.symbolic_shape),
    "T": property(shape.transpose),
}

for _name, _method in METHODS.items():
    setattr(Variable, _name, _method)
