"""A GPU through CuPy: its memory, modules, streams and graphs; launches through the driver's own call.

CuPy boxes the arguments of every launch anew, which takes longer than our kernels; here they are packed once.
All work goes to one non-blocking stream, since a legacy stream cannot be captured into a graph.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from symconv.backends.gpu.nvrtc import cubin
from symconv.backends.gpu.runtime import MAX_ARGS, THREADS, Array, Memory, Work
from symconv.errors import ExecutionError, MemoryLimitError
from symconv.plan.select import set_machine_detail

HOST_TO_DEVICE, DEVICE_TO_HOST = 1, 2  # cudaMemcpyKind
DEFAULT_SHARED = 48 << 10  # more has to be asked for


class CudaMemory:
    def __init__(self, pointer: Any, nbytes: int) -> None:
        self._pointer = pointer  # keeps the allocation
        self.address: int = pointer.ptr
        self.nbytes = nbytes


class EventStopwatch:
    """Launches on a stream with an event before the first and after each.

    The GPU takes the times itself. They hold what lies between two kernels too, about a microsecond, and
    what a kernel waits for the host where that is slower than the kernels.
    """

    def __init__(self, cupy: Any, stream: Any, launches: Sequence[Callable[[], None]]) -> None:
        self._cuda = cupy.cuda
        self._stream = stream
        self._launches = launches
        self._events = [cupy.cuda.Event() for _ in range(len(launches) + 1)]

    def run(self) -> None:
        self._events[0].record(self._stream)
        for launch, event in zip(self._launches, self._events[1:]):
            launch()
            event.record(self._stream)

    def elapsed_ns(self) -> Sequence[float]:
        self._events[-1].synchronize()
        pairs = zip(self._events, self._events[1:])
        return [1e6 * self._cuda.get_elapsed_time(a, b) for a, b in pairs]


class CudaRuntime:
    device = "cuda"

    def __init__(self) -> None:
        import cupy

        self.cupy = cupy
        self.architecture = int(cupy.cuda.Device().compute_capability)
        self.stream = cupy.cuda.Stream(non_blocking=True)
        self._driver = ctypes.CDLL("libcuda.so.1")
        self._modules: dict[Any, Any] = {}
        name = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)["name"].decode()
        set_machine_detail("cuda", lambda: f"{name} sm_{self.architecture}")

    @cached_property
    def grid_blocks(self) -> int:
        return int(self.cupy.cuda.Device().attributes["MultiProcessorCount"])

    # ---- memory

    def allocate(self, nbytes: int, what: str) -> Memory:
        try:
            return CudaMemory(self.cupy.cuda.alloc(nbytes), nbytes)
        except self.cupy.cuda.memory.OutOfMemoryError as error:
            free, total = self.cupy.cuda.runtime.memGetInfo()
            raise MemoryLimitError(
                f"{what} needs {nbytes:,} bytes; the GPU has {free:,} free of {total:,}: {error}\n"
                "  hint: use smaller batches, or free what other programs hold"
            ) from None

    def upload(self, address: int, array: np.ndarray) -> None:
        self._copy(address, array.ctypes.data, array.nbytes, HOST_TO_DEVICE)

    def download(self, address: int, array: np.ndarray) -> None:
        self._copy(array.ctypes.data, address, array.nbytes, DEVICE_TO_HOST)

    def _copy(self, to: int, source: int, nbytes: int, kind: int) -> None:
        runtime = self.cupy.cuda.runtime
        runtime.memcpyAsync(to, source, nbytes, kind, self.stream.ptr)
        # The caller's array may go, or be read, as soon as this returns.
        self.wait()

    def wait(self) -> None:
        try:
            self.stream.synchronize()
        except self.cupy.cuda.runtime.CUDARuntimeError as error:
            raise ExecutionError(
                f"the GPU failed: {error}\n  hint: device 'emulated' names the kernel and its line"
            ) from None

    def follow_caller(self) -> None:
        self.stream.wait_event(self.cupy.cuda.get_current_stream().record())

    def lead_caller(self) -> None:
        self.cupy.cuda.get_current_stream().wait_event(self.stream.record())

    # ---- kernels

    def args_row(self, args: Sequence[Array], fault: int, step: int) -> bytes:
        slots = [a.slot for a in args] + [0] * (MAX_ARGS - len(args))
        return np.array([*slots, fault, step], np.int64).tobytes()

    def _function(self, work: Work) -> Any:
        key = work.source, work.entry
        if key not in self._modules:
            module = self._modules.get(work.source)
            if module is None:
                path = cubin(work.source, self.architecture, work.wanted_by)
                module = self._modules[work.source] = self.cupy.RawModule(path=str(path))
            self._modules[key] = module.get_function(work.entry)
        function = self._modules[key]
        if work.shared > max(DEFAULT_SHARED, function.max_dynamic_shared_size_bytes):
            function.max_dynamic_shared_size_bytes = work.shared
        return function

    def prepare(self, works: Sequence[Work], fault: int) -> Callable[[], None]:
        launches = [self._launch(w, fault) for w in works]

        def run() -> None:
            for launch in launches:
                launch()

        return run

    def stopwatch(self, works: Sequence[Work], fault: int) -> EventStopwatch:
        return EventStopwatch(self.cupy, self.stream, [self._launch(w, fault) for w in works])

    def _launch(self, work: Work, fault: int) -> Callable[[], None]:
        function = self._function(work)
        params = work.params or b"\0"
        if work.tail:  # kept alive by the closure, as all that the launch points to
            memory = self.allocate(len(params), f"the params of {work.entry}")
            self.upload(memory.address, np.frombuffer(params, np.uint8))
            params = np.array([memory.address], np.int64).tobytes()
        else:
            memory = None
        values = [
            ctypes.create_string_buffer(params, len(params)),
            ctypes.create_string_buffer(self.args_row(work.args, fault, work.step)),
            ctypes.c_int(work.tiles),
        ]
        pointers = (ctypes.c_void_p * 3)(*(ctypes.cast(ctypes.byref(v), ctypes.c_void_p) for v in values))
        blocks = work.blocks or work.tiles
        handle, stream = ctypes.c_void_p(function.kernel.ptr), ctypes.c_void_p(self.stream.ptr)
        geometry = (blocks, 1, 1, THREADS, 1, 1, work.shared)
        call = self._driver.cuLaunchCooperativeKernel if work.grid else self._driver.cuLaunchKernel
        arguments = (handle, *geometry, stream, pointers) + (() if work.grid else (None,))

        def launch(keep: Any = (values, memory)) -> None:
            if status := call(*arguments):
                raise ExecutionError(
                    f"the driver refused to launch {work.entry} ({work.wanted_by or 'control'}): CUDA error "
                    f"{status}\n  {work.place}"
                )

        return launch

    def capture(self, launch: Callable[[], None]) -> Callable[[], None]:
        self.stream.begin_capture()
        try:
            launch()
        finally:
            graph = self.stream.end_capture()
        graph.upload(self.stream)

        def run(keep: Any = launch) -> None:  # a graph does not keep what it launches
            graph.launch(self.stream)

        return run


__all__ = ["CudaRuntime"]
