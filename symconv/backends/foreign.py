"""CPU kernels of the user's: compiled by the host, or taken from a library, and bound into the core."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from symconv import _core
from symconv.backends.cache import cached, digest, included
from symconv.backends.compiler import compiler, machine, native, run_compiler
from symconv.config import config
from symconv.errors import CompileError
from symconv.graph.params import kernel_dir, pack
from symconv.plan.gpu import Source
from symconv.plan.plan import Plan, Step

MAX_ARRAYS = 40  # SYMCONV_CALL_ARRAYS of kernels/call.h
FLAGS = ("-std=c++20", "-O3", "-fPIC", "-shared", "-fvisibility=hidden", "-fno-math-errno")


def is_foreign(step: Step) -> bool:
    return bool(step.launch.code or step.launch.library)


_locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)


def _library(code: str, folder: Path) -> Path:
    """The compiled text, from the cache in `folder`; of several threads one makes it."""
    with _locks[code]:
        return _built(code, folder)


@cache
def _built(code: str, folder: Path) -> Path:
    source = Source(code=code)
    command = [compiler(), *FLAGS, *native(), f"-I{kernel_dir()}"]
    key = digest([*command, machine(), code, included(code, kernel_dir())])

    def make(out: Path) -> None:
        file = out.with_suffix(".cpp")
        try:
            file.write_text(source.text())
            run_compiler([*command, str(file), "-o", str(out)], source.name)
        finally:
            file.unlink(missing_ok=True)

    return cached(key, ".so", make)


def compile_codes(steps: Sequence[Step]) -> None:
    """Build what is missing, all at once. Raises CompileError."""
    codes = list(dict.fromkeys(s.launch.code for s in steps if s.launch.code))
    if len(codes) > 1:
        folder = config.cache_dir
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda code: _library(code, folder), codes))


def number_of(code: str, library: str, entry: str) -> int:
    """The core's number of an entry. Raises CompileError."""
    try:
        return _core.bind_library(library or str(_library(code, config.cache_dir)), entry)
    except ValueError as error:
        raise CompileError(str(error)) from None


def foreign_params(plan: Plan, step: Step) -> bytes:
    """The params of the core's kernel `foreign` for this step, with the user's behind them."""
    launch, kernel = step.launch, step.kernel
    assert kernel is not None
    sizes = [plan.buffers[b].type.nbytes for b in (*step.inputs, *step.outputs)]
    if len(sizes) > MAX_ARRAYS:
        raise CompileError(f"{kernel.name}: {len(sizes)} arrays, a kernel takes at most {MAX_ARRAYS}")
    empty = not any(plan.buffers[b].type.size for b in step.outputs)
    return pack(
        "ForeignParams",
        number=number_of(launch.code, launch.library, launch.entry),
        items=0 if empty else launch.tiles,
        grain=launch.grain,
        workspace=launch.workspace,
        n_in=len(step.inputs),
        n_out=len(step.outputs),
        bytes=sizes,
        tail=launch.params,
    )
