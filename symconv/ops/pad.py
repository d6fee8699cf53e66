"""Borders around a tensor: a constant, the edge repeated, or the content mirrored or wrapped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symconv.errors import ShapeError
from symconv.graph import Apply, Constant, Op, TensorType, Variable, constant, op_error
from symconv.ops.gather import take
from symconv.ops.index_kernels import Piece, dense_strides, sizes
from symconv.ops.move_cuda import pieces_kernels
from symconv.ops.operands import as_variable, cast, static_dim
from symconv.ops.reduce import reduce_sum
from symconv.ops.shape import shape_of
from symconv.ops.slicing import Slice

INDEX_MODES = ("edge", "reflect", "symmetric", "wrap")


def _padded(node: Apply) -> list[Piece]:
    """The content, and for each axis a slab in front and one behind, as wide as the axes before it."""
    op = node.op
    assert isinstance(op, Pad)
    inner, outer = sizes(node.inputs[0]), sizes(node.out)
    strides = dense_strides(outer)
    corner = sum(b * s for b, s in zip(op.before, strides))
    pieces = [Piece(0, inner, dense_strides(inner), strides, out_offset=corner)]
    for axis, (before, after) in enumerate(zip(op.before, op.after)):
        lead = sum(b * s for b, s in zip(op.before[:axis], strides))
        for width, at in ((before, 0), (after, before + inner[axis])):
            slab = (*inner[:axis], width, *outer[axis + 1 :])
            pieces.append(Piece(1, slab, [0] * len(slab), strides, out_offset=lead + at * strides[axis]))
    return pieces


@dataclass(frozen=True)
class Pad(Op):
    """x with before[i] elements in front of and after[i] behind axis i, all equal to the scalar `value`."""

    before: tuple[int, ...]
    after: tuple[int, ...]
    name = "pad"
    kernels = pieces_kernels("pad", _padded)
    operands = ("x", "value")

    def infer(self, x: Variable, value: Variable) -> TensorType:
        if value.ndim or value.dtype != x.dtype:
            raise op_error(self, (x, value), f"value must be a {x.dtype} scalar")
        if not len(self.before) == len(self.after) == x.ndim or min((*self.before, *self.after, 0)) < 0:
            raise op_error(self, (x, value), "needs a width of 0 or more for both ends of each axis")
        grown = zip(self.before, x.type.shape, self.after)
        return TensorType(x.dtype, tuple(None if d is None else b + d + a for b, d, a in grown))

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        (dy,) = dys
        x, value = node.inputs
        if dy is None or not x.type.is_inexact:
            return [None, None]
        bounds = [v for a, b in enumerate(self.before) for v in (constant(b, "int64"), shape_of(x, a))]
        dx = Slice(tuple(range(x.ndim)), (1,) * x.ndim)(dy, *bounds) if x.ndim else dy
        # what is summed into `value` are the borders: all but the part that came from x
        dvalue = None if isinstance(value, Constant) else reduce_sum(dy) - reduce_sum(dx)
        return [dx, dvalue]

    def reference(self, x: np.ndarray, value: np.ndarray) -> np.ndarray:
        return np.pad(x, list(zip(self.before, self.after)), constant_values=value)

    def simplify(self, x: Variable, value: Variable) -> Sequence[Variable] | None:
        return [x] if not any((*self.before, *self.after)) else None

    def flops(self, node: Apply) -> int:
        return 0


@dataclass(frozen=True)
class PadIndex(Op):
    """Which element of an axis of length dim stands at each place of the padded one; input dim."""

    before: int
    after: int
    mode: str
    name = "pad_index"
    operands = ("dim",)

    def infer(self, dim: Variable) -> TensorType:
        n = static_dim(dim)
        if n == 0 and self.before + self.after:
            raise op_error(self, (dim,), f"an empty axis has nothing to pad with in mode {self.mode!r}")
        return TensorType("int64", (None if n is None else self.before + n + self.after,))

    def shape_operands(self, n_inputs: int) -> range:
        return range(1)

    def simplify(self, dim: Variable) -> Sequence[Variable] | None:
        return [constant(self.reference(dim.data))] if isinstance(dim, Constant) else None

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        return [None]

    def reference(self, dim: np.ndarray) -> np.ndarray:
        return np.pad(np.arange(int(dim)), (self.before, self.after), mode=self.mode)  # type: ignore[call-overload]


def _widths(x: Variable, width: Any) -> tuple[tuple[int, int], ...]:
    """`width` as (before, after) for every axis: an int for all, one pair for all, or a pair per axis."""
    given = np.asarray(width)
    whole = given.dtype.kind in "iu" or (given.dtype.kind == "f" and np.all(given == np.floor(given)))
    if not whole or np.any(given < 0):
        raise ShapeError(f"pad: widths must be integers of 0 or more, got {width!r}")
    try:
        pairs = np.broadcast_to(given, (x.ndim, 2)).astype(int).tolist()
    except ValueError:
        raise ShapeError(
            f"pad: {width!r} gives no (before, after) for each axis of {x.type} from {x.origin}\n"
            "  hint: an int, one pair, or one pair per axis"
        ) from None
    return tuple((b, a) for b, a in pairs)


def pad(x: Any, width: Any, mode: str = "constant", value: Any = 0) -> Variable:
    """x with borders: `width` is an int, one (before, after) for all axes, or one such pair per axis.

    mode: "constant" (filled with the scalar `value`), "edge" (the outermost element repeated), "reflect"
    (mirrored at it), "symmetric" (mirrored behind it), "wrap" (as if x repeated). Raises ShapeError.
    """
    x = as_variable(x)
    widths = _widths(x, width)
    if mode == "constant":
        filling = cast(as_variable(value, None if isinstance(value, Variable) else x.dtype), x.dtype)
        return Pad(tuple(b for b, _ in widths), tuple(a for _, a in widths))(x, filling)
    if mode not in INDEX_MODES:
        raise ShapeError(f"pad: mode must be 'constant', {', '.join(map(repr, INDEX_MODES))}; got {mode!r}")
    for axis, (before, after) in enumerate(widths):
        if before or after:
            dim = shape_of(x, axis)
            index = PadIndex(before, after, mode)
            made = index(dim)
            known = index.reference(dim.data) if isinstance(dim, Constant) else made
            x = take(x, known, axis)
    return x
