"""Arrays that stay on the device: in without a copy, out as device arrays; states; refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import symconv as sc
from symconv.backends.gpu.interop import DeviceArray
from symconv.errors import DeviceError, DTypeError, ShapeError

pytestmark = pytest.mark.usefixtures("cxx")


class Foreign:
    """An array of another library by its interface; the emulated device's memory is the host's."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        a = self.array
        data = (a.ctypes.data, False)
        return {"shape": a.shape, "typestr": a.dtype.str, "data": data, "strides": a.strides, "version": 3}


def softmax() -> sc.Function:
    x = sc.matrix("x")
    return sc.function([x], sc.softmax(x), device="emulated")


def test_foreign_arrays_are_used_where_they_lie() -> None:
    f = softmax()
    a = Foreign(np.random.default_rng(0).standard_normal((5, 7)).astype("float32"))
    first = f(a)
    np.testing.assert_array_equal(first, f(a.array))
    a.array[:] = 1.0
    np.testing.assert_allclose(f(a), np.full((5, 7), 1 / 7), rtol=1e-6)


def test_a_class_with_the_interface_may_hold_an_array_on_the_host() -> None:
    """As PyTorch's tensors do: the attribute raises AttributeError for those on the CPU."""

    class OnTheHost:
        @property
        def __cuda_array_interface__(self) -> dict[str, Any]:
            raise AttributeError("not on a GPU")

        def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
            return np.zeros((2, 4), "float32")

    np.testing.assert_allclose(softmax()(OnTheHost()), 0.25)


def test_outputs_stay_on_the_device_each_in_its_own_memory() -> None:
    f = softmax()
    x, y = np.eye(3, dtype="float32"), np.ones((3, 3), "float32")
    a, b = f.on_device(x), f.on_device(y)
    assert isinstance(a, DeviceArray) and a.shape == (3, 3) and a.dtype == "float32"
    np.testing.assert_array_equal(a.numpy(), f(x))
    np.testing.assert_array_equal(np.asarray(b), f(y))
    np.testing.assert_array_equal(f(a), f(f(x)))
    np.testing.assert_array_equal(a[1].numpy(), f(x)[1])
    assert a.__cuda_array_interface__["data"][0] == a.address


def test_map_takes_device_arrays() -> None:
    f = softmax()
    x = np.random.default_rng(1).standard_normal((4, 2, 3)).astype("float32")
    np.testing.assert_array_equal(f.map(Foreign(x)), f.map(x))


@pytest.mark.parametrize(
    ("array", "error", "message"),
    [
        (np.zeros((2, 3)), DTypeError, "the device array is float64, expected float32"),
        (np.zeros((3, 2), "float32").T, ShapeError, "must be C-contiguous"),
        (np.zeros(3, "float32"), ShapeError, "expected float32"),
    ],
)
def test_refusals(array: np.ndarray, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        softmax()(Foreign(array))


def test_only_on_devices() -> None:
    x = sc.matrix("x")
    with pytest.raises(DeviceError, match="only with device 'cuda' or 'emulated'"):
        sc.function([x], sc.softmax(x), device="reference").on_device(np.zeros((1, 1), "float32"))
    a = softmax().on_device(np.zeros((1, 1), "float32"))
    with pytest.raises(DeviceError, match="DLPack is for arrays on a GPU"):
        a.__dlpack__()
    with pytest.raises(IndexError, match="index 1 of a device array of 1 rows"):
        a[1]


def test_states_are_shared_by_devices() -> None:
    """The newest value is seen wherever it was made."""
    total = sc.shared(np.full((2, 2), 1.0, "float32"))
    x = sc.matrix("x")
    on_gpu = sc.function([], updates=[(total, sc.softmax(total))], device="emulated")
    on_host = sc.function([x], updates=[(total, total + x)], device="reference")
    on_gpu()
    on_host(np.eye(2, dtype="float32"))
    np.testing.assert_allclose(total.get_value(), [[1.5, 0.5], [0.5, 1.5]])
    on_gpu()
    e = np.exp(1.0)
    np.testing.assert_allclose(total.get_value()[0], [e / (1 + e), 1 / (1 + e)], rtol=1e-6)
    total.set_value(np.zeros((2, 2), "float32"))
    on_gpu()
    np.testing.assert_allclose(total.get_value(), 0.5)
