"""Runs one CUDA kernel, by its descriptor, in the emulator."""

from __future__ import annotations

import numpy as np

from symconv.backends.gpu.emulator import EmulatedRuntime
from symconv.backends.gpu.runtime import FAULT, Array, Work
from symconv.config import config
from symconv.graph import Apply, Kernel, Launch
from symconv.plan.gpu import Source


def run_cuda_kernel(node: Apply, kernel: Kernel, *arrays: np.ndarray, order: int = 0) -> list[np.ndarray]:
    """The outputs of all stages of the kernel. What it leaves unwritten is NaN, or the largest integer.

    The emulator's checks are on: what lies outside an array may not be touched.
    """
    runtime = EmulatedRuntime()
    results = [np.empty(v.type.dims, v.dtype) for v in node.outputs]
    memory = [runtime.allocate(max(a.nbytes, 1), "test") for a in (*arrays, *results)]
    for m, a in zip(memory, arrays):
        runtime.upload(m.address, np.ascontiguousarray(a))
    fault = runtime.allocate(FAULT.itemsize, "fault")
    runtime.upload(fault.address, np.zeros(1, FAULT))
    args = [Array(m.address, a.nbytes) for m, a in zip(memory, (*arrays, *results))]
    launch: Launch | None = kernel.launch(node)
    assert launch is not None
    if launch.workspace:
        memory.append(runtime.allocate(launch.workspace, "workspace"))
        args.append(Array(memory[-1].address, launch.workspace))
    with config(emulator_order=order, emulator_checks=True):
        while launch is not None:
            code = launch.code
            source = Source(code=code) if code else Source(kernel.source[8:], defines=kernel.defines)
            entry = launch.entry or kernel.entry
            if launch.tiles:
                work = Work(
                    source, entry, launch.params, tuple(args), launch.tiles, kernel.tail, launch.shared
                )  # fmt: skip
                runtime.prepare([work], fault.address)()
            launch = launch.then
    for m, a in zip(memory[len(arrays) :], results):
        runtime.download(m.address, a)
    return results
