"""Indexing by integer arrays: gather, and scatter with set or add."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symconv.errors import DTypeError, IndexRangeError, ShapeError
from symconv.graph import Apply, Constant, Op, TensorType, Variable, broadcast_shapes, op_error
from symconv.graph.types import INEXACT
from symconv.ops.create import arange, is_iota, zeros_like
from symconv.ops.operands import as_variable, normalize_axis
from symconv.ops.pick_cuda import GATHERS, SCATTERS
from symconv.ops.shape import dims_of, reshape


class _Indexed(Op):
    """What gather and scatter share: index arrays for the axes from `axis` on, broadcast together."""

    axis: int

    def picked_shape(
        self, x: Variable, y: tuple[Variable, ...], indices: tuple[Variable, ...]
    ) -> tuple[int | None, ...]:
        """The shape of x[..., i0, i1, ..., :]; raises for bad dtypes, shapes and known values."""
        last = self.axis + len(indices)
        if not indices or last > x.ndim:
            raise op_error(
                self, (x, *y, *indices), f"{len(indices)} index arrays for axes from {self.axis} on"
            )
        for k, i in enumerate(indices):
            if i.dtype in INEXACT or i.dtype == "bool":
                raise op_error(
                    self, (x, *y, *indices), f"index array {k} is {i.dtype}, it must hold integers",
                    "sc.cast(index, 'int64'); for a mask use sc.where", DTypeError,
                )  # fmt: skip
            dim = x.type.shape[self.axis + k]
            if isinstance(i, Constant) and dim is not None:
                try:
                    in_range(i.data, dim, self.axis + k)
                except IndexError as error:
                    raise op_error(self, (x, *y, *indices), str(error), kind=IndexRangeError) from None
        try:
            picked = broadcast_shapes(*(i.type.shape for i in indices))
        except ValueError as error:
            raise op_error(self, (x, *y, *indices), f"index arrays: {error}") from None
        return (*x.type.shape[: self.axis], *picked, *x.type.shape[last:])

    def where(self, x: np.ndarray, indices: Sequence[np.ndarray]) -> tuple[Any, ...]:
        """NumPy's index for concrete index arrays, checked and not negative."""
        checked = (in_range(i, x.shape[self.axis + k], self.axis + k) for k, i in enumerate(indices))
        return (*(slice(None),) * self.axis, *checked)

    def flops(self, node: Apply) -> int:
        return 0


def in_range(index: np.ndarray, dim: int, axis: int) -> np.ndarray:
    """index with negative entries counted from the end. Raises IndexError outside -dim..dim-1."""
    wide = index.astype("int64")
    bad = wide[(wide < -dim) | (wide >= dim)]
    if bad.size:
        raise IndexError(f"index {bad.flat[0]} is out of range for axis {axis} of length {dim}")
    return np.where(wide < 0, wide + dim, wide)


@dataclass(frozen=True)
class AdvancedIndex(_Indexed):
    """x[:, ..., i0, i1, ..., :]: integer arrays, broadcast together, for the axes from `axis` on.

    Inputs x, i0, i1, ...; the arrays' common shape takes the place of the axes they index.
    """

    axis: int = 0
    name = "gather"
    kernels = GATHERS
    operands = ("x",)

    def infer(self, x: Variable, *indices: Variable) -> TensorType:
        return TensorType(x.dtype, self.picked_shape(x, (), indices))

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        (dy,) = dys
        x, *indices = node.inputs
        dx = None
        if dy is not None and x.type.is_inexact:
            dx = Scatter(self.axis, add=True)(zeros_like(x), dy, *indices)
        return [dx, *(None for _ in indices)]

    def reference(self, x: np.ndarray, *indices: np.ndarray) -> np.ndarray:
        return np.array(x[self.where(x, indices)], order="C")

    def bytes(self, node: Apply) -> int:
        return 2 * node.out.type.nbytes + sum(i.type.nbytes for i in node.inputs[1:])


@dataclass(frozen=True)
class Scatter(_Indexed):
    """x with x[:, ..., i0, i1, ..., :] = y, or += y where `add`; inputs x, y, i0, i1, ...

    y has the shape of the gathered part. Where indices repeat, add accumulates in the order of the
    arrays, and set keeps the last.
    """

    axis: int = 0
    add: bool = False
    name = "scatter"
    kernels = SCATTERS
    operands = ("x", "y")

    def infer(self, x: Variable, y: Variable, *indices: Variable) -> TensorType:
        if x.dtype != y.dtype:
            raise op_error(self, (x, y, *indices), "x and y must have one dtype", kind=DTypeError)
        expected = TensorType(y.dtype, self.picked_shape(x, (y,), indices))
        if not expected.accepts(y.type):
            raise op_error(self, (x, y, *indices), f"y should be {expected}")
        return x.type

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        (dz,) = dys
        x, y, *indices = node.inputs
        if dz is None or not x.type.is_inexact:
            return [None] * len(node.inputs)
        dy = AdvancedIndex(self.axis)(dz, *indices)
        if self.add:
            dx = dz
        else:
            dx = Scatter(self.axis)(dz, zeros_like(y), *indices)
            if not _distinct(x, indices, self.axis):
                dy = dy * self._last_writer(x, y, indices)
        return [dx, dy, *(None for _ in indices)]

    def _last_writer(self, x: Variable, y: Variable, indices: list[Variable]) -> Variable:
        """1 for the elements of y that are seen in the result, 0 for those that a later one replaced."""
        from symconv.ops.elementwise import cast, eq

        total: Any = 1
        for d in dims_of(y):
            total = d * total
        ids = reshape(arange(total), dims_of(y))
        written = Scatter(self.axis)(zeros_like(x, "int64"), ids, *indices)
        return cast(eq(AdvancedIndex(self.axis)(written, *indices), ids), y.dtype)

    def reference(self, x: np.ndarray, y: np.ndarray, *indices: np.ndarray) -> np.ndarray:
        out = x.copy()
        where = self.where(x, indices)
        if self.add:
            np.add.at(out, where, y)
        else:
            out[where] = y
        return out


def _distinct(x: Variable, indices: Sequence[Variable], axis: int) -> bool:
    """True if no element is known to be named twice: one iota, or constants without repetition."""
    if any(is_iota(i) for i in indices) and len({i.type.shape for i in indices}) == 1:
        return True
    if not all(isinstance(i, Constant) for i in indices):
        return False
    dims = x.type.shape[axis : axis + len(indices)]
    if None in dims:
        return False
    arrays = [in_range(i.data, d, axis) for i, d in zip(indices, dims)]  # type: ignore[arg-type]
    places = np.stack([a.ravel() for a in np.broadcast_arrays(*arrays)])
    return bool(np.unique(places, axis=1).shape[1] == places.shape[1])


def picked_labels(node: Apply) -> tuple[Variable, Variable] | None:
    """(p, labels) if the node is p[arange(n), labels] with one label for each of p's n rows, else None."""
    if not isinstance(node.op, AdvancedIndex) or node.op.axis != 0 or len(node.inputs) != 3:
        return None
    p, rows, labels = node.inputs
    n = p.type.shape[0]
    one_each = n is not None and rows.type.shape == labels.type.shape == (n,)
    return (p, labels) if p.ndim == 2 and one_each and is_iota(rows) else None


def as_index_array(value: Any) -> Variable:
    """value as an integer variable; an empty list counts as integers. Raises DTypeError."""
    if not isinstance(value, Variable) and np.size(value) == 0 and isinstance(value, (list, tuple)):
        value = np.asarray(value, dtype="int64")
    index = as_variable(value)
    if index.dtype in INEXACT or index.dtype == "bool":
        raise DTypeError(
            f"an index array must hold integers, got {index.type} from {index.origin}\n"
            "  hint: sc.cast(index, 'int64'); for a mask use sc.where"
        )
    return index


def take(x: Any, indices: Any, axis: int | None = None) -> Variable:
    """x's slices number `indices` along `axis` (of x flattened by default), in the place of that axis.

    Negative indices count from the end; others out of range raise.
    """
    x, index = as_variable(x), as_index_array(indices)
    if axis is None:
        x, axis = reshape(x, -1), 0
    return AdvancedIndex(normalize_axis(axis, x.ndim))(x, index)


def take_along_axis(x: Any, indices: Any, axis: int) -> Variable:
    """out[.., j, ..] = x[.., indices[.., j, ..], ..]: one index for each place of the result along `axis`."""
    x, index = as_variable(x), as_index_array(indices)
    axis = normalize_axis(axis, x.ndim)
    if index.ndim != x.ndim:
        raise ShapeError(
            f"take_along_axis: indices have {index.ndim} dimensions, x has {x.ndim}\n"
            f"  x {x.type} from {x.origin}\n  indices {index.type} from {index.origin}"
        )
    grid = []
    for a, d in enumerate(dims_of(x)):
        grid.append(index if a == axis else reshape(arange(d), [d if b == a else 1 for b in range(x.ndim)]))
    return AdvancedIndex(0)(x, *grid)
