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


def resolve_device(device: str | None = None) -> str:
    """'cpu' or 'reference' for a request that may be None or 'auto'. Raises DeviceError."""
    device = device or config.device
    if device == "auto":
        if core_error() is None:
            return "cpu"
        _warn_once()
        return "reference"
    if device == "cpu" and core_error() is not None:
        raise DeviceError(f"device 'cpu' needs the C++ core: {core_error()}\n  hint: {BUILD_HINT}")
    if device in ("cuda", "emulated"):
        raise DeviceError(f"device {device!r} has no executor in this version; use 'cpu' or 'reference'")
    if device not in ("cpu", "reference"):
        raise DeviceError(f"unknown device {device!r}; there are auto, cpu and reference")
    return device
