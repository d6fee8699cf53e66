"""The emulator under AddressSanitizer: fibers are known to it, and it names the line of a stray access."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from symconv import config
from symconv.errors import DeviceError

GOOD = """
import numpy as np, symconv as sc
x = sc.matrix("x")
f = sc.function([x], sc.softmax(x), device="emulated")
assert abs(f(np.ones((30, 40), "float32")) - 1 / 40).max() < 1e-6
print("fine")
"""
BAD = """
import numpy as np
from symconv.backends.gpu.emulator import EmulatedRuntime
from symconv.backends.gpu.runtime import Array, Work
from symconv.graph.params import pack
from symconv.plan.gpu import Source
code = '''#include "common.cuh"
DEVICE void stray(const AdvanceParams&, const Args& args, int, Shared) {
  __syncthreads();
  args.get<float>(0)[threadIdx.x + 1] = 0.0f;
}
KERNEL(stray, AdvanceParams, stray)
'''
runtime = EmulatedRuntime()
memory = runtime.allocate(1024, "x")
work = Work(Source(code=code), "stray", pack("AdvanceParams", n=0), (Array(memory.address, 1024),), 1)
runtime.prepare([work], 0)()
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kernels")


def run(code: str, cxx: str, cache: Path) -> subprocess.CompletedProcess:
    libraries = []
    for name in ("libasan.so", "libstdc++.so"):
        found = subprocess.run([cxx, f"-print-file-name={name}"], capture_output=True, text=True, check=True)
        if not os.path.isabs(found.stdout.strip()):
            pytest.skip(f"{cxx} has no {name}")
        libraries.append(found.stdout.strip())
    env = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[1]),
        "LD_PRELOAD": " ".join(libraries),
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0",
        "SYMCONV_EMULATOR_SANITIZE": "1",
        "SYMCONV_EMULATOR_CHECKS": "0",
        "SYMCONV_CACHE_DIR": str(cache),
    }
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=600)


@pytest.mark.slow
def test_kernels_are_clean(cxx: str, cache: Path) -> None:
    done = run(GOOD, cxx, cache)
    assert done.returncode == 0 and "fine" in done.stdout, done.stderr[-3000:]


@pytest.mark.slow
def test_a_stray_store_is_named(cxx: str, cache: Path) -> None:
    done = run(BAD, cxx, cache)
    assert done.returncode != 0
    assert "AddressSanitizer" in done.stderr and "stray" in done.stderr, done.stderr[-3000:]


def test_without_the_library_there_is_a_hint(cxx: str) -> None:
    from symconv.backends.gpu.emulator_build import _flags

    with config(emulator_sanitize=True), pytest.raises(DeviceError, match="LD_PRELOAD"):
        _flags(True)
