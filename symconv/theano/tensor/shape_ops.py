"""Shapes, axes, joins and constructors of theano.tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symconv import ops
from symconv.errors import IndexRangeError, ShapeError
from symconv.graph import Constant as NativeConstant
from symconv.graph import Variable as Native
from symconv.ops.axes import dimshuffle as native_dimshuffle
from symconv.theano import dtypes, shapes
from symconv.theano.configuration import config
from symconv.theano.declared import DeclarationError, declare
from symconv.theano.tensor import elementwise
from symconv.theano.tensor.joining import concatenate, whole_number
from symconv.theano.variable import Variable, as_tensor_variable, native_of, wrap


def shape(x: Any) -> Any:
    """x.shape as an int64 vector."""
    return shapes.shape_of(as_tensor_variable(x))


def reshape(x: Any, newshape: Any, ndim: int | None = None, name: str | None = None) -> Any:
    """x under another shape; a constant 1 in it is broadcastable, one dimension may be -1."""
    dims = shapes.as_dims(newshape, "reshape", ndim)
    if ndim is not None and ndim != len(dims):
        raise ShapeError(f"reshape: ndim={ndim} for a shape of length {len(dims)}")
    out = wrap(ops.reshape(native_of(x), dims))
    if name is not None:
        out.name = name
    return out


def flatten(x: Any, ndim: Any = None, outdim: Any = None) -> Any:
    """x with its last axes merged so that `ndim` remain."""
    n = ndim if ndim is not None else outdim if outdim is not None else 1
    x = native_of(x)
    if x.ndim == 0 and n == 1:
        return wrap(ops.reshape(x, (1,)))
    return wrap(ops.flatten(x, int(n)))


def dimshuffle(x: Any, *pattern: Any) -> Any:
    """x with its axes in the order of the pattern, 'x' a new broadcastable one; only flagged axes are
    dropped."""
    x = as_tensor_variable(x)
    order = tuple(pattern[0]) if len(pattern) == 1 and isinstance(pattern[0], (list, tuple)) else pattern
    order = tuple(p if p == "x" else int(p) for p in order)
    for axis, flag in enumerate(x.broadcastable):
        if axis not in order and axis - x.ndim not in order and not flag:
            raise ShapeError(
                f"dimshuffle: the pattern {order} drops axis {axis} of {x!r}, {x.type}, which is not "
                f"broadcastable\n"
                "  hint: T.addbroadcast(x, axis) declares it to be 1; x[..., 0] or x.sum(axis) take it away"
            )
    return wrap(native_dimshuffle(x.native, *order))


def transpose(x: Any, axes: Any = None) -> Any:
    """x with its axes permuted, reversed by default; named x.T."""
    x = native_of(x)
    out = wrap(ops.transpose(x, None if axes is None else [int(a) for a in axes]))
    if x.name is not None and out.name is None:
        out.name = f"{x.name}.T"
    return out


def swapaxes(y: Any, axis1: int, axis2: int) -> Any:
    """y with two axes exchanged."""
    y = native_of(y)
    for axis in (axis1, axis2):
        if not -y.ndim <= axis < y.ndim:
            raise IndexRangeError(f"swapaxes: axis {axis} is out of range for {y.type} from {y.origin}")
    return wrap(ops.swapaxes(y, axis1, axis2))


def moveaxis(x: Any, source: Any, destination: Any) -> Any:
    """x with axes moved to other places."""
    return wrap(ops.moveaxis(native_of(x), source, destination))


def squeeze(x: Any, axis: Any = None) -> Any:
    """x without its broadcastable axes, or those named."""
    x = as_tensor_variable(x)
    if axis is not None:
        return wrap(ops.squeeze(x.native, axis))
    return dimshuffle(x, *(i for i, flag in enumerate(x.broadcastable) if not flag))


def shape_padleft(t: Any, n_ones: int = 1) -> Any:
    """t with broadcastable axes in front."""
    t = as_tensor_variable(t)
    return dimshuffle(t, *["x"] * n_ones, *range(t.ndim))


def shape_padright(t: Any, n_ones: int = 1) -> Any:
    """t with broadcastable axes behind."""
    t = as_tensor_variable(t)
    return dimshuffle(t, *range(t.ndim), *["x"] * n_ones)


def shape_padaxis(t: Any, axis: int) -> Any:
    """t with one broadcastable axis at `axis` of the result."""
    t = as_tensor_variable(t)
    return wrap(ops.expand_dims(t.native, axis))


def expand_dims(t: Any, axis: int) -> Any:
    """t with one broadcastable axis at `axis` of the result."""
    return shape_padaxis(t, axis)


def _declared(x: Any, axes: Sequence[int], value: Any, what: str) -> Any:
    x = as_tensor_variable(x)
    for a in axes:
        if not -x.ndim <= a < x.ndim:
            raise ShapeError(f"{what}: axis {a} is out of range for {x!r} with {x.ndim} dimensions")
    chosen = {a % x.ndim for a in axes}
    dims = [value if i in chosen else None for i in range(x.ndim)]
    if value == "?":  # forgetting what is not known changes nothing
        dims = [d if d is None or x.broadcastable[i] else None for i, d in enumerate(dims)]
    return wrap(declare(x.native, dims, what))


def addbroadcast(x: Any, *axes: int) -> Any:
    """x, whose dimensions `axes` are declared to be 1 and broadcastable; others at run time raise."""
    return _declared(x, axes, 1, "addbroadcast")


def unbroadcast(x: Any, *axes: int) -> Any:
    """x, whose dimensions `axes` are not broadcastable any more."""
    return _declared(x, axes, "?", "unbroadcast")


def patternbroadcast(x: Any, broadcastable: Sequence[bool]) -> Any:
    """x with these broadcastable flags; dimensions beyond them keep theirs."""
    x = as_tensor_variable(x)
    flags = [*broadcastable, *x.broadcastable[len(broadcastable) :]]
    if len(flags) != x.ndim:
        raise ShapeError(f"patternbroadcast: {len(broadcastable)} flags for {x.ndim} dimensions")
    if tuple(flags) == x.broadcastable:
        return x
    pairs = zip(flags, x.broadcastable)
    dims = [1 if b and not have else "?" if have and not b else None for b, have in pairs]
    return wrap(declare(x.native, dims, "patternbroadcast"))


def specify_shape(x: Any, shape: Any) -> Any:
    """x, whose shape is declared; another one at run time raises."""
    from symconv.theano.printing import Assert

    x = native_of(x)
    given = shapes.as_dims(shape, "specify_shape", x.ndim)
    if len(given) != x.ndim:
        raise DeclarationError(
            f"specify_shape: {len(given)} dimensions declared for {x.type} from {x.origin}"
        )
    out = wrap(
        declare(x, [int(d.data) if isinstance(d, NativeConstant) else None for d in given], "specify_shape")
    )
    unknown = [k for k, d in enumerate(given) if not isinstance(d, NativeConstant)]
    if not unknown:
        return out
    met = [elementwise.eq(out.shape[k], wrap(given[k])) for k in unknown]
    return Assert(f"specify_shape: dimensions {unknown} are not those declared")(out, *met)


# ---- repeating -------------------------------------------------------------------------------------------


def tile(x: Any, reps: Any, ndim: int | None = None) -> Any:
    """x laid side by side reps[i] times along axis i; a symbolic vector reps needs ndim, and may be
    shorter."""
    times = _repetitions(reps, ndim)
    x = native_of(x)
    if ndim is not None and ndim < max(x.ndim, len(times)):
        raise ShapeError(
            f"tile: ndim={ndim} is less than the {x.ndim} dimensions of {x.type} from {x.origin} or the "
            f"{len(times)} elements of reps"
        )
    if ndim is not None and ndim > len(times):
        times = list(shapes.as_dims([1] * (ndim - len(times)), "tile")) + times
    return wrap(ops.tile(x, times))


def _repetitions(reps: Any, ndim: int | None) -> list[Native]:
    """reps as dimensions; the front of a symbolic vector is filled up with ones."""
    unknown = isinstance(reps, Variable) and reps.ndim == 1 and reps.native.type.shape[0] is None
    if not unknown or ndim is None or shapes.entries(reps.native) is not None:
        return shapes.as_dims(reps, "tile", ndim)
    first = ndim - reps.shape[0]
    padded = concatenate([ones((first,), dtype=reps.dtype), reps])
    return shapes.as_dims(padded, "tile", ndim)


def repeat(x: Any, repeats: Any, axis: Any = None) -> Any:
    """Every element along `axis` (of x flattened by default) `repeats` times."""
    count = native_of(repeats)
    if count.ndim == 1 and isinstance(count, NativeConstant):
        return wrap(ops.repeat(native_of(x), count.data.tolist(), axis))
    if isinstance(count, NativeConstant):
        return wrap(ops.repeat(native_of(x), int(count.data), axis))
    if count.ndim == 1:  # the rows of the True elements of a table with repeats[i] of them in row i
        x = as_tensor_variable(x) if axis is not None else flatten(x)
        times = alloc(wrap(count), x.shape[axis or 0])  # as many counts as elements, or one for all
        table = elementwise.lt(arange(wrap(ops.max(count))), shape_padright(times))
        return wrap(ops.take(x.native, ops.nonzero(table.native)[0], axis or 0))
    return wrap(ops.repeat(native_of(x), count, axis))


def roll(x: Any, shift: Any, axis: Any = None) -> Any:
    """x with its elements moved on along `axis`, those that fall off coming in on the other side."""
    shift = native_of(shift)
    if isinstance(shift, NativeConstant):
        return wrap(ops.roll(native_of(x), int(shift.data), axis))
    x = as_tensor_variable(x)
    if axis is None:
        return reshape(roll(flatten(x), wrap(shift), 0), x.shape, ndim=x.ndim)
    n = x.shape[axis]
    places = elementwise.mod(arange(n) - elementwise.cast(wrap(shift), "int64"), n)
    return wrap(ops.take(x.native, places.native, axis))


# ---- constructors ---------------------------------------------------------------------------------------


def alloc(value: Any, *shape: Any) -> Any:
    """A tensor of this shape, filled with `value`."""
    dims = shapes.as_dims(
        shape[0] if len(shape) == 1 and isinstance(shape[0], (list, tuple)) else shape, "alloc"
    )
    return wrap(ops.broadcast_to(native_of(value), dims))


def zeros(shape: Any, dtype: Any = None) -> Any:
    """Zeros, of floatX by default."""
    return _filled(shape, 0, dtype, "zeros")


def ones(shape: Any, dtype: Any = None) -> Any:
    """Ones, of floatX by default."""
    return _filled(shape, 1, dtype, "ones")


def _filled(shape: Any, value: int, dtype: Any, what: str) -> Any:
    dtype = dtypes.checked(dtype or config.floatX, what)
    return wrap(ops.full(shapes.as_dims(shape, what), value, dtype))


def full(shape: Any, fill_value: Any, dtype: Any = None) -> Any:
    """A tensor of this shape filled with a value."""
    value = as_tensor_variable(fill_value)
    return alloc(value if dtype is None else elementwise.cast(value, dtype), *shapes.as_dims(shape, "full"))


def zeros_like(model: Any, dtype: Any = None, opt: bool = False) -> Any:
    """Zeros in the shape (and dtype) of the model."""
    x = native_of(model)
    return wrap(ops.zeros_like(x, dtypes.checked(dtype or x.dtype, "zeros_like")))


def ones_like(model: Any, dtype: Any = None, opt: bool = False) -> Any:
    """Ones in the shape (and dtype) of the model."""
    x = native_of(model)
    return wrap(ops.ones_like(x, dtypes.checked(dtype or x.dtype, "ones_like")))


def full_like(a: Any, fill_value: Any, dtype: Any = None) -> Any:
    """A value in the shape (and dtype) of a."""
    a = as_tensor_variable(a)
    return elementwise.second(a, elementwise.cast(fill_value, dtype or a.dtype))


def eye(n: Any, m: Any = None, k: Any = 0, dtype: Any = None) -> Any:
    """Ones on diagonal k, of floatX by default."""
    rows = shapes.as_dims(n, "eye")[0]
    columns = rows if m is None else shapes.as_dims(m, "eye")[0]
    if not isinstance(native_of(k), NativeConstant):
        k = as_tensor_variable(k)
        if k.ndim or k.dtype not in dtypes.DISCRETE:
            raise ShapeError(f"eye: k must be an integer, got {k!r}, {k.type}")
        down, right = arange(wrap(rows)), arange(wrap(columns))
        ones_there = elementwise.eq(shape_padright(down) + k, shape_padleft(right))
        return elementwise.cast(ones_there, dtype or config.floatX)
    return wrap(
        ops.eye(rows, columns, whole_number(k, "eye: k"), dtypes.checked(dtype or config.floatX, "eye"))
    )


def identity_like(x: Any) -> Any:
    """The identity matrix in the shape and dtype of x."""
    x = as_tensor_variable(x)
    return eye(x.shape[0], x.shape[1], dtype=x.dtype)


def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = None) -> Any:
    """start, start + step, ...: integers give int64, floats their common dtype."""
    if stop is None:
        start, stop = 0, start
    given = [native_of(v) for v in (start, stop, step)]
    if dtype is None:
        dtype = dtypes.upcast(*(v.dtype for v in given))
        if dtype in dtypes.DISCRETE:
            dtype = "uint64" if dtype in dtypes.UINTS else "int64"
    values = [v.data.item() if isinstance(v, NativeConstant) and v.ndim == 0 else v for v in given]
    first, last, by = values
    return wrap(ops.arange(first, last, by, dtypes.checked(dtype, "arange")))


def _grids(slices: Sequence[slice], sparse: bool) -> list[Any]:
    lines = [arange(s.start or 0, s.stop, s.step or 1) for s in slices]
    n = len(lines)
    open_ = [dimshuffle(v, *(0 if a == i else "x" for a in range(n))) for i, v in enumerate(lines)]
    if sparse:
        return open_
    total = wrap(ops.full([d.shape[0].native for d in lines], 0, "int64"))
    return [elementwise.second(total, g) for g in open_]


class _GridIndexer:
    """T.mgrid[0:5, 0:5]."""

    def __init__(self, sparse: bool) -> None:
        self.sparse = sparse

    def __getitem__(self, index: Any) -> Any:
        return _grids(index if isinstance(index, tuple) else (index,), self.sparse)


mgrid, ogrid = _GridIndexer(False), _GridIndexer(True)


def triu(m: Any, k: int = 0) -> Any:
    """The elements on and above diagonal k."""
    return wrap(ops.triu(native_of(m), k))


def tril(m: Any, k: int = 0) -> Any:
    """The elements on and below diagonal k."""
    return wrap(ops.tril(native_of(m), k))


def tri(n: Any, m: Any = None, k: int = 0, dtype: Any = None) -> Any:
    """Ones on and below diagonal k, zeros above."""
    return tril(ones((n, n if m is None else m), dtype), k)


def diag(v: Any, k: int = 0) -> Any:
    """The diagonal of a matrix, or the matrix with a vector on its diagonal."""
    return wrap(ops.diag(native_of(v), k))


def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The diagonal over two axes, along a new last axis."""
    return wrap(ops.diagonal(native_of(a), offset, axis1, axis2))


def trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The sum of the diagonal."""
    from symconv.theano.tensor.reductions import sum

    return sum(diagonal(a, offset, axis1, axis2), axis=-1)
