"""Cases of the random draws and of dropout: every backend gives the same bits."""

from __future__ import annotations

import numpy as np

from symconv.graph import Op, Variable, constant
from symconv.ops.random import (
    Dropout,
    RandomIntegers,
    RandomNormal,
    RandomPermutation,
    RandomUniform,
)
from symconv.testing import OpCase, Spec

COUNTER = Spec((), "int64", kind="index", low=0, high=100)


def draws(op: Op, shape: tuple[int, ...], *bounds: int) -> OpCase:
    def build(counter: Variable) -> Variable:
        return op(counter, *(constant(np.int64(v)) for v in (*bounds, *shape)))

    name = "_".join([op.name, *(str(v) for v in op.attributes().values()), *map(str, shape)])
    return OpCase(name, build, (COUNTER,), grad=False, exact=True, gaussian=False)


def dropouts() -> list[OpCase]:
    cases = []
    for shape in ((3, 5), (0,), (1,), (7, 11, 13), (257,)):
        for dtype in ("float32", "float64"):
            for p, scale in ((0.5, True), (0.5, False), (0.2, True)):
                tag = "_".join(["dropout", *map(str, shape), dtype, str(p), str(scale)])
                op = Dropout(9, 1, p, scale)
                # a scale of 2 or 1 rounds nothing
                exact = p == 0.5
                cases.append(
                    OpCase(
                        tag,
                        op,
                        (Spec(shape, dtype), COUNTER),
                        exact=exact,
                        grad=(0,) if any(shape) else False,
                    )
                )
    return cases


CASES = [
    *[
        draws(RandomUniform(1, 2, dtype), shape)
        for dtype in ("float32", "float64")
        for shape in ((3, 5), (), (0, 2))
    ],
    *[
        draws(RandomNormal(1, 3, dtype), shape)
        for dtype in ("float32", "float64")
        for shape in ((7, 11), (), (5,))
    ],
    draws(RandomIntegers(1, 4), (5, 7), -3, 10),
    draws(RandomPermutation(1, 5), (31,)),
    draws(RandomPermutation(2**63 + 1, 2**32 - 1), (1000,)),
    *dropouts(),
]
