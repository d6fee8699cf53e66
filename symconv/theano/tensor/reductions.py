"""Sums, means, extremes of theano.tensor, with Theano's dtypes: ints sum to int64, means of ints are
float64."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symconv.errors import ArgumentError, ShapeError
from symconv.graph import Variable as Native
from symconv.graph import constant as native_constant
from symconv.ops import reduce
from symconv.ops.elementwise import cast as native_cast
from symconv.ops.operands import normalize_axes
from symconv.ops.shape import dims_of
from symconv.theano import dtypes
from symconv.theano.tensor import elementwise
from symconv.theano.variable import TensorConstant, as_tensor_variable, native_of, wrap

Axis = Any


def _axis(axis: Axis, what: str) -> Any:
    """None, an int or a list of ints, from all that Theano accepts."""
    if axis is None:
        return None
    if isinstance(axis, TensorConstant):
        axis = axis.data
    if isinstance(axis, (list, tuple, range, set)) or (isinstance(axis, np.ndarray) and axis.ndim):
        return [int(_axis(a, what)) for a in axis]
    if isinstance(axis, (float, np.floating)) and float(axis).is_integer():
        return int(axis)
    try:
        return int(np.asarray(axis).item()) if not isinstance(axis, int) else axis
    except (TypeError, ValueError):
        raise ShapeError(f"{what}: axis must be an int or several, got {axis!r}") from None


def _accumulated(
    native: Callable[..., Native], what: str, input: Any, axis: Axis, dtype: Any, keepdims: bool
) -> Any:
    """A sum or product in `dtype`, that of native's result where it is None."""
    x = native_of(input)
    if dtype is not None:
        x = native_cast(x, dtypes.checked(dtype, what))
    out = wrap(native(x, _axis(axis, what), keepdims))
    if dtype is None and x.dtype == "uint8":
        dtype = "uint64"  # what sums of the wider unsigned ones have
    return out if dtype is None else elementwise.cast(out, dtype)


def sum(
    input: Any, axis: Axis = None, dtype: Any = None, keepdims: bool = False, acc_dtype: Any = None
) -> Any:
    """The sum; bools and integers give int64, unsigned ones uint64. A list of variables is stacked first."""
    return _accumulated(reduce.reduce_sum, "sum", input, axis, dtype, keepdims)


def prod(
    input: Any, axis: Axis = None, dtype: Any = None, keepdims: bool = False, acc_dtype: Any = None,
    no_zeros_in_input: bool = False,
) -> Any:  # fmt: skip
    """The product; bools and integers give int64, unsigned ones uint64."""
    return _accumulated(reduce.prod, "prod", input, axis, dtype, keepdims)


def mean(
    input: Any, axis: Axis = None, dtype: Any = None, op: bool = False, keepdims: bool = False,
    acc_dtype: Any = None,
) -> Any:  # fmt: skip
    """The mean: float32 of float32, accumulated in float64; float64 of integers and bools.

    dtype is that of the sum which is divided: where it is an integer's the mean is float64.
    """
    x = native_of(input)
    target = dtypes.checked(dtype, "mean") if dtype is not None else None
    if target in dtypes.DISCRETE:
        count = wrap(native_constant(1.0, "float64"))
        for a in normalize_axes(_axis(axis, "mean"), x.ndim):
            count = count * elementwise.cast(dims_of(x)[a], "float64")
        return sum(x, axis, target, keepdims) / count
    work = x.dtype if x.dtype in dtypes.INEXACT else "float64"
    if target in dtypes.INEXACT:
        work = target
    out = wrap(reduce.mean(native_cast(x, work), _axis(axis, "mean"), keepdims))
    return out if target is None else elementwise.cast(out, target)


def var(input: Any, axis: Axis = None, ddof: int = 0, keepdims: bool = False, corrected: bool = False) -> Any:
    """The mean squared distance from the mean."""
    x = native_of(input)
    work = x.dtype if x.dtype in dtypes.INEXACT else "float64"
    return wrap(reduce.var(native_cast(x, work), _axis(axis, "var"), ddof, keepdims))


def std(input: Any, axis: Axis = None, ddof: int = 0, keepdims: bool = False, corrected: bool = False) -> Any:
    """The square root of var()."""
    return elementwise.sqrt(var(input, axis, ddof, keepdims, corrected))


def _extreme(op: type[reduce.Reduce], input: Any, axis: Axis, keepdims: bool) -> Any:
    x = native_of(input)
    return wrap(op(normalize_axes(_axis(axis, op.name), x.ndim), keepdims, every_tie=True)(x))  # type: ignore[call-arg]


def max(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The largest element; every element that attains it takes the whole gradient."""
    return _extreme(reduce.Max, x, axis, keepdims)


def min(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The smallest element; every element that attains it takes the whole gradient."""
    return _extreme(reduce.Min, x, axis, keepdims)


def argmax(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The position (int64) of the first largest element, of x flattened by default."""
    return wrap(reduce.argmax(native_of(x), _axis(axis, "argmax"), keepdims))


def argmin(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The position (int64) of the first smallest element, of x flattened by default."""
    return wrap(reduce.argmin(native_of(x), _axis(axis, "argmin"), keepdims))


def max_and_argmax(a: Any, axis: Axis = None, keepdims: bool = False) -> list[Any]:
    """[max, argmax]."""
    return [max(a, axis, keepdims), argmax(a, axis, keepdims)]


def ptp(a: Any, axis: Axis = None) -> Any:
    """The largest less the smallest element."""
    return max(a, axis) - min(a, axis)


def any(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Whether any element is not 0, as bool."""
    return wrap(reduce.reduce_any(native_of(x), _axis(axis, "any"), keepdims))


def all(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Whether all elements are not 0, as bool."""
    return wrap(reduce.reduce_all(native_of(x), _axis(axis, "all"), keepdims))


def cov(
    m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: int | None = None,
    fweights: Any = None, aweights: Any = None,
) -> Any:  # fmt: skip
    """The covariance matrix of the variables in m's rows (columns with rowvar=False) and y's, as numpy.cov.

    Weights are vectors with an entry for each observation: how often it occurs, how much it counts.
    """
    from symconv.theano.tensor import linear, shape_ops

    def rows(values: Any) -> Any:
        v = as_tensor_variable(values)
        if v.ndim > 2:
            raise ShapeError(f"cov: {v!r} has {v.ndim} dimensions, at most 2 were expected")
        if v.ndim < 2:
            return v.dimshuffle(*["x"] * (2 - v.ndim), *range(v.ndim))
        return v if rowvar else v.T

    if ddof is not None and ddof != int(ddof):
        raise ArgumentError(f"cov: ddof must be an integer, got {ddof!r}")
    x = rows(m)
    if y is not None:
        x = shape_ops.concatenate([x, rows(y)], 0)
    free = ddof if ddof is not None else 0 if bias else 1
    weights = None
    for given in (fweights, aweights):
        if given is not None:
            given = as_tensor_variable(given)
            if given.ndim != 1:
                raise ShapeError(f"cov: weights must be vectors, got {given!r}, {given.type}")
            weights = given if weights is None else weights * given
    if weights is None:
        total, average = x.shape[1], mean(x, 1, keepdims=True)
    else:
        total = sum(weights)
        average = sum(x * weights, 1, keepdims=True) / total
    if weights is None or free == 0 or aweights is None:
        count = total - free
    else:
        count = total - free * sum(weights * as_tensor_variable(aweights)) / total
    x = x - average
    product = linear.dot(x, (x if weights is None else x * weights).T)
    return shape_ops.squeeze(product / elementwise.cast(elementwise.maximum(count, 0), product.dtype))


def allclose(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    """Whether all elements are close."""
    return all(elementwise.isclose(a, b, rtol, atol, equal_nan))


def norm(x: Any, ord: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """(sum |x|^ord)^(1/ord); ord=0 counts the elements that are not 0."""
    x = as_tensor_variable(x)
    if ord == 0:
        return sum(elementwise.neq(x, 0), axis, keepdims=keepdims)
    return elementwise.pow(sum(elementwise.pow(elementwise.abs_(x), ord), axis, keepdims=keepdims), 1.0 / ord)


def logsumexp(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """log(sum(e^x)), by way of the largest x."""
    return wrap(reduce.logsumexp(native_of(x), _axis(axis, "logsumexp"), keepdims))


def _folded(function: Any, values: Sequence[Any]) -> Native:
    out = values[0]
    for v in values[1:]:
        out = function(out, v)
    return as_tensor_variable(out)  # type: ignore[no-any-return]


def smallest(*args: Any) -> Any:
    """The smallest of the operands, element by element."""
    return _folded(elementwise.minimum, args)


def largest(*args: Any) -> Any:
    """The largest of the operands, element by element."""
    return _folded(elementwise.maximum, args)
