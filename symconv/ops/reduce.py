"""Reductions over axes: sum, prod, max, min, argmax, argmin, any, all; mean, var, std, logsumexp of these.

`axis` is None (all axes), an int or a sequence. A NaN anywhere makes the result NaN. Where x attains its
maximum several times the gradient of max is shared equally among them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from symconv.graph import Apply, Op, TensorType, Variable, op_error
from symconv.graph.types import INEXACT
from symconv.ops.arithmetic import add, mul, sqrt, square, stop_gradient, sub, true_div
from symconv.ops.logic import as_bool, eq, isfinite, where
from symconv.ops.operands import as_operands, as_variable, cast, normalize_axes
from symconv.ops.reduce_cuda import ARG_REDUCES, PROD_OF_OTHERS, REDUCES
from symconv.ops.shape import broadcast_like, dims_of, reshape
from symconv.ops.transcendental import exp, log

Axis = int | Sequence[int] | None
Gradients = Sequence[Variable | None]


@dataclass(frozen=True)
class Reduce(Op):
    """out = reduction of x over `axes` (sorted, non-negative); `opcode` names it to the kernel."""

    axes: tuple[int, ...]
    keepdims: bool = False
    operands: ClassVar[tuple[str, ...]] = ("x",)
    opcode: ClassVar[str] = ""
    has_identity: ClassVar[bool] = True  # False: nothing to say about no elements at all

    def result_dtype(self, dtype: str) -> str:
        return dtype

    def infer(self, x: Variable) -> TensorType:
        shape = x.type.shape
        if not self.has_identity and any(shape[a] == 0 for a in self.axes):
            raise op_error(self, (x,), f"no element to choose along axes {list(self.axes)}")
        if self.keepdims:
            out = tuple(1 if i in self.axes else d for i, d in enumerate(shape))
        else:
            out = tuple(d for i, d in enumerate(shape) if i not in self.axes)
        return TensorType(self.result_dtype(x.dtype), out)

    def flops(self, node: Apply) -> int:
        return node.inputs[0].type.size

    def expand(self, y: Variable, x: Variable) -> Variable:
        """y, shaped like this op's output, stretched back to the shape of x."""
        return broadcast_like(self.with_ones(y, x), x)

    def with_ones(self, y: Variable, x: Variable) -> Variable:
        """y, shaped like this op's output, with 1 for each reduced axis of x."""
        if self.keepdims or not self.axes:
            return y
        return reshape(y, [1 if i in self.axes else d for i, d in enumerate(dims_of(x))])


def total_dtype(dtype: str) -> str:
    """The dtype of a sum or product: floats and complex numbers keep theirs, uint16 to uint64 give uint64,
    other integers and bools int64."""
    if dtype in INEXACT:
        return dtype
    return "uint64" if dtype in ("uint16", "uint32", "uint64") else "int64"


def wide_dtype(dtype: str) -> str:
    """What the reference sums in: float64, complex128, or the integers themselves."""
    return str(np.result_type(dtype, "float64")) if dtype in INEXACT else dtype


def reduce_sum(x: Any, axis: Axis = None, keepdims: bool = False) -> Variable:
    """Sum of x over `axis`; integers and bools give int64, uint16 to uint64 uint64."""
    x = as_variable(x)
    return Sum(normalize_axes(axis, x.ndim), keepdims)(x)


@dataclass(frozen=True)
class Sum(Reduce):
    name = "sum"
    opcode = "sum"
    kernels = REDUCES

    def result_dtype(self, dtype: str) -> str:
        return total_dtype(dtype)

    def reference(self, x: np.ndarray) -> np.ndarray:
        dtype = self.result_dtype(str(x.dtype))
        wide = wide_dtype(dtype)
        return np.asarray(np.sum(x, axis=self.axes, keepdims=self.keepdims, dtype=wide)).astype(dtype)

    def grad(self, node: Apply, *dys: Variable | None) -> Gradients:
        (dy,) = dys
        x = node.inputs[0]
        return [None if dy is None or not x.type.is_inexact else self.expand(dy, x)]

    def rop(self, node: Apply, *dxs: Variable | None) -> Gradients:
        (dx,) = dxs
        return [None if dx is None or not dx.type.is_inexact else self(dx)]


def prod(x: Any, axis: Axis = None, keepdims: bool = False) -> Variable:
    """Product of x over `axis`; integers and bools give int64, uint16 to uint64 uint64."""
    x = as_variable(x)
    return Prod(normalize_axes(axis, x.ndim), keepdims)(x)


@dataclass(frozen=True)
class Prod(Reduce):
    name = "prod"
    opcode = "prod"
    kernels = REDUCES

    def result_dtype(self, dtype: str) -> str:
        return total_dtype(dtype)

    def reference(self, x: np.ndarray) -> np.ndarray:
        dtype = self.result_dtype(str(x.dtype))
        wide = "float32" if dtype == "float16" else dtype
        with np.errstate(all="ignore"):
            return np.asarray(np.prod(x, axis=self.axes, keepdims=self.keepdims, dtype=wide)).astype(dtype)

    def grad(self, node: Apply, *dys: Variable | None) -> Gradients:
        (dy,) = dys
        x = node.inputs[0]
        if dy is None or not x.type.is_float:
            return [None]
        return [mul(self.with_ones(dy, x), ProdOfOthers(self.axes)(x))]


@dataclass(frozen=True)
class ProdOfOthers(Op):
    """out[i] = product over `axes` of all x[j], j != i: the gradient of prod, also where x holds zeros."""

    axes: tuple[int, ...]
    name = "prod_of_others"
    kernels = PROD_OF_OTHERS
    operands = ("x",)

    def infer(self, x: Variable) -> TensorType:
        return x.type

    def reference(self, x: np.ndarray) -> np.ndarray:
        kept = [i for i in range(x.ndim) if i not in self.axes]
        order = (*kept, *self.axes)
        moved = x.transpose(order)
        flat = moved.reshape(*(x.shape[i] for i in kept), math.prod(x.shape[i] for i in self.axes))
        before, after = np.ones_like(flat), np.ones_like(flat)
        with np.errstate(all="ignore"):
            before[..., 1:] = np.cumprod(flat[..., :-1], axis=-1)
            after[..., :-1] = np.cumprod(flat[..., :0:-1], axis=-1)[..., ::-1]
            return np.asarray((before * after).reshape(moved.shape).transpose(np.argsort(order)), order="C")

    def grad(self, node: Apply, *dys: Variable | None) -> Gradients:
        """By writing the op as a product of an [n, n] table whose diagonal is 1, and differentiating that."""
        from symconv.ops.create import eye

        (dy,) = dys
        if dy is None:
            return [None]
        x = node.inputs[0]
        dims = dims_of(x)
        kept = [i for i in range(x.ndim) if i not in self.axes]
        order = (*kept, *self.axes)
        outer = [dims[i] for i in kept]
        n = _count(x, self.axes)

        def flatten_last(v: Variable) -> Variable:
            return reshape(v.transpose(order), [*outer, n])

        diagonal = eye(n, dtype="bool")
        table = where(diagonal, 1, reshape(flatten_last(x), [*outer, 1, n]))
        weights = reshape(flatten_last(dy), [*outer, n, 1])
        others = ProdOfOthers((len(outer) + 1,))(table)
        flat = reduce_sum(where(diagonal, 0, mul(weights, others)), axis=len(outer))
        back = reshape(flat, [dims[i] for i in order]).transpose([int(i) for i in np.argsort(order)])
        return [back]


def _count(x: Variable, axes: Sequence[int]) -> Any:
    """The number of elements along `axes`, as an int where it is known."""
    total: Any = 1
    for a in axes:
        dim = x.type.shape[a]
        total = total * (dim if dim is not None else dims_of(x)[a])
    return total


@dataclass(frozen=True)
class _Extreme(Reduce):
    """every_tie: each element that attains the extreme takes the whole gradient, not its share of it."""

    every_tie: bool = False
    has_identity = False

    def grad(self, node: Apply, *dys: Variable | None) -> Gradients:
        (dy,) = dys
        x = node.inputs[0]
        if dy is None or not x.type.is_float:
            return [None]
        chosen = cast(eq(x, self.with_ones(node.out, x)), x.dtype)
        if self.every_tie:
            return [mul(chosen, self.with_ones(dy, x))]
        ties = reduce_sum(chosen, axis=self.axes, keepdims=True)
        return [mul(chosen, true_div(self.with_ones(dy, x), ties))]


def reduce_max(x: Any, axis: Axis = None, keepdims: bool = False) -> Variable:
    """The largest element over `axis`. Raises ShapeError where there is none."""
    x = as_variable(x)
    return Max(normalize_axes(axis, x.ndim), keepdims)(x)


@dataclass(frozen=True)
class Max(_Extreme):
    name = "max"
    opcode = "max"
    kernels = REDUCES

    def reference(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(np.max(x, axis=self.axes, keepdims=self.keepdims))


def reduce_min(x: Any, axis: Axis = None, keepdims: bool = False) -> Variable:
    """The smallest element over `axis`. Raises ShapeError where there is none."""
    x = as_variable(x)
    return Min(normalize_axes(axis, x.ndim), keepdims)(x)


@dataclass(frozen=True)
class Min(_Extreme):
    name = "min"
    opcode = "min"
    kernels = REDUCES

    def reference(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(np.min(x, axis=self.axes, keepdims=self.keepdims))


@dataclass(frozen=True)
class _ArgExtreme(Reduce):
    has_identity = False

    def result_dtype(self, dtype: str) -> str:
        return "int64"

    def positions(self, x: np.ndarray, find: Any) -> np.ndarray:
        """`find` over the flattened `axes`, which stand in C order."""
        kept = [i for i in range(x.ndim) if i not in self.axes]
        flat = x.transpose(*kept, *self.axes).reshape(
            *(x.shape[i] for i in kept), math.prod(x.shape[i] for i in self.axes)
        )
        shape = [1 if i in self.axes else d for i, d in enumerate(x.shape)]
        found = np.asarray(find(flat, axis=-1), dtype="int64")
        return found.reshape(shape) if self.keepdims else found

    def grad(self, node: Apply, *dys: Variable | None) -> Gradients:
        return [None]


def argmax(x: Any, axis: Axis = None, keepdims: bool = False) -> Variable:
    """Position (int64) of the first largest element along `axis`, or of the first NaN.

    Several axes count as one flattened in C order.
    """
    x = as_variable(x)
    return ArgMax(normalize_axes(axis, x.ndim), keepdims)(x)


@dataclass(frozen=True)
class ArgMax(_ArgExtreme):
    name = "argmax"
    opcode = "argmax"
    kernels = ARG_REDUCES

    def reference(self, x: np.ndarray) -> np.ndarray:
        return self.positions(x, np.argmax)


def argmin(x: Any, axis: Axis = None, keepdims: bool = False) -> Variable:
    """Position (int64) of the first smallest element along `axis`, or of the first NaN."""
    x = as_variable(x)
    return ArgMin(normalize_axes(axis, x.ndim), keepdims)(x)


@dataclass(frozen=True)
class ArgMin(_ArgExtreme):
    name = "argmin"
    opcode = "argmin"
    kernels = ARG_REDUCES

    def reference(self, x: np.ndarray) -> np.ndarray:
        return self.positions(x, np.argmin)


def reduce_any(x: Any, axis: Axis = None, keepdims: bool = False) -> Variable:
    """True where any element over `axis` is non-zero; no elements give False."""
    x = as_bool(x)
    return Any_(normalize_axes(axis, x.ndim), keepdims)(x)


@dataclass(frozen=True)
class Any_(Reduce):  # noqa: N801 - Any is the type
    name = "any"
    opcode = "any"
    kernels = REDUCES

    def reference(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(np.any(x, axis=self.axes, keepdims=self.keepdims))

    def grad(self, node: Apply, *dys: Variable | None) -> Gradients:
        return [None]


def reduce_all(x: Any, axis: Axis = None, keepdims: bool = False) -> Variable:
    """True where all elements over `axis` are non-zero; no elements give True."""
    x = as_bool(x)
    return All(normalize_axes(axis, x.ndim), keepdims)(x)


@dataclass(frozen=True)
class All(Reduce):
    name = "all"
    opcode = "all"
    kernels = REDUCES

    def reference(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(np.all(x, axis=self.axes, keepdims=self.keepdims))

    def grad(self, node: Apply, *dys: Variable | None) -> Gradients:
        return [None]


def mean(x: Any, axis: Axis = None, keepdims: bool = False) -> Variable:
    """Mean of x over `axis`; integers give floatX, no elements NaN."""
    (x,) = as_operands(x, to_float=True)
    if x.dtype == "float16":  # which counts to 2048 only
        return cast(mean(cast(x, "float32"), axis, keepdims), "float16")
    axes = normalize_axes(axis, x.ndim)
    return true_div(Sum(axes, keepdims)(x), cast(as_variable(_count(x, axes)), x.dtype))


def var(x: Any, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Variable:
    """sum (x - mean)^2 / (n - ddof) over the n elements along `axis`."""
    (x,) = as_operands(x, to_float=True)
    if x.dtype == "float16":
        return cast(var(cast(x, "float32"), axis, ddof, keepdims), "float16")
    axes = normalize_axes(axis, x.ndim)
    squares = Sum(axes, keepdims)(square(sub(x, mean(x, axes, keepdims=True))))
    count = as_variable(_count(x, axes))
    return true_div(squares, cast(count if ddof == 0 else sub(count, ddof), x.dtype))


def std(x: Any, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Variable:
    """The square root of var(); its gradient is infinite where the variance is 0."""
    return sqrt(var(x, axis, ddof, keepdims))


def logsumexp(x: Any, axis: Axis = None, keepdims: bool = False) -> Variable:
    """log(sum(e^x)) over `axis`, by way of the largest x, so that nothing overflows."""
    (x,) = as_operands(x, to_float=True)
    axes = normalize_axes(axis, x.ndim)
    largest = stop_gradient(Max(axes, True)(x))
    largest = where(isfinite(largest), largest, 0)  # inf - inf would be NaN
    total = log(Sum(axes, keepdims)(exp(sub(x, largest))))
    return add(total, largest if keepdims or not axes else Sum(axes)(largest))


__all__ = [
    "argmax",
    "argmin",
    "logsumexp",
    "mean",
    "prod",
    "reduce_all",
    "reduce_any",
    "reduce_max",
    "reduce_min",
    "reduce_sum",
    "std",
    "var",
]
