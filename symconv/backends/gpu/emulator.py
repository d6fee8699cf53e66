"""The emulated GPU: kernels/*.cu compiled by the host's C++ compiler on csrc/emulator, and run on the CPU.

Threads are fibers. config.emulator_checks adds the checks of memory and races, config.emulator_order is the
order in which the threads of a block run.
"""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from symconv.backends.cache import cached, digest, included
from symconv.backends.compiler import compiler, is_gcc, machine, native, run_compiler
from symconv.backends.gpu.runtime import MAX_ARGS, Array, Work
from symconv.config import config
from symconv.errors import CompileError, DeviceError, KernelFault, MemoryLimitError
from symconv.graph.kernel import USER_NAMESPACE
from symconv.graph.params import kernel_dir
from symconv.plan.gpu import Source
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


_process = ctypes.CDLL(None)


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
        call = getattr(_process, name, None)
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


# ---- building


def emulator_dir() -> Path:
    """Directory of the emulator's sources: symconv/emulator in a wheel, csrc/emulator in a checkout."""
    package = Path(__file__).resolve().parents[2]
    for candidate in (package / "emulator", package.parent / "csrc" / "emulator"):
        if (candidate / "scheduler.cpp").is_file():
            return candidate
    raise DeviceError(f"the emulator's sources are neither in {package} nor beside it: reinstall symconv")


def _included(text: str) -> str:
    return included(text, kernel_dir(), emulator_dir())


def is_guarded(source: Source, checked: bool) -> bool:
    """True for a user's text: its plain accesses are checked too, so that none can hurt this process."""
    return checked and USER_NAMESPACE in source.code and not config.emulator_sanitize


GUARD = ("-g1", "-fsanitize=thread", "-fsanitize=integer-divide-by-zero,bounds,return,unreachable")
_INSTRUCTION = re.compile(r"\{([^{}]+)\+([0-9a-f]+)\}")


def with_lines(message: str) -> str:
    """The message with {library+offset} replaced by the file and line that the instruction comes from."""
    return _INSTRUCTION.sub(lambda m: line_of(m[1], int(m[2], 16)), message)


def line_of(library: str, offset: int) -> str:
    """'scale.cu:12', of the user's text where it was inlined from there; the offset without addr2line."""
    lines = _lines_at(library, offset)
    if lines is None:
        return f"instruction {offset:#x} of {library} (addr2line is not installed)"
    found = next((s for s in lines if not s.startswith(_own())), lines[0] if lines else "")
    return os.path.basename(found) if found else f"instruction {offset:#x} of {library}"


def _own() -> tuple[str, str]:
    return str(kernel_dir()), str(emulator_dir())


def _lines_at(library: str, offset: int) -> list[str] | None:
    """'/path/scale.cu:12' and where that was inlined into, innermost first; None without addr2line."""
    try:
        done = subprocess.run(
            ["addr2line", "-i", "-e", library, hex(offset)], capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    return [m[0] for m in re.finditer(r"^[^?\n].*?:\d+", done.stdout, re.MULTILINE)]


class _Symbol(ctypes.Structure):
    """Dl_info of dlfcn.h."""

    _fields_ = [
        ("file", ctypes.c_char_p),
        ("base", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("address", ctypes.c_void_p),
    ]


def place_of(write: Write) -> str:
    """'scale.cu:12', the line of the user's text that wrote an element."""
    return _place(write.file, write.line, write.pc)


def read_place_of(write: Write) -> str:
    """The line that read an element before anything had written it."""
    return _place(write.read_file, write.read_line, write.read_pc)


def _place(file: bytes | None, line: int, pc: int | None) -> str:
    if file:
        return f"{os.path.basename(file.decode(errors='replace'))}:{line}"
    symbol = _Symbol()
    if not pc or not _process.dladdr(ctypes.c_void_p(pc), ctypes.byref(symbol)):
        return "an unknown line"
    return line_of(symbol.file.decode(), pc - symbol.base - 1)


def report_signals() -> None:
    """From now on SIGUSR2, and signals that end this process, write its stack to stderr (signals.cpp)."""
    ctypes.CDLL(str(_runtime_library(True))).symconv_report_signals()


def places_in(text: str) -> list[str]:
    """The lines of users' kernels among the frames that a signal has told, innermost first."""
    found = []
    for m in re.finditer(r"^at \{([^{}]+)\+([0-9a-f]+)\}$", text, re.MULTILINE):
        if m[1].startswith(str(config.cache_dir)):
            lines = _lines_at(m[1], int(m[2], 16)) or []
            found += [os.path.basename(s) for s in lines if not s.startswith(_own()) and ".part." not in s]
    return found


def _flags(checked: bool) -> list[str]:
    flags = ["-std=c++20", "-fPIC", "-ftls-model=initial-exec", "-fvisibility=hidden", "-DSYMCONV_EMULATED"]
    flags += native()
    if config.emulator_sanitize:
        if not hasattr(_process, "__asan_poison_memory_region"):
            raise DeviceError(
                "emulator_sanitize needs AddressSanitizer's library in the process from its start\n"
                '  hint: LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(g++ -print-file-name=libstdc++.so)"'
                " ASAN_OPTIONS=detect_leaks=0 python ..."
            )
        flags += ["-fsanitize=address", "-fno-omit-frame-pointer", "-g"]
    # Checked code is mostly calls into the scheduler: it gains little from more optimisation.
    return flags + (["-O1", "-DSYMCONV_CHECKED"] if checked else ["-O2"])


def _includes() -> list[str]:
    return [f"-I{kernel_dir()}", f"-I{emulator_dir()}"]


def _runtime_library(checked: bool) -> Path:
    """The scheduler and its fibers, which all kernels share: thread-local memory is scarce."""
    sources = sorted(emulator_dir().glob("*.cpp"))
    command = [compiler(), *_flags(checked), "-shared"]
    texts = [p.read_text() for p in sources]
    key = digest([*command, machine(), *texts, _included("\n".join(texts))])
    return cached(
        key, ".so", lambda out: run_compiler([*command, *map(str, sources), "-o", str(out)], "the emulator")
    )


def _prefix(checked: bool, guard: Sequence[str] = ()) -> list[str]:
    """Options that bring in common.cuh precompiled: most of what the compiler reads for a small kernel."""
    if not is_gcc():
        return []  # other compilers have other ways
    text = '#include "common.cuh"\n'
    command = [compiler(), *_flags(checked), *guard, *_includes(), "-x", "c++-header"]
    key = digest([*command, machine(), _included(text)])
    header = cached(key, ".h", lambda out: _write(out, text))
    cached(key, ".h.gch", lambda out: run_compiler([*command, str(header), "-o", str(out)], "common.cuh"))
    return ["-include", str(header)]


def _write(path: Path, text: str) -> None:
    path.write_text(text)


def _library(source: Source, checked: bool) -> Path:
    guard = GUARD if is_guarded(source, checked) else ()
    command = [compiler(), *_flags(checked), *guard, *(f"-D{k}={v}" for k, v in source.defines)]
    text, runtime = source.text(), _runtime_library(checked)
    # A text with macros of its own may mean them for common.cuh.
    own_macros = source.defines or "#define" in text.partition(f"namespace {USER_NAMESPACE}")[0]
    prefix = [] if own_macros else _prefix(checked, guard)
    key = digest([*command, machine(), text, _included(text), runtime.name])

    def make(out: Path) -> None:
        file, made = out.with_suffix(".cpp"), out.with_suffix(".o")
        try:
            file.write_text(text)
            run_compiler([*command, *prefix, *_includes(), "-c", str(file), "-o", str(made)], source.name)
            # Without the guard's options, or the linker would bring in the sanitizers' own libraries.
            link = [compiler(), *_flags(checked), "-shared", str(made), str(runtime), "-o", str(out)]
            run_compiler(link, source.name)
        finally:
            file.unlink(missing_ok=True)
            made.unlink(missing_ok=True)

    return cached(key, ".so", make)


@cache
def _loaded(source: Source, checked: bool) -> ctypes.CDLL:
    return ctypes.CDLL(str(_library(source, checked)))


def compile_all(sources: Mapping[Source, str]) -> None:
    """Build what is missing, as many at once as there are CPUs; {source: the step that wants it}."""
    from concurrent.futures import ThreadPoolExecutor

    checked = config.emulator_checks

    def load(source: Source) -> None:
        try:
            _loaded(source, checked)
        except CompileError as error:
            wanted = f"\n  wanted by {sources[source]}" if sources[source] else ""
            raise CompileError(error.message.rstrip() + wanted) from None

    if len(sources) > 1:
        _runtime_library(checked), _prefix(checked)
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            list(pool.map(load, sources))
    for source in sources:
        load(source)


def entry_of(source: Source, entry: str) -> Callable[..., None]:
    try:
        function = getattr(_loaded(source, config.emulator_checks), entry)
    except AttributeError:
        raise CompileError(f"{source.name} defines no KERNEL({entry}, ...)") from None
    function.restype = None
    result: Callable[..., None] = function
    return result
