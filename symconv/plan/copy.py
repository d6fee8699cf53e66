"""Copy: the identity as a node of its own, where a value must be written to a second place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from symconv.graph import Apply, Kernel, Launch, Op, TensorType, Variable
from symconv.graph.params import pack
from symconv.ops.move_cuda import copy_launch


def _launch(node: Apply) -> Launch:
    type_ = node.out.type
    params = pack(
        "StridedCopyParams",
        ndim=1,
        itemsize=type_.itemsize,
        in_offset=0,
        out_offset=0,
        shape=[type_.size] + [1] * 7,
        in_stride=[1] + [0] * 7,
        out_stride=[1] + [0] * 7,
    )
    return Launch(params)


COPY = Kernel("contiguous_copy", "cpu", "csrc/kernels/copy.cpp", "strided_copy", lambda node: None, _launch)
COPY_CUDA = Kernel("contiguous_copy", "cuda", "kernels/copy.cu", "move", lambda node: None, copy_launch)


@dataclass(frozen=True)
class Copy(Op):
    """out = x, in memory of its own; `slot` keeps copies apart that go to different places."""

    slot: int = 0
    name = "copy"
    operands = ("x",)
    kernels = [COPY, COPY_CUDA]

    def infer(self, x: Variable) -> TensorType:
        return x.type

    def reference(self, x: np.ndarray) -> np.ndarray:
        return x.copy()
