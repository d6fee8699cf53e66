"""Runs one CUDA kernel, by its descriptor, in the emulator."""

from __future__ import annotations

import numpy as np

from symconv.backends.gpu.emulator import EmulatedRuntime
from symconv.backends.gpu.runtime import FAULT, Array, Work
from symconv.config import config
from symconv.errors import ExecutionError
from symconv.graph import Apply, Kernel, Launch, Op
from symconv.ops.leaf import tensor
from symconv.plan.gpu import source_of


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
    """The outputs of all stages of the kernel. What it leaves unwritten is NaN, or the largest integer.

    in_place: output 0 lies over input 0. shift: every array begins that many elements beyond a multiple of
    256 bytes. The emulator's checks are on: what lies outside an array may not be touched. The inputs must
    come back as they were. Raises ExecutionError for a fault in the data.
    """
    runtime = EmulatedRuntime()
    results = [np.empty(v.type.dims, v.dtype) for v in node.outputs]
    memory = [runtime.allocate(a.nbytes + shift * a.itemsize + 1, "test") for a in (*arrays, *results)]
    args = [Array(m.address + shift * a.itemsize, a.nbytes) for m, a in zip(memory, (*arrays, *results))]
    if in_place:
        args[len(arrays)] = args[0]
    for place, a in zip(args, arrays):
        runtime.upload(place.address, np.ascontiguousarray(a))
    fault = runtime.allocate(FAULT.itemsize, "fault")
    runtime.upload(fault.address, np.zeros(1, FAULT))
    launch: Launch | None = kernel.launch(node)
    assert launch is not None
    if launch.workspace:
        memory.append(runtime.allocate(launch.workspace, "workspace"))
        args.append(Array(memory[-1].address, launch.workspace))
    with config(emulator_order=order, emulator_checks=True):
        while launch is not None:
            source = source_of(kernel, launch)
            entry = launch.entry or kernel.entry
            if launch.tiles:
                work = Work(
                    source, entry, launch.params, tuple(args), launch.tiles, kernel.tail, launch.shared
                )  # fmt: skip
                runtime.prepare([work], fault.address)()
            launch = launch.then
    for place, a in zip(args[len(arrays) :], results):
        runtime.download(place.address, a)
    for i, (place, a) in enumerate(zip(args, arrays)):
        after = np.empty_like(np.ascontiguousarray(a))
        runtime.download(place.address, after)
        assert (in_place and i == 0) or after.tobytes() == a.tobytes(), f"{kernel.name} wrote to input {i}"
    found = np.zeros(1, FAULT)
    runtime.download(fault.address, found)
    if found["found"][0]:
        raise ExecutionError(f"{kernel.name}: {found[0]}")
    return results
