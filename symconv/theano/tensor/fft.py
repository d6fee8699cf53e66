"""theano.tensor.fft: rfft and irfft of real tensors; the parts of complex numbers are a last axis of two.

They are steps in NumPy within the plan. The first axis counts the batches, all others are transformed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symconv.errors import ArgumentError
from symconv.theano import dtypes
from symconv.theano.errors import RankError
from symconv.theano.gof.op import Apply, Op
from symconv.theano.gradient import DisconnectedType
from symconv.theano.tensor import elementwise, reductions
from symconv.theano.tensor.subtensor import inc_subtensor, set_subtensor
from symconv.theano.variable import TensorType, as_tensor_variable


class _Transform(Op):
    """A transform of x [m, ...] whose lengths along the transformed axes are the vector s."""

    __props__ = ()
    least = 2  # axes of x
    more = 1  # axes that the result has beyond those of x

    def make_node(self, x: Any, s: Any = None) -> Apply:
        x = as_tensor_variable(x)
        x = elementwise.cast(x, dtypes.floating(x.dtype))
        if x.ndim < self.least:
            raise RankError(
                f"{type(self).__name__}: takes at least {self.least} axes, batches first, got {x.type} from "
                f"{x.native.origin}"
            )
        s = as_tensor_variable(self.lengths(x) if s is None else s)
        if s.dtype not in dtypes.INTEGERS or s.ndim != 1:
            raise RankError(f"{type(self).__name__}: the lengths must be a vector of integers, got {s.type}")
        return Apply(self, [x, s], [TensorType(x.dtype, (False,) * (x.ndim + self.more))()])

    def lengths(self, x: Any) -> Any:
        """s where none is given."""
        return x.shape[1:]

    def connection_pattern(self, node: Any) -> list[list[bool]]:
        return [[True], [False]]


def _inner(spectrum: Any, s: Any) -> Any:
    """The frequencies that stand for two, their own and the negative one."""
    return spectrum[(..., slice(1, s[-1] // 2 + s[-1] % 2), slice(None))]


class RFFTOp(_Transform):
    """y [m, ..., n // 2 + 1, 2], the discrete Fourier transform of x [m, ..., n]."""

    def perform(self, node: Any, inputs: Sequence[np.ndarray], output_storage: list[list[Any]]) -> None:
        x, s = inputs
        y = np.fft.rfftn(x, tuple(s), axes=tuple(range(1, x.ndim)))
        output_storage[0][0] = np.stack([y.real, y.imag], -1).astype(x.dtype)

    def infer_shape(self, node: Any, shapes: Sequence[Any]) -> list[Any]:
        s, n = node.inputs[1], node.inputs[0].ndim - 1
        return [(shapes[0][0], *(s[i] for i in range(n - 1)), s[n - 1] // 2 + 1, 2)]

    def grad(self, inputs: Sequence[Any], output_gradients: Sequence[Any]) -> list[Any]:
        s, (g,) = inputs[1], output_gradients
        return [irfft_op(set_subtensor(_inner(g, s), _inner(g, s) * 0.5), s), DisconnectedType()()]


class IRFFTOp(_Transform):
    """x [m, ..., n], times the elements of a batch, from its transform y [m, ..., n // 2 + 1, 2]."""

    least, more = 3, -1

    def lengths(self, x: Any) -> Any:
        return _lengths(x, 0)

    def perform(self, node: Any, inputs: Sequence[np.ndarray], output_storage: list[list[Any]]) -> None:
        y, s = inputs
        x = np.fft.irfftn(
            y[..., 0] + 1j * y[..., 1], tuple(s), axes=tuple(range(1, y.ndim - 1)), norm="forward"
        )
        output_storage[0][0] = x.astype(y.dtype)

    def infer_shape(self, node: Any, shapes: Sequence[Any]) -> list[Any]:
        return [(shapes[0][0], *(node.inputs[1][i] for i in range(node.inputs[0].ndim - 2)))]

    def grad(self, inputs: Sequence[Any], output_gradients: Sequence[Any]) -> list[Any]:
        s = inputs[1]
        spectrum = rfft_op(output_gradients[0], s)
        return [inc_subtensor(_inner(spectrum, s), _inner(spectrum, s)), DisconnectedType()()]


rfft_op, irfft_op = RFFTOp(), IRFFTOp()


def _lengths(y: Any, odd: int) -> Any:
    """The lengths of what y [m, ..., n // 2 + 1, 2] is the transform of."""
    whole = [y.shape[i] for i in range(1, y.ndim - 2)]
    return as_tensor_variable([*whole, (y.shape[y.ndim - 2] - 1) * 2 + odd])


def _scaled(y: Any, norm: str | None, inverse: bool, s: Any) -> Any:
    if norm not in (None, "ortho", "no_norm"):
        raise ArgumentError(f"fft: norm must be None, 'ortho' or 'no_norm', got {norm!r}")
    count = elementwise.cast(reductions.prod(s), y.dtype)
    if norm == "ortho":
        return y / elementwise.sqrt(count)
    return y / count if norm is None and inverse else y


def rfft(inp: Any, norm: str | None = None) -> Any:
    """The transform [m, ..., n // 2 + 1, 2] of inp [m, ..., n]; norm 'ortho' makes it unitary."""
    x = as_tensor_variable(inp)
    return _scaled(rfft_op(x), norm, False, x.shape[1:])


def irfft(inp: Any, norm: str | None = None, is_odd: bool = False) -> Any:
    """The x [m, ..., n] whose rfft is inp [m, ..., n // 2 + 1, 2]; is_odd says that n is odd.

    norm as in rfft, 'no_norm': the sums as they are.
    """
    if is_odd not in (True, False):
        raise ArgumentError(f"irfft: is_odd must be True or False, got {is_odd!r}")
    y = as_tensor_variable(inp)
    s = _lengths(y, int(is_odd))
    return _scaled(irfft_op(y, s), norm, True, s)


__all__ = ["IRFFTOp", "RFFTOp", "irfft", "irfft_op", "rfft", "rfft_op"]
