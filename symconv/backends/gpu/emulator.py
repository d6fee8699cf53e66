"""The emulated GPU: kernels/*.cu compiled by the host's C++ compiler on csrc/emulator, and run on the CPU.

Threads are fibers. config.emulator_checks adds the checks of memory and races, config.emulator_order is the
order in which the threads of a block run.
"""

from __future__ import annotations

import ctypes
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from symconv.backends.gpu.emulator_build import (
    compile_all,
    entry_of,
    is_guarded,
    place_at,
    process,
    with_lines,
)
from symconv.backends.gpu.runtime import MAX_ARGS, Array, Work
from symconv.config import config
from symconv.errors import KernelFault, MemoryLimitError
from symconv.plan.limits import memory_limit


class Arg(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("bytes", ctypes.c_ulonglong)]


class Type(ctypes.Structure):
    """EmulatedType of csrc/emulator/launch.h."""

    _fields_ = [("name", ctypes.c_char_p), ("itemsize", ctypes.c_int), ("floating", ctypes.c_int)]


class Range(ctypes.Structure):
    _fields_ = [("begin", ctypes.c_void_p), ("end", ctypes.c_void_p)]


class Write(ctypes.Structure):
    """EmulatedWrite of csrc/emulator/launch.h."""

    _fields_ = [
        ("file", ctypes.c_char_p),
        ("pc", ctypes.c_void_p),
        ("line", ctypes.c_int),
        ("block", ctypes.c_int),
        ("thread", ctypes.c_int),
        ("epoch", ctypes.c_uint),
        ("other_line", ctypes.c_int),
        ("other_block", ctypes.c_int),
        ("other_thread", ctypes.c_int),
        ("found", ctypes.c_int),
        ("read_file", ctypes.c_char_p),
        ("read_pc", ctypes.c_void_p),
        ("read_line", ctypes.c_int),
        ("read", ctypes.c_int),
    ]


class Trace(ctypes.Structure):
    _fields_ = [
        ("begin", ctypes.c_void_p),
        ("end", ctypes.c_void_p),
        ("unit", ctypes.c_longlong),
        ("writes", ctypes.POINTER(Write)),
    ]


class Launch(ctypes.Structure):
    """EmulatedLaunch of csrc/emulator/launch.h."""

    _fields_ = [
        ("params", ctypes.c_char_p),
        ("args", ctypes.POINTER(Arg)),
        ("step", ctypes.c_int),
        ("fault", ctypes.c_void_p),
        ("tiles", ctypes.c_int),
        ("blocks", ctypes.c_int),
        ("threads", ctypes.c_int),
        ("shared_bytes", ctypes.c_longlong),
        ("cooperative", ctypes.c_int),
        ("order", ctypes.c_int),
        ("n_args", ctypes.c_int),
        ("types", ctypes.POINTER(Type)),
        ("params_bytes", ctypes.c_longlong),
        ("memory", ctypes.POINTER(Range)),
        ("n_memory", ctypes.c_int),
        ("traces", ctypes.POINTER(Trace)),
        ("n_traces", ctypes.c_int),
        ("failed", ctypes.c_int),
        ("message", ctypes.c_char * 1024),
    ]


_allocated: weakref.WeakSet[HostMemory] = weakref.WeakSet()


def _device_memory() -> tuple[Any, int]:
    """All memory of the device, as guarded kernels may touch it."""
    ranges = sorted((m.address, m.address + m.nbytes) for m in list(_allocated))
    return (Range * max(len(ranges), 1))(*(Range(*r) for r in ranges)), len(ranges)


@dataclass
class Writes:
    """Who wrote the elements of an array of device memory last: of launches inside `tracing`."""

    address: int
    count: int
    unit: int
    records: Any = None

    def __post_init__(self) -> None:
        self.records = (Write * max(self.count, 1))()


_traced: ContextVar[tuple[Writes, ...]] = ContextVar("symconv_traced", default=())


@contextmanager
def tracing(arrays: Sequence[Writes]) -> Iterator[None]:
    """Launches inside keep who writes what of `arrays`; emulator_checks must be on."""
    token = _traced.set(tuple(arrays))
    try:
        yield
    finally:
        _traced.reset(token)


def _type_of(array: Array) -> Type:
    if not array.dtype:
        return Type(None, 0, 0)
    dtype = np.dtype(array.dtype)
    return Type(array.dtype.encode(), dtype.itemsize, dtype.kind == "f")


class HostMemory:
    """Memory of the emulated device: all ones at first, which as floats are NaN."""

    def __init__(self, nbytes: int) -> None:
        self._array = np.full(nbytes + 512, 0xFF, np.uint8)
        self.address = -(-self._array.ctypes.data // 256) * 256
        self.nbytes = nbytes
        self._fence(True)
        _allocated.add(self)

    def __del__(self) -> None:
        self._fence(False)

    def _fence(self, up: bool) -> None:
        """Tell AddressSanitizer, if it is there, that what lies beyond the end is nobody's."""
        name = "__asan_poison_memory_region" if up else "__asan_unpoison_memory_region"
        call = getattr(process, name, None)
        if call is not None:
            end = self._array.ctypes.data + self._array.nbytes
            call(
                ctypes.c_void_p(self.address + self.nbytes), ctypes.c_size_t(end - self.address - self.nbytes)
            )


def _emulate(call: Callable[..., None], launch: Launch, place: str, guarded: bool) -> None:
    launch.order, launch.failed = config.emulator_order, 0
    launch.memory, launch.n_memory = _device_memory() if guarded else (None, 0)
    traced = _traced.get()
    launch.traces = (Trace * len(traced))(
        *(Trace(t.address, t.address + t.count * t.unit, t.unit, t.records) for t in traced)
    )
    launch.n_traces = len(traced)
    call(ctypes.byref(launch))
    if launch.failed:
        message = with_lines(launch.message.decode(errors="replace"))
        raise KernelFault(f"emulated GPU: {message}\n  {place}")


class HostStopwatch:
    """Launches that are over when they return, each between two looks at the host's clock."""

    def __init__(self, launches: Sequence[Callable[[], None]]) -> None:
        self._launches = launches
        self._ns = [0.0] * len(launches)

    def run(self) -> None:
        for k, launch in enumerate(self._launches):
            before = time.perf_counter_ns()
            launch()
            self._ns[k] = time.perf_counter_ns() - before

    def elapsed_ns(self) -> Sequence[float]:
        return self._ns


class EmulatedRuntime:
    device = "emulated"
    grid_blocks = 3

    def allocate(self, nbytes: int, what: str) -> HostMemory:
        if nbytes > memory_limit():
            raise MemoryLimitError(
                f"{what} needs {nbytes:,} bytes, the limit is {memory_limit():,} bytes\n"
                "  hint: use smaller batches, or raise config.memory_limit"
            )
        return HostMemory(nbytes)

    def upload(self, address: int, array: np.ndarray) -> None:
        ctypes.memmove(address, array.ctypes.data, array.nbytes)

    def download(self, address: int, array: np.ndarray) -> None:
        ctypes.memmove(array.ctypes.data, address, array.nbytes)

    def args_row(self, args: Sequence[Array], fault: int, step: int) -> bytes:
        slots = [(a.slot, a.nbytes) for a in args] + [(0, 0)] * (MAX_ARGS - len(args))
        return np.array([(fault, step), *slots], np.int64).tobytes()

    def prepare(self, works: Sequence[Work], fault: int) -> Callable[[], None]:
        launches = self._launches(works, fault)

        def run() -> None:
            for launch in launches:
                launch()

        return run

    def stopwatch(self, works: Sequence[Work], fault: int) -> HostStopwatch:
        return HostStopwatch(self._launches(works, fault))

    def _launches(self, works: Sequence[Work], fault: int) -> list[Callable[[], None]]:
        compile_all({w.source: w.wanted_by for w in works})
        prepared: list[Callable[[], None]] = []
        for w in works:
            args = (Arg * max(len(w.args), 1))(*(Arg(a.slot, a.nbytes) for a in w.args))
            guarded = is_guarded(w.source, config.emulator_checks)
            types = (Type * max(len(w.args), 1))(*map(_type_of, w.args)) if guarded else None
            blocks = w.blocks or w.tiles
            launch = Launch(
                w.params, args, w.step, fault, w.tiles, blocks, w.threads, w.shared, w.grid,
                n_args=len(w.args), types=types, params_bytes=len(w.params),
            )  # fmt: skip
            prepared.append(partial(_emulate, entry_of(w.source, w.entry), launch, w.place, guarded))
        return prepared

    def capture(self, launch: Callable[[], None]) -> Callable[[], None]:
        return launch

    def follow_caller(self) -> None:
        pass  # all work is done when its launch returns

    lead_caller = wait = follow_caller


def place_of(write: Write) -> str:
    """'scale.cu:12', the line of the user's text that wrote an element."""
    return place_at(write.file, write.line, write.pc)


def read_place_of(write: Write) -> str:
    """The line that read an element before anything had written it."""
    return place_at(write.read_file, write.read_line, write.read_pc)
