"""x[...], set_subtensor and inc_subtensor."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from symconv import ops
from symconv.errors import ArgumentError, DTypeError, ShapeError
from symconv.graph import Constant as NativeConstant
from symconv.graph import Variable as Native
from symconv.graph import constant as native_constant
from symconv.ops.gather import AdvancedIndex, Scatter
from symconv.ops.operands import cast as native_cast
from symconv.ops.shape import dims_of
from symconv.ops.slicing import SetSlice, Slice
from symconv.theano import dtypes, shapes
from symconv.theano.errors import RankError
from symconv.theano.tensor import elementwise, joining, shape_ops
from symconv.theano.tensor.canonical_slices import get_canonical_form_slice as get_canonical_form_slice
from symconv.theano.tensor.type_other import SliceVariable
from symconv.theano.variable import Variable, as_tensor_variable, native_of, wrap

# Which x[index] a variable was made by; in Theano x[:] is a node of its own, here it may be x itself.
_made_by: weakref.WeakKeyDictionary[Native, tuple[Any, Any]] = weakref.WeakKeyDictionary()


def _plain(index: Any) -> Any:
    """An index as native indexing takes it."""
    if isinstance(index, tuple):
        return tuple(_plain(i) for i in index)
    if isinstance(index, slice):
        return slice(*(_plain(b) for b in (index.start, index.stop, index.step)))
    if isinstance(index, SliceVariable):
        return index.bounds()
    if isinstance(index, Variable):
        return _whole(index.native)
    if isinstance(index, list) and any(isinstance(i, Variable) for i in index):
        return native_of(index)
    if isinstance(index, (float, np.floating)) and float(index).is_integer():
        return int(index)
    return index


def _whole(index: Native) -> Any:
    if isinstance(index, NativeConstant) and index.ndim == 0 and index.dtype != "bool":
        return int(index.data)
    return index


def getitem(x: Any, index: Any) -> Any:
    """x[index] by NumPy's rules; integers, bounds, index arrays and masks of bools may be symbolic.

    How many elements a mask picks is known only when a function runs: see nonzero().
    """
    if isinstance(index, list) and any(isinstance(i, slice) for i in index):
        index = tuple(index)  # as NumPy once took it
    known = shapes.pick(x.native, index)
    if known is not None:
        before = _made_by.get(known.native)  # a dimension may be an element of a vector of the program's
        if before is None or shapes.entries(before[0].native) is not None:
            _made_by[known.native] = (x, _plain(index))
        return known
    plain = _plain(index)
    native = x.native[plain]
    _made_by[native] = (x, plain)
    out = wrap(native)
    if x.dtype == "int64" and x.ndim == 1 and type(plain) is int and (dims := shapes.entries(x.native)):
        out = wrap(dims[plain])
        _made_by[out.native] = (x, plain)
    return out


def _source(part: Any, what: str) -> tuple[Any, Any]:
    found = _made_by.get(part.native) if isinstance(part, Variable) else None
    if found is None:
        raise DTypeError(
            f"{what}: the first argument must be an expression x[...], got {part!r}\n"
            f"  hint: T.{what}(x[index], value)"
        )
    return found


def _check_rank(x: Any, y: Any, what: str) -> None:
    y = as_tensor_variable(y)
    if y.ndim > x.ndim:
        raise RankError(
            f"{what}: a value with {y.ndim} dimensions, {y.type} from {y.native.origin}, cannot go into "
            f"{x!r}, which has {x.ndim}"
        )


def _fitting(y: Any, x: Any, what: str) -> Native:
    """y in the dtype of x, which stays, as in Theano: float64 becomes float32 there, int64 int8. Floats do
    not become integers, nor integers booleans."""
    y = native_of(y)
    if not np.can_cast(y.dtype, x.dtype, "same_kind"):
        raise DTypeError(
            f"{what}: a value of dtype {y.dtype} from {y.origin} cannot go into {x!r} of dtype "
            f"{x.dtype} without loss\n"
            f"  hint: T.cast(value, {x.dtype!r})"
        )
    return native_cast(y, x.dtype)


def set_subtensor(x: Any, y: Any, inplace: bool = False, tolerate_inplace_aliasing: bool = False) -> Any:
    """base with base[index] = y, where x is written base[index]."""
    base, index = _source(x, "set_subtensor")
    _check_rank(x, y, "set_subtensor")
    value = _fitting(y, base, "set_subtensor")
    dims = shapes.entries(base.native)
    if dims is not None and type(index) is int and value.dtype == "int64":  # a shape with another dimension
        changed = list(dims)
        changed[index] = value
        return wrap(shapes.vector_of(changed))
    return wrap(ops.index_update(base.native, index, value))


def inc_subtensor(
    x: Any, y: Any, inplace: bool = False, set_instead_of_inc: bool = False,
    tolerate_inplace_aliasing: bool = False, ignore_duplicates: bool = False,
) -> Any:  # fmt: skip
    """base with base[index] += y, where x is written base[index]; repeated places add up."""
    if set_instead_of_inc:
        return set_subtensor(x, y)
    base, index = _source(x, "inc_subtensor")
    _check_rank(x, y, "inc_subtensor")
    return wrap(ops.index_add(base.native, index, _fitting(y, base, "inc_subtensor")))


def take(a: Any, indices: Any, axis: Any = None, mode: str = "raise") -> Any:
    """a's slices number `indices` along `axis`, of a flattened by default; mode 'raise', 'clip' or 'wrap'."""
    a, index = as_tensor_variable(a), as_tensor_variable(indices)
    if mode != "raise":
        n = a.size if axis is None else a.shape[axis]
        index = elementwise.mod(index, n) if mode == "wrap" else elementwise.clip(index, 0, n - 1)
    return wrap(ops.take(a.native, index.native, axis))


def choose(a: Any, choices: Any, mode: str = "raise") -> Any:
    """choices[a[i]][i], element by element, everything broadcast as by NumPy; choices: a list, or a tensor
    whose first axis numbers them. mode is what an a does that numbers no choice: 'raise' (an IndexError of
    the call), 'wrap' around, or 'clip' to the nearest. Raises DTypeError, ArgumentError.
    """
    a = as_tensor_variable(a)
    if a.dtype not in dtypes.DISCRETE:
        raise DTypeError(f"choose: a numbers the choices and must hold integers, got {a!r} of {a.dtype}")
    if mode not in ("raise", "wrap", "clip"):
        raise ArgumentError(f"choose: mode must be 'raise', 'wrap' or 'clip', got {mode!r}")
    listed = isinstance(choices, (list, tuple))
    parts = [as_tensor_variable(c) for c in choices] if listed else []
    table = None if listed else as_tensor_variable(choices)
    if table is not None and table.ndim == 0 or table is None and not parts:
        raise ShapeError("choose: there are no choices")
    n = len(parts) if table is None else table.shape[0]
    a = elementwise.cast(a, "int64")
    if mode == "wrap":
        a = elementwise.mod(a, n)
    elif mode == "clip":
        a = elementwise.clip(a, 0, n - 1)
    else:  # a negative index would count from the end
        a = elementwise.switch(elementwise.lt(a, 0), n, a)
    if table is not None:
        return wrap(_choose_rows(a.native, table.native))
    which = ops.take(native_constant(np.arange(n)), a.native, 0)  # whose bounds are checked
    common = dtypes.upcast(*(p.dtype for p in parts))
    out = native_cast(parts[-1].native, common)
    for k in reversed(range(n - 1)):
        out = ops.where(ops.equal(which, k), native_cast(parts[k].native, common), out)
    if n == 1:  # nothing has looked at a
        out = ops.where(ops.equal(which, 0), out, out)
    return wrap(out)


def _choose_rows(a: Native, table: Native) -> Native:
    """table[a[i], i], where a and each table[k] broadcast against each other."""
    rank = table.ndim - 1
    lead = ops.reshape(a, [*[1] * (rank - a.ndim), *dims_of(a)]) if a.ndim < rank else a
    index: list[Any] = [lead]
    for axis in range(rank):
        from_right = rank - axis
        place = ops.arange(0, dims_of(table)[axis + 1], 1, "int64")
        index.append(ops.reshape(place, (-1, *[1] * (from_right - 1))))
    return table[tuple(index)]


def compress(condition: Any, x: Any, axis: Any = None) -> Any:
    """x's slices where the condition is not 0."""
    return take(x, flatnonzero(condition), axis)


def nonzero(a: Any, return_matrix: bool = False) -> Any:
    """The places where a is not 0: a tuple of int64 vectors, one for each dimension, or a matrix of them.

    Their length is computed by the reference before each call, and each length has a plan of its own.
    """
    found = [wrap(v) for v in ops.nonzero(_with_axes(a, "nonzero"))]
    return joining.stack(found) if return_matrix else tuple(found)


def flatnonzero(a: Any) -> Any:
    """The places in a, flattened, that are not 0."""
    return nonzero(shape_ops.flatten(wrap(_with_axes(a, "flatnonzero"))))[0]


def nonzero_values(a: Any) -> Any:
    """The elements of a that are not 0, as a vector."""
    flat = shape_ops.flatten(a)
    return getitem(flat, flatnonzero(a))


Subtensor, AdvancedSubtensor, IncSubtensor, AdvancedIncSubtensor = Slice, AdvancedIndex, SetSlice, Scatter
AdvancedSubtensor1, AdvancedIncSubtensor1 = AdvancedIndex, Scatter


def advanced_inc_subtensor(x: Any, y: Any, *index: Any) -> Any:
    """x with x[index] += y."""
    return inc_subtensor(getitem(as_tensor_variable(x), index), y)


def advanced_set_subtensor(x: Any, y: Any, *index: Any) -> Any:
    """x with x[index] = y."""
    return set_subtensor(getitem(as_tensor_variable(x), index), y)


advanced_inc_subtensor1, advanced_set_subtensor1 = advanced_inc_subtensor, advanced_set_subtensor


def _with_axes(a: Any, what: str) -> Native:
    x = native_of(a)
    if x.ndim == 0:
        raise ShapeError(f"{what}: {x!r} from {x.origin} is a scalar and has no places\n  hint: T.neq(x, 0)")
    return x
