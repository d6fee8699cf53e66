"""Tensors put together and taken apart: concatenate, stack, split, tile, repeat, roll."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symconv.errors import ShapeError
from symconv.graph import Apply, Op, TensorType, Variable, constant, op_error
from symconv.ops.axes import expand_dims
from symconv.ops.index_kernels import Piece, dense_strides, sizes
from symconv.ops.move_cuda import pieces_kernels
from symconv.ops.operands import as_dim, as_operands, as_variable, normalize_axis, static_dim
from symconv.ops.shape import broadcast_to, dims_of, reshape, shape_of
from symconv.ops.slicing import Slice


def _joined(node: Apply) -> list[Piece]:
    op = node.op
    assert isinstance(op, Concatenate)
    strides = dense_strides(sizes(node.out))
    pieces, at = [], 0
    for i, x in enumerate(node.inputs):
        shape = sizes(x)
        pieces.append(Piece(i, shape, dense_strides(shape), strides, out_offset=at * strides[op.axis]))
        at += shape[op.axis]
    return pieces


@dataclass(frozen=True)
class Concatenate(Op):
    """The inputs one after the other along `axis`; their other dimensions are equal."""

    axis: int
    name = "concatenate"
    kernels = pieces_kernels("concatenate", _joined)

    def infer(self, *xs: Variable) -> TensorType:
        first = xs[0]
        for x in xs:
            if x.ndim != first.ndim or x.dtype != first.dtype:
                raise op_error(self, xs, "all inputs must have one rank and dtype")
        if not 0 <= self.axis < first.ndim:
            raise op_error(self, xs, f"no axis {self.axis} in {first.ndim} dimensions",
                           "stack() makes a new axis")  # fmt: skip
        shape: list[int | None] = []
        for a, dims in enumerate(zip(*(x.type.shape for x in xs))):
            known = {d for d in dims if d is not None}
            if a == self.axis:
                shape.append(None if None in dims else sum(dims))
            elif len(known) > 1:
                raise op_error(self, xs, f"dimensions {sorted(known)} of axis {a} differ")
            else:
                shape.append(known.pop() if known else None)
        return TensorType(first.dtype, tuple(shape))

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        (dy,) = dys
        if dy is None or not node.out.type.is_inexact:
            return [None] * len(node.inputs)
        return _pieces(dy, self.axis, [shape_of(x, self.axis) for x in node.inputs])

    def reference(self, *xs: np.ndarray) -> np.ndarray:
        return np.concatenate(xs, axis=self.axis)

    def simplify(self, *xs: Variable) -> Sequence[Variable] | None:
        full = [x for x in xs if x.type.shape[self.axis] != 0]
        if len(full) == len(xs) > 1:
            return None
        kept = full or list(xs[:1])
        return [kept[0]] if len(kept) == 1 else [self(*kept)]

    def flops(self, node: Apply) -> int:
        return 0


def concatenate(tensors: Sequence[Any], axis: int = 0) -> Variable:
    """The tensors one after the other along `axis`; dtypes are promoted to their common one."""
    if isinstance(tensors, Variable):
        raise ShapeError(f"concatenate: takes a list of tensors, got {tensors!r} from {tensors.origin}")
    if not len(tensors):
        raise ShapeError("concatenate: needs at least one tensor")
    xs = as_operands(*(t if isinstance(t, Variable) else np.asarray(t) for t in tensors))
    out: Variable = Concatenate(normalize_axis(axis, xs[0].ndim))(*xs)
    return out


def stack(tensors: Sequence[Any], axis: int = 0) -> Variable:
    """The tensors, all of one shape, along a new axis; dtypes are promoted to their common one."""
    if not isinstance(tensors, Variable) and not len(tensors):
        raise ShapeError("stack: needs at least one tensor")
    xs = as_operands(*tensors)
    place = normalize_axis(axis, xs[0].ndim + 1)
    for x in xs:
        if x.ndim != xs[0].ndim:
            shown = ", ".join(str(v.type) for v in xs)
            raise ShapeError(f"stack: all tensors must have one rank, got {shown}")
    return concatenate([expand_dims(x, place) for x in xs], place)


def _pieces(x: Variable, axis: int, sizes: Sequence[Variable]) -> list[Variable]:
    """x cut along `axis` into parts of the sizes given."""
    out: list[Variable] = []
    start: Any = constant(0, "int64")
    for n in sizes:
        out.append(Slice((axis,), (1,))(x, start, n))
        known = (static_dim(start), static_dim(n))
        start = constant(sum(known), "int64") if None not in known else start + n
    return out


def split(x: Any, sections: int | Sequence[Any], axis: int = 0) -> list[Variable]:
    """x cut along `axis`: into `sections` equal parts, or into parts of the sizes that it lists.

    Sizes may be integer scalars; they must add up to the axis. Raises ShapeError.
    """
    x = as_variable(x)
    axis = normalize_axis(axis, x.ndim)
    dim = x.type.shape[axis]
    if isinstance(sections, (int, np.integer)) and not isinstance(sections, bool):
        if sections < 1:
            raise ShapeError(f"split: needs at least one section, got {sections}")
        if dim is None:
            size: Any = shape_of(x, axis) // int(sections)
        elif dim % sections:
            raise ShapeError(
                f"split: axis {axis} of {x.type} from {x.origin} does not divide into {sections} equal parts"
            )
        else:
            size = dim // int(sections)
        sizes = [as_dim(size)] * int(sections)
    else:
        sizes = [as_dim(s) for s in sections]  # type: ignore[union-attr]
    known = [static_dim(s) for s in sizes]
    if any(k is not None and k < 0 for k in known):
        raise ShapeError(f"split: a size cannot be negative, got {known}")
    if dim is not None and None not in known and sum(known) != dim:  # type: ignore[arg-type]
        raise ShapeError(f"split: sizes {known} do not add up to the {dim} of axis {axis} of {x.type}")
    return _pieces(x, axis, sizes)


def tile(x: Any, reps: int | Sequence[Any]) -> Variable:
    """x laid side by side reps[i] times along axis i; a shorter `reps` or x is padded with ones in front."""
    x = as_variable(x)
    times = [as_dim(r) for r in (reps if isinstance(reps, (list, tuple)) else [reps])]
    times = [constant(1, "int64")] * (x.ndim - len(times)) + times
    dims = [constant(1, "int64")] * (len(times) - x.ndim) + list(dims_of(x))
    if all(static_dim(t) == 1 for t in times):
        return reshape(x, dims) if len(dims) != x.ndim else x
    pairs = [[1, d] for d in dims]
    wide = broadcast_to(reshape(x, sum(pairs, [])), [v for t, d in zip(times, dims) for v in (t, d)])
    return reshape(wide, [_times(t, d) for t, d in zip(times, dims)])


def repeat(x: Any, repeats: Any, axis: int | None = None) -> Variable:
    """Every element along `axis` (of x flattened by default) `repeats` times; or a known count for each.

    A list of one count counts for every element.
    """
    x = as_variable(x)
    if axis is None:
        x, axis = reshape(x, -1), 0
    axis = normalize_axis(axis, x.ndim)
    if not isinstance(repeats, Variable) and np.ndim(repeats):
        from symconv.ops.gather import take

        counts = np.asarray(repeats)
        if counts.dtype.kind not in "iu" or counts.ndim != 1 or np.any(counts < 0):
            raise ShapeError(f"repeat: counts must be a vector of non-negative integers, got {repeats!r}")
        if len(counts) != 1 and x.type.shape[axis] not in (None, len(counts)):
            raise ShapeError(f"repeat: {len(counts)} counts for axis {axis} of {x.type} from {x.origin}")
        if len(counts) == 1:
            return repeat(x, int(counts[0]), axis)
        if x.type.shape[axis] is None:  # the number of elements is compared when it is known
            dims = list(dims_of(x))
            x = reshape(x, [*dims[:axis], len(counts), *dims[axis + 1 :]])
        return take(x, np.repeat(np.arange(len(counts)), counts), axis)
    times, dims = as_dim(repeats), list(dims_of(x))
    wide = broadcast_to(expand_dims(x, axis + 1), [*dims[: axis + 1], times, *dims[axis + 1 :]])
    return reshape(wide, [*dims[:axis], _times(dims[axis], times), *dims[axis + 1 :]])


def _times(a: Variable, b: Variable) -> Variable:
    known = (static_dim(a), static_dim(b))
    if None not in known:
        return constant(known[0] * known[1], "int64")  # type: ignore[operator]
    return b if known[0] == 1 else a if known[1] == 1 else a * b


def roll(x: Any, shift: int, axis: int | None = None) -> Variable:
    """x moved by `shift` places along `axis`, what leaves at one end entering at the other.

    Without an axis x is rolled as if flat, and keeps its shape.
    """
    x = as_variable(x)
    if axis is None:
        return reshape(roll(reshape(x, -1), shift, 0), dims_of(x)) if x.ndim != 1 else roll(x, shift, 0)
    axis = normalize_axis(axis, x.ndim)
    dim = x.type.shape[axis]
    n: Any = as_dim(shape_of(x, axis)) if dim is None else dim
    if dim == 0:
        return x
    moved: Any = shift % n
    parts = _pieces(x, axis, [as_dim(n - moved), as_dim(moved)])
    return concatenate(parts[::-1], axis)
