"""Softmax, log-softmax and cross-entropy: kernels beside the reference, hostile values, labels."""

from __future__ import annotations

import numpy as np
import pytest

import symconv as sc
from kernels import ISAS, _core, oracle, run_kernel
from symconv.errors import DTypeError, ExecutionError, ShapeError
from symconv.ops.softmax import (
    LogSoftmax,
    LogSoftmaxGrad,
    PutLabel,
    Softmax,
    SoftmaxCrossEntropy,
    SoftmaxCrossEntropyGrad,
    SoftmaxGrad,
    TakeLabel,
)

DEVICES = ["reference", pytest.param("cpu", marks=pytest.mark.skipif(_core is None, reason="no core"))]
# one class, no rows, no classes, one vector and its neighbours, primes, a strided axis, more than one thread
SHAPES = [
    ((3, 1), 1), ((0, 5), 1), ((5, 0), 1), ((7, 10), 1), ((13, 17), 1), ((13, 17), 0), ((2, 3, 5, 7), 1),
    ((2, 31, 3), 1), ((3, 1009), 1), ((2, 5, 64), 1), ((1, 8), 1), ((4, 16), 1), ((257, 131), 1), ((7,), 0),
    ((67, 19, 37), 1), ((37, 10), 1), ((64, 32), 1), ((1000, 3), 1), ((8, 16), 1), ((21, 33), 1),
    ((70, 2), 1),
]  # fmt: skip
# The last ones go by vectors of rows: whole ones, parts, and shared among threads.
ROWS = [(3, 1), (0, 5), (7, 10), (13, 17), (1, 8), (257, 131), (37, 10), (64, 32), (4099, 3), (17, 2)]
LABELS = ["int8", "uint8", "int16", "int32", "int64"]


@pytest.fixture(params=ISAS or ["none"])
def isa(request):
    if _core is None:
        pytest.skip("the C++ core is not built")
    before = _core.isa()
    _core.set_isa(request.param)
    yield request.param
    _core.set_isa(before)


def close(actual, desired, dtype, units=16, scale=1.0):
    """Within `units` epsilons of the value, or of `scale` where terms of that size cancel."""
    eps = np.finfo(dtype).eps
    assert actual.dtype == dtype and actual.shape == desired.shape
    np.testing.assert_allclose(actual, desired, rtol=units * eps, atol=units * eps * scale)


def units_of_exp(x):
    """exp(x - max) turns the rounding of x - max, as large as the spread of x, into a relative error."""
    return 16 + min(float(np.ptp(x)) if x.size else 0.0, 745.0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("shape", "axis"), SHAPES)
def test_kernels_along_an_axis_equal_the_reference(isa, shape, axis, dtype):
    rng = np.random.default_rng(1)
    dy = rng.standard_normal(shape).astype(dtype)
    width = np.sqrt(shape[axis] + 1)
    for spread in (1, 30, 1e4):
        x = (rng.standard_normal(shape) * spread).astype(dtype)
        y, log_y = Softmax(axis).reference(x), LogSoftmax(axis).reference(x)
        for inplace in ((), ((0, 0),)):
            (got,) = run_kernel(Softmax(axis), x, inplace=inplace)
            close(got, oracle(Softmax(axis), x)[0], dtype, units_of_exp(x), 1e-30)
            (got,) = run_kernel(LogSoftmax(axis), x, inplace=inplace)
            close(got, oracle(LogSoftmax(axis), x)[0], dtype)
        for inplace in ((), ((0, 0),), ((0, 1),)):
            (got,) = run_kernel(SoftmaxGrad(axis), dy, y, inplace=inplace)
            close(got, oracle(SoftmaxGrad(axis), dy, y)[0], dtype)
            (got,) = run_kernel(LogSoftmaxGrad(axis), dy, log_y, inplace=inplace)
            close(got, oracle(LogSoftmaxGrad(axis), dy, log_y)[0], dtype, scale=width)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", ROWS)
def test_kernels_with_labels_equal_the_reference(isa, shape, dtype):
    rng = np.random.default_rng(2)
    n, k = shape
    dloss = rng.standard_normal(n).astype(dtype)
    for i, label_dtype in enumerate(LABELS):
        labels = rng.integers(0, min(k, 127), n).astype(label_dtype)
        x = (rng.standard_normal(shape) * (1, 10, 100, 1e4, 1)[i]).astype(dtype)
        p = Softmax(1).reference(x)
        for inplace in ((), ((1, 0),)):
            loss, got = run_kernel(SoftmaxCrossEntropy(), x, labels, inplace=inplace)
            expected = oracle(SoftmaxCrossEntropy(), x, labels)
            close(loss, expected[0], dtype)
            close(got, expected[1], dtype, units_of_exp(x), 1e-30)
        for inplace in ((), ((0, 1),)):
            (got,) = run_kernel(SoftmaxCrossEntropyGrad(), dloss, p, labels, inplace=inplace)
            close(got, oracle(SoftmaxCrossEntropyGrad(), dloss, p, labels)[0], dtype)
        assert np.array_equal(run_kernel(TakeLabel(), x, labels)[0], x[np.arange(n), labels])
        put = run_kernel(PutLabel(), dloss, labels, np.asarray(k))[0]
        assert np.array_equal(put, PutLabel().reference(dloss, labels, np.asarray(k)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("axis", [0, 1])
def test_infinities_and_nan_go_where_the_reference_puts_them(isa, axis, dtype):
    x = np.random.default_rng(3).standard_normal((11, 11)).astype(dtype)
    x[0, 3], x[1], x[2, 2], x[3, 1], x[4, :10], x[5, 10] = -np.inf, -np.inf, np.nan, np.inf, -np.inf, -np.inf
    x = x if axis == 1 else np.ascontiguousarray(x.T)
    labels = np.array([3, 0, 1, 1, 10, 10, 0, 0, 0, 0, 0])
    close(run_kernel(Softmax(axis), x)[0], oracle(Softmax(axis), x)[0], dtype)
    close(run_kernel(LogSoftmax(axis), x)[0], oracle(LogSoftmax(axis), x)[0], dtype)
    loss, p = run_kernel(SoftmaxCrossEntropy(), x, labels)
    close(loss, oracle(SoftmaxCrossEntropy(), x, labels)[0], dtype)
    if axis == 1:
        assert loss[0] == np.inf and loss[4] == 0 and np.isnan(loss[[1, 2, 3]]).all() and p[0, 3] == 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("k", [64, 129, 203])
def test_hostile_values_in_long_rows(isa, k, dtype):
    """Each in the blocks of a row and in its rest, between rows that need no care."""
    rng = np.random.default_rng(4)
    payload = np.array([0x7FC00001, 0xFFC12345], "uint32").view("float32").astype(dtype)
    values = [np.inf, -np.inf, np.nan, *payload, 1e30, -1e30, 90.0, -90.0, 43.5, -43.5, 1e-40]
    x = rng.standard_normal((3 * len(values), k)).astype(dtype)
    for i, value in enumerate(values):
        x[3 * i, 5] = x[3 * i + 1, k - 1] = value
    x[4::3] += np.linspace(-200, 200, len(x[4::3]), dtype=dtype)[:, None]  # the whole row far out
    labels = rng.integers(0, k, len(x))
    labels[::2] = 5
    kept = x.copy()
    with np.errstate(invalid="ignore"):
        close(run_kernel(Softmax(1), x)[0], oracle(Softmax(1), x)[0], dtype, 512)
        for got, want in zip(
            run_kernel(SoftmaxCrossEntropy(), x, labels),
            oracle(SoftmaxCrossEntropy(), x, labels),
            strict=True,
        ):
            close(got, want, dtype, 512)
    assert np.array_equal(x.view("uint8"), kept.view("uint8"))


def test_the_loss_keeps_its_digits_where_the_probability_is_one():
    x = np.array([[40.0, 0.0]], "float32")
    for loss in (SoftmaxCrossEntropy().reference(x, np.array([1]))[0], -LogSoftmax(1).reference(x)[:, 1]):
        assert abs(loss[0] - 40) < 1e-5
    big = np.array([[1e4, -1e4, 0.0]], "float32")
    assert SoftmaxCrossEntropy().reference(big, np.array([0]))[0][0] == 0
    assert SoftmaxCrossEntropy().reference(big, np.array([1]))[0][0] == 2e4


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("label", "dtype"), [(10, "int64"), (-1, "int64"), (-1, "int8"), (255, "uint8")])
def test_a_label_out_of_range_is_an_error_that_names_label_row_and_classes(device, label, dtype):
    x, t = sc.tensor("float32", (None, None)), sc.tensor(dtype, (None,))
    labels = np.array([3, 9, label, 0], dtype)
    logits = np.zeros((4, 10), "float32")
    message = (
        rf"from test_softmax.py:\d+.* label {label} in row 2 is out of range for 10 classes"
        r"\n  hint: labels are 0 to 9"
    )
    loss = sc.cross_entropy_with_logits(x, t)
    for out in (loss, sc.grad(loss.sum(), x), sc.nll(x, t)):
        f = sc.function([x, t], out, device=device)
        with pytest.raises(ExecutionError, match=message):
            f(logits, labels)
        labels[2] = 1  # and the function works again
        f(logits, labels)
        labels[2] = label


def test_wrong_ranks_and_dtypes_are_refused_at_construction():
    logits, labels = sc.tensor("float32", (4, 10)), sc.tensor("int32", (4,))
    with pytest.raises(ShapeError, match="softmax: axis 2 is out of range"):
        sc.softmax(logits, axis=2)
    with pytest.raises(ShapeError, match="softmax: axis -1 is out of range"):
        sc.softmax(sc.tensor("float32", ()))
    with pytest.raises(ShapeError, match="5 labels for 4 rows"):
        SoftmaxCrossEntropy()(logits, sc.tensor("int32", (5,)))
    with pytest.raises(DTypeError, match="labels must be an integer vector"):
        SoftmaxCrossEntropy()(logits, sc.tensor("float32", (4,)))
    with pytest.raises(ShapeError, match=r"x must be \[N, K\]"):
        SoftmaxCrossEntropy()(sc.tensor("float32", (4,)), labels)
    with pytest.raises(DTypeError, match="one dtype"):
        SoftmaxCrossEntropyGrad()(sc.tensor("float64", (4,)), logits, labels)


@pytest.mark.parametrize("device", DEVICES)
def test_integers_become_floats(device):
    x = sc.imatrix("x")
    f = sc.function([x], sc.softmax(x), device=device)
    out = f(np.zeros((2, 4), "int32"))
    assert out.dtype == sc.config.floatX and np.array_equal(out, np.full((2, 4), 0.25))


def test_kernels_refuse_buffers_that_are_too_small():
    if _core is None:
        pytest.skip("the C++ core is not built")
    from symconv.graph.params import pack

    params = pack("SoftmaxParams", outer=3, k=5, inner=1)
    with pytest.raises(ValueError, match="log_softmax: the output has 56 bytes, the params need 60"):
        _core.call_kernel("log_softmax_f32", params, [np.zeros(15, "float32")], [np.zeros(14, "float32")])
    params = pack("LabelParams", n=3, k=5, label_bytes=8, label_unsigned=0)
    arrays = [np.zeros(15, "float32"), np.zeros(2, "int64")]
    with pytest.raises(ValueError, match="take_label: labels has 16 bytes, the params need 24"):
        _core.call_kernel("take_label_f32", params, arrays, [np.zeros(3, "float32")])
