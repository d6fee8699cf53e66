"""Shape operations that change no value: shape_of, reshape, transpose, broadcast, and sum_to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symconv.errors import ShapeError
from symconv.graph import Apply, Op, TensorType, Variable, View, constant, op_error
from symconv.ops.index_kernels import Piece, dense_strides, sizes
from symconv.ops.move_cuda import FILLS, pieces_kernels
from symconv.ops.operands import as_dims, as_variable, normalize_axis, static_dim


@dataclass(frozen=True)
class ShapeOf(Op):
    """x.shape[axis] as an int64 scalar; a constant as soon as the dimension is known."""

    axis: int
    name = "shape_of"
    operands = ("x",)

    def infer(self, x: Variable) -> TensorType:
        return TensorType("int64", ())

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        return [None]

    def reference(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(x.shape[self.axis], dtype="int64")

    def simplify(self, x: Variable) -> Sequence[Variable] | None:
        dim = x.type.shape[self.axis]
        return None if dim is None else [constant(dim, "int64")]


def shape_of(x: Variable, axis: int) -> Variable:
    """x.shape[axis] as an int64 scalar variable."""
    axis = normalize_axis(axis, x.ndim)
    dim = x.type.shape[axis]
    return constant(dim, "int64") if dim is not None else ShapeOf(axis)(x)


def symbolic_shape(x: Variable) -> tuple[int | Variable, ...]:
    """x.shape: an int for every known dimension, an int64 scalar variable for the others."""
    return tuple(d if d is not None else ShapeOf(i)(x) for i, d in enumerate(x.type.shape))


def dims_of(x: Variable) -> tuple[Variable, ...]:
    return tuple(shape_of(x, i) for i in range(x.ndim))


class _ShapedByDims(Op):
    """Ops whose inputs after the first are the dimensions of the output."""

    def shape_operands(self, n_inputs: int) -> range:
        return range(1, n_inputs)


@dataclass(frozen=True)
class Reshape(_ShapedByDims):
    """The same elements in C order under another shape; inputs x, d0, d1, ..."""

    name = "reshape"
    operands = ("x",)

    def infer(self, x: Variable, *dims: Variable) -> TensorType:
        shape = tuple(static_dim(d) for d in dims)
        if x.type.is_concrete and None not in shape and math.prod(shape) != x.type.size:  # type: ignore[arg-type]
            raise op_error(
                self,
                (x,),
                f"{x.type.size} elements do not fill shape {list(shape)}",
                "one dimension may be -1",
            )
        return TensorType(x.dtype, shape)

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        (dy,) = dys
        dx = None if dy is None else self._back(node, dy)
        return [dx] + [None] * (len(node.inputs) - 1)

    @staticmethod
    def _back(node: Apply, dy: Variable) -> Variable:
        """dy in the shape of x; where only axes of length 1 were added or left out, by the sizes of dy."""
        x, *wanted = node.inputs
        sizes = list(dims_of(x))
        ours = [k for k, d in enumerate(x.type.shape) if d != 1]
        theirs = [k for k, d in enumerate(wanted) if static_dim(d) != 1]
        same = len(ours) == 1 or all(sizes[k] is wanted[j] for k, j in zip(ours, theirs))
        if len(ours) == len(theirs) and same:
            for k, j in zip(ours, theirs):
                sizes[k] = dims_of(dy)[j]
            return reshape(dy, sizes)
        return reshape_like(dy, x)

    def reference(self, x: np.ndarray, *dims: np.ndarray) -> np.ndarray:
        return x.reshape([int(d) for d in dims])

    def simplify(self, x: Variable, *dims: Variable) -> Sequence[Variable] | None:
        if x.type.is_concrete and x.type.shape == tuple(static_dim(d) for d in dims):
            return [x]
        if x.owner is not None and isinstance(x.owner.op, Reshape):
            return [self(x.owner.inputs[0], *dims)]
        return None

    def view(self, node: Apply) -> View | None:
        return View()

    def flops(self, node: Apply) -> int:
        return 0


def reshape(x: Any, shape: Any) -> Variable:
    """x under another shape of as many elements; one dimension may be -1."""
    x = as_variable(x)
    dims = list(as_dims(shape))
    holes = [i for i, d in enumerate(dims) if static_dim(d) == -1]
    if len(holes) > 1:
        raise ShapeError(f"reshape: only one dimension may be -1, got {[static_dim(d) for d in dims]}")
    for d in dims:
        if (known := static_dim(d)) is not None and known < -1:
            raise ShapeError(f"reshape: negative dimension {known}")
    if holes:
        total, rest = _without_common(dims_of(x), [d for i, d in enumerate(dims) if i != holes[0]])
        if isinstance(total, int) and isinstance(rest, int):
            if rest == 0 or total % rest:
                raise ShapeError(
                    f"reshape: {x.type} from {x.origin} does not divide into {[static_dim(d) for d in dims]}"
                )
            dims[holes[0]] = constant(total // rest, "int64")
        elif isinstance(total, Variable) and isinstance(rest, int) and rest == 1:
            dims[holes[0]] = total
        else:
            from symconv.ops.elementwise import floor_div

            dims[holes[0]] = floor_div(total, rest)
    return Reshape()(x, *dims)


def _without_common(
    total: Sequence[Variable], rest: Sequence[Variable]
) -> tuple[int | Variable, int | Variable]:
    """The two products, after unknown dimensions that stand in both have been left out."""
    left, right = list(total), []
    for d in rest:
        if static_dim(d) is None and d in left:
            left.remove(d)
        else:
            right.append(d)
    return _product(left), _product(right)


def _product(dims: Sequence[Variable]) -> int | Variable:
    known = math.prod(static_dim(d) or 0 for d in dims if static_dim(d) is not None)
    total: Any = known
    for d in dims:
        if static_dim(d) is None:
            total = d if total == 1 and isinstance(total, int) else total * d
    return total


def reshape_like(x: Variable, like: Variable) -> Variable:
    """x under the shape of `like`."""
    return Reshape()(x, *dims_of(like))


def flatten(x: Any, ndim: int = 1) -> Variable:
    """x with its last axes merged so that `ndim` remain; the leading ndim - 1 are kept."""
    x = as_variable(x)
    if not 1 <= ndim <= max(x.ndim, 1):
        raise ShapeError(f"flatten: ndim {ndim} must lie in 1..{max(x.ndim, 1)} for {x.type}")
    kept, merged = dims_of(x)[: ndim - 1], dims_of(x)[ndim - 1 :]
    return reshape(x, (*kept, _product(merged)))


def _transposed(node: Apply) -> list[Piece]:
    strides = dense_strides(sizes(node.inputs[0]))
    axes = node.op.attributes()["axes"]
    return [Piece(0, sizes(node.out), [strides[a] for a in axes], dense_strides(sizes(node.out)))]


@dataclass(frozen=True)
class Transpose(Op):
    """y[i_p0, i_p1, ...] with the axes in the order `axes`."""

    axes: tuple[int, ...]
    name = "transpose"
    operands = ("x",)
    kernels = pieces_kernels("transpose", _transposed)

    def infer(self, x: Variable) -> TensorType:
        return TensorType(x.dtype, tuple(x.type.shape[a] for a in self.axes))

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        (dy,) = dys
        return [None if dy is None else Transpose(tuple(int(i) for i in np.argsort(self.axes)))(dy)]

    def reference(self, x: np.ndarray) -> np.ndarray:
        return np.array(x.transpose(self.axes), order="C")

    def simplify(self, x: Variable) -> Sequence[Variable] | None:
        if self.axes == tuple(range(x.ndim)):
            return [x]
        if x.owner is not None and isinstance(x.owner.op, Transpose):
            inner = x.owner.op.axes
            return [Transpose(tuple(inner[a] for a in self.axes))(x.owner.inputs[0])]
        long = [a for a in self.axes if x.type.shape[a] != 1]
        if long == sorted(long) and x.type.is_concrete:  # only axes of length 1 move
            return [reshape(x, [x.type.shape[a] for a in self.axes])]
        return None

    def flops(self, node: Apply) -> int:
        return 0


def transpose(x: Any, axes: Sequence[int] | None = None) -> Variable:
    """x with its axes permuted; reversed by default."""
    x = as_variable(x)
    order = tuple(range(x.ndim))[::-1] if axes is None else tuple(normalize_axis(a, x.ndim) for a in axes)
    if sorted(order) != list(range(x.ndim)):
        raise ShapeError(f"transpose: axes {axes} are no permutation of the {x.ndim} axes of {x.type}")
    return Transpose(order)(x)


def _stretches(shape: Sequence[int | None], to: Sequence[int | None]) -> bool:
    """False only if `shape` is known not to broadcast to `to`."""
    return len(to) >= len(shape) and all(
        a is None or b is None or a in (1, b) for a, b in zip(shape[::-1], to[::-1])
    )


def _stretched(node: Apply) -> list[Piece]:
    out, source = sizes(node.out), sizes(node.inputs[0])
    lead = len(out) - len(source)
    strides = [0] * lead + [s if n != 1 else 0 for n, s in zip(source, dense_strides(source))]
    return [Piece(0, out, strides, dense_strides(out))]


@dataclass(frozen=True)
class BroadcastTo(_ShapedByDims):
    """x stretched to the dimensions given; inputs x, d0, d1, ..."""

    name = "broadcast_to"
    operands = ("x",)
    kernels = [*FILLS, *pieces_kernels("broadcast", _stretched)]

    def infer(self, x: Variable, *dims: Variable) -> TensorType:
        shape = tuple(static_dim(d) for d in dims)
        if not _stretches(x.type.shape, shape):
            advice = "shapes align from the right; a 1, or a missing dimension, stretches"
            raise op_error(self, (x,), f"{x.type} does not broadcast to {list(shape)}", advice)
        return TensorType(x.dtype, shape)

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        (dy,) = dys
        x = node.inputs[0]
        return [None if dy is None else sum_to(dy, like=x)] + [None] * (len(node.inputs) - 1)

    def reference(self, x: np.ndarray, *dims: np.ndarray) -> np.ndarray:
        return np.array(np.broadcast_to(x, [int(d) for d in dims]), order="C")

    def simplify(self, x: Variable, *dims: Variable) -> Sequence[Variable] | None:
        shape = tuple(static_dim(d) for d in dims)
        if not x.type.is_concrete or None in shape or not _stretches(x.type.shape, shape):
            return None
        if x.type.shape == shape:
            return [x]
        if x.type.size == math.prod(shape):  # type: ignore[arg-type]
            return [Reshape()(x, *dims)]
        if x.owner is not None and isinstance(x.owner.op, BroadcastTo):
            return [self(x.owner.inputs[0], *dims)]
        return None

    def flops(self, node: Apply) -> int:
        return 0


def broadcast_to(x: Any, shape: Any) -> Variable:
    """x stretched to `shape` by NumPy's rules. Raises ShapeError where it does not fit."""
    return BroadcastTo()(as_variable(x), *as_dims(shape))


def broadcast_like(x: Any, like: Variable) -> Variable:
    """x stretched to the shape of `like`."""
    return BroadcastTo()(as_variable(x), *dims_of(like))


@dataclass(frozen=True)
class SumTo(_ShapedByDims):
    """x summed over the axes along which broadcast_to would stretch the dimensions given; its adjoint."""

    name = "sum_to"
    operands = ("x",)

    def infer(self, x: Variable, *dims: Variable) -> TensorType:
        return TensorType(x.dtype, tuple(static_dim(d) for d in dims))

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        (dy,) = dys
        x = node.inputs[0]
        return [None if dy is None else broadcast_like(dy, x)] + [None] * (len(node.inputs) - 1)

    def reference(self, x: np.ndarray, *dims: np.ndarray) -> np.ndarray:
        shape = tuple(int(d) for d in dims)
        lead = x.ndim - len(shape)
        axes = tuple(range(lead)) + tuple(
            lead + i for i, d in enumerate(shape) if d == 1 and x.shape[lead + i] != 1
        )
        return np.sum(x, axis=axes, dtype=x.dtype).reshape(shape)

    def simplify(self, x: Variable, *dims: Variable) -> Sequence[Variable] | None:
        shape = tuple(static_dim(d) for d in dims)
        if None in shape or not x.type.is_concrete:
            return None
        if shape == x.type.shape:
            return [x]
        from symconv.ops.reduce import reduce_sum

        lead = x.ndim - len(shape)
        axes = [i for i in range(x.ndim) if i < lead or (shape[i - lead] == 1 and x.type.shape[i] != 1)]
        return [reshape(reduce_sum(x, axis=axes), shape)]


def sum_to(x: Variable, like: Variable) -> Variable:
    """x summed down to the shape of `like`, which broadcasts to x's shape."""
    if x.type.is_concrete and x.type.shape == like.type.shape:
        return x
    return SumTo()(x, *dims_of(like))
