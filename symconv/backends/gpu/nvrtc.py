"""CUDA C++ to machine code by NVRTC, through its C interface: neither a GPU nor CuPy is needed.

The library comes from the package nvidia-cuda-nvrtc, which the extra `cuda` brings, or from a CUDA toolkit.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Sequence
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_void_p
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from symconv.backends.cache import cached, digest, included
from symconv.errors import CompileError, DeviceError
from symconv.graph.params import kernel_dir
from symconv.plan.gpu import Source

ARCHITECTURES = (75, 80, 90)  # that every kernel is compiled for in the tests


@dataclass(frozen=True, slots=True)
class Resources:
    """What one kernel takes of a multiprocessor, as the assembler reports it."""

    registers: int
    shared: int
    stack: int
    spill_stores: int
    spill_loads: int

    def __str__(self) -> str:
        extra = "".join(
            f", {n} bytes {what}"
            for n, what in ((self.shared, "shared"), (self.stack, "stack"), (self.spill_stores, "spilled"))
            if n
        )
        return f"{self.registers} registers{extra}"


def _candidates() -> list[str]:
    names = ["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"]
    found: list[str] = []
    spec = find_spec("nvidia")
    for root in spec.submodule_search_locations or () if spec else ():
        for folder in sorted(Path(root).glob("*/lib"), reverse=True):
            found += [str(folder / n) for n in names if (folder / n).exists()]
    return found + [str(Path("/usr/local/cuda/lib64") / n) for n in names] + names


@lru_cache(maxsize=1)
def library() -> ctypes.CDLL:
    """NVRTC. Raises DeviceError, with the way to install it."""
    for name in _candidates():
        try:
            # NVRTC looks its second half up by name only: it must be there already
            for builtins in Path(name).parent.glob("libnvrtc-builtins.so.*"):
                ctypes.CDLL(str(builtins))
            nvrtc = ctypes.CDLL(name)
        except OSError:
            continue
        nvrtc.nvrtcGetErrorString.restype = c_char_p
        nvrtc.nvrtcCreateProgram.argtypes = [
            POINTER(c_void_p), c_char_p, c_char_p, c_int, c_void_p, c_void_p
        ]  # fmt: skip
        nvrtc.nvrtcCompileProgram.argtypes = [c_void_p, c_int, POINTER(c_char_p)]
        for part in ("CUBIN", "ProgramLog"):
            getattr(nvrtc, f"nvrtcGet{part}Size").argtypes = [c_void_p, POINTER(c_size_t)]
            getattr(nvrtc, f"nvrtcGet{part}").argtypes = [c_void_p, c_char_p]
        nvrtc.nvrtcDestroyProgram.argtypes = [POINTER(c_void_p)]
        return nvrtc
    raise DeviceError('NVRTC, the compiler of CUDA kernels, is missing\n  hint: pip install "symconv[cuda]"')


@lru_cache(maxsize=1)
def version() -> tuple[int, int]:
    major, minor = c_int(), c_int()
    library().nvrtcVersion(byref(major), byref(minor))
    return major.value, minor.value


def options(architecture: int, defines: Sequence[tuple[str, int]] = ()) -> list[str]:
    fixed = [f"--gpu-architecture=sm_{architecture}", "--std=c++17", f"-I{kernel_dir()}"]
    return fixed + ["--ptxas-options=-v"] + [f"-D{k}={v}" for k, v in defines]


def compile_source(source: Source, architecture: int, wanted_by: str = "") -> tuple[bytes, str]:
    """(cubin, log) of one translation unit. Raises CompileError with the compiler's log."""
    nvrtc = library()
    program = c_void_p()
    text = source.text().encode()
    _check(nvrtc.nvrtcCreateProgram(byref(program), text, b"translation_unit", 0, None, None))
    try:
        flags = [o.encode() for o in options(architecture, source.defines)]
        status = nvrtc.nvrtcCompileProgram(program, len(flags), (c_char_p * len(flags))(*flags))
        log = _get(nvrtc, program, "ProgramLog").rstrip(b"\0").decode(errors="replace")
        if status:
            asked = f", which {wanted_by} asked for" if wanted_by else ""
            raise CompileError(f"NVRTC refused {source.name} for sm_{architecture}{asked}:\n{log[-6000:]}")
        return _get(nvrtc, program, "CUBIN"), log
    finally:
        nvrtc.nvrtcDestroyProgram(byref(program))


def cubin(source: Source, architecture: int, wanted_by: str = "") -> Path:
    """The compiled file, from the cache where it has been made before."""
    flags = options(architecture, source.defines)
    key = digest([*flags, repr(version()), source.text(), included(source.text(), kernel_dir())])

    def make(path: Path) -> None:
        path.write_bytes(compile_source(source, architecture, wanted_by)[0])

    return cached(key, ".cubin", make)


def resources(log: str) -> dict[str, Resources]:
    """{entry: Resources} from the log of compile_source."""
    found = {}
    for block in re.split(r"Compiling entry function '", log)[1:]:
        entry = block.split("'", 1)[0]

        def number(pattern: str, text: str = block) -> int:
            match = re.search(pattern, text)
            return int(match[1]) if match else 0

        found[entry] = Resources(
            number(r"Used (\d+) registers"),
            number(r"(\d+) bytes smem"),
            number(r"(\d+) bytes stack frame"),
            number(r"(\d+) bytes spill stores"),
            number(r"(\d+) bytes spill loads"),
        )
    return found


def _check(status: int) -> None:
    if status:
        raise CompileError(f"NVRTC: {library().nvrtcGetErrorString(status).decode()}")


def _get(nvrtc: ctypes.CDLL, program: c_void_p, what: str) -> bytes:
    size = c_size_t()
    _check(getattr(nvrtc, f"nvrtcGet{what}Size")(program, byref(size)))
    buffer = ctypes.create_string_buffer(size.value)
    _check(getattr(nvrtc, f"nvrtcGet{what}")(program, buffer))
    return buffer.raw[: size.value]
