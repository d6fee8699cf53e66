"""Tensors made from numbers and sizes: full, zeros, ones, arange, linspace, eye, one_hot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symconv.config import config
from symconv.errors import DTypeError, IndexRangeError, ShapeError
from symconv.graph import Apply, Constant, Op, TensorType, Variable, constant, op_error, promote
from symconv.graph.types import COMPLEX, DTYPES, FLOATS, INEXACT
from symconv.ops.operands import as_dim, as_dims, as_variable, is_scalar, static_dim
from symconv.ops.operands import cast as _cast
from symconv.ops.pick_cuda import ARANGES, EYES, ONE_HOTS
from symconv.ops.shape import BroadcastTo, ShapeOf, dims_of


def checked_dtype(dtype: Any, what: str) -> str:
    """`dtype` as one of symconv's names. Raises DTypeError."""
    try:
        name = str(np.dtype(dtype))
    except TypeError:
        name = str(dtype)
    if name not in DTYPES:
        raise DTypeError(f"{what}: unknown dtype {dtype!r}; symconv has {', '.join(DTYPES)}")
    return name


def full(shape: Any, value: Any, dtype: str | None = None) -> Variable:
    """A tensor of `shape` (ints or integer scalars) filled with the scalar `value`."""
    filling = as_variable(value, checked_dtype(dtype, "full") if dtype is not None else None)
    dims = as_dims(shape)
    for d in dims:
        if (known := static_dim(d)) is not None and known < 0:
            raise ShapeError(f"full: negative dimension {known} in {[static_dim(d) for d in dims]}")
    return BroadcastTo()(filling, *dims)


def zeros(shape: Any, dtype: str | None = None) -> Variable:
    """A tensor of zeros, floatX by default; dimensions may be symbolic."""
    return full(shape, 0, dtype or config.floatX)


def ones(shape: Any, dtype: str | None = None) -> Variable:
    """A tensor of ones, floatX by default; dimensions may be symbolic."""
    return full(shape, 1, dtype or config.floatX)


def full_like(x: Any, value: Any, dtype: str | None = None) -> Variable:
    """The scalar `value` in the shape of x, and in its dtype unless `dtype` is given."""
    x = as_variable(x)
    filling = as_variable(value, checked_dtype(dtype, "full_like") if dtype is not None else x.dtype)
    return BroadcastTo()(filling, *dims_of(x)) if x.ndim or filling.ndim else filling


def zeros_like(x: Any, dtype: str | None = None) -> Variable:
    """Zeros in the shape and dtype of x."""
    return full_like(x, 0, dtype)


def ones_like(x: Any, dtype: str | None = None) -> Variable:
    """Ones in the shape and dtype of x."""
    return full_like(x, 1, dtype)


@dataclass(frozen=True)
class ArangeLength(Op):
    """max(0, ceil((stop - start) / step)): how many numbers arange yields, as an int64 scalar."""

    name = "arange_length"
    operands = ("start", "stop", "step")

    def infer(self, start: Variable, stop: Variable, step: Variable) -> TensorType:
        if isinstance(step, Constant) and not np.all(step.data):
            raise op_error(self, (start, stop, step), "step is 0")
        return TensorType("int64", ())

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        return [None, None, None]

    def reference(self, start: np.ndarray, stop: np.ndarray, step: np.ndarray) -> np.ndarray:
        if not np.all(step):
            raise ValueError("step is 0")
        if np.result_type(start, stop, step).kind == "f":
            count = np.ceil((stop.astype("float64") - start) / step)
        else:
            count = -((start.astype("int64") - stop) // step)  # exact for every int64
        return np.asarray(np.maximum(count, 0), dtype="int64")


@dataclass(frozen=True)
class Arange(Op):
    """out[i] = start + i * step for i < length; inputs start, step (of the dtype of out), length."""

    name = "arange"
    kernels = ARANGES
    operands = ("start", "step", "length")

    def infer(self, start: Variable, step: Variable, length: Variable) -> TensorType:
        if start.ndim or step.ndim or start.dtype != step.dtype:
            raise op_error(self, (start, step, length), "start and step must be scalars of one dtype")
        return TensorType(start.dtype, (static_dim(length),))

    def shape_operands(self, n_inputs: int) -> range:
        return range(2, 3)

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        (dy,) = dys
        if dy is None or not node.out.type.is_float:
            return [None, None, None]
        from symconv.ops.reduce import reduce_sum

        zero, one = constant(0, dy.dtype), constant(1, dy.dtype)
        return [reduce_sum(dy), reduce_sum(dy * Arange()(zero, one, node.inputs[2])), None]

    def reference(self, start: np.ndarray, step: np.ndarray, length: np.ndarray) -> np.ndarray:
        return (start + np.arange(int(length), dtype=start.dtype) * step).astype(start.dtype)


def arange(start: Any, stop: Any = None, step: Any = 1, dtype: str | None = None) -> Variable:
    """start, start + step, ... up to but without stop; arange(n) counts from 0.

    Every argument is a number or a scalar variable. Integers give int64, floats the floats' dtype.
    """
    if stop is None:
        start, stop = 0, start
    given = [start, stop, step]
    operands = [as_variable(v) for v in given]
    for v in operands:
        if v.ndim:
            raise ShapeError(f"arange: start, stop and step must be scalars, got {v.type} from {v.origin}")
    if dtype is None:
        strong = [v.dtype for v, g in zip(operands, given) if not is_scalar(g) and v.dtype in FLOATS]
        floats = strong or [v.dtype for v in operands if v.dtype in FLOATS]
        dtype = promote(*floats) if floats else "int64"
    dtype = checked_dtype(dtype, "arange")
    if dtype == "bool":
        raise DTypeError("arange: dtype bool has no range; take an integer or float dtype")
    if any(d in COMPLEX for d in (dtype, *(v.dtype for v in operands))):
        raise DTypeError("arange: complex numbers have no order and no range; take real(z)")
    # Python floats measure the length in full precision, whatever the result's dtype
    begin, end, by = (as_variable(g, "float64") if is_scalar(g) and isinstance(g, float) else v
                      for g, v in zip(given, operands))  # fmt: skip
    # a size that the graph itself measured is never negative: the usual arange(x.shape[0])
    if _is(begin, 0) and _is(by, 1) and end.owner is not None and isinstance(end.owner.op, ShapeOf):
        length = end
    elif all(isinstance(v, Constant) for v in operands):
        if _is(by, 0):
            raise ShapeError(f"arange: step is 0 (start {begin}, stop {end})")
        length = constant(ArangeLength().reference(*(v.data for v in operands)))
    else:
        length = ArangeLength()(begin, end, by)
    return Arange()(_cast(begin, dtype), _pitch(begin, by, dtype), length)


def _pitch(begin: Variable, by: Variable, dtype: str) -> Variable:
    """The distance of the numbers of an arange: NumPy's is that of the first two of them, after rounding."""
    if dtype not in FLOATS or _is(begin, 0):
        return _cast(by, dtype)
    if isinstance(begin, Constant) and isinstance(by, Constant):
        kind = np.dtype(dtype).type
        return constant(kind(begin.data.astype("float64") + by.data) - kind(begin.data), dtype)
    second = _cast(_cast(begin, "float64") + _cast(by, "float64"), dtype)
    return second - _cast(begin, dtype)


def _is(v: Variable, value: int) -> bool:
    return isinstance(v, Constant) and bool(v.data == value)


def is_iota(v: Variable) -> bool:
    """True if v is known to be the vector 0, 1, 2, ...: an arange from 0 by 1, or such a constant."""
    if isinstance(v, Constant):
        return v.ndim == 1 and v.dtype != "bool" and bool(np.array_equal(v.data, np.arange(v.data.size)))
    if v.owner is None or not isinstance(v.owner.op, Arange):
        return False
    start, step, _ = v.owner.inputs
    return _is(start, 0) and _is(step, 1)


def linspace(start: Any, stop: Any, n: int, dtype: str | None = None) -> Variable:
    """n numbers evenly spaced from start to stop, both included."""
    dtype = checked_dtype(dtype or config.floatX, "linspace")
    if dtype not in FLOATS or isinstance(n, bool) or not isinstance(n, int) or n < 0:
        raise ShapeError(f"linspace: needs a float dtype and n >= 0, got {dtype} and n={n!r}")
    first, last = as_variable(start, dtype), as_variable(stop, dtype)
    if isinstance(first, Constant) and isinstance(last, Constant):
        return constant(np.linspace(first.data, last.data, n), dtype)
    return first + constant(np.linspace(0, 1, n), dtype) * (last - first)


@dataclass(frozen=True)
class Eye(Op):
    """out[i, j] = 1 where j - i == k, else 0; inputs n, m."""

    k: int = 0
    dtype: str = "float32"
    name = "eye"
    kernels = EYES
    operands = ("n", "m")

    def infer(self, n: Variable, m: Variable) -> TensorType:
        return TensorType(self.dtype, (static_dim(n), static_dim(m)))

    def shape_operands(self, n_inputs: int) -> range:
        return range(2)

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        return [None, None]

    def reference(self, n: np.ndarray, m: np.ndarray) -> np.ndarray:
        return np.eye(int(n), int(m), self.k, dtype=self.dtype)


def eye(n: Any, m: Any = None, k: int = 0, dtype: str | None = None) -> Variable:
    """An n by m matrix (n by n by default) with ones on diagonal k, zeros elsewhere; floatX by default."""
    if isinstance(k, bool) or not isinstance(k, int):
        raise ShapeError(f"eye: diagonal k must be an int, got {k!r}")
    rows = as_dim(n)
    return Eye(k, checked_dtype(dtype or config.floatX, "eye"))(rows, rows if m is None else as_dim(m))


@dataclass(frozen=True)
class OneHot(Op):
    """out[..., j] = 1 where labels[...] == j, else 0; inputs labels, n. Labels outside 0..n-1 raise."""

    dtype: str = "float32"
    name = "one_hot"
    kernels = ONE_HOTS
    operands = ("labels", "n")

    def infer(self, labels: Variable, n: Variable) -> TensorType:
        if labels.dtype in INEXACT or labels.dtype == "bool":
            raise op_error(self, (labels, n), f"labels must be integers, not {labels.dtype}",
                           "sc.cast(labels, 'int64')", DTypeError)  # fmt: skip
        count = static_dim(n)
        if isinstance(labels, Constant) and count is not None:
            self._check(
                labels.data, count, lambda text: op_error(self, (labels, n), text, kind=IndexRangeError)
            )
        return TensorType(self.dtype, (*labels.type.shape, count))

    def shape_operands(self, n_inputs: int) -> range:
        return range(1, 2)

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        return [None, None]

    def reference(self, labels: np.ndarray, n: np.ndarray) -> np.ndarray:
        self._check(labels, int(n), IndexError)
        return (labels[..., None] == np.arange(int(n))).astype(self.dtype)

    @staticmethod
    def _check(labels: np.ndarray, n: int, error: Any) -> None:
        bad = labels[(labels < 0) | (labels >= n)]
        if bad.size:
            raise error(f"label {bad.flat[0]} is out of range for {n} classes (0..{n - 1})")


def one_hot(labels: Any, n: Any, dtype: str | None = None) -> Variable:
    """Rows of n numbers with a 1 at each label and 0 elsewhere: shape labels.shape + (n,), floatX by default.

    A label outside 0..n-1 raises: at construction if it is a constant, else when the function runs.
    """
    return OneHot(checked_dtype(dtype or config.floatX, "one_hot"))(as_variable(labels), as_dim(n))
