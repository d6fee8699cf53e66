"""Runs one CUDA kernel, by its descriptor, in the emulator."""

from __future__ import annotations

import numpy as np

from symconv.graph import Apply, Kernel, Op
from symconv.ops.leaf import tensor
from symconv.workbench.runs import emulated_run


def node_of(op: Op, *arrays: np.ndarray) -> Apply:
    return op.make(*(tensor(str(a.dtype), a.shape) for a in arrays))


def chosen(node: Apply) -> Kernel:
    """The CUDA kernel that the node gets."""
    return next(k for k in node.op.kernels if k.device == "cuda" and k.supports(node) is None)


def kernel_named(node: Apply, name: str) -> Kernel:
    """The CUDA kernel of that name, for the node's dtype where there is one for each."""
    named = [k for k in node.op.kernels if k.device == "cuda" and k.name == name]
    suffix = "_f64" if node.out.dtype == "float64" else "_f32"
    return next((k for k in named if k.entry.endswith(suffix)), named[0])


def run_cuda_kernel(
    node: Apply, kernel: Kernel, *arrays: np.ndarray, order: int = 0, in_place: bool = False, shift: int = 0
) -> list[np.ndarray]:
    """The outputs of emulated_run; output 0 may lie over input 0. Inputs must come back as they were."""
    pair = (0, 0) if in_place else None
    run = emulated_run(node, kernel, arrays, order, pair, shift, trace=False)
    for i, (before, after) in enumerate(zip(arrays, run.inputs)):
        assert (in_place and i == 0) or after.tobytes() == before.tobytes(), (
            f"{kernel.name} wrote to input {i}"
        )
    return run.outputs
