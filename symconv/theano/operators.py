"""Python's operators and the methods of tensor variables, attached here because variable.py knows no ops."""

from __future__ import annotations

from typing import Any

import numpy as np

from symconv.graph import Apply as NativeApply
from symconv.graph import Variable as Native
from symconv.theano import shapes, ufuncs
from symconv.theano.declared import Declare
from symconv.theano.naming import Unbound
from symconv.theano.tensor import basic as T
from symconv.theano.tensor import subtensor
from symconv.theano.variable import Apply, TensorOperators, Variable, wrap


def _swap(function: Any) -> Any:
    return lambda self, other: function(other, self)


_NUMBERS = (Variable, Native, Apply, NativeApply, int, float, complex, np.generic, list, tuple)


def _or_not_implemented(function: Any) -> Any:
    """Operands that cannot become tensors leave the operator to the other side."""

    def operator(self: Any, other: Any) -> Any:
        if isinstance(other, _NUMBERS) or hasattr(other, "__array__"):
            return function(self, other)
        return function(self, other) if hasattr(other, "_as_TensorVariable") else NotImplemented

    return operator


def _reshape(self: Any, shape: Any, *more: Any, ndim: int | None = None) -> Any:
    return T.reshape(self, (shape, *more) if more else shape, ndim=ndim)


def _transpose(self: Any, *axes: Any) -> Any:
    if len(axes) == 0 or axes == (None,):
        return T.transpose(self)
    return T.transpose(self, axes[0] if len(axes) == 1 and isinstance(axes[0], (list, tuple)) else axes)


def _iterate(self: Any) -> Any:
    """x[0], x[1], ... where the length is known."""
    if self.ndim == 0:
        raise TypeError(f"iteration over the scalar {self!r}")
    dims = shapes.entries(self.native) if self.ndim == 1 else None
    length = len(dims) if dims is not None else self.native.type.shape[0]
    if length is None:
        raise TypeError(
            f"the length of {self!r} from {self.native.origin} is not known while the graph is built\n"
            "  hint: theano.scan loops over the first axis"
        )
    return iter([self[i] for i in range(length)])


def _no_length(self: Any) -> int:
    raise TypeError(f"{self!r} is symbolic and has no len()\n  hint: use x.shape[0], or T.prod(x.shape)")


def _no_number(self: Any) -> Any:
    raise TypeError(
        f"{self!r} from {self.native.origin} is symbolic: its value is not known while the graph is built\n"
        "  hint: theano.scan loops as often as a variable says; x.eval() computes what has no inputs"
    )


def _no_assignment(self: Any, index: Any, value: Any) -> None:
    raise TypeError(
        f"{self!r} is symbolic and does not take item assignment\n  hint: x = "
        f"T.set_subtensor(x[index], value)"
    )


def _contains(self: Any, value: Any) -> bool:
    raise TypeError(f"'in' is not defined on the symbolic {self!r}\n  hint: T.any(T.eq(x, value))")


def _copy(self: Any, name: str | None = None) -> Any:
    """The values; with a name, as a variable of its own, so that this one keeps its name."""
    if name is None:
        return self
    made = wrap(Declare((None,) * self.ndim, "copy")(self.native))
    made.name = name
    return made


def _transfer(self: Any, target: str) -> Any:
    """The variable itself: where values live is the function's business here."""
    return self


METHODS: dict[str, Any] = {
    "__add__": _or_not_implemented(T.add),
    "__radd__": _swap(T.add),
    "__sub__": _or_not_implemented(T.sub),
    "__rsub__": _swap(T.sub),
    "__mul__": _or_not_implemented(T.mul),
    "__rmul__": _swap(T.mul),
    "__truediv__": _or_not_implemented(T.true_div),
    "__rtruediv__": _swap(T.true_div),
    "__div__": T.div_proxy,
    "__floordiv__": _or_not_implemented(T.floor_div),
    "__rfloordiv__": _swap(T.floor_div),
    "__mod__": _or_not_implemented(T.mod),
    "__rmod__": _swap(T.mod),
    "__divmod__": lambda self, other: (T.floor_div(self, other), T.mod(self, other)),
    "__pow__": _or_not_implemented(T.pow),
    "__rpow__": _swap(T.pow),
    "__neg__": T.neg,
    "__pos__": lambda self: self,
    "__abs__": T.abs_,
    "__invert__": T.invert,
    "__and__": T.and_,
    "__rand__": _swap(T.and_),
    "__or__": T.or_,
    "__ror__": _swap(T.or_),
    "__xor__": T.xor,
    "__rxor__": _swap(T.xor),
    "__lshift__": T.left_shift,
    "__rlshift__": _swap(T.left_shift),
    "__rshift__": T.right_shift,
    "__rrshift__": _swap(T.right_shift),
    "__lt__": T.lt,
    "__le__": T.le,
    "__gt__": T.gt,
    "__ge__": T.ge,
    "__matmul__": T.dot,
    "__rmatmul__": _swap(T.dot),
    "__ceil__": T.ceil,
    "__floor__": T.floor,
    "__trunc__": T.trunc,
    "__dot__": T.dot,
    "__getitem__": subtensor.getitem,
    "__setitem__": _no_assignment,
    "__iter__": _iterate,
    "__len__": _no_length,
    "__index__": _no_number,
    "__float__": _no_number,
    "__contains__": _contains,
    "__array__": ufuncs.as_array,
    "__array_ufunc__": ufuncs.array_ufunc,
    "dot": T.dot,
    "astype": T.cast,
    "dimshuffle": T.dimshuffle,
    "reshape": _reshape,
    "flatten": T.flatten,
    "ravel": lambda self: T.flatten(self, 1),
    "transpose": _transpose,
    "swapaxes": T.swapaxes,
    "squeeze": T.squeeze,
    "sum": T.sum,
    "prod": T.prod,
    "mean": T.mean,
    "var": T.var,
    "std": T.std,
    "max": T.max,
    "min": T.min,
    "argmax": T.argmax,
    "argmin": T.argmin,
    "ptp": T.ptp,
    "any": T.any,
    "all": T.all,
    "norm": lambda self, L, axis=None, keepdims=False: T.norm(self, L, axis, keepdims),
    "clip": T.clip,
    "round": T.round,
    "fill": T.fill,
    "copy": _copy,
    "trace": T.trace,
    "diagonal": T.diagonal,
    "repeat": T.repeat,
    "take": T.take,
    "sort": T.sort,
    "argsort": T.argsort,
    "searchsorted": T.searchsorted,
    "cumsum": T.cumsum,
    "cumprod": T.cumprod,
    "choose": T.choose,
    "compress": T.compress,
    "zeros_like": T.zeros_like,
    "ones_like": T.ones_like,
    "nonzero": T.nonzero,
    "nonzero_values": T.nonzero_values,
    "transfer": _transfer,
    "conj": T.conj,
    "conjugate": T.conj,
    "get_scalar_constant_value": T.get_scalar_constant_value,
    "shape": property(shapes.shape_of),
    "size": property(lambda self: T.prod(shapes.shape_of(self))),
    "T": property(T.transpose),
    "real": property(T.real),
    "imag": property(T.imag),
}

for _name, _method in METHODS.items():
    setattr(TensorOperators, _name, _method.__wrapped__ if isinstance(_method, Unbound) else _method)
