"""The reduction kernels: every layout, long sums, the same result on any number of threads, refusals."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from symconv.graph import TensorType, Variable
from symconv.graph.params import pack
from symconv.graph.types import KERNEL_DTYPES
from symconv.ops import reduce
from symconv.ops.reduce_kernel import merged_axes

_core = pytest.importorskip("symconv._core", reason="the C++ core is not built")

OPS = (reduce.Sum, reduce.Prod, reduce.Max, reduce.Min, reduce.Any_, reduce.All, reduce.ArgMax, reduce.ArgMin)

pytest_plugins = ["core_fixtures"]


@pytest.fixture
def threads():
    before = _core.num_threads()
    yield _core.set_num_threads
    _core.set_num_threads(before)


def run(op: reduce.Reduce, x: np.ndarray) -> np.ndarray:
    node = op.make(Variable(TensorType(str(x.dtype), x.shape)))
    kernel = op.kernels[0]
    assert kernel.supports(node) is None
    y = np.full(node.out.type.shape, 77, node.out.dtype)
    _core.call_kernel(kernel.entry, kernel.launch(node).params, [x], [y])
    return y


def test_every_subset_of_axes(isa: str) -> None:
    rng = np.random.default_rng(1)
    for shape in [(3, 5, 2, 7), (2, 1, 33, 3), (70, 3), (3, 70), (1, 1), (2, 3, 2, 3, 2), ()]:
        x = rng.integers(-3, 4, shape).astype("float32")
        for n in range(len(shape) + 1):
            for axes in itertools.combinations(range(len(shape)), n):
                for cls in (reduce.Sum, reduce.Max, reduce.ArgMin):
                    if cls is reduce.ArgMin and not axes:
                        continue
                    op = cls(axes)
                    np.testing.assert_array_equal(run(op, x), op.reference(x), err_msg=f"{op} {shape}")


@pytest.mark.parametrize("cls", OPS)
@pytest.mark.parametrize("dtype", KERNEL_DTYPES)
def test_every_dtype(cls: type[reduce.Reduce], dtype: str, isa: str) -> None:
    if cls in (reduce.Any_, reduce.All) and dtype != "bool":
        return
    rng = np.random.default_rng(2)
    for shape, axis in [((5, 131), 1), ((131, 5), 0), ((2, 67, 3), 1), ((130,), 0), ((3, 2), 1)]:
        x = (rng.integers(0, 2, shape) if dtype == "bool" else rng.integers(-3, 4, shape)).astype(dtype)
        op = cls((axis,))
        np.testing.assert_array_equal(run(op, x), op.reference(x))


@pytest.mark.parametrize("n", [0, 1, 7, 8, 15, 16, 17, 33, 511, 512, 513, 4095, 4097, 40_000, 300_001])
def test_sum_lengths(n: int, isa: str) -> None:
    x = np.random.default_rng(3).integers(-3, 4, n).astype("float32")
    assert run(reduce.Sum((0,)), x) == x.sum(dtype="float64")
    assert run(reduce.Sum((0,)), x.astype("float64")) == x.sum(dtype="float64")
    if n:
        assert run(reduce.Max((0,)), x) == x.max()


@pytest.mark.parametrize(
    ("shape", "axes"), [((3_000_000,), (0,)), ((700_001, 3), (0,)), ((3, 700_001), (1,))]
)
def test_long_sums_stay_accurate(shape: tuple, axes: tuple, isa: str) -> None:
    """A float32 running sum of these would be off by 1e-4 and more."""
    x = np.random.default_rng(4).uniform(0, 1, shape).astype("float32")
    np.testing.assert_allclose(run(reduce.Sum(axes), x), x.sum(axis=axes, dtype="float64"), rtol=3e-7)


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((1_000_003,), (0,)),
        ((100_003, 7), (0,)),
        ((7, 100_003), (1,)),
        ((5, 40_001, 7), (1,)),
        ((64, 20, 331), (0, 2)),
    ],
)
@pytest.mark.parametrize("cls", [reduce.Sum, reduce.Prod, reduce.Max, reduce.ArgMax])
def test_same_bits_on_any_number_of_threads(shape: tuple, axes: tuple, cls: type, threads) -> None:
    x = (1 + np.random.default_rng(5).standard_normal(shape) * 1e-3).astype("float32")
    results = []
    for n in (1, 2, 5):
        threads(n)
        results.append(run(cls(axes), x))
    assert results[0].tobytes() == results[1].tobytes() == results[2].tobytes()
    np.testing.assert_allclose(results[0], cls(axes).reference(x), rtol=1e-4)


def test_nan_stays_wherever_it_stands(isa: str) -> None:
    for at in range(0, 67, 3):
        x = np.arange(67, dtype="float32")
        x[at] = math.nan
        for column in (x, np.stack([x] * 9, axis=1)):
            for op in (reduce.Max((0,)), reduce.Min((0,)), reduce.Sum((0,)), reduce.Prod((0,))):
                assert np.isnan(run(op, np.ascontiguousarray(column))).all()
            for op in (reduce.ArgMax((0,)), reduce.ArgMin((0,))):
                assert (run(op, np.ascontiguousarray(column)) == at).all()


def test_first_of_equals() -> None:
    x = np.float32([[1, 3, 3, 0, 0], [2, 2, 2, 2, 2]])
    assert run(reduce.ArgMax((1,)), x).tolist() == [1, 0]
    assert run(reduce.ArgMin((1,)), x).tolist() == [3, 0]
    assert run(reduce.ArgMax((0, 1)), x) == 1
    assert run(reduce.ArgMax((0,)), x).tolist() == [1, 0, 0, 1, 1]


def test_integer_sums_wrap_in_64_bits() -> None:
    x = np.array([2**62, 2**62, 2**62], dtype="int64")
    assert run(reduce.Sum((0,)), x) == -(2**62)
    assert run(reduce.Sum((0,)), np.full(1000, 200, "uint8")) == 200_000


@pytest.mark.parametrize(
    ("shape", "axes", "merged", "bits"),
    [
        ((2, 3, 5), (1, 2), [2, 15], 0b10),
        ((2, 1, 3), (0, 2), [6], 0b1),
        ((2, 3, 5), (), [30], 0),
        ((1, 1), (0,), [], 0),
        ((2, 3, 1, 5), (0, 3), [2, 3, 5], 0b101),
    ],
)
def test_merged_axes(shape: tuple, axes: tuple, merged: list, bits: int) -> None:
    assert merged_axes(shape, axes) == (merged, bits)


def test_too_many_dims_refused() -> None:
    node = reduce.Sum((0, 2, 4, 6, 8)).make(Variable(TensorType("float32", (2,) * 10)))
    assert "10 dimensions" in (reduce.Sum.kernels[0].supports(node) or "")


GOOD = {"op": 0, "dtype": 6, "ndim": 2, "reduced": 2, "shape": [3, 4]}


@pytest.mark.parametrize("entry", ["reduce", "arg_reduce"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"op": 99}, "op 99"),
        ({"op": -1}, "op -1"),
        ({"dtype": 8}, "dtype 8"),
        ({"ndim": 9}, "9 dimensions"),
        ({"reduced": 4}, "0x4 reduced"),
        ({"shape": [3, -1]}, "dimension 1 is -1"),
        ({"shape": [3, 5]}, "the input has 48 bytes, the params need 60"),
        ({"shape": [4, 3], "reduced": 0}, "the output has 24 bytes"),
    ],
    ids=lambda v: str(v)[:30],
)
def test_check_refuses(entry: str, change: dict, message: str) -> None:
    values = {**GOOD, "op": 6 if entry == "arg_reduce" else 0, **change}
    with pytest.raises(ValueError, match=message):
        _core.call_kernel(entry, pack("ReduceParams", **values), [np.ones((3, 4), "float32")], [np.ones(3)])


def test_each_entry_refuses_the_other_ones_ops() -> None:
    for entry, op in (("reduce", 6), ("arg_reduce", 0)):
        with pytest.raises(ValueError, match=f"{entry}: op {op}"):
            values = {**GOOD, "op": op}
            _core.call_kernel(
                entry, pack("ReduceParams", **values), [np.ones((3, 4), "float32")], [np.ones(3)]
            )


def test_arg_reduce_refuses_no_elements() -> None:
    with pytest.raises(ValueError, match="no element"):
        values = {**GOOD, "op": 6, "shape": [3, 0]}
        _core.call_kernel(
            "arg_reduce", pack("ReduceParams", **values), [np.ones((3, 0), "float32")], [np.ones(3)]
        )
