"""Products of matrices: dot, matmul, batched_dot, tensordot, outer, dense, and the two ops beneath them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symconv.errors import DTypeError, ShapeError, SymconvError
from symconv.graph import Apply, Op, TensorType, Variable, broadcast_shapes, op_error
from symconv.graph.origin import user_line
from symconv.ops.complex_numbers import conj
from symconv.ops.elementwise import add, mul
from symconv.ops.gemm_cuda import cuda_product_kernels
from symconv.ops.gemm_kernels import product_kernels
from symconv.ops.operands import as_operands, as_variable, normalize_axes, normalize_axis
from symconv.ops.shape import Transpose, dims_of, reshape, sum_to, transpose

Dim = int | None


def transposed(shape: tuple[Dim, ...], trans: bool) -> tuple[Dim, ...]:
    """The shape with its last two dimensions swapped if `trans`."""
    return (*shape[:-2], shape[-1], shape[-2]) if trans else shape


def contraction(
    op: Op, inputs: Sequence[Variable], a: tuple[Dim, ...], b: tuple[Dim, ...]
) -> tuple[Dim, Dim]:
    """(M, N) of [M, K] x [K, N]; ShapeError unless the two K agree where both are known."""
    if a[-1] is not None and b[-2] is not None and a[-1] != b[-2]:
        raise op_error(
            op,
            inputs,
            f"the inner dimensions differ: {op.operands[0]} gives {a[-1]}, {op.operands[1]} gives {b[-2]}",
            "the last axis of the first (after trans_a) meets the last but one of the second (after trans_b)",
        )
    return a[-2], b[-1]


def check_same_dtype(op: Op, *inputs: Variable) -> str:
    if len({v.dtype for v in inputs}) > 1:
        raise op_error(op, inputs, "operands must share one dtype", "cast() one of them", DTypeError)
    return inputs[0].dtype


@dataclass(frozen=True)
class _Product(Op):
    """out = op(a) op(b) over the last two axes; op(x) swaps them where trans_x is set.

    The flags let gradients be products again without a transposed copy of anything.
    """

    trans_a: bool = False
    trans_b: bool = False
    operands = ("a", "b")

    def reference(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        a = a.swapaxes(-1, -2) if self.trans_a else a
        b = b.swapaxes(-1, -2) if self.trans_b else b
        with np.errstate(all="ignore"):
            return np.asarray(np.matmul(a, b), order="C")

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        (dy,) = dys
        if dy is None or not node.out.type.is_inexact:
            return [None, None]
        a, b = (conj(v) for v in node.inputs)
        t, op = self.trans_a, type(self)
        # y = op(a) op(b): d(op a) = dy op(b)^T and d(op b) = op(a)^T dy, transposed once more where op is.
        da = op(self.trans_b, True)(b, dy) if t else op(False, not self.trans_b)(dy, b)
        db = op(True, t)(dy, a) if self.trans_b else op(not t, False)(a, dy)
        return [_down(da, node.inputs[0]), _down(db, node.inputs[1])]

    def rop(self, node: Apply, *dxs: Variable | None) -> Sequence[Variable | None]:
        a, b = node.inputs
        da, db = dxs
        terms = [self(*pair) for pair in ((da, b), (a, db)) if None not in pair]
        return [None if not terms else terms[0] if len(terms) == 1 else add(*terms)]

    def simplify(self, a: Variable, b: Variable) -> Sequence[Variable] | None:
        """A transposed operand becomes a flag."""
        flags, plain = [self.trans_a, self.trans_b], [a, b]
        for i, v in enumerate(plain):
            if v.owner is not None and isinstance(v.owner.op, Transpose) and swaps_last(v.owner.op.axes):
                plain[i], flags[i] = v.owner.inputs[0], not flags[i]
        return None if plain == [a, b] else [type(self)(*flags)(*plain)]

    def flops(self, node: Apply) -> int:
        inner = node.inputs[0].type.shape[-2 if self.trans_a else -1]
        return 2 * node.out.type.size * (inner or 0)


def _down(d: Variable, like: Variable) -> Variable:
    """d summed to the shape of `like`; a matrix has it already, and asks for no shape that it knows."""
    known = all(n is None or n == m for n, m in zip(like.type.shape, d.type.shape))
    return d if d.ndim == like.ndim == 2 and known else sum_to(d, like=like)


def swaps_last(axes: tuple[int, ...]) -> bool:
    n = len(axes)
    return n >= 2 and axes == (*range(n - 2), n - 1, n - 2)


@dataclass(frozen=True)
class Dot(_Product):
    """out[M, N] = op(a)[M, K] op(b)[K, N]; bool gives bool (or of ands), integers wrap, as in NumPy."""

    name = "dot"
    kernels = product_kernels() + cuda_product_kernels()

    def infer(self, a: Variable, b: Variable) -> TensorType:
        dtype = check_same_dtype(self, a, b)
        if a.ndim != 2 or b.ndim != 2:
            raise op_error(self, (a, b), f"expected two matrices, got {a.ndim} and {b.ndim} dimensions")
        left, right = transposed(a.type.shape, self.trans_a), transposed(b.type.shape, self.trans_b)
        return TensorType(dtype, contraction(self, (a, b), left, right))


@dataclass(frozen=True)
class BatchedDot(_Product):
    """out[..., M, N] = op(a)[..., M, K] op(b)[..., K, N]; the leading axes broadcast as NumPy's.

    Ranks may differ, both are at least 2: a matrix meets every member of the other's batch.
    """

    name = "batched_dot"
    kernels = product_kernels() + cuda_product_kernels()

    def infer(self, a: Variable, b: Variable) -> TensorType:
        dtype = check_same_dtype(self, a, b)
        if a.ndim < 2 or b.ndim < 2:
            raise op_error(self, (a, b), f"expected at least matrices, got {a.ndim} and {b.ndim} dimensions")
        left, right = transposed(a.type.shape, self.trans_a), transposed(b.type.shape, self.trans_b)
        ends = contraction(self, (a, b), left, right)
        try:
            batch = broadcast_shapes(left[:-2], right[:-2])
        except ValueError as error:
            raise op_error(
                self, (a, b), f"the batches differ: {error}", "a batch axis of 1 stretches"
            ) from None
        return TensorType(dtype, (*batch, *ends))

    def simplify(self, a: Variable, b: Variable) -> Sequence[Variable] | None:
        if a.ndim == 2 and b.ndim == 2:
            return [Dot(self.trans_a, self.trans_b)(a, b)]
        return super().simplify(a, b)


def _refuse(
    function: str,
    named: dict[str, Variable],
    message: str,
    hint: str = "",
    kind: type[SymconvError] = ShapeError,
) -> SymconvError:
    """The error of a user function: its operands as the user passed them, before any reshape."""
    wide, long = (max(len(s) for s in column) for column in (named, [str(v.type) for v in named.values()]))
    rows = [f"  {n:<{wide}} {v.type!s:<{long}}   from {v.origin}" for n, v in named.items()]
    text = "\n".join([f"{function}: {message}", *rows, f"  at {user_line()}"])
    return kind(text + (f"\n  hint: {hint}" if hint else ""))


def _meet(function: str, a: Variable, b: Variable, axis_a: int, axis_b: int) -> None:
    """ShapeError where the contracted axes have known, different lengths."""
    m, n = a.type.shape[axis_a], b.type.shape[axis_b]
    if m is not None and n is not None and m != n:
        raise _refuse(
            function,
            {"a": a, "b": b},
            f"axis {axis_a % a.ndim} of a has {m} elements, axis {axis_b % b.ndim} of b has {n}",
            f"{function} sums over these two axes; transpose one operand with .T?",
        )


def _product(dims: Sequence[Variable]) -> Any:
    total: Any = 1
    for d in dims:
        total = d if isinstance(total, int) else mul(total, d)
    return total


def _matrix(x: Variable, split: int) -> Variable:
    """x with its axes before `split` merged into rows and those from it merged into columns.

    Every dimension is written out: -1 cannot stand for one beside a dimension of zero.
    """
    if x.ndim == 2 and split == 1:
        return x
    return reshape(x, (_known_product(x, 0, split), _known_product(x, split, x.ndim)))


def _known_product(x: Variable, start: int, stop: int) -> Any:
    known = [d for d in x.type.shape[start:stop] if d is not None]
    return math.prod(known) if len(known) == stop - start else _product(dims_of(x)[start:stop])


def dot(a: Any, b: Any) -> Variable:
    """sum_k a[..., k] b[..., k, :], as numpy.dot.

    A scalar operand multiplies; two vectors give a scalar; a's last axis meets b's only axis or its last
    but one, and the remaining axes of a, then of b, make up the result. Raises ShapeError where known
    lengths differ.
    """
    a, b = as_operands(a, b)
    if a.ndim == 0 or b.ndim == 0:
        return mul(a, b)
    inner = b.ndim - 2 if b.ndim > 1 else 0
    _meet("dot", a, b, -1, inner)
    if a.ndim == 2 and b.ndim == 2:
        return Dot()(a, b)
    return _contract(a, b, [a.ndim - 1], [inner])


def _contract(a: Variable, b: Variable, axes_a: list[int], axes_b: list[int]) -> Variable:
    """The sum over pairs of axes, as one Dot; the free axes of a, then of b, remain in their order."""
    free_a = [i for i in range(a.ndim) if i not in axes_a]
    free_b = [i for i in range(b.ndim) if i not in axes_b]
    # Axes that already lie [K, M] or [N, K] are left there: the flags of Dot read them as they are.
    trans_a = bool(axes_a) and axes_a + free_a == list(range(a.ndim)) and bool(free_a)
    trans_b = bool(axes_b) and free_b + axes_b == list(range(b.ndim)) and bool(free_b)
    left = transpose(a, axes_a + free_a if trans_a else free_a + axes_a)
    right = transpose(b, free_b + axes_b if trans_b else axes_b + free_b)
    y = Dot(trans_a, trans_b)(
        _matrix(left, len(axes_a) if trans_a else len(free_a)),
        _matrix(right, len(free_b) if trans_b else len(axes_b)),
    )
    da, db = dims_of(a), dims_of(b)
    if len(free_a) == len(free_b) == 1:
        return y
    return reshape(y, [*(da[i] for i in free_a), *(db[i] for i in free_b)])


def tensordot(a: Any, b: Any, axes: int | Sequence[Any] = 2) -> Variable:
    """The sum over pairs of axes of a and b, as numpy.tensordot.

    `axes` is a count n (the last n of a meet the first n of b) or two axes or lists of axes. The other
    axes of a, then those of b, remain. Raises ShapeError for bad axes or lengths that differ.
    """
    a, b = as_operands(a, b)
    if isinstance(axes, (int, np.integer)) and not isinstance(axes, bool):
        if not 0 <= axes <= min(a.ndim, b.ndim):
            raise _refuse("tensordot", {"a": a, "b": b}, f"axes={axes} must lie in 0..{min(a.ndim, b.ndim)}")
        axes_a, axes_b = list(range(a.ndim - int(axes), a.ndim)), list(range(int(axes)))
    else:
        if not isinstance(axes, Sequence) or len(axes) != 2:
            raise ShapeError(f"tensordot: axes must be a count or two axes or lists of axes, got {axes!r}")
        given = [list(s) if isinstance(s, Sequence) else [s] for s in axes]
        for v, s in zip((a, b), given):
            normalize_axes(s, v.ndim)  # refuses what is out of range or named twice
        axes_a, axes_b = ([normalize_axis(i, v.ndim) for i in s] for v, s in zip((a, b), given))
        if len(axes_a) != len(axes_b):
            raise _refuse("tensordot", {"a": a, "b": b}, f"{len(axes_a)} axes of a for {len(axes_b)} of b")
    for i, j in zip(axes_a, axes_b):
        _meet("tensordot", a, b, i, j)
    return _contract(a, b, axes_a, axes_b)


def outer(a: Any, b: Any) -> Variable:
    """y[i, j] = a[i] b[j]; operands of other ranks are flattened first, as numpy.outer does."""
    a, b = as_operands(a, b)
    return Dot()(reshape(a, (_known_product(a, 0, a.ndim), 1)), reshape(b, (1, _known_product(b, 0, b.ndim))))


def matmul(a: Any, b: Any) -> Variable:
    """y[..., i, j] = sum_k a[..., i, k] b[..., k, j], as numpy.matmul.

    Leading axes broadcast; a vector on the left is a row, on the right a column, and its axis is dropped
    again. Raises ShapeError for a scalar, or where known lengths differ.
    """
    a, b = as_operands(a, b)
    if a.ndim == 0 or b.ndim == 0:
        raise _refuse("matmul", {"a": a, "b": b}, "an operand is a scalar", "multiply with * instead")
    if b.ndim <= 2:  # one matrix for all rows of a, however many axes those have
        return dot(a, b)
    _meet("matmul", a, b, -1, -2)
    if a.ndim == 1:
        y = BatchedDot()(reshape(a, (1, dims_of(a)[0])), b)
        return reshape(y, (*dims_of(b)[:-2], dims_of(b)[-1]))
    return BatchedDot()(a, b)


def batched_dot(a: Any, b: Any) -> Variable:
    """y[n] = dot(a[n], b[n]) for every n of the first axis, which both share.

    The members may have any rank: vectors, matrices, or more axes as in `dot`. Raises ShapeError where
    the batches or the contracted axes are known to differ.
    """
    a, b = as_operands(a, b)
    if a.ndim == 0 or b.ndim == 0:
        raise _refuse("batched_dot", {"a": a, "b": b}, "an operand is a scalar and has no batch axis")
    m, n = a.type.shape[0], b.type.shape[0]
    if m is not None and n is not None and m != n:
        raise _refuse(
            "batched_dot", {"a": a, "b": b}, f"a has a batch of {m}, b of {n}", "axis 0 is the batch"
        )
    da, db = dims_of(a), dims_of(b)
    if a.ndim == 1 or b.ndim == 1:  # members of one are scalars
        ones = [1] * abs(a.ndim - b.ndim)
        return mul(reshape(a, (*da, *ones)), b) if a.ndim < b.ndim else mul(a, reshape(b, (*db, *ones)))
    inner = max(1, b.ndim - 2)
    _meet("batched_dot", a, b, -1, inner)
    free_b = [i for i in range(1, b.ndim) if i != inner]
    right = transpose(b, [0, inner, *free_b])
    y = BatchedDot()(
        a if a.ndim == 3 else reshape(a, (da[0], _known_product(a, 1, a.ndim - 1), da[-1])),
        right if b.ndim == 3 else reshape(right, (db[0], db[inner], _known_product(right, 2, b.ndim))),
    )
    return y if a.ndim == b.ndim == 3 else reshape(y, [*da[:-1], *(db[i] for i in free_b)])


def dense(x: Any, w: Any, b: Any = None) -> Variable:
    """y[..., n] = sum_k x[..., k] w[k, n] + b[n]: a fully connected layer.

    x is [..., n_in], w [n_in, n_out], b [n_out] or None. Raises ShapeError where these do not fit.
    """
    x, w, *rest = as_operands(x, w, *([] if b is None else [as_variable(b)]))
    named = {"x": x, "w": w, **({"b": rest[0]} if rest else {})}
    if x.ndim < 1 or w.ndim != 2 or (rest and rest[0].ndim != 1):
        layout = "x is [..., n_in], w [n_in, n_out], b [n_out]"
        raise _refuse("dense", named, "wrong number of dimensions", layout)
    features, (n_in, n_out) = x.type.shape[-1], w.type.shape
    if features is not None and n_in is not None and features != n_in:
        raise _refuse("dense", named, f"x has {features} features, w expects {n_in}", "w is [n_in, n_out]")
    if rest and n_out is not None and rest[0].type.shape[0] not in (None, n_out):
        raise _refuse("dense", named, f"w has {n_out} outputs, b has {rest[0].type.shape[0]}", "b is [n_out]")
    y = dot(x, w)
    return add(y, rest[0]) if rest else y
