"""Draws of the emulated GPU: equal to philox.py, bit for bit, as are those of the CPU."""

from __future__ import annotations

import numpy as np
import pytest
from cuda_kernels import chosen, node_of, run_cuda_kernel

import symconv as sc
from symconv.errors import ExecutionError
from symconv.graph import Apply, Op, constant
from symconv.ops import philox
from symconv.ops.leaf import tensor
from symconv.ops.random import Dropout, RandomIntegers, RandomNormal, RandomPermutation, RandomUniform

try:
    from symconv import _core
except ImportError:
    _core = None

pytestmark = pytest.mark.usefixtures("cxx")
DRAWS = ((0, 0, 0), (2**63 + 5, 3, 7), (12345678901, 2**32 - 1, 2**40 + 3))
SIZES = (1, 2, 3, 4, 7, 9, 1023, 1024, 1025, 4099)


def drawn(op: Op, counter: int, shape: tuple[int, ...], *bounds: int, order: int = 0) -> np.ndarray:
    """The output of the op's CUDA kernel; as on the device, dimensions are inputs too."""
    constants = [np.asarray(v, "int64") for v in (*bounds, *shape)]
    node: Apply = op.make(tensor("int64", ()), *(constant(c) for c in constants))
    arrays = [np.asarray(counter, "int64"), *constants]
    (got,) = run_cuda_kernel(node, chosen(node), *arrays, order=order)
    return got


def bits(a: np.ndarray) -> np.ndarray:
    return a.view(f"u{a.itemsize}")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_floats_equal_philox_bit_for_bit(dtype):
    for order, (seed, stream, draw) in enumerate(DRAWS):
        for n in SIZES:
            uniform = drawn(RandomUniform(seed, stream, dtype), draw, (n,), order=order)
            np.testing.assert_array_equal(bits(uniform), bits(philox.uniform(seed, stream, draw, n, dtype)))
            normal = drawn(RandomNormal(seed, stream, dtype), draw, (n, 1), order=order).reshape(-1)
            expected = philox.normal_pairs(seed, stream, draw, n, dtype)
            np.testing.assert_array_equal(bits(normal), bits(expected))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_many_normals_equal_philox_bit_for_bit(dtype):
    """Enough for every quarter of the circle and every binary exponent down to 2^-17."""
    got = drawn(RandomNormal(7, 1, dtype), 11, (150001,))
    np.testing.assert_array_equal(bits(got), bits(philox.normal_pairs(7, 1, 11, 150001, dtype)))


def test_integers_equal_philox():
    for seed, stream, draw in DRAWS:
        for low, high in ((0, 10), (-5, -4), (-(2**63), 2**63 - 1), (0, 2**40 + 1)):
            got = drawn(RandomIntegers(seed, stream), draw, (131,), low, high)
            np.testing.assert_array_equal(got, philox.integers(seed, stream, draw, 131, low, high))


@pytest.mark.parametrize("n", [1, 2, 31, 256, 511, 512, 513, 1025, 4096, 4097, 6000, 8192])
def test_permutations_equal_the_stable_sort_of_words(n):
    seed, stream, draw = DRAWS[n % 3]
    got = drawn(RandomPermutation(seed, stream), draw, (n,), order=n % 3)
    np.testing.assert_array_equal(got, np.argsort(philox.words64(seed, stream, draw, n), kind="stable"))


def test_the_stages_of_a_permutation():
    def entries(n: int) -> list[str]:
        node = RandomPermutation(1, 1).make(tensor("int64", ()), constant(np.asarray(n, "int64")))
        launch, found = chosen(node).launch(node), []
        assert launch.workspace == (32 * n if launch.then else 0)
        while launch is not None:
            found.append(launch.entry.removeprefix("random_permutation"))
            launch = launch.then
        return found

    assert entries(4096) == [""]
    assert entries(4097) == ["_runs", "_merge", "_merge", "_merge"]
    assert entries(50000) == ["_runs"] + ["_merge"] * 6


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("p", [0.2, 0.5, 0.999999])
def test_dropout_equals_the_reference(dtype, p):
    rng = np.random.default_rng(1)
    for number, n in enumerate((1, 7, 8, 9, 2047, 2048, 2049, 5000)):
        x = rng.standard_normal(n).astype(dtype)
        x[::5] = np.nan
        seed, stream, draw = DRAWS[number % 3]
        counter = np.asarray(draw, "int64")
        op = Dropout(seed, stream, p)
        node = node_of(op, x, counter)
        expected = op.reference(x, counter)
        for in_place in (False, True):
            (got,) = run_cuda_kernel(
                node, chosen(node), x, counter, in_place=in_place, shift=number % 2, order=number % 3
            )
            np.testing.assert_array_equal(bits(got), bits(expected))


def test_an_empty_range_is_an_error():
    counter, low, high = sc.shared(np.asarray(3)), sc.lscalar("low"), sc.lscalar("high")
    f = sc.function([low, high], RandomIntegers(1, 2)(counter, low, high, constant(5)), device="emulated")
    assert f(2, 9).shape == (5,)
    with pytest.raises(ExecutionError, match=r"nothing lies in \[4, 4\)"):
        f(4, 4)
    assert f(4, 5).tolist() == [4] * 5


@pytest.mark.skipif(_core is None, reason="the C++ core is not built")
def test_a_stream_draws_the_same_on_every_device():
    def run(device: str) -> list[np.ndarray]:
        rng = sc.RandomStream(2**63 + 11)
        x = sc.constant(np.arange(35, dtype="float32").reshape(5, 7))
        outputs = [
            rng.uniform((3, 5)), rng.normal((7, 3)), rng.integers((11,), -3, 10), rng.permutation(300),
            rng.normal((5,), dtype="float64"), sc.dropout(x, 0.25, rng=rng),
        ]  # fmt: skip
        f = sc.function([], outputs, device=device)
        return [*f(), *f()]

    reference = run("reference")
    assert not np.array_equal(reference[0], reference[6])
    for device in ("cpu", "emulated"):
        for a, b in zip(run(device), reference):
            assert a.dtype == b.dtype and a.tobytes() == b.tobytes()
