"""Runs a Plan on a GPU or its emulator: arrays in device memory, launches in order, states that stay."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from symconv.backends.executable import Progress
from symconv.backends.gpu.runtime import FAULT, Array, Memory, Runtime, Source, Work
from symconv.backends.reference import run_reference
from symconv.errors import ExecutionError, MemoryLimitError
from symconv.graph import Launch, SharedVariable
from symconv.graph.function_graph import FunctionGraph
from symconv.graph.params import pack
from symconv.plan.build import build_plan
from symconv.plan.plan import Buffer, Step

CONTROL = Source("control.cu")
WORD = 8  # bytes of an address


class DeviceValue:
    """A shared variable's value in device memory (SharedVariable.mirror)."""

    def __init__(self, runtime: Runtime, shape: tuple[int, ...], nbytes: int, what: str) -> None:
        self.runtime = runtime
        self.shape = shape
        self.memory = runtime.allocate(nbytes, what)
        self.device_newer = False
        self.host_newer = True

    def fetch(self, into: np.ndarray) -> None:
        if self.device_newer:
            self.runtime.download(self.memory.address, into)
            self.device_newer = False

    def forget(self) -> None:
        self.host_newer, self.device_newer = True, False


class GpuExecutable:
    """A graph planned for CUDA kernels.

    Inputs, outputs and the states' memory are reached through words in device memory, which `advance` moves
    from step to step of a loop; all else has fixed addresses.
    """

    def __init__(
        self, graph: FunctionGraph, shared: Sequence[SharedVariable], device: str, passes: Sequence[Any] = ()
    ) -> None:
        self.graph = graph
        self.shared = list(shared)
        self.runtime = runtime_of(device)
        self.plan = build_plan(graph, device, None, passes)
        self._written = {i for i, _ in graph.updates}
        self._allocate()
        self._units = self._compile()

    # ---- memory

    def _allocate(self) -> None:
        plan, runtime = self.plan, self.runtime
        try:
            self._arena = runtime.allocate(max(plan.arena_bytes, 1), "the arena of intermediate values")
        except MemoryLimitError as error:
            largest = sorted((b for b in plan.buffers if b.kind == "arena"), key=lambda b: -b.type.nbytes)[:3]
            rows = "".join(f"\n  {b.type} {b.type.nbytes:,} bytes: {b.label}" for b in largest)
            raise MemoryLimitError(f"{error}{rows}") from None
        workspace = max((s.launch.workspace for s in plan.steps), default=0)
        self._workspace = runtime.allocate(max(workspace, 1), "the workspace of the kernels")
        constants = [b for b in plan.buffers if b.kind == "constant"]
        places = np.cumsum([0] + [-(-b.type.nbytes // 256) * 256 for b in constants])
        self._constants = runtime.allocate(max(int(places[-1]), 1), "the constants")
        at = {id(b): self._constants.address + int(p) for b, p in zip(constants, places)}
        for b in constants:
            if b.type.nbytes:
                runtime.upload(at[id(b)], np.ascontiguousarray(b.data))
        self._external = [i for i, b in enumerate(plan.buffers) if b.kind in ("input", "state", "output")]
        dynamic = self._dynamic_views()
        # words: the addresses of external buffers, then those of views that are resolved on the device
        numbers = [*self._external, *dynamic]
        self._words = runtime.allocate(max(WORD * len(numbers), 1), "the addresses")
        word = {n: self._words.address + WORD * k for k, n in enumerate(numbers)}
        self._strides = runtime.allocate(max(WORD * len(self._external), 1), "the strides")
        self._fault = runtime.allocate(FAULT.itemsize, "the fault")
        runtime.upload(self._fault.address, np.zeros(1, FAULT))
        self.arrays: list[Array] = []
        for i, b in enumerate(plan.buffers):
            if i in word:
                self.arrays.append(Array(word[i], b.type.nbytes, True))
            elif b.kind == "arena":
                self.arrays.append(Array(self._arena.address + b.offset, b.type.nbytes))
            elif b.kind == "constant":
                self.arrays.append(Array(at[id(b)], b.type.nbytes))
            else:
                self.arrays.append(Array(self.arrays[b.base].address + b.offset, b.type.nbytes))
        self._io: dict[tuple[str, int], Memory] = {}

    def _dynamic_views(self) -> list[int]:
        """Views whose address the device works out: their start is computed, or their base moves."""
        dynamic: list[int] = []
        for i, b in enumerate(self.plan.buffers):
            moving = b.kind == "view" and (b.base in dynamic or self._is_external(b.base))
            if b.kind == "view" and (b.start >= 0 or moving):
                dynamic.append(i)
        return dynamic

    def _is_external(self, number: int) -> bool:
        return self.plan.buffers[number].kind in ("input", "state", "output")

    def _device_input(self, kind: str, slot: int, nbytes: int) -> Memory:
        """Memory for what goes in or comes out, kept for the next run."""
        memory = self._io.get((kind, slot))
        if memory is None or memory.nbytes < nbytes:
            memory = self._io[kind, slot] = self.runtime.allocate(max(nbytes, 1), f"{kind} {slot}")
        return memory

    def _states(self) -> list[int]:
        """Addresses of the states, uploaded where the host's value is newer."""
        addresses = []
        for s, v in zip(self.shared, self.graph.states):
            value = s.mirror
            if not (
                isinstance(value, DeviceValue)
                and value.runtime is self.runtime
                and value.shape == v.type.shape
            ):
                host = s.get_value(borrow=True)
                value = DeviceValue(self.runtime, v.type.dims, max(host.nbytes, 1), f"shared {s}")
                s.mirror = value
            if value.host_newer:
                host = np.ascontiguousarray(s.get_value(borrow=True))
                if host.nbytes:
                    self.runtime.upload(value.memory.address, host)
                value.host_newer = False
            addresses.append(value.memory.address)
        return addresses

    # ---- launches

    def _compile(self) -> list[Any]:
        """Runs of launches, and calls of the reference between them."""
        units: list[Any] = []
        works: list[Work] = []

        def flush() -> None:
            if works:
                units.append(self.runtime.prepare(works, self._fault.address))
                works.clear()

        resolved_after: dict[int, list[int]] = {}
        for number in self._dynamic_views():
            b = self.plan.buffers[number]
            if b.start < 0:
                resolved_after.setdefault(b.base, []).append(number)

        def follow(number: int, step: int) -> None:
            for view in resolved_after.get(number, ()):
                works.append(self._resolve(view, step))
                follow(view, step)

        for number in self._external:
            follow(number, -1)
        for k, step in enumerate(self.plan.steps):
            if step.kind == "view":
                works.append(self._resolve(step.outputs[0], k))
                follow(step.outputs[0], k)
            elif step.kernel is not None:
                if any(self.plan.buffers[o].type.size for o in step.outputs) and step.launch.tiles:
                    works.extend(self._launches(step, k))
            else:
                flush()
                units.append(self._reference_call(step))
        flush()
        n = len(self._external)
        words, strides = Array(self._words.address, WORD * n), Array(self._strides.address, WORD * n)
        advance = Work(
            CONTROL, "advance", pack("AdvanceParams", n=n), False, (strides, words), -(-n // 256), 0, -1
        )  # fmt: skip
        self._advance = self.runtime.prepare([advance], self._fault.address)
        return units

    def _launches(self, step: Step, number: int) -> Iterator[Work]:
        """The stages of a step, in order."""
        assert step.kernel is not None
        kernel = step.kernel
        args = tuple(self.arrays[i] for i in (*step.inputs, *step.outputs))
        if step.launch.workspace:
            args += (Array(self._workspace.address, step.launch.workspace),)
        launch: Launch | None = step.launch
        while launch is not None:
            if launch.code:
                source = Source(code=launch.code)
            else:
                source = Source(kernel.source.removeprefix("kernels/"), defines=kernel.defines)
            entry = launch.entry or kernel.entry
            yield Work(source, entry, launch.params, kernel.tail, args, launch.tiles, launch.shared, number)
            launch = launch.then

    def _resolve(self, number: int, step: int) -> Work:
        b = self.plan.buffers[number]
        base = self.arrays[b.base]
        last = (base.nbytes - b.offset - b.type.nbytes) // b.stride if b.start >= 0 else 0
        params = pack(
            "ResolveParams", offset=b.offset, stride=b.stride, last=last, has_start=int(b.start >= 0)
        )
        start = self.arrays[b.start] if b.start >= 0 else base
        word = Array(self.arrays[number].address, WORD)
        return Work(CONTROL, "resolve", params, False, (base, start, word), 1, 0, step)

    def _reference_call(self, step: Step) -> Callable[[], None]:
        """The node on the host: its operands are brought there and its results back."""
        runtime, buffers = self.runtime, self.plan.buffers

        def fetch(number: int) -> np.ndarray:
            b: Buffer = buffers[number]
            if b.data is not None:
                return b.data
            array = np.empty(b.type.dims, b.type.dtype)
            if array.nbytes:
                runtime.download(self._address(number), array)
            return array

        def call() -> None:
            results = run_reference(step.node, [fetch(i) for i in step.inputs])
            for number, value in zip(step.outputs, results):
                b = buffers[number]
                value = np.ascontiguousarray(np.broadcast_to(value, b.type.dims), b.type.dtype)
                if value.nbytes:
                    runtime.upload(self._address(number), value)

        return call

    def _address(self, number: int) -> int:
        array = self.arrays[number]
        if not array.word:
            return array.address
        word = np.empty(1, np.int64)
        self.runtime.download(array.address, word)
        return int(word[0])

    # ---- running

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [a[0] for a in self._execute(1, [a[None] for a in inputs], True, None)]

    def run_many(
        self, n: int, inputs: Sequence[np.ndarray], mapped: bool, progress: Progress | None = None
    ) -> list[np.ndarray]:
        if n == 0:
            return [np.empty((0, *v.type.dims), v.dtype) for v in self.graph.outputs]
        return self._execute(n, [a if mapped else a[None] for a in inputs], mapped, progress)

    def _execute(
        self, n: int, inputs: Sequence[np.ndarray], mapped: bool, progress: Progress | None
    ) -> list[np.ndarray]:
        runtime = self.runtime
        outputs = [np.empty((n, *v.type.dims), v.dtype) for v in self.graph.outputs]
        states = self._states()
        words, strides = np.zeros((2, len(self._external)), np.int64)
        for k, number in enumerate(self._external):
            b = self.plan.buffers[number]
            if b.kind == "state":
                words[k] = states[b.slot]
                continue
            array = np.ascontiguousarray(inputs[b.slot]) if b.kind == "input" else outputs[b.slot]
            memory = self._device_input(b.kind, b.slot, array.nbytes)
            words[k] = memory.address
            strides[k] = b.type.nbytes if b.kind == "output" or mapped else 0
            if b.kind == "input" and array.nbytes:
                runtime.upload(memory.address, array)
        if len(words):
            runtime.upload(self._words.address, words)
            runtime.upload(self._strides.address, strides)
        for i in range(n):
            for unit in self._units:
                if callable(unit):
                    unit()
                else:
                    runtime.launch(unit)
            if n > 1:
                runtime.launch(self._advance)
            if progress is not None:
                progress(i + 1)
        for i in self._written:
            value = self.shared[i].mirror
            assert isinstance(value, DeviceValue)
            value.device_newer = True
        for slot, array in enumerate(outputs):
            if array.nbytes:
                runtime.download(self._io["output", slot].address, array)
        self._check_fault()
        return outputs

    def _check_fault(self) -> None:
        fault = np.zeros(1, FAULT)
        self.runtime.download(self._fault.address, fault)
        if not fault["found"][0]:
            return
        self.runtime.upload(self._fault.address, np.zeros(1, FAULT))
        _, step, index, at, limit = fault[0].tolist()
        label = self.plan.steps[step].label if step >= 0 else "a view"
        raise ExecutionError(f"{label}: index {index} (element {at}) is outside 0 to {limit - 1}")


def runtime_of(device: str) -> Runtime:
    """The one runtime of a device."""
    if device not in _runtimes:
        if device == "emulated":
            from symconv.backends.gpu.emulator import EmulatedRuntime

            _runtimes[device] = EmulatedRuntime()
        else:
            from symconv.backends.gpu.cuda import CudaRuntime

            _runtimes[device] = CudaRuntime()
    return _runtimes[device]


_runtimes: dict[str, Runtime] = {}
