"""Arrays that stay on the device: taken from CuPy, PyTorch, Numba and JAX without a copy, and handed back."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from symconv.errors import ArgumentError, DeviceError, DTypeError, IndexRangeError, ShapeError


class DeviceArray:
    """A C-contiguous array in device memory; `owner` keeps it alive.

    It speaks __cuda_array_interface__ (version 3) and, on a GPU, DLPack: `cupy.asarray(a)` and
    `torch.as_tensor(a)` share its memory. `a.numpy()` copies it to the host.
    """

    def __init__(self, address: int, shape: tuple[int, ...], dtype: Any, owner: Any, runtime: Any) -> None:
        self.address = address
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self.owner = owner
        self.runtime = runtime

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "shape": self.shape, "typestr": self.dtype.str, "data": (self.address, False), "version": 3,
            "strides": None, "stream": None,
        }  # fmt: skip

    def numpy(self) -> np.ndarray:
        """A copy on the host, once the work that makes it is done."""
        array = np.empty(self.shape, self.dtype)
        if array.nbytes:
            self.runtime.download(self.address, array)
        return array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ArgumentError("a device array cannot become a NumPy array without a copy")
        array = self.numpy()
        return array if dtype is None else array.astype(dtype)

    def _cupy(self) -> Any:
        if self.runtime.device != "cuda":
            raise DeviceError("DLPack is for arrays on a GPU; take .numpy() of an emulated one")
        import cupy

        return cupy.asarray(self)

    def __dlpack__(self, **options: Any) -> Any:
        return self._cupy().__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self._cupy().__dlpack_device__()

    def __getitem__(self, i: int | slice) -> DeviceArray:
        """Element i, or a run of elements, of the first axis, in place."""
        if isinstance(i, slice):
            first, last, step = i.indices(self.shape[0])
            if step != 1:
                raise IndexRangeError("a slice of a device array has step 1")
            count = max(last - first, 0)
            at = self.address + first * (self.nbytes // max(self.shape[0], 1))
            return DeviceArray(at, (count, *self.shape[1:]), self.dtype, self.owner, self.runtime)
        if not isinstance(i, (int, np.integer)) or not -self.shape[0] <= i < self.shape[0]:
            raise IndexRangeError(f"index {i!r} of a device array of {self.shape[0]} rows")
        step = self.nbytes // self.shape[0]
        at = self.address + (int(i) % self.shape[0]) * step
        return DeviceArray(at, self.shape[1:], self.dtype, self.owner, self.runtime)

    def __repr__(self) -> str:
        return f"<{self.dtype}{list(self.shape)} on {self.runtime.device}>"


def is_on_device(value: Any) -> bool:
    """PyTorch's tensors on the CPU have the interface on their class, and raise AttributeError."""
    return hasattr(value, "__cuda_array_interface__")


def take(value: Any, runtime: Any, what: str, dtype: str) -> DeviceArray:
    """`value` as a DeviceArray on the same memory. Raises DTypeError or ShapeError: nothing is converted."""
    if isinstance(value, DeviceArray):
        found = value
    else:
        facts = value.__cuda_array_interface__
        kind = np.dtype(facts["typestr"])
        shape = tuple(facts["shape"])
        found = DeviceArray(facts["data"][0] or 0, shape, kind, value, runtime)
        strides = facts.get("strides")
        if strides is not None and found.nbytes and not _contiguous(shape, strides, kind.itemsize):
            raise ShapeError(
                f"{what}: the device array has strides {tuple(strides)}, it must be C-contiguous\n"
                "  hint: cupy.ascontiguousarray(a), or a.contiguous() of PyTorch"
            )
    if found.dtype != np.dtype(dtype):
        raise DTypeError(
            f"{what}: the device array is {found.dtype}, expected {dtype}\n"
            f"  hint: convert it with astype({dtype!r})"
        )
    return found


def _contiguous(shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int) -> bool:
    expected = itemsize
    for extent, stride in zip(reversed(shape), reversed(strides)):
        if extent != 1 and stride != expected:
            return False
        expected *= extent
    return True
