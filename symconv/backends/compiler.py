"""The host's C++ compiler: where it is, what it is, and how it is run."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from symconv.errors import CompileError, DeviceError

LOG = 4000  # characters of the compiler's messages that an error shows


@lru_cache(maxsize=1)
def compiler() -> str:
    """Its path: CXX, else the first of c++, g++, clang++. Raises DeviceError."""
    for name in filter(None, (os.environ.get("CXX", "").split(" ")[0], "c++", "g++", "clang++")):
        if path := shutil.which(name):
            return path
    raise DeviceError(
        "kernels are compiled when they are first used, and there is no C++ compiler\n"
        "  hint: install one that knows C++20, e.g. `apt install g++`, or set CXX"
    )


@lru_cache(maxsize=1)
def machine() -> str:
    """What decides whether a compiled file from the cache runs here."""
    version = subprocess.run([compiler(), "--version"], capture_output=True, text=True, check=False).stdout
    cpu = Path("/proc/cpuinfo")
    flags = (
        next((s for s in cpu.read_text().splitlines() if s.startswith("flags")), "") if cpu.exists() else ""
    )
    return "\n".join([compiler(), version, platform.machine(), flags])


def is_gcc() -> bool:
    return "Free Software Foundation" in machine()


def native() -> list[str]:
    """The option for this machine's instruction set."""
    return ["-march=native"] if platform.machine() in ("x86_64", "AMD64") else []


def run_compiler(command: Sequence[str], what: str) -> None:
    """Raises CompileError with the compiler's first messages."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        text = done.stderr
        more = f"\n... {len(text) - LOG:,} more characters" if len(text) > LOG else ""
        raise CompileError(f"the host compiler refused {what}:\n{text[:LOG]}{more}")
