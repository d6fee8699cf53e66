"""Copy: the identity as a node of its own, where a value must be written to a second place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from symconv.graph import Op, TensorType, Variable


@dataclass(frozen=True)
class Copy(Op):
    """out = x, in memory of its own; `slot` keeps copies apart that go to different places."""

    slot: int = 0
    name = "copy"
    operands = ("x",)

    def infer(self, x: Variable) -> TensorType:
        return x.type

    def reference(self, x: np.ndarray) -> np.ndarray:
        return x.copy()
