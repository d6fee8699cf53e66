"""Which executor a function gets: the device asked for, or the best one that this installation has."""

from __future__ import annotations

import warnings
from functools import lru_cache

from symconv.config import config
from symconv.errors import DeviceError

BUILD_HINT = (
    "build it with a C++20 compiler: `pip install .` (or `python setup.py build_ext --inplace` in a checkout)"
)


@lru_cache(maxsize=1)
def core_error() -> str | None:
    """Why the C++ core cannot be used, or None if it can."""
    try:
        import symconv._core  # noqa: F401
    except ImportError as error:
        return str(error)
    return None


@lru_cache(maxsize=1)
def _warn_once() -> None:
    warnings.warn(
        f"the C++ core is not built ({core_error()}); the NumPy reference runs instead, many times "
        f"slower. {BUILD_HINT}",
        RuntimeWarning,
        stacklevel=4,
    )


@lru_cache(maxsize=1)
def cuda_error() -> str | None:
    """Why there is no GPU to use, with what to do about it, or None if there is one."""
    try:
        import cupy
    except ImportError as error:
        return f"device 'cuda' needs CuPy: {error}\n  hint: pip install \"symconv[cuda]\""
    try:
        count = cupy.cuda.runtime.getDeviceCount()
        capability = int(cupy.cuda.Device(0).compute_capability) if count else 0
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return (
            f"device 'cuda': CuPy finds no usable driver: {error}\n"
            "  hint: install NVIDIA's driver; device 'emulated' runs the same kernels on the CPU"
        )
    if count == 0:
        return "device 'cuda': the driver reports no GPU\n  hint: 'emulated' runs the same kernels on the CPU"
    if capability < 75:
        return (
            f"device 'cuda': the GPU's compute capability is {capability / 10}, the kernels need 7.5 (Turing)"
        )
    return None


def resolve_device(device: str | None = None) -> str:
    """The device for a request that may be None or 'auto'. Raises DeviceError."""
    device = device or config.device
    if device == "auto":
        if core_error() is None:
            return "cpu"
        _warn_once()
        return "reference"
    if device == "cpu" and core_error() is not None:
        raise DeviceError(f"device 'cpu' needs the C++ core: {core_error()}\n  hint: {BUILD_HINT}")
    if device == "cuda" and (reason := cuda_error()) is not None:
        raise DeviceError(reason)
    if device not in ("cpu", "reference", "cuda", "emulated"):
        raise DeviceError(f"unknown device {device!r}; there are auto, cpu, cuda, emulated and reference")
    return device
