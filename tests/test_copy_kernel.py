"""strided_copy and fill against NumPy, on every instruction set, with sentinels around the output."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from symconv.graph import params

core = pytest.importorskip("symconv._core", reason="the C++ core is not built")

DTYPES = ["int8", "int16", "float32", "float64"]

pytest_plugins = ["core_fixtures"]


def offset_in(view: np.ndarray, owner: np.ndarray) -> int:
    return (view.ctypes.data - owner.ctypes.data) // owner.itemsize if view.size else 0


def copy(source: np.ndarray, x: np.ndarray, target: np.ndarray, y: np.ndarray) -> None:
    """y[...] = x through the kernel; x is any view of the dense `source`, y of the dense `target`."""
    itemsize = source.itemsize
    data = params.pack(
        "StridedCopyParams",
        ndim=x.ndim,
        itemsize=itemsize,
        in_offset=offset_in(x, source),
        out_offset=offset_in(y, target),
        shape=x.shape,
        in_stride=[s // itemsize for s in x.strides],
        out_stride=[s // itemsize for s in y.strides],
    )
    core.call_kernel("strided_copy", data, [source], [target])


def numbers(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    return (np.arange(np.prod(shape, dtype=int)) * 37 % 251 - 125).reshape(shape).astype(dtype)


def check(source: np.ndarray, x: np.ndarray) -> None:
    """Copies x into the middle of a buffer of sentinels, and into a view with gaps."""
    margin = 67
    target = np.full(x.size + 2 * margin, 99, x.dtype)
    copy(source, x, target, target[margin : margin + x.size].reshape(x.shape))
    assert np.array_equal(target[margin : margin + x.size].reshape(x.shape), x)
    assert (target[:margin] == 99).all() and (target[margin + x.size :] == 99).all()
    gaps = np.full([2 * d + 1 for d in x.shape], 99, x.dtype)
    expected = gaps.copy()
    inner = (*(slice(1, None, 2) for _ in x.shape), ...)
    expected[inner] = x
    copy(source, x, gaps, gaps[inner])
    assert np.array_equal(gaps, expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_copy_transposes(isa, dtype):
    source = numbers((3, 13, 5, 17), dtype)
    for axes in itertools.permutations(range(4)):
        check(source, source.transpose(axes))


@pytest.mark.parametrize(
    "shape", [(1, 1), (7, 9), (8, 8), (16, 24), (33, 65), (64, 31), (130, 257), (1, 300), (300, 1)]
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_copy_transposes_matrices(isa, dtype, shape):
    source = numbers(shape, dtype)
    check(source, source.T)


@pytest.mark.parametrize("dtype", DTYPES)
def test_copy_slices_and_flips(isa, dtype):
    source = numbers((7, 11, 13), dtype)
    for index in [
        np.s_[1:6, 2:9, 3:12],
        np.s_[::2, ::3, ::5],
        np.s_[::-1],
        np.s_[:, ::-1, ::-2],
        np.s_[5:0:-2, 4, 1:2],
        np.s_[3, 4, 5, ...],
        np.s_[2:2],
        np.s_[:, :, 13:],
    ]:
        x = source[index]
        check(source, x)
        check(source, x.T)


@pytest.mark.parametrize("dtype", DTYPES)
def test_copy_broadcasts(isa, dtype):
    source = numbers((3, 1, 5), dtype)
    check(source, np.broadcast_to(source, (2, 3, 4, 5)))
    check(source, np.broadcast_to(source[:, :, :1], (3, 7, 19)))
    check(source, np.broadcast_to(source[1, 0, 2, ...], (2, 3, 4)))
    check(source, np.broadcast_to(source, (2, 3, 4, 5)).transpose(3, 0, 2, 1))


def test_copy_takes_eight_dimensions_and_none(isa):
    source = numbers((2, 3, 1, 2, 3, 2, 2, 3), "float32")
    check(source, source.transpose(7, 0, 3, 2, 5, 4, 1, 6))
    scalar = numbers((), "float64")
    check(scalar, scalar)


def test_copy_concatenates(isa):
    a, b = numbers((3, 4, 5), "float32"), numbers((3, 2, 5), "float32")
    out = np.zeros((3, 6, 5), "float32")
    copy(a, a, out, out[:, :4])
    copy(b, b, out, out[:, 4:])
    assert np.array_equal(out, np.concatenate([a, b], 1))


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (0, 2, 1)])
def test_copy_is_shared_between_threads_without_loss(isa, threads, axes):
    source = numbers((97, 101, 89), "float32")
    x = source.transpose(axes)
    y = np.full(x.shape, np.nan, "float32")
    copy(source, x, y, y)
    assert np.array_equal(y, x)
    copy(source, np.broadcast_to(source[:, :1, 0], (97, 9000)), big := np.zeros((97, 9000), "float32"), big)
    assert np.array_equal(big, np.broadcast_to(source[:, :1, 0], (97, 9000)))


def test_copy_random_views(isa):
    rng = np.random.default_rng(5)
    for _ in range(150):
        ndim = int(rng.integers(1, 6))
        source = numbers(tuple(rng.integers(1, 9, ndim)), DTYPES[rng.integers(4)])
        x = source.transpose(rng.permutation(ndim))
        x = x[tuple(slice(None, None, int(rng.choice([-3, -1, 1, 2]))) for _ in range(ndim))]
        check(source, x)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(ndim=9), "ndim is 9"),
        (dict(ndim=-1), "ndim is -1"),
        (dict(itemsize=3), "itemsize is 3"),
        (dict(shape=[5]), "input elements 0 to 4 are touched, the buffer has 4 of 4 bytes"),
        (dict(in_offset=1), "input elements 1 to 4"),
        (dict(in_offset=-1), "input elements -1 to 2"),
        (dict(in_stride=[-1]), "input elements -3 to 0"),
        (dict(out_stride=[2]), "output elements 0 to 6"),
        (dict(out_stride=[0]), r"out_stride\[0\] is 0 for 4 elements"),
        (dict(out_offset=2**50), "offset beyond"),
        (dict(shape=[-4]), r"shape\[0\] is -4"),
        (dict(in_stride=[2**62]), "input reaches beyond"),
        (dict(shape=[2**45, 2**45], ndim=2, in_stride=[2**62, 1], out_stride=[1, 1]), "input reaches beyond"),
    ],
)
def test_copy_refuses_what_lies_outside(change, message):
    fields = dict(ndim=1, itemsize=4, in_offset=0, out_offset=0, shape=[4], in_stride=[1], out_stride=[1])
    x, y = np.zeros(4, "f4"), np.zeros(4, "f4")
    with pytest.raises(ValueError, match=f"strided_copy: {message}"):
        core.call_kernel("strided_copy", params.pack("StridedCopyParams", **{**fields, **change}), [x], [y])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("count", [0, 1, 7, 1000, 300_001])
def test_fill(isa, threads, dtype, count):
    value = np.array(-77, dtype)
    out = np.zeros(count + 2, dtype)
    raw = int.from_bytes(value.tobytes().ljust(8, b"\0"), "little", signed=True)
    core.call_kernel(
        "fill", params.pack("FillParams", itemsize=value.itemsize, count=count, value=raw), [], [out]
    )
    assert (out[:count] == value).all() and (out[count:] == 0).all()
