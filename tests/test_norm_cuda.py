"""The normalisation kernels of CUDA beside the reference: layouts, slices of channels, in place."""

from __future__ import annotations

import numpy as np
import pytest
from cuda_kernels import chosen, node_of, run_cuda_kernel

from kernels import oracle
from symconv.ops import norm_cuda
from symconv.ops.norm import BatchNorm, BatchNormGrad, WindowSum
from symconv.testing import assert_close

pytestmark = pytest.mark.usefixtures("cxx")
SHAPES = [
    ((7, 11), (0,)), ((130, 67), (0,)), ((3, 5, 2, 7), (0, 2, 3)), ((2, 3, 17, 19), (0, 2, 3)),
    ((5, 13), (1,)), ((5, 7), (0, 1)), ((3, 5), ()), ((3, 2, 5, 7), (0, 1, 2)), ((9, 6, 3), (0, 2)),
    ((1, 1, 5), (0, 2)), ((5, 1), (0,)), ((2, 3, 300), (0, 2)), ((40, 37, 1, 1), (0, 2, 3)),
    ((3, 5, 7), (1,)), ((2, 3, 5, 1, 4, 3), (1, 4)),
]  # fmt: skip


@pytest.fixture(params=[None, 3])
def slices(request, monkeypatch):
    """As the sizes ask for, or three whatever they are."""
    if request.param:
        monkeypatch.setattr(norm_cuda, "slices_of", lambda layout: request.param)
    return request.param


def close(actual, desired, dtype, terms):
    for a, d in zip(actual, desired):
        units = 64 * np.finfo(dtype).eps
        assert_close(a, d, units, units * np.sqrt(terms))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("shape", "axes"), SHAPES)
def test_batch_norm_equals_the_reference(slices, shape, axes, dtype):
    rng = np.random.default_rng(1)
    channels = tuple(d for i, d in enumerate(shape) if i not in axes)
    terms = int(np.prod([shape[a] for a in axes]))
    if slices and terms < slices:
        return  # a slice would be empty
    x, dy = (rng.standard_normal(shape).astype(dtype) + 3 for _ in range(2))
    gamma, beta, mean = (rng.standard_normal(channels).astype(dtype) for _ in range(3))
    var = rng.uniform(0.5, 2, channels).astype(dtype)
    for op, given in (
        (BatchNorm(axes, 1e-3), (x, gamma, beta)),
        (BatchNormGrad(axes, 1e-3), (dy, x, gamma, mean, var)),
    ):
        node = node_of(op, *given)
        kernel = chosen(node)
        launch = kernel.launch(node)
        assert kernel.name == f"{op.name}_{dtype.replace('float', 'f')}"
        assert (launch.then is not None) == bool(slices)
        for order, in_place in enumerate((False, True)):
            got = run_cuda_kernel(node, kernel, *given, order=order, in_place=in_place)
            close(got, oracle(op, *given), dtype, 16 * terms)


def test_gradient_in_place_of_x():
    """Pair (0, 1): dx over x, here with x as both operands."""
    rng = np.random.default_rng(2)
    x = rng.standard_normal((6, 5, 4)).astype("f")
    gamma, mean = rng.standard_normal((2, 5)).astype("f")
    given = (x, x, gamma, mean, np.ones(5, "f"))
    op = BatchNormGrad((0, 2), 1e-3)
    node = node_of(op, *given)
    assert set(chosen(node).inplace_pairs(node)) == {(0, 0), (0, 1)}
    close(run_cuda_kernel(node, chosen(node), *given, in_place=True), oracle(op, *given), "float32", 24)


def test_a_small_variance_far_from_zero_keeps_its_digits(slices):
    rng = np.random.default_rng(3)
    x = rng.standard_normal((64, 3)).astype("f") * np.float32(0.01) + 1000
    one = np.ones(3, "f")
    node = node_of(BatchNorm((0,), 1e-5), x, one, one)
    _, mean, var = run_cuda_kernel(node, chosen(node), x, one, one)
    np.testing.assert_allclose(var, x.astype("f8").var(0), rtol=1e-2)
    np.testing.assert_allclose(mean, x.astype("f8").mean(0), rtol=1e-6)


def test_channels_are_shared_out_by_size():
    cases = {
        (10, 100, 1): (32, 1), (10, 20, 576): (1, 1), (10, 3, 4): (4, 1), (1024, 64, 784): (1, 5),
        (1024, 8, 196): (1, 33), (1024, 512, 49): (1, 1), (100000, 10, 1): (16, 264), (7, 1, 1): (1, 1),
    }  # fmt: skip
    assert {k: (norm_cuda.width_of(k), norm_cuda.slices_of(k)) for k in cases} == cases


def test_slices_give_the_same_bits_in_every_order(slices):
    rng = np.random.default_rng(4)
    x = rng.standard_normal((9, 5, 7)).astype("f")
    one = np.ones(5, "f")
    node = node_of(BatchNorm((0, 2), 1e-5), x, one, one)
    runs = [run_cuda_kernel(node, chosen(node), x, one, one, order=order) for order in (0, 1, 2)]
    assert len({b"".join(r.tobytes() for r in run) for run in runs}) == 1


def test_an_empty_batch_is_left_to_the_reference():
    node = node_of(BatchNorm((0,), 1e-5), np.empty((0, 3), "f"), np.ones(3, "f"), np.ones(3, "f"))
    reasons = [k.supports(node) for k in node.op.kernels if k.device == "cuda"]
    assert "an empty batch: the statistics are NaN" in reasons and all(reasons)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_window_sums_are_exact(dtype):
    rng = np.random.default_rng(5)
    for shape, axis, before, after in [
        ((3, 11, 7), 1, 2, 2), ((2, 5, 300), 1, 0, 3), ((13, 4), 0, 20, 1), ((5, 40), 1, 1, 0),
    ]:  # fmt: skip
        x = rng.integers(-9, 10, shape).astype(dtype)
        node = node_of(WindowSum(axis, before, after), x)
        (got,) = run_cuda_kernel(node, chosen(node), x, shift=1)
        np.testing.assert_array_equal(got, node.op.reference(x))
