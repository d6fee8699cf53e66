"""Runs a Plan on a GPU or its emulator: arrays in device memory, launches in order, states that stay."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from symconv.backends.executable import Progress, Timing
from symconv.backends.gpu.clock import LaunchClock
from symconv.backends.gpu.interop import DeviceArray
from symconv.backends.gpu.persistent import persistent_source
from symconv.backends.gpu.runtime import FAULT, Array, Memory, Runtime, Work
from symconv.backends.reference import run_reference
from symconv.config import config
from symconv.errors import ExecutionError, MemoryLimitError
from symconv.graph import SharedVariable
from symconv.graph.function_graph import FunctionGraph
from symconv.graph.params import pack
from symconv.plan.build import build_plan
from symconv.plan.explain import explain_largest, explain_plan, operands_of
from symconv.plan.gpu import (
    WORD,
    GpuLaunch,
    HostStep,
    Operand,
    choose_executor,
    explain_program,
    gpu_program,
    word_of,
)
from symconv.rewrite.pipeline import Stage

CHUNK = 5000  # steps of a loop without a look at Ctrl-C and faults; with progress reports, a twentieth of all
UNROLL = 10  # steps in the larger of a loop's two graphs


class DeviceValue:
    """A shared variable's value in device memory (SharedVariable.mirror)."""

    def __init__(self, runtime: Runtime, shape: tuple[int, ...], nbytes: int, what: str) -> None:
        self.runtime = runtime
        self.shape = shape
        self.memory = runtime.allocate(max(nbytes, 1), what)
        self.device_newer = False
        self.host_newer = True

    def fetch(self, into: np.ndarray) -> None:
        if self.device_newer:
            if into.nbytes:
                self.runtime.download(self.memory.address, into)
            self.device_newer = False

    def forget(self) -> None:
        self.host_newer, self.device_newer = True, False


class GpuExecutable:
    """A graph planned for CUDA kernels.

    Inputs and outputs are reached through words in device memory, which `advance` moves from step to step of
    a loop; all else has fixed addresses. States stay in device memory until somebody asks for their values.
    """

    stages: Sequence[Stage] = ()

    def __init__(
        self, graph: FunctionGraph, shared: Sequence[SharedVariable], device: str, passes: Sequence[Any] = ()
    ) -> None:
        self.graph = graph
        self.shared = list(shared)
        self.runtime = runtime_of(device)
        if config.autotune == "on" and device == "cuda":
            from symconv.backends.tune import tune_graph  # which stands on this module

            tune_graph(graph, device)
        self.plan = build_plan(graph, device, None, passes)
        self.program = gpu_program(self.plan)
        wanted = config.gpu_executor
        if wanted == "auto" and device == "emulated":
            wanted = "kernels"  # each is compiled once and for all, a persistent kernel for every plan
        self.choice = choose_executor(self.program, wanted)
        self._written = {i for i, _ in graph.updates}
        self._io: dict[tuple[str, int], Memory] = {}
        self._state_addresses: list[int] = []
        self._launch: Callable[[int], None] | None = None
        self._clock: LaunchClock | None = None
        self._profiling = False
        self._allocate()

    def explain(self) -> str:
        return f"{explain_plan(self.plan)}\n{explain_program(self.program, self.choice)}"

    # ---- memory

    def _allocate(self) -> None:
        plan, program, runtime = self.plan, self.program, self.runtime
        try:
            self._arena = runtime.allocate(max(plan.arena_bytes, 1), "the arena of intermediate values")
            self._workspace = runtime.allocate(max(program.workspace, 1), "the workspace of the kernels")
        except MemoryLimitError as error:
            raise MemoryLimitError(f"{error}{explain_largest(plan)}") from None
        constants = [(i, b) for i, b in enumerate(plan.buffers) if b.kind == "constant"]
        places = np.cumsum([0] + [-(-b.type.nbytes // 256) * 256 for _, b in constants])
        self._constants = runtime.allocate(max(int(places[-1]), 1), "the constants")
        self._constant_at = {i: self._constants.address + int(p) for (i, _), p in zip(constants, places)}
        for i, b in constants:
            if b.type.nbytes:
                runtime.upload(self._constant_at[i], np.ascontiguousarray(b.data))
        self._words = runtime.allocate(max(WORD * len(program.words), 1), "the addresses")
        self._word_at = {n: self._words.address + WORD * k for k, n in enumerate(program.words)}
        self._strides = runtime.allocate(max(WORD * program.moving, 1), "the strides")
        self._fault = runtime.allocate(FAULT.itemsize, "the fault")
        runtime.upload(self._fault.address, np.zeros(1, FAULT))

    def _array(self, operand: Operand) -> Array:
        if operand.kind == "workspace":
            return Array(self._workspace.address + operand.number, operand.nbytes)
        if operand.kind == "word":
            return Array(self._word_at[operand.number], operand.nbytes)
        if operand.kind != "buffer":
            memory = self._words if operand.kind == "words" else self._strides
            return Array(memory.address, operand.nbytes)
        word, dtype = word_of(self.plan, operand.number), self.plan.buffers[operand.number].type.dtype
        if word is not None:
            return Array(self._word_at[word], operand.nbytes, True, dtype)
        return Array(self._fixed(operand.number), operand.nbytes, False, dtype)

    def _fixed(self, number: int) -> int:
        """The address of a buffer that has no word."""
        b = self.plan.buffers[number]
        if b.kind == "arena":
            return self._arena.address + b.offset
        if b.kind == "constant":
            return self._constant_at[number]
        if b.kind == "state":
            return self._state_addresses[b.slot]
        return self._fixed(b.base) + b.offset

    def _address(self, number: int) -> int:
        """The present address of any buffer, for the host."""
        word = word_of(self.plan, number)
        if word is None:
            return self._fixed(number)
        value = np.empty(1, np.int64)
        self.runtime.download(self._word_at[word], value)
        return int(value[0])

    def fetch(self, number: int) -> np.ndarray:
        """What a buffer holds now, on the host."""
        b = self.plan.buffers[number]
        if b.data is not None:
            return b.data
        array = np.empty(b.type.dims, b.type.dtype)
        if array.nbytes:
            self.runtime.download(self._address(number), array)
        return array

    def _io_memory(self, kind: str, slot: int, nbytes: int) -> Memory:
        """Memory for what goes in or comes out, kept for the next run."""
        memory = self._io.get((kind, slot))
        if memory is None or memory.nbytes < nbytes:
            memory = self._io[kind, slot] = self.runtime.allocate(max(nbytes, 1), f"{kind} {slot}")
        return memory

    def _bring_states(self) -> list[int]:
        """Addresses of the states, uploaded where the host's value is newer."""
        addresses = []
        for s, v in zip(self.shared, self.graph.states):
            value = s.mirror
            known = isinstance(value, DeviceValue) and value.runtime is self.runtime
            if not known or value.shape != v.type.dims:  # type: ignore[union-attr]
                host = s.get_value(borrow=True)
                value = DeviceValue(self.runtime, v.type.dims, host.nbytes, f"shared {s}")
                s.mirror = value
            assert isinstance(value, DeviceValue)
            if value.host_newer:
                host = np.ascontiguousarray(s.get_value(borrow=True))
                if host.nbytes:
                    self.runtime.upload(value.memory.address, host)
                value.host_newer = False
            addresses.append(value.memory.address)
        return addresses

    # ---- launches

    def profile(self, on: bool, stamps: int = 0) -> None:
        if on:
            self._clock = LaunchClock(self.program, self.choice.name, stamps)
        self._profiling = on
        self._launch = None

    def timing(self) -> Timing:
        return (self._clock or LaunchClock(self.program, self.choice.name, 0)).timing()

    def _compile(self) -> Callable[[int], None]:
        """launch(n): n executions with the present addresses of the states."""
        if self._profiling and self._clock is not None:
            return self._clock.launcher(self.runtime, self._work, self._host_call, self._fault.address)
        if self.choice.name == "persistent":
            return self._compile_persistent()
        launches = self.program.round
        units: list[Callable[[], None]] = []
        works: list[Work] = []
        for launch in launches:
            if isinstance(launch, GpuLaunch):
                works.append(self._work(launch))
                continue
            if works:
                units.append(self.runtime.prepare(works, self._fault.address))
                works = []
            units.append(self._host_call(launch))
        if works:
            units.append(self.runtime.prepare(works, self._fault.address))

        def run(n: int) -> None:
            for _ in range(n):
                for unit in units:
                    unit()

        return self._captured(run) if self.choice.name == "graph" and units else run

    def _captured(self, run: Callable[[int], None]) -> Callable[[int], None]:
        one, many = (self.runtime.capture(partial(run, n)) for n in (1, UNROLL))

        def launch(n: int) -> None:
            for _ in range(n // UNROLL):
                many()
            for _ in range(n % UNROLL):
                one()

        return launch

    def _work(self, launch: GpuLaunch) -> Work:
        label = self.plan.steps[launch.step].label if launch.step >= 0 else ""
        args = tuple(map(self._array, launch.operands))
        return Work(
            launch.source, launch.entry, launch.params, args, launch.tiles, launch.tail, launch.shared,
            launch.step, wanted_by=label,
        )  # fmt: skip

    def _compile_persistent(self) -> Callable[[int], None]:
        source, shared = persistent_source(self.program, self.choice.phases)
        runtime = self.runtime
        rows = [
            runtime.args_row(tuple(map(self._array, x.operands)), self._fault.address, x.step)
            for x in self.program.sequence
        ]
        table = np.frombuffer(b"".join(rows), np.uint8)
        self._table = runtime.allocate(max(table.nbytes, 1), "the table of arrays")
        if table.nbytes:
            runtime.upload(self._table.address, table)
        self._barrier = runtime.allocate(WORD, "the barrier of the grid")
        runtime.upload(self._barrier.address, np.zeros(1, np.int64))
        self._count = runtime.allocate(WORD, "the number of steps")
        blocks = runtime.grid_blocks
        memories = (self._table, self._barrier, self._count)
        args = tuple(Array(m.address, m.nbytes) for m in memories)
        work = Work(source, "whole_plan", pack("AdvanceParams", n=0), args, blocks, shared=shared, grid=True)
        call = runtime.prepare([work], self._fault.address)

        def run(n: int) -> None:
            runtime.upload(self._count.address, np.array([n], np.int64))
            call()

        return run

    def _host_call(self, host: HostStep) -> Callable[[], None]:
        """The node on the host: its operands are brought there and its results back."""
        runtime, buffers, step = self.runtime, self.plan.buffers, self.plan.steps[host.step]

        def call() -> None:
            results = run_reference(step.node, [self.fetch(i) for i in step.inputs])
            for number, value in zip(step.outputs, results):
                b = buffers[number]
                value = np.ascontiguousarray(np.broadcast_to(value, b.type.dims), b.type.dtype)
                if value.nbytes:
                    runtime.upload(self._address(number), value)

        return call

    # ---- running

    def run(self, inputs: Sequence[Any]) -> list[np.ndarray]:
        return [a.numpy()[0] for a in self._execute(1, inputs, False, None)]

    def run_on_device(self, inputs: Sequence[Any]) -> list[DeviceArray]:
        """The outputs as arrays in device memory, each in memory of its own."""
        return [a[0] for a in self._execute(1, inputs, False, None, keep=True)]

    def run_many(
        self, n: int, inputs: Sequence[Any], mapped: bool, progress: Progress | None = None
    ) -> list[np.ndarray]:
        if n == 0:
            return [np.empty((0, *v.type.dims), v.dtype) for v in self.graph.outputs]
        return [a.numpy() for a in self._execute(n, inputs, mapped, progress)]

    def _execute(
        self, n: int, inputs: Sequence[Any], mapped: bool, progress: Progress | None, keep: bool = False
    ) -> list[DeviceArray]:
        """Stacked outputs in device memory; without `keep`, in memory that the next run takes again."""
        runtime = self.runtime
        outputs = self._outputs(n, keep)
        shares = keep or any(isinstance(a, DeviceArray) for a in inputs)
        if shares:
            runtime.follow_caller()
        addresses = self._bring_states()
        launch = self._launch
        if launch is None or addresses != self._state_addresses:
            self._state_addresses = addresses
            launch = self._launch = self._compile()
        self._place(inputs, outputs, mapped)
        done = 0
        try:
            while done < n:
                chunk = CHUNK if progress is None else max(1, min(CHUNK, n // 20))
                count = min(chunk, n - done)
                launch(count)
                runtime.wait()
                self._check_fault()
                done += count
                if progress is not None:
                    progress(done)
        finally:
            for i in self._written:
                value = self.shared[i].mirror
                assert isinstance(value, DeviceValue)
                value.device_newer = True
        if shares:
            runtime.lead_caller()
        return outputs

    def _outputs(self, n: int, keep: bool) -> list[DeviceArray]:
        arrays = []
        for slot, v in enumerate(self.graph.outputs):
            nbytes = n * v.type.nbytes
            if keep:
                memory = self.runtime.allocate(max(nbytes, 1), f"output {slot}")
            else:
                memory = self._io_memory("output", slot, nbytes)
            arrays.append(DeviceArray(memory.address, (n, *v.type.dims), v.dtype, memory, self.runtime))
        return arrays

    def _place(self, inputs: Sequence[Any], outputs: Sequence[DeviceArray], mapped: bool) -> None:
        """Upload the inputs, and the addresses of all that moves."""
        words, strides = np.zeros((2, self.program.moving), np.int64)
        for k, number in enumerate(self.program.words[: self.program.moving]):
            b = self.plan.buffers[number]
            array = inputs[b.slot] if b.kind == "input" else outputs[b.slot]
            strides[k] = b.type.nbytes if b.kind == "output" or mapped else 0
            if isinstance(array, DeviceArray):
                words[k] = array.address
                continue
            array = np.ascontiguousarray(array)
            words[k] = self._io_memory("input", b.slot, array.nbytes).address
            if array.nbytes:
                self.runtime.upload(int(words[k]), array)
        if len(words):
            self.runtime.upload(self._words.address, words)
            self.runtime.upload(self._strides.address, strides)

    def _check_fault(self) -> None:
        fault = np.zeros(1, FAULT)
        self.runtime.download(self._fault.address, fault)
        if not fault["found"][0]:
            return
        self.runtime.upload(self._fault.address, np.zeros(1, FAULT))
        _, step, index, at, limit = fault[0].tolist()
        label = self.plan.steps[step].label if step >= 0 else "a view"
        where = f"\n  {operands_of(self.plan, step)}" if step >= 0 else ""
        if at < 0:  # of check_range
            raise ExecutionError(f"{label}: nothing lies in [{index}, {limit}){where}")
        message = f"{label}: index {index} (element {at}) is outside 0 to {limit - 1}{where}"
        raise ExecutionError(message) from IndexError(f"index {index}")


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
