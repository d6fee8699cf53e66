"""Slices with start, stop and step per axis, and their adjoints; bounds may be symbolic.

A slice is reduced to (start, length, step) per axis: the start may be known only at run time, the
length fixes the result's shape and is a constant in every plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symconv.errors import IndexRangeError
from symconv.graph import Apply, Constant, Op, TensorType, Variable, View, constant, op_error
from symconv.ops.create import zeros_like
from symconv.ops.index_kernels import Piece, Start, dense_strides, identity, sizes
from symconv.ops.move_cuda import pieces_kernels
from symconv.ops.operands import static_dim
from symconv.ops.pick_cuda import slice_bound_kernels as bound_kernels
from symconv.ops.shape import shape_of

FIRST, LAST = -(2**63), 2**63 - 1  # stand for an open bound; clipping brings them to the end meant


def _clip(bound: np.ndarray, dim: np.ndarray, step: int) -> np.ndarray:
    """NumPy's rule: negative bounds count from the end, then all are clipped to the axis."""
    bound = np.where(bound < 0, bound + dim, bound)
    low, high = (0, dim) if step > 0 else (-1, dim - 1)
    return np.clip(bound, low, high)


class ScalarOp(Op):
    """int64 scalars in and out; `reference` also maps over arrays of them, element by element."""

    def infer(self, *inputs: Any, **_: Any) -> TensorType:
        return TensorType("int64", ())

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        return [None] * len(node.inputs)

    def of(self, *inputs: Variable) -> Variable:
        """The op applied, at once if all inputs are known."""
        if all(isinstance(v, Constant) for v in inputs):
            data = self.reference(*(v.data for v in inputs))
            return constant(data, "int64")
        out: Variable = self(*inputs)
        return out


@dataclass(frozen=True)
class SliceStart(ScalarOp):
    """Where a slice with this step begins on an axis of length dim, in 0..dim; inputs start, dim."""

    step: int = 1
    name = "slice_start"
    kernels = bound_kernels("slice_start", 0)
    operands = ("start", "dim")

    def reference(self, start: np.ndarray, dim: np.ndarray) -> np.ndarray:
        return np.asarray(np.maximum(_clip(start, dim, self.step), 0), dtype="int64")


@dataclass(frozen=True)
class SliceLength(ScalarOp):
    """How many elements start:stop:step has on an axis of length dim; inputs start, stop, dim."""

    step: int = 1
    name = "slice_length"
    kernels = bound_kernels("slice_length", 1)
    operands = ("start", "stop", "dim")

    def reference(self, start: np.ndarray, stop: np.ndarray, dim: np.ndarray) -> np.ndarray:
        span = _clip(stop, dim, self.step) - _clip(start, dim, self.step)
        return np.asarray(np.maximum(-(-span // self.step), 0), dtype="int64")


@dataclass(frozen=True)
class IndexStart(ScalarOp):
    """i, or i + dim where i is negative; raises IndexError outside -dim..dim-1. Inputs i, dim."""

    axis: int = 0
    name = "index"
    kernels = bound_kernels("index", 2)
    operands = ("i", "dim")

    def infer(self, i: Variable, dim: Variable) -> TensorType:
        if isinstance(i, Constant) and isinstance(dim, Constant):
            try:
                self.reference(i.data, dim.data)
            except IndexError as error:
                raise op_error(self, (i, dim), str(error), kind=IndexRangeError) from None
        return super().infer(i, dim)

    def reference(self, i: np.ndarray, dim: np.ndarray) -> np.ndarray:
        bad = (i < -dim) | (i >= dim)
        if np.any(bad):
            value, extent = (np.broadcast_to(a, np.shape(bad))[bad].flat[0] for a in (i, dim))
            raise IndexError(f"index {value} is out of range for axis {self.axis} of length {extent}")
        return np.asarray(np.where(i < 0, i + dim, i), dtype="int64")


def slice_bounds(
    start: Variable | None, stop: Variable | None, step: int, dim: Variable
) -> tuple[Variable, Variable]:
    """(start, length) of start:stop:step on an axis of length dim; None is an open bound."""
    if step > 0 and (start is None or static_dim(start) == 0):
        if stop is None and step == 1:
            return constant(0, "int64"), dim
        start = constant(0, "int64")
        begin: Variable = start
    else:
        start = start if start is not None else constant(LAST, "int64")
        begin = SliceStart(step).of(start, dim)
    if stop is None:
        stop = constant(LAST if step > 0 else FIRST, "int64")
    return begin, SliceLength(step).of(start, stop, dim)


def index_start(i: Variable, x: Variable, axis: int) -> Variable:
    """The place of element i along an axis of x. A known index out of range raises IndexRangeError."""
    dim = shape_of(x, axis)
    try:
        return IndexStart(axis).of(i, dim)
    except IndexError as error:
        raise IndexRangeError(f"{error}, in {x.type} from {x.origin}") from None


class _Sliced(Op):
    """What Slice and SetSlice share: axes, steps, and the region they name."""

    axes: tuple[int, ...]
    steps: tuple[int, ...]

    def region(self, ndim: int, starts: Sequence[Any], lengths: Sequence[Any]) -> tuple[slice, ...]:
        """Python slices for concrete starts and lengths."""
        out = [slice(None)] * ndim
        for axis, step, start, length in zip(self.axes, self.steps, starts, lengths):
            first, n = int(start), int(length)
            end = first + n * step
            out[axis] = slice(first, end if end >= 0 else None, step) if n else slice(0, 0)
        return tuple(out)

    def fits(self, dim: int | None, step: int, start: Variable, length: int | None) -> bool:
        """False only where start + (length - 1) * step is known to leave 0..dim-1."""
        first = static_dim(start)
        if dim is None or length is None or length == 0:
            return True
        if first is None:
            return (length - 1) * abs(step) < dim
        last = first + (length - 1) * step
        return 0 <= first < dim and 0 <= last < dim

    def check_region(self, shape: Sequence[int], starts: Sequence[Any], lengths: Sequence[Any]) -> None:
        for axis, step, start, length in zip(self.axes, self.steps, starts, lengths):
            first, n = int(start), int(length)
            if n and not (0 <= first < shape[axis] and 0 <= first + (n - 1) * step < shape[axis]):
                raise IndexError(
                    f"{n} elements from {first} by step {step} leave axis {axis} of length {shape[axis]}"
                )


def _placed(
    op: _Sliced, shape: Sequence[int], part: Sequence[int], starts: Sequence[Variable], first: int, pitch: int
) -> tuple[list[int], int, tuple[Start, ...]]:
    """(strides, offset, moving starts) of the region inside a dense tensor of `shape`.

    Start k is input first + k * pitch of the node.
    """
    dense = dense_strides(shape)
    strides, offset, moving = list(dense), 0, []
    for k, (axis, step, start) in enumerate(zip(op.axes, op.steps, starts)):
        strides[axis] = dense[axis] * step
        reach = (max(part[axis], 1) - 1) * abs(step)
        known = static_dim(start)
        if known is not None:
            offset += known * dense[axis]
        else:
            low, high = (0, shape[axis] - 1 - reach) if step > 0 else (reach, shape[axis] - 1)
            moving.append(Start(first + k * pitch, dense[axis], low, high))
    return strides, offset, tuple(moving)


def _sliced_pieces(node: Apply) -> list[Piece]:
    x, *bounds = node.inputs
    out, op = sizes(node.out), node.op
    assert isinstance(op, Slice)
    strides, offset, moving = _placed(op, sizes(x), out, bounds[::2], 1, 2)
    return [Piece(0, out, strides, dense_strides(out), in_offset=offset, starts=moving)]


def _set_pieces(node: Apply) -> list[Piece]:
    x, y, *starts = node.inputs
    op = node.op
    assert isinstance(op, SetSlice)
    strides, offset, moving = _placed(op, sizes(x), sizes(y), starts, 2, 1)
    part = Piece(
        1, sizes(y), dense_strides(sizes(y)), strides, out_offset=offset, add=op.add, starts=moving,
        moves_output=True,
    )  # fmt: skip
    return [identity(0, sizes(x)), part]


@dataclass(frozen=True)
class Slice(_Sliced):
    """x[start : start + length*step : step] along `axes`; inputs x, then start, length for each axis."""

    axes: tuple[int, ...]
    steps: tuple[int, ...]
    name = "slice"
    kernels = pieces_kernels("slice", _sliced_pieces)
    operands = ("x",)

    def infer(self, x: Variable, *bounds: Variable) -> TensorType:
        shape = list(x.type.shape)
        for axis, step, start, length in zip(self.axes, self.steps, bounds[::2], bounds[1::2]):
            n = static_dim(length)
            if not self.fits(shape[axis], step, start, n) or (n is not None and n < 0):
                raise op_error(self, (x, *bounds), f"{n} elements from {static_dim(start)} leave axis {axis}")
            shape[axis] = n
        return TensorType(x.dtype, tuple(shape))

    def shape_operands(self, n_inputs: int) -> range:
        return range(2, n_inputs, 2)

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        (dy,) = dys
        x, *bounds = node.inputs
        rest: list[Variable | None] = [None] * len(bounds)
        if dy is None or not x.type.is_inexact:
            return [None, *rest]
        return [SetSlice(self.axes, self.steps)(zeros_like(x), dy, *bounds[::2]), *rest]

    def reference(self, x: np.ndarray, *bounds: np.ndarray) -> np.ndarray:
        self.check_region(x.shape, bounds[::2], bounds[1::2])
        return np.array(x[self.region(x.ndim, bounds[::2], bounds[1::2])], order="C")

    def simplify(self, x: Variable, *bounds: Variable) -> Sequence[Variable] | None:
        kept = [
            (axis, step, start, length)
            for axis, step, start, length in zip(self.axes, self.steps, bounds[::2], bounds[1::2])
            if not (
                step == 1
                and static_dim(start) == 0
                and (length is shape_of(x, axis) or static_dim(length) == x.type.shape[axis] is not None)
            )
        ]
        if not kept:
            return [x]
        if len(kept) < len(self.axes):
            flat = [v for _, _, start, length in kept for v in (start, length)]
            return [Slice(tuple(k[0] for k in kept), tuple(k[1] for k in kept))(x, *flat)]
        from symconv.ops.elementwise import Cast

        if x.owner is not None and isinstance(x.owner.op, Cast):
            return [x.owner.op(self(x.owner.inputs[0], *bounds))]  # convert the part, not the whole
        if isinstance(x, Variable) and x.owner is not None and all(s == 1 for s in self.steps):
            return self._through(x.owner, bounds)
        return None

    def _through(self, node: Apply, bounds: Sequence[Variable]) -> Sequence[Variable] | None:
        """The part taken of what `node`, a slice or a replaced slice with known places, was made from."""
        op = node.op
        if not isinstance(op, (Slice, SetSlice)) or op.axes != self.axes or any(s != 1 for s in op.steps):
            return None
        inner = node.inputs[1::2] if isinstance(op, Slice) else node.inputs[2:]
        starts, lengths = [static_dim(b) for b in bounds[::2]], [static_dim(b) for b in bounds[1::2]]
        firsts = [static_dim(b) for b in inner]
        if None in starts or None in lengths or None in firsts:
            return None
        if isinstance(op, Slice):
            sums = [constant(a + b, "int64") for a, b in zip(starts, firsts)]  # type: ignore[operator]
            return [self(node.inputs[0], *(v for pair in zip(sums, bounds[1::2]) for v in pair))]
        if op.add:
            return None
        y = node.inputs[1]
        inside = apart = True
        moved: list[Variable] = []
        for axis, a, n, first in zip(self.axes, starts, lengths, firsts):
            extent = y.type.shape[axis]
            if extent is None:
                return None
            inside &= first <= a and a + n <= first + extent  # type: ignore[operator]
            apart &= a + n <= first or first + extent <= a  # type: ignore[operator]
            moved.append(constant(a - first, "int64"))  # type: ignore[operator]
        if inside:
            return [self(y, *(v for pair in zip(moved, bounds[1::2]) for v in pair))]
        return [self(node.inputs[0], *bounds)] if apart and len(self.axes) == 1 else None

    def view(self, node: Apply) -> View | None:
        x, *bounds = node.inputs
        sizes: tuple[int, ...] = node.out.type.shape  # type: ignore[assignment]
        if 0 in sizes:
            return View()
        offset, moving = 0, None
        inner = x.type.itemsize
        strides = [0] * x.ndim
        for axis in range(x.ndim - 1, -1, -1):
            strides[axis] = inner
            inner *= x.type.shape[axis]  # type: ignore[operator]
        for i, axis in enumerate(self.axes):
            partial = sizes[axis] != x.type.shape[axis]
            if (partial or self.steps[i] != 1) and any(n != 1 for n in sizes[:axis]):
                return None  # the rows of an outer axis would not lie side by side
            if self.steps[i] != 1 and sizes[axis] != 1:
                return None
            start = static_dim(bounds[2 * i])
            if start is not None:
                offset += start * strides[axis]
            elif moving is None:
                moving = (1 + 2 * i, strides[axis])
            else:
                return None
        return View(offset, *moving) if moving else View(offset)

    def flops(self, node: Apply) -> int:
        return 0

    def bytes(self, node: Apply) -> int:
        return 2 * node.out.type.nbytes


@dataclass(frozen=True)
class SetSlice(_Sliced):
    """x with x[start : start + n*step : step] = y along `axes`, or += y where `add`; n is y's extent.

    Inputs x, y, then a start for each axis. y has the shape of the slice.
    """

    axes: tuple[int, ...]
    steps: tuple[int, ...]
    add: bool = False
    operands = ("x", "y")
    name = "set_slice"
    kernels = pieces_kernels("set_slice", _set_pieces, ((0, 0),))

    def label(self) -> str:
        name = "inc_slice" if self.add else "set_slice"
        return f"{name}{{axes={self.axes}, steps={self.steps}}}"

    def infer(self, x: Variable, y: Variable, *starts: Variable) -> TensorType:
        if x.dtype != y.dtype or x.ndim != y.ndim:
            raise op_error(self, (x, y), "x and y must have one dtype and rank")
        place = dict(zip(self.axes, zip(self.steps, starts)))
        for axis, (dim, n) in enumerate(zip(x.type.shape, y.type.shape)):
            if axis in place:
                ok = self.fits(dim, place[axis][0], place[axis][1], n)
            else:
                ok = dim is None or n is None or dim == n
            if not ok:
                raise op_error(self, (x, y, *starts), f"y does not fit into axis {axis} of x")
        return x.type

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        (dz,) = dys
        x, y, *starts = node.inputs
        rest: list[Variable | None] = [None] * len(starts)
        if dz is None or not x.type.is_inexact:
            return [None, None, *rest]
        bounds = [v for start, axis in zip(starts, self.axes) for v in (start, shape_of(y, axis))]
        dy = Slice(self.axes, self.steps)(dz, *bounds)
        dx = dz if self.add else SetSlice(self.axes, self.steps)(dz, zeros_like(y), *starts)
        return [dx, dy, *rest]

    def reference(self, x: np.ndarray, y: np.ndarray, *starts: np.ndarray) -> np.ndarray:
        lengths = [y.shape[axis] for axis in self.axes]
        self.check_region(x.shape, starts, lengths)
        out = x.copy()
        where = self.region(x.ndim, starts, lengths)
        out[where] = out[where] + y if self.add else y
        return out

    def simplify(self, x: Variable, y: Variable, *starts: Variable) -> Sequence[Variable] | None:
        full = x.type.is_concrete and x.type.shape == y.type.shape
        if full and all(s == 1 for s in self.steps):
            return [x + y if self.add else y]
        if y.type.is_concrete and y.type.size == 0:
            return [x]
        return None

    def flops(self, node: Apply) -> int:
        return node.inputs[1].type.size if self.add else 0
