"""Names of Theano's op classes in theano.tensor.

An instance is made with the op's options and called with its operands, as Join()(axis, a, b). Programs look
for these classes among the nodes of a graph: the native ops that stand there count as instances, too.
Those without a counterpart are nobody's class, and making one says what to write instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from symconv import ops
from symconv.errors import ArgumentError
from symconv.ops.create import Arange as _Arange
from symconv.ops.create import Eye as _Eye
from symconv.ops.dense import Dot as _Dot
from symconv.ops.join import Concatenate as _Concatenate
from symconv.ops.reduce import ArgMax as _ArgMax
from symconv.ops.reduce import Max as _Max
from symconv.ops.reduce import Prod, Reduce, Sum
from symconv.ops.shape import BroadcastTo as _BroadcastTo
from symconv.ops.shape import Reshape as _Reshape
from symconv.ops.shape import ShapeOf as _ShapeOf
from symconv.ops.sort import ArgSort as _ArgSort
from symconv.ops.sort import Sort as _Sort
from symconv.theano.absent import absent
from symconv.theano.declared import Declare as _Declare
from symconv.theano.variable import as_tensor_variable, wrap

# class -> the function that does its work
_WITHOUT = {
    "Bartlett": "T.bartlett", "CpuContiguous": "x itself", "Default": "theano.In(x, value=...)",
    "Dot22": "T.dot", "FillDiagonal": "T.fill_diagonal",
    "FillDiagonalOffset": "T.fill_diagonal_offset", "Gemm": "T.blas.gemm", "Gemv": "T.blas.gemv",
    "RavelMultiIndex": "T.ravel_multi_index", "SqueezeOp": "T.squeeze", "TopKOp": "T.topk",
    "UnravelIndex": "T.unravel_index",
}  # fmt: skip


class _OpClass(type):
    """A class whose instances are, beside its own, the native ops that do the same."""

    native: tuple[type, ...] = ()

    def __instancecheck__(cls, op: Any) -> bool:
        return super().__instancecheck__(op) or isinstance(op, cls.native)


def _functions() -> Any:
    from symconv.theano.tensor import basic  # which imports this module for its names

    return basic


@dataclass(frozen=True)
class Join(metaclass=_OpClass):
    """Join()(axis, *tensors) is join(axis, *tensors)."""

    view: int = -1
    native = (_Concatenate,)

    def __call__(self, axis: Any, *tensors: Any) -> Any:
        return _functions().join(axis, *tensors)


@dataclass(frozen=True)
class Split(metaclass=_OpClass):
    """Split(n)(x, axis, sizes): the n parts of x along `axis`, in a list."""

    len_splits: int

    def __call__(self, x: Any, axis: Any, splits: Any) -> Any:
        return _functions().split(x, splits, self.len_splits, axis)


@dataclass(frozen=True)
class ARange(metaclass=_OpClass):
    """ARange(dtype)(start, stop, step)."""

    dtype: str
    native = (_Arange,)

    def __call__(self, start: Any, stop: Any, step: Any) -> Any:
        return _functions().arange(start, stop, step, self.dtype)


@dataclass(frozen=True)
class Eye(metaclass=_OpClass):
    """Eye(dtype)(n, m, k): n rows, m columns, ones on diagonal k."""

    dtype: str | None = None
    native = (_Eye,)

    def __call__(self, n: Any, m: Any, k: Any) -> Any:
        return _functions().eye(n, m, k, self.dtype)


@dataclass(frozen=True)
class Tri(metaclass=_OpClass):
    """Tri(dtype)(n, m, k): ones on and below diagonal k."""

    dtype: str | None = None

    def __call__(self, n: Any, m: Any, k: Any) -> Any:
        t = _functions()
        return t.cast(t.ge(t.shape_padright(t.arange(n)) + k, t.shape_padleft(t.arange(m))), self._dtype())

    def _dtype(self) -> str:
        from symconv.theano.configuration import config

        return str(self.dtype or config.floatX)


@dataclass(frozen=True)
class Reshape(metaclass=_OpClass):
    """Reshape(ndim)(x, shape)."""

    ndim: int
    name: str | None = None
    native = (_Reshape,)

    def __call__(self, x: Any, shp: Any) -> Any:
        return _functions().reshape(x, shp, self.ndim)


@dataclass(frozen=True)
class SpecifyShape(metaclass=_OpClass):
    """SpecifyShape()(x, shape)."""

    native = (_Declare,)

    def __call__(self, x: Any, shape: Any) -> Any:
        return _functions().specify_shape(x, shape)


class Rebroadcast(metaclass=_OpClass):
    """Rebroadcast((axis, flag), ...)(x): x with these broadcastable flags."""

    native = (_Declare,)

    def __init__(self, *axis: tuple[int, bool]) -> None:
        self.axis = {int(a): bool(flag) for a, flag in axis}

    def __call__(self, x: Any) -> Any:
        x = as_tensor_variable(x)
        out_of_range = [a for a in self.axis if not 0 <= a < x.ndim]
        if out_of_range:
            raise ArgumentError(f"Rebroadcast: {x!r}, {x.type}, has no axes {out_of_range}")
        flags = [self.axis.get(a, flag) for a, flag in enumerate(x.broadcastable)]
        return _functions().patternbroadcast(x, flags)


@dataclass(frozen=True)
class Alloc(metaclass=_OpClass):
    """Alloc()(value, *shape): a tensor filled with `value`."""

    native = (_BroadcastTo,)

    def __call__(self, value: Any, *shape: Any) -> Any:
        return _functions().alloc(value, *shape)


@dataclass(frozen=True)
class AllocEmpty(metaclass=_OpClass):
    """AllocEmpty(dtype)(*shape): a tensor whose values say nothing; here they are zeros."""

    dtype: str

    def __call__(self, *shape: Any) -> Any:
        return _functions().zeros(shape, self.dtype)


@dataclass(frozen=True)
class ExtractDiag(metaclass=_OpClass):
    """ExtractDiag(offset, axis1, axis2)(x): the diagonals over two axes, along a new last one."""

    offset: int = 0
    axis1: int = 0
    axis2: int = 1
    view: bool = False

    def __call__(self, x: Any) -> Any:
        return _functions().diagonal(x, self.offset, self.axis1, self.axis2)


@dataclass(frozen=True)
class AllocDiag(metaclass=_OpClass):
    """AllocDiag(offset, axis1, axis2)(x): zeros, and x[..., i] on the diagonals of axis1 and axis2."""

    offset: int = 0
    axis1: int = 0
    axis2: int = 1

    def __call__(self, x: Any) -> Any:
        t, x = _functions(), as_tensor_variable(x)
        if x.ndim == 0:
            raise ArgumentError(f"AllocDiag: {x!r} has no axis to put on a diagonal")
        below, right = max(0, -self.offset), max(0, self.offset)
        n = x.shape[x.ndim - 1]
        place, side = t.arange(n), n + below + right
        zeros = t.zeros([x.shape[i] for i in range(x.ndim - 1)] + [side, side], x.dtype)
        index = (slice(None),) * (x.ndim - 1) + (place + below, place + right)
        filled = t.set_subtensor(zeros[index], x)
        return wrap(ops.moveaxis(filled.native, (-2, -1), (self.axis1, self.axis2)))


@dataclass(frozen=True)
class Dot(metaclass=_OpClass):
    """Dot()(x, y)."""

    native = (_Dot,)

    def __call__(self, x: Any, y: Any) -> Any:
        return _functions().dot(x, y)


@dataclass(frozen=True)
class Shape(metaclass=_OpClass):
    """Shape()(x): x.shape."""

    native = (_ShapeOf,)

    def __call__(self, x: Any) -> Any:
        return _functions().shape(x)


@dataclass(frozen=True)
class Shape_i(metaclass=_OpClass):  # noqa: N801 - Theano's name
    """Shape_i(i)(x): x.shape[i]."""

    i: int
    native = (_ShapeOf,)

    def __call__(self, x: Any) -> Any:
        return _functions().shape(x)[self.i]


@dataclass(frozen=True)
class Argmax(metaclass=_OpClass):
    """Argmax(axis)(x)."""

    axis: Any = None
    native = (_ArgMax,)

    def __call__(self, x: Any) -> Any:
        return _functions().argmax(x, self.axis)


@dataclass(frozen=True)
class MaxAndArgmax(metaclass=_OpClass):
    """MaxAndArgmax(axis)(x): [max, argmax]."""

    axis: Any = None
    native = (_Max,)

    def __call__(self, x: Any) -> Any:
        return _functions().max_and_argmax(x, self.axis)


@dataclass(frozen=True)
class Mean(metaclass=_OpClass):
    """Mean(axis)(x)."""

    axis: Any = None

    def __call__(self, x: Any) -> Any:
        return _functions().mean(x, self.axis)


@dataclass(frozen=True)
class MakeVector(metaclass=_OpClass):
    """MakeVector(dtype)(*scalars): the vector of them."""

    dtype: str = "int64"

    def __call__(self, *scalars: Any) -> Any:
        t = _functions()
        if not scalars:
            return t.zeros(0, self.dtype)
        return t.stack([t.cast(as_tensor_variable(s, ndim=0), self.dtype) for s in scalars])


@dataclass(frozen=True)
class Choose(metaclass=_OpClass):
    """Choose(mode)(a, choices)."""

    mode: str = "raise"

    def __call__(self, a: Any, choices: Any) -> Any:
        return _functions().choose(a, choices, self.mode)


@dataclass(frozen=True)
class Tile(metaclass=_OpClass):
    """Tile(ndim)(x, reps)."""

    ndim: int

    def __call__(self, x: Any, reps: Any) -> Any:
        return _functions().tile(x, reps, self.ndim)


@dataclass(frozen=True)
class PermuteRowElements(metaclass=_OpClass):
    """PermuteRowElements()(x, y, inverse)."""

    def __call__(self, x: Any, y: Any, inverse: Any = 0) -> Any:
        return _functions().permute_row_elements(x, y, inverse)


@dataclass(frozen=True)
class TensorFromScalar(metaclass=_OpClass):
    """TensorFromScalar()(x): x, for scalars are tensors without dimensions."""

    def __call__(self, x: Any) -> Any:
        return _functions().tensor_from_scalar(x)


@dataclass(frozen=True)
class ScalarFromTensor(metaclass=_OpClass):
    """ScalarFromTensor()(x): x, a tensor without dimensions."""

    def __call__(self, x: Any) -> Any:
        return _functions().scalar_from_tensor(x)


@dataclass(frozen=True)
class SortOp(metaclass=_OpClass):
    """SortOp(kind)(x, axis)."""

    kind: str = "quicksort"
    order: Any = None
    native = (_Sort,)

    def __call__(self, x: Any, axis: Any = -1) -> Any:
        return _functions().sort(x, axis, self.kind, self.order)


@dataclass(frozen=True)
class ArgSortOp(metaclass=_OpClass):
    """ArgSortOp(kind)(x, axis)."""

    kind: str = "quicksort"
    order: Any = None
    native = (_ArgSort,)

    def __call__(self, x: Any, axis: Any = -1) -> Any:
        return _functions().argsort(x, axis, self.kind, self.order)


def __getattr__(name: str) -> Any:
    if name not in _WITHOUT:
        raise AttributeError(name)
    globals()[name] = made = absent(f"theano.tensor.{name}", _WITHOUT[name])
    return made


__all__ = [
    "ARange", "Alloc", "AllocDiag", "AllocEmpty", "ArgSortOp", "Argmax", "Choose", "Dot", "ExtractDiag",
    "Eye", "Join", "MakeVector", "MaxAndArgmax", "Mean", "PermuteRowElements", "Prod", "Rebroadcast",
    "Reduce", "Reshape", "ScalarFromTensor", "Shape", "Shape_i", "SortOp", "SpecifyShape", "Split", "Sum",
    "TensorFromScalar", "Tile", "Tri", *_WITHOUT,
]  # fmt: skip
