"""Element-wise fusion: several element-wise ops run as one node, without storing what lies between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symconv.errors import GradientError
from symconv.graph import Apply, Op, TensorType, Variable, op_error
from symconv.ops.elementwise_base import Elementwise
from symconv.ops.elementwise_cuda import ELEMENTWISE_CUDA
from symconv.ops.elementwise_kernel import ELEMENTWISE, Program


@dataclass(frozen=True)
class FusedElementwise(Op):
    """v = [inputs..., r0, r1, ...] with r_i = op_i(v[args]...); the outputs are r[k] for k in `outputs`.

    program: one (element-wise op, indices into v) per instruction, each reading only what stands before
    it. All outputs span the shape to which the inputs broadcast. Made by the fusion pass, after
    gradients have been taken.
    """

    program: Program
    outputs: tuple[int, ...] = (0,)
    name = "fused"
    kernels = [ELEMENTWISE, ELEMENTWISE_CUDA]

    def infer(self, *inputs: Variable) -> TensorType | tuple[TensorType, ...]:
        values: list[Any] = list(inputs)
        for i, (op, args) in enumerate(self.program):
            if not isinstance(op, Elementwise) or min(args) < 0 or max(args) >= len(values):
                raise op_error(self, inputs, f"instruction {i} is no element-wise op on earlier values")
            values.append(Variable(op.infer(*[values[a] for a in args])))
        if not self.outputs or any(not 0 <= k < len(self.program) for k in self.outputs):
            raise op_error(self, inputs, f"outputs {self.outputs} are not results of the program")
        types = tuple([values[len(inputs) + k].type for k in self.outputs])
        if len(set(self.outputs)) != len(types) or len({t.shape for t in types}) > 1:
            raise op_error(
                self, inputs, f"outputs {', '.join(map(str, types))} must be distinct, of one shape"
            )
        return types[0] if len(types) == 1 else types

    def reference(self, *arrays: np.ndarray) -> np.ndarray | tuple[np.ndarray, ...]:
        values = list(arrays)
        for op, args in self.program:
            values.append(op.reference(*(values[a] for a in args)))
        results = tuple(values[len(arrays) + k] for k in self.outputs)
        return results[0] if len(results) == 1 else results

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        raise GradientError(
            f"{self.label()} from {node.origin} was fused by the compiler and has no gradient of its own\n"
            "  hint: take gradients of the expression you wrote, before function() compiles it"
        )

    def flops(self, node: Apply) -> int:
        return node.out.type.size * len(self.program)

    def label(self) -> str:
        return f"fused{{{', '.join(op.label() for op, _ in self.program)}}}"
