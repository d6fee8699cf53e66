"""Building emulated kernels with the host's C++ compiler, and finding the lines of what they report."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

from symconv.backends.cache import cached, digest, included
from symconv.backends.compiler import compiler, is_gcc, machine, native, run_compiler
from symconv.config import config
from symconv.errors import CompileError, DeviceError
from symconv.graph.kernel import USER_NAMESPACE
from symconv.graph.params import kernel_dir
from symconv.plan.gpu import Source

process = ctypes.CDLL(None)


@cache
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


def place_at(file: bytes | None, line: int, pc: int | None) -> str:
    """'scale.cu:12' of a line, or, without a file, of the instruction before pc."""
    if file:
        return f"{os.path.basename(file.decode(errors='replace'))}:{line}"
    symbol = _Symbol()
    if not pc or not process.dladdr(ctypes.c_void_p(pc), ctypes.byref(symbol)):
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
        if not hasattr(process, "__asan_poison_memory_region"):
            raise DeviceError(
                "emulator_sanitize needs AddressSanitizer's library in the process from its start\n"
                '  hint: LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(g++ -print-file-name=libstdc++.so)"'
                " ASAN_OPTIONS=detect_leaks=0 python ..."
            )
        flags += ["-fsanitize=address", "-fno-omit-frame-pointer", "-g"]
    # Checked code is mostly calls into the scheduler (built once, with -O2): it gains little from more.
    return flags + (["-O1", "-DSYMCONV_CHECKED"] if checked else ["-O2"])


def _includes() -> list[str]:
    return [f"-I{kernel_dir()}", f"-I{emulator_dir()}"]


def _runtime_library(checked: bool) -> Path:
    """The scheduler and its fibers, which all kernels share: thread-local memory is scarce."""
    command = (compiler(), *_flags(checked), "-O2", "-shared")
    sources = _runtime_sources()
    return cached(
        _key(command, "\n".join(sources.values())),
        ".so",
        lambda out: run_compiler([*command, *sources, "-o", str(out)], "the emulator"),
    )


@cache
def _runtime_sources() -> dict[str, str]:
    return {str(path): path.read_text() for path in sorted(emulator_dir().glob("*.cpp"))}


@cache
def _key(command: tuple[str, ...], text: str) -> str:
    return digest([*command, machine(), text, _included(text)])


def _prefix(checked: bool, guard: Sequence[str] = (), header: str = "common.cuh") -> list[str]:
    """Options that bring in `header` precompiled: most of what the compiler reads for a small kernel."""
    if not is_gcc():
        return []  # other compilers have other ways
    text = f'#include "{header}"\n'
    command = (compiler(), *_flags(checked), *guard, *_includes(), "-x", "c++-header")
    key = _key(command, text)
    path = cached(key, ".h", lambda out: _write(out, text))
    cached(key, ".h.gch", lambda out: run_compiler([*command, str(path), "-o", str(out)], header))
    return ["-include", str(path)]


def _write(path: Path, text: str) -> None:
    path.write_text(text)


def _libraries() -> list[str]:
    """What a kernel is linked with. The runtime library brings the C++ library along: to look through it once
    more takes the linker longer than all else."""
    return ["-nodefaultlibs", "-lgcc"] if is_gcc() else []


def _library(source: Source, checked: bool) -> Path:
    guard = GUARD if is_guarded(source, checked) else ()
    command = [compiler(), *_flags(checked), *guard, *(f"-D{k}={v}" for k, v in source.defines)]
    text, runtime = source.text(), _runtime_library(checked)
    # A text with macros of its own may mean them for common.cuh.
    own_macros = source.defines or "#define" in text.partition(f"namespace {USER_NAMESPACE}")[0]
    header = "cpu.h" if '#include "cpu.h"' in text else "common.cuh"
    prefix = [] if own_macros else _prefix(checked, guard, header)
    key = digest([*command, machine(), text, _included(text), runtime.name])

    def make(out: Path) -> None:
        file, made = out.with_suffix(".cpp"), out.with_suffix(".o")
        try:
            file.write_text(text)
            run_compiler([*command, *prefix, *_includes(), "-c", str(file), "-o", str(made)], source.name)
            # Without the guard's options, or the linker would bring in the sanitizers' own libraries.
            link = [compiler(), *_flags(checked), "-shared", str(made), str(runtime), *_libraries()]
            link += ["-o", str(out)]
            run_compiler(link, source.name)
        finally:
            file.unlink(missing_ok=True)
            made.unlink(missing_ok=True)

    return cached(key, ".so", make)


_loaded: dict[tuple[Source, bool], ctypes.CDLL] = {}


def _load(source: Source, checked: bool) -> ctypes.CDLL:
    if (source, checked) not in _loaded:
        _loaded[source, checked] = ctypes.CDLL(str(_library(source, checked)))
    return _loaded[source, checked]


def compile_all(sources: Mapping[Source, str]) -> None:
    """Build what is missing, as many at once as there are CPUs; {source: the step that wants it}."""
    from concurrent.futures import ThreadPoolExecutor

    checked = config.emulator_checks

    def load(source: Source) -> None:
        try:
            _load(source, checked)
        except CompileError as error:
            wanted = f"\n  wanted by {sources[source]}" if sources[source] else ""
            raise CompileError(error.message.rstrip() + wanted) from None

    missing = [source for source in sources if (source, checked) not in _loaded]
    if len(missing) > 1:
        _runtime_library(checked), _prefix(checked)
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            list(pool.map(load, missing))
    for source in missing:
        load(source)


def entry_of(source: Source, entry: str) -> Callable[..., None]:
    try:
        function = getattr(_load(source, config.emulator_checks), entry)
    except AttributeError:
        raise CompileError(f"{source.name} defines no KERNEL({entry}, ...)") from None
    function.restype = None
    result: Callable[..., None] = function
    return result
