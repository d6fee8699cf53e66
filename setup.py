"""Drives CMakeLists.txt to build symconv._core; all metadata is in pyproject.toml.

SYMCONV_ISAS=avx2,...      build only these instruction sets (default: in a wheel all that the compiler knows,
                           in a checkout's own build those that this machine runs)
SYMCONV_SANITIZE=...       "address,undefined" or "thread"
                           (run with LD_PRELOAD of libasan.so and libstdc++.so, and
                           ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1)
SYMCONV_NO_CORE=1          install pure Python; the reference executor then runs
"""

from __future__ import annotations

import importlib
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

ROOT = Path(__file__).resolve().parent
NO_CORE = os.environ.get("SYMCONV_NO_CORE", "0") not in ("", "0")


def find_tool(name: str, package_dir_attribute: str) -> str | None:
    """Path of a build tool: from its PyPI package in this environment first, then from PATH."""
    try:
        package = importlib.import_module(name)
        path = Path(getattr(package, package_dir_attribute)) / name
        if path.exists():
            return str(path)
    except (ImportError, AttributeError):
        pass
    return shutil.which(name)


def find_compiler() -> str:
    wanted = os.environ.get("CXX", "").split()
    for name in wanted[:1] or ["c++", "g++", "clang++"]:
        if path := shutil.which(name):
            return path
    raise CompileError(
        f"symconv: no C++ compiler found (looked for {wanted[0] if wanted else 'c++, g++, clang++'}).\n"
        "  Install one that knows C++20, e.g. `apt install g++` or `dnf install gcc-c++`, or set CXX;\n"
        "  or set SYMCONV_NO_CORE=1 to install without the compiled core (slow reference executor)."
    )


def runnable_isas() -> str:
    """The instruction sets of CMakeLists.txt that this machine runs, or "" (all) where nothing tells."""
    info = Path("/proc/cpuinfo")
    flags = info.read_text().partition("\nflags")[2].partition("\n")[0].split() if info.exists() else []
    if not flags:
        return ""
    return ",".join(
        ["baseline", *(name for flag, name in (("avx2", "avx2"), ("avx512f", "avx512")) if flag in flags)]
    )


class CMakeBuild(build_ext):
    """Builds in build/cmake-<python>-<machine>, which is kept: later builds are incremental."""

    def build_extension(self, ext: Extension) -> None:
        import pybind11

        compiler = find_compiler()
        cmake = find_tool("cmake", "CMAKE_BIN_DIR")
        if cmake is None:
            raise CompileError("symconv: cmake not found; `pip install cmake` or install it with the system")
        ninja = find_tool("ninja", "BIN_DIR")
        sanitize = os.environ.get("SYMCONV_SANITIZE", "")
        own = self.inplace or self.editable_mode
        isas = os.environ.get("SYMCONV_ISAS", "") or (runnable_isas() if own else "")
        tag = "-".join([sys.implementation.cache_tag, platform.machine(), *filter(None, sanitize.split(","))])
        build_dir = ROOT / "build" / f"cmake-{tag}"
        generator = ["-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}"] if ninja else ["-G", "Unix Makefiles"]
        drop_cache_of_other_generator(build_dir, generator[1])
        target = Path(self.get_ext_fullpath(ext.name)).resolve()
        target.parent.mkdir(parents=True, exist_ok=True)
        configure = [
            cmake, "-S", str(ROOT), "-B", str(build_dir), *generator,
            f"-DCMAKE_CXX_COMPILER={compiler}",
            f"-DPython_EXECUTABLE={sys.executable}",
            f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
            f"-DSYMCONV_ISAS={isas.replace(',', ';')}",
            f"-DSYMCONV_SANITIZE={sanitize}",
        ]  # fmt: skip
        jobs = os.environ.get("CMAKE_BUILD_PARALLEL_LEVEL") or str(os.cpu_count() or 1)
        try:
            subprocess.run(configure, check=True)
            subprocess.run([cmake, "--build", str(build_dir), "--parallel", jobs], check=True)
        except subprocess.CalledProcessError as error:
            raise CompileError(
                "symconv: building the C++ core failed (the compiler's messages are above).\n"
                "  It needs C++20: g++ >= 11 or clang++ >= 14; name another compiler in CXX,\n"
                "  or set SYMCONV_NO_CORE=1 to install without the compiled core."
            ) from error
        built = build_dir / f"_core{sysconfig.get_config_var('EXT_SUFFIX')}"
        # A process may have the old file mapped: replace the name, do not write into it.
        temporary = target.with_suffix(".tmp")
        shutil.copy2(built, temporary)
        os.replace(temporary, target)


def drop_cache_of_other_generator(build_dir: Path, generator: str) -> None:
    """CMake refuses a directory made by another generator or for another tree: start over then."""
    cache = build_dir / "CMakeCache.txt"
    if cache.exists():
        text = cache.read_text()
        same = (
            f"CMAKE_GENERATOR:INTERNAL={generator}\n" in text
            and f"CMAKE_HOME_DIRECTORY:INTERNAL={ROOT}\n" in text
        )
        if not same:
            shutil.rmtree(build_dir)


setup(
    packages=[*find_packages(include=["symconv", "symconv.*"]), "symconv.kernels", "symconv.emulator"],
    ext_modules=[] if NO_CORE else [Extension("symconv._core", sources=[])],
    cmdclass={"build_ext": CMakeBuild},
)
