"""Slices whose step is symbolic: x[start:stop:step] as a gather from the places start + step * i.

How many places there are depends on values. That number is a guard of a plan, as for a mask (see nonzero):
it is computed by the reference before each call, and each number has a plan of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from symconv.graph import Variable, constant
from symconv.ops.create import Arange
from symconv.ops.logic import where
from symconv.ops.operands import cast
from symconv.ops.rounding import clip
from symconv.ops.slicing import ScalarOp


@dataclass(frozen=True)
class SteppedLength(ScalarOp):
    """How many elements start:stop:step has on an axis of length dim; inputs start, stop, step, dim.

    A bound that is `open` reaches to the end that the sign of the step names; its input is not read. A step
    of 0 is a ValueError of the call.
    """

    open: tuple[bool, bool] = (False, False)
    name = "stepped_length"
    operands = ("start", "stop", "step", "dim")

    def reference(self, start: np.ndarray, stop: np.ndarray, step: np.ndarray, dim: np.ndarray) -> np.ndarray:
        if not step:
            raise ValueError(
                "the step of a slice is 0\n  hint: a symbolic step must be positive or negative in every call"
            )
        first, last = (None if o else int(v) for o, v in zip(self.open, (start, stop)))
        return np.asarray(len(range(*slice(first, last, int(step)).indices(int(dim)))), "int64")


def stepped_places(start: Variable | None, stop: Variable | None, step: Variable, dim: Variable) -> Variable:
    """The places on an axis of length dim that start:stop:step names, in order: an int64 vector.

    None is an open bound. All are int64 scalars, with NumPy's rules for negative bounds and steps, and for
    bounds beyond the ends.
    """
    zero = constant(0, "int64")
    length = SteppedLength((start is None, stop is None)).of(
        zero if start is None else start, zero if stop is None else stop, step, dim
    )
    forward = step > 0
    if start is None:
        begin = where(forward, zero, dim - 1)
    else:
        counted = where(start < 0, start + dim, start)
        begin = where(forward, clip(counted, 0, dim), clip(counted, -1, dim - 1))
    out: Variable = Arange()(cast(begin, "int64"), step, length)
    return out
