"""One kernel on one node, outside of any plan: in the emulator with all its checks, or in the core."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symconv.backends.gpu.emulator import EmulatedRuntime, Writes, tracing
from symconv.backends.gpu.runtime import FAULT, THREADS, Array, Work
from symconv.config import config
from symconv.errors import ExecutionError
from symconv.graph import Apply, Kernel, Launch
from symconv.graph.params import pack
from symconv.plan.gpu import source_of

Arrays = list[np.ndarray]
MARGIN = 64  # bytes around an output of a native run
SENTINEL = 0xA5


@dataclass
class EmulatedRun:
    """outputs; writes: who wrote each of their elements; inputs: as they are afterwards."""

    outputs: Arrays
    writes: list[Writes]
    inputs: Arrays


def emulated_run(
    node: Apply,
    kernel: Kernel,
    arrays: Sequence[np.ndarray],
    order: int = 0,
    in_place: tuple[int, int] | None = None,
    shift: int = 0,
    trace: bool = True,
) -> EmulatedRun:
    """All stages of the checked kernel: none may touch what lies outside its arrays.

    The threads of a block, and the blocks, run in `order`. A CPU kernel runs item by item. What is not
    written is NaN, or all ones. in_place: this (output, input) pair shares its memory. shift: every array
    begins that many elements beyond a multiple of 256 bytes. trace=False keeps no `writes`.
    Raises KernelFault, and ExecutionError for a fault in the data.
    """
    runtime = EmulatedRuntime()
    outputs = [np.empty(v.type.dims, v.dtype) for v in node.outputs]
    every = [*map(np.ascontiguousarray, arrays), *outputs]
    memory = [runtime.allocate(max(a.nbytes + shift * a.itemsize, 1), "test") for a in every]
    args = [
        Array(m.address + shift * a.itemsize, a.nbytes, dtype=str(a.dtype)) for m, a in zip(memory, every)
    ]
    if in_place is not None:
        args[len(arrays) + in_place[0]] = args[in_place[1]]
    for place, a in zip(args, every[: len(arrays)]):
        if a.nbytes:
            runtime.upload(place.address, a)
    fault = runtime.allocate(FAULT.itemsize, "fault")
    runtime.upload(fault.address, np.zeros(1, FAULT))
    launch: Launch | None = kernel.launch(node)
    assert launch is not None
    if launch.workspace:
        memory.append(runtime.allocate(launch.workspace, "workspace"))
        args.append(Array(memory[-1].address, launch.workspace))
    places = args[len(arrays) : len(every)]
    writes = [Writes(at.address, a.size, a.itemsize) for at, a in zip(places, outputs)] if trace else []
    threads = 1 if kernel.device == "cpu" else THREADS
    with config(emulator_order=order, emulator_checks=True), tracing(writes):
        while launch is not None:
            if launch.tiles:
                source, entry = source_of(kernel, launch), launch.entry or kernel.entry
                work = Work(
                    source, entry, launch.params, tuple(args), launch.tiles, kernel.tail, launch.shared,
                    threads=threads,
                )  # fmt: skip
                runtime.prepare([work], fault.address)()
            launch = launch.then
    after = [np.array(a, order="C") for a in arrays]
    for place, a in zip(args, (*after, *outputs)):
        if a.nbytes:
            runtime.download(place.address, a)
    found = np.zeros(1, FAULT)
    runtime.download(fault.address, found)
    if found["found"][0]:
        raise ExecutionError(f"{kernel.name}: the kernel reported {found[0]}")
    return EmulatedRun(outputs, writes, after)


def native_run(node: Apply, kernel: Kernel, arrays: Sequence[np.ndarray]) -> tuple[Arrays, list[str]]:
    """(outputs of the compiled CPU kernel, what it did besides): margins around the outputs are watched."""
    from symconv import _core
    from symconv.backends.foreign import number_of

    launch = kernel.launch(node)
    wholes, outputs = [], []
    for v in node.outputs:
        whole = np.full(v.type.nbytes + 2 * MARGIN, SENTINEL, np.uint8)
        inner = whole[MARGIN : MARGIN + v.type.nbytes]
        inner[...] = 0xFF
        wholes.append(whole)
        outputs.append(
            inner.view(v.dtype).reshape(v.type.dims) if v.type.size else np.empty(v.type.dims, v.dtype)
        )
    inputs = [np.array(a, order="C") for a in arrays]
    entry, params = kernel.entry, launch.params
    if launch.code or launch.library:
        entry = "foreign"
        params = pack(
            "ForeignParams",
            number=number_of(launch.code, launch.library, launch.entry),
            items=launch.tiles if any(v.type.size for v in node.outputs) else 0,
            grain=launch.grain,
            workspace=launch.workspace,
            n_in=len(inputs),
            n_out=len(outputs),
            bytes=[a.nbytes for a in (*inputs, *outputs)],
            tail=launch.params,
        )
    _core.call_kernel(entry, params, inputs, outputs)
    besides = []
    for i, whole in enumerate(wholes):
        if (whole[:MARGIN] != SENTINEL).any() or (whole[-MARGIN:] != SENTINEL).any():
            besides.append(f"it wrote beside output {i}")
    for i, (before, after) in enumerate(zip(arrays, inputs)):
        if np.ascontiguousarray(before).tobytes() != after.tobytes():
            besides.append(f"it changed input {i}")
    return outputs, besides


def evaluated_inputs(node: Apply, variables: Sequence[Any], arrays: Sequence[np.ndarray]) -> Arrays:
    """What `node` gets when the graph's inputs have these values."""
    from symconv.backends.reference import evaluate

    return evaluate(node.inputs, dict(zip(variables, arrays)))
