"""The CUDA kernels of copies, gather and scatter in the emulator: units, four a thread, chunks, faults."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from cuda_kernels import chosen, node_of, run_cuda_kernel

import symconv as sc
from symconv.errors import ExecutionError
from symconv.graph import Apply, Op, constant
from symconv.graph.types import KERNEL_DTYPES
from symconv.ops import dividers, move_cuda, pick_cuda
from symconv.ops.gather import AdvancedIndex, Scatter
from symconv.ops.join import Concatenate
from symconv.ops.pad import Pad
from symconv.ops.shape import BroadcastTo, Transpose
from symconv.ops.slicing import SetSlice, Slice
from symconv.plan.copy import Copy

pytestmark = pytest.mark.usefixtures("cxx")


@pytest.fixture(params=[1, 4])
def per(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Units that a thread moves, whatever the size."""
    least = 1 if request.param == 4 else 1 << 18
    monkeypatch.setattr(move_cuda, "FILLS_THE_GPU", least)
    monkeypatch.setattr(pick_cuda, "FILLS_THE_GPU", least)
    return int(request.param)


def numbers(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    return (np.arange(np.prod(shape, dtype=int)) % 101).reshape(shape).astype(dtype)


def check(op: Op, *arrays: np.ndarray, entry: str = "", in_place: bool = False) -> None:
    """The chosen kernel gives the reference's values, aligned and not; its first launch is `entry`."""
    node = node_of(op, *arrays)
    expected = op.reference(*arrays)
    if entry:
        assert chosen(node).launch(node).entry == entry
    for order, shift in ((0, 0), (2, 1)):
        (y,) = run_cuda_kernel(node, chosen(node), *arrays, order=order, shift=shift, in_place=in_place)
        np.testing.assert_array_equal(y, expected)


def integers(*values: int) -> list[np.ndarray]:
    return [np.array(v, "int64") for v in values]


def with_dims(op: Op, x: np.ndarray, *dims: int) -> Apply:
    return op.make(constant(x), *(constant(d, "int64") for d in dims))


@pytest.mark.parametrize("dtype", KERNEL_DTYPES)
def test_transposes_through_shared_memory(dtype: str) -> None:
    itemsize = np.dtype(dtype).itemsize
    for shape, axes in (
        ((33, 65), (1, 0)), ((3, 8, 40), (0, 2, 1)), ((2, 9, 3, 33), (0, 3, 2, 1)), ((8, 8), (1, 0)),
        ((2, 31, 5, 32), (3, 0, 2, 1)),
    ):  # fmt: skip
        check(Transpose(axes), numbers(shape, dtype), entry=f"transpose_b{itemsize}")


def test_short_and_inner_transposes_are_moves(per: int) -> None:
    check(Transpose((1, 0)), numbers((7, 100), "float32"), entry="move_b4")
    check(Transpose((1, 0, 2)), numbers((5, 7, 8), "float32"), entry="move_b16")
    check(Transpose((1, 0, 2)), numbers((5, 7, 6), "float32"), entry="move_b8")
    check(Transpose((1, 0, 2)), numbers((5, 7, 6), "uint8"), entry="move_b2")


@pytest.mark.parametrize("dtype", ["bool", "int16", "float32", "float64"])
def test_copies_in_the_largest_unit(dtype: str, per: int) -> None:
    itemsize = np.dtype(dtype).itemsize
    for n in (1, 5, 6, 12, 16, 1000, 1024, 4099):
        unit = max(u for u in (itemsize, 2, 4, 8, 16) if u >= itemsize and n * itemsize % u == 0)
        check(Copy(), numbers((n,), dtype), entry=f"move_b{unit}")


def test_slices(per: int) -> None:
    x = numbers((6, 9, 8), "float32")
    for axes, steps, starts, lengths in (
        ((1,), (1,), (2,), (4,)), ((1,), (-1,), (8,), (9,)), ((2,), (2,), (1,), (3,)),
        ((0, 2), (2, 1), (1, 4), (2, 4)), ((0, 1, 2), (-2, 1, -1), (5, 0, 7), (3, 2, 8)),
    ):  # fmt: skip
        bounds = integers(*(v for pair in zip(starts, lengths) for v in pair))
        op = Slice(axes, steps)
        node = op.make(constant(x), *(constant(b) for b in bounds))
        for shift in (0, 1):
            (y,) = run_cuda_kernel(node, chosen(node), x, *bounds, shift=shift)
            np.testing.assert_array_equal(y, op.reference(x, *bounds))


def test_indices_beyond_31_bits_are_divided_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dividers, "LIMIT", 1)
    check(Transpose((1, 0, 2)), numbers((5, 7, 6), "float32"), entry="move_b8")
    check(Concatenate(1), numbers((3, 5, 4), "int8"), numbers((3, 2, 4), "int8"))


def test_moving_starts_are_checked() -> None:
    x = numbers((3, 8), "float32")
    op = Slice((1,), (1,))
    start = sc.as_variable(np.int64(0)).type
    node = op.make(constant(x), sc.graph.Variable(start), constant(2, "int64"))
    for at in (0, 3, 6):
        (y,) = run_cuda_kernel(node, chosen(node), x, *integers(at, 2))
        np.testing.assert_array_equal(y, x[:, at : at + 2])
    for at in (-1, 7):
        with pytest.raises(ExecutionError):
            run_cuda_kernel(node, chosen(node), x, *integers(at, 2))


@pytest.mark.parametrize("dtype", ["bool", "int8", "int64", "float32", "float64"])
def test_several_pieces_share_a_launch(dtype: str, per: int) -> None:
    parts = [numbers((3, n, 4), dtype) for n in (1, 5, 300, 2)]
    check(Concatenate(1), *parts)
    check(Concatenate(0), numbers((2, 3), dtype), numbers((700, 3), dtype))
    check(Pad((1, 0, 2), (0, 3, 1)), numbers((3, 4, 5), dtype), np.array(1, dtype))


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("dtype", KERNEL_DTYPES)
def test_set_and_add_slices(dtype: str, in_place: bool) -> None:
    x, y = numbers((5, 9), dtype), numbers((2, 9), dtype)
    for add in (False, True):
        check(SetSlice((0,), (2,), add), x, y, *integers(1), in_place=in_place)


def test_broadcasts_and_fills(per: int) -> None:
    for dtype in ("bool", "int16", "float32", "float64"):
        for n in (1, 7, 4096, 5001):
            node = with_dims(BroadcastTo(), np.array(1, dtype), n)
            kernel = chosen(node)
            assert kernel.name == "fill"
            for shift in (0, 1):
                (y,) = run_cuda_kernel(node, kernel, np.array(1, dtype), *integers(n), shift=shift)
                np.testing.assert_array_equal(y, np.ones(n, dtype))
    for shape, dims in (((7,), (300, 7)), ((5, 1), (5, 9)), ((3, 1, 8), (2, 3, 4, 8))):
        x = numbers(shape, "float32")
        node = with_dims(BroadcastTo(), x, *dims)
        (y,) = run_cuda_kernel(node, chosen(node), x, *integers(*dims))
        np.testing.assert_array_equal(y, np.broadcast_to(x, dims))


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64"])
def test_gather_in_units(dtype: str, per: int) -> None:
    rng = np.random.default_rng(2)
    for inner, axis in itertools.product((1, 3, 4, 8), (0, 1)):
        x = numbers((3, 7, inner), dtype)
        index = rng.integers(-3, 3, (5, 60)).astype("int16")
        check(AdvancedIndex(axis), x, index)


def test_gather_by_arrays_that_broadcast() -> None:
    x = numbers((5, 6, 2), "float32")
    check(AdvancedIndex(0), x, np.array([[4], [-1], [0]]), np.array([0, 5, -6, 2], "int8"))


def test_gather_names_the_index_outside() -> None:
    node = node_of(AdvancedIndex(0), numbers((5, 2), "float32"), np.zeros(3, "int64"))
    with pytest.raises(ExecutionError, match="5"):
        run_cuda_kernel(node, chosen(node), numbers((5, 2), "float32"), np.array([0, 5, 1]))


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("add", [False, True])
def test_scatter_takes_repeated_places_in_order(
    add: bool, in_place: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Floats whose sum depends on the order, places that repeat within chunks and across them."""
    monkeypatch.setattr(pick_cuda, "CHUNK", 2048)
    rng = np.random.default_rng(3)
    x = rng.standard_normal((2, 7, 3)).astype("float32")
    index = rng.integers(-7, 7, 5000)
    y = (rng.standard_normal((2, 5000, 3)) * 10.0 ** rng.integers(-3, 4, (2, 5000, 3))).astype("float32")
    node = node_of(Scatter(1, add), x, y, index)
    expected = x.copy()
    for j, place in enumerate(index):
        expected[:, place] = expected[:, place] + y[:, j] if add else y[:, j]
    for order in (0, 1):
        (z,) = run_cuda_kernel(node, chosen(node), x, y, index, order=order, in_place=in_place)
        np.testing.assert_array_equal(z, expected)


@pytest.mark.parametrize("dtype", KERNEL_DTYPES)
def test_scatter_of_every_dtype(dtype: str) -> None:
    index = np.array([[0, 2], [2, -1]], "int8")
    for add in (False, True):
        check(Scatter(0, add), numbers((4, 3), dtype), numbers((2, 2, 3), dtype), index)
