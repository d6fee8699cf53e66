"""Identity ops that say something about shapes. They vanish when a function's shapes are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symconv.errors import ShapeError
from symconv.graph import Apply, Op, TensorType, Variable, View, op_error


class _Identity(Op):
    """Output 0 is input 0."""

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        return [dys[0], *(None for _ in node.inputs[1:])]

    def rop(self, node: Apply, *dxs: Variable | None) -> Sequence[Variable | None]:
        return [dxs[0]]

    def view(self, node: Apply) -> View | None:
        return View()

    def flops(self, node: Apply) -> int:
        return 0


class Unchanged(Op):
    """x, of which only the gradient is another: it vanishes once gradients are taken."""

    for_gradient = True

    def infer(self, x: Variable) -> TensorType:
        return x.type

    def simplify(self, x: Variable) -> Sequence[Variable]:
        return [x]

    def reference(self, x: np.ndarray) -> np.ndarray:
        return x


@dataclass(frozen=True)
class SameDims(_Identity):
    """x, whose dimensions must equal those of the others wherever neither is known to be broadcastable.

    Theano stretches a dimension only if it is flagged broadcastable; a 1 met at run time is an error.
    Inputs x, y...; `open` lists, for each input, the axes (counted from the right, from 1) that are not
    flagged.
    """

    open: tuple[tuple[int, ...], ...]
    name = "same_dims"

    def infer(self, *inputs: Variable) -> TensorType:
        for axis in range(1, max(v.ndim for v in inputs) + 1):
            given = [v for v, axes in zip(inputs, self.open) if axis in axes]
            known = {v.type.shape[-axis] for v in given} - {None}
            if len(known) > 1:
                advice = ""
                if 1 in known:
                    advice = (
                        "; a 1 stretches only if it is declared broadcastable: T.addbroadcast(x, axis), "
                        "x.dimshuffle(..., 'x', ...), T.row / T.col, or shared(..., broadcastable=...)"
                    )
                raise op_error(
                    self,
                    given,
                    f"input dimension mismatch: {sorted(known)} along axis -{axis}",  # type: ignore[type-var]
                    "the operands of an element-wise op must have one shape" + advice,
                )
        return inputs[0].type

    def label(self) -> str:
        return self.name

    def attributes(self) -> dict[str, Any]:
        return {}

    def simplify(self, *inputs: Variable) -> Sequence[Variable] | None:
        if not all(v.type.is_concrete for v in inputs):
            return None
        self.infer(*inputs)
        return [inputs[0]]

    def reference(self, *arrays: np.ndarray) -> np.ndarray:
        self.infer(*(Variable(TensorType(str(a.dtype), a.shape)) for a in arrays))
        return arrays[0]


class DeclarationError(ShapeError, AssertionError):
    """Cause: a shape that was declared, by a hint or specify_shape, is not met. Cure: correct one of the two.

    An AssertionError, as in Theano.
    """


@dataclass(frozen=True)
class Declare(_Identity):
    """x, with dimensions declared: an int must be met, None keeps what is known, "?" forgets a 1.

    what: the words for a message when a declared dimension is not met.
    """

    shape: tuple[int | str | None, ...]
    what: str = "specify_shape"
    name = "declare"
    operands = ("x",)

    def infer(self, x: Variable) -> TensorType:
        if x.ndim != len(self.shape):
            raise op_error(self, (x,), f"{self.what}: {len(self.shape)} dimensions declared, x has {x.ndim}")
        dims: list[int | None] = []
        for axis, (have, want) in enumerate(zip(x.type.shape, self.shape)):
            if isinstance(want, int) and have is not None and have != want:
                raise op_error(
                    self,
                    (x,),
                    f"{self.what}: dimension {axis} was declared {want} and is {have}",
                    "correct the declaration, or the data",
                    DeclarationError,
                )
            dims.append(want if isinstance(want, int) else None if want == "?" else have)
        return TensorType(x.dtype, tuple(dims))

    def simplify(self, x: Variable) -> Sequence[Variable] | None:
        if not x.type.is_concrete:
            return None
        self.infer(x)
        return [x]

    def reference(self, x: np.ndarray) -> np.ndarray:
        self.infer(Variable(TensorType(str(x.dtype), x.shape)))
        return x


def declare(x: Variable, shape: Sequence[int | str | None], what: str) -> Variable:
    """x with declared dimensions; x itself where nothing is new. Raises ShapeError."""
    if len(shape) != x.ndim:
        raise ShapeError(f"{what}: {len(shape)} dimensions declared for {x.type} from {x.origin}")
    if all(d is None or d == have for d, have in zip(shape, x.type.shape)):
        return x
    out: Variable = Declare(tuple(shape), what)(x)
    return out


def same_dims(operands: Sequence[Variable]) -> list[Variable]:
    """The operands of an element-wise op, the first of which carries the check of SameDims if one is
    needed."""
    out = list(operands)
    needed = False
    for axis in range(1, max((v.ndim for v in operands), default=0) + 1):
        dims = [v.type.shape[-axis] for v in set(operands) if v.ndim >= axis]
        there = [d for d in dims if d != 1]
        needed |= len(there) > 1 and None in there
    if needed:
        open_axes = tuple(tuple(a for a in range(1, v.ndim + 1) if v.type.shape[-a] != 1) for v in operands)
        out[0] = SameDims(open_axes)(*operands)
    return out
