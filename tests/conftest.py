from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest


@pytest.fixture(scope="session")
def cxx() -> str:
    """A C++ compiler; tests that need one are skipped without."""
    for name in (os.environ.get("CXX"), "c++", "g++", "clang++"):
        if name and (path := shutil.which(name)):
            return path
    pytest.skip("no C++ compiler")


@pytest.fixture
def run_with_core() -> Callable[..., subprocess.CompletedProcess]:
    """run(code, **environment): `code` in a fresh process that has `_core`, without the rest of symconv."""
    core = pytest.importorskip("symconv._core", reason="the C++ core is not built")
    load = (
        "import importlib.util\n"
        f"spec = importlib.util.spec_from_file_location('symconv._core', {core.__file__!r})\n"
        "_core = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(_core)\n"
    )
    clean = {k: v for k, v in os.environ.items() if k not in ("SYMCONV_NUM_THREADS", "SYMCONV_ISA")}

    def run(code: str, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-c", load + code],
            env={**clean, **environment},
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


@pytest.fixture(scope="session")
def core() -> None:
    """Tests of the compiled core are skipped, with the way to build it, where it is missing."""
    pytest.importorskip(
        "symconv._core", reason="the C++ core is not built: python setup.py build_ext --inplace"
    )


def pytest_configure() -> None:
    """Ctrl-C works in the tests even where their parent ignores it, as shells do for background jobs."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
