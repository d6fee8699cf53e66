"""Single operators in symconv: results go into shared variables, many steps in one call of loop(), or come
back from every call as new arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.opcases import CHAIN, OpCase
from benchmarks.peers.base import OpRunner


def configs(case: OpCase) -> list[str]:
    return [] if case.kind == "copy" else ["loop", "call"]


def expressions(case: OpCase, inputs: list[Any]) -> list[Any]:
    """The case's outputs; gradients come from grad(), as a user would write them."""
    import symconv as sc

    x = inputs[0]
    if case.kind == "chain":
        a, b, c, d = CHAIN
        return [sc.sigmoid(x * a + b) * c + d]
    if case.kind == "sgemm":
        return [sc.dot(*inputs)]
    if case.kind == "softmax_xent":
        cost = -sc.mean(sc.log(sc.softmax(x))[sc.arange(case.shape[0]), inputs[1]])
        return [cost, sc.grad(cost, x)]
    if case.kind == "max_pool":
        return [sc.max_pool2d(x, 2)]
    if case.kind == "max_pool_both":
        y, dy = sc.max_pool2d(x, 2), inputs[1]
        return [y, sc.grad(None, x, known_grads={y: dy})]
    if case.kind == "conv_forward":
        return [conv(case, *inputs)]
    if case.kind == "conv_dgrad":
        # linear in x: its value does not matter, and no kernel reads it
        x = sc.shared(np.zeros(case.shape[:4], "float32"))
        return [sc.grad(None, x, known_grads={conv(case, x, inputs[1]): inputs[0]})]
    w = sc.shared(np.zeros(case.w_shape, "float32"))
    return [sc.grad(None, w, known_grads={conv(case, x, w): inputs[1]})]


def conv(case: OpCase, x: Any, w: Any) -> Any:
    import symconv as sc

    return sc.conv2d(x, w, stride=case.stride, padding=case.padding, groups=case.groups)


class SymconvOp(OpRunner):
    def __init__(self, case: OpCase, config: str) -> None:
        import symconv as sc

        results = expressions(case, [sc.shared(a) for a in case.inputs()])
        self.looped = config == "loop"
        if self.looped:
            shapes = case.output_shapes
            self.out = [sc.shared(np.zeros(s, "float32"), name=f"out{i}") for i, s in enumerate(shapes)]
            self.f = sc.function([], None, updates=list(zip(self.out, results)))
        else:
            self.f = sc.function([], results)

    def run(self, n: int) -> None:
        if self.looped:
            self.f.loop(n)
        else:
            f = self.f
            for _ in range(n):
                f()

    def output(self) -> list[np.ndarray]:
        if self.looped:
            self.f()
            return [o.get_value() for o in self.out]
        return list(self.f())
