"""Tensors made from numbers and sizes, against NumPy."""

from __future__ import annotations

import re

import numpy as np
import pytest

import symconv as sc
from symconv.backends.reference import evaluate
from symconv.errors import DTypeError, ExecutionError, IndexRangeError, ShapeError


def value(out, values=None):
    return evaluate([out], values or {})[0]


@pytest.mark.parametrize(
    "args",
    [(5,), (0,), (-3,), (2, 9), (9, 2), (9, 2, -3), (2, 9, 3), (0.0, 1.0, 0.1), (0, 0.9, 0.3), (1, 0, -0.25)],
)
@pytest.mark.parametrize("symbolic", [False, True])
def test_arange_equals_numpy(args, symbolic):
    want = np.arange(*args)
    if symbolic:
        inputs = [sc.scalar(dtype=str(np.asarray(a).dtype)) for a in args]
        got = value(sc.arange(*inputs), {v: np.asarray(a) for v, a in zip(inputs, args)})
        assert got.dtype == want.dtype
    else:
        out = sc.arange(*args)
        got = value(out)
        assert out.type.shape == want.shape
        assert out.dtype == ("int64" if want.dtype.kind == "i" else sc.config.floatX)
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-7)


def test_arange_of_a_shape_keeps_the_shape_as_its_length():
    x = sc.matrix()
    out = sc.arange(x.shape[0])
    assert out.owner.inputs[2] is x.shape[0]
    np.testing.assert_array_equal(value(out, {x: np.zeros((3, 2), "float32")}), [0, 1, 2])


def test_arange_dtypes():
    assert sc.arange(3, dtype="int32").dtype == "int32"
    assert sc.arange(sc.iscalar()).dtype == "int64"
    assert sc.arange(0, sc.dscalar(), 0.5).dtype == "float64"
    assert value(sc.arange(3, dtype="float32")).dtype == np.float32


def test_full_and_kin():
    x = sc.tensor("int32", (None, 3))
    values = {x: np.zeros((2, 3), "int32")}
    for out, want in (
        (sc.zeros((2, 3)), np.zeros((2, 3), "float32")),
        (sc.ones(4, "int8"), np.ones(4, "int8")),
        (sc.full((2, 2), 7), np.full((2, 2), 7)),
        (sc.full((), 2.5, "float64"), np.full((), 2.5)),
        (sc.full((2.0, 3), True), np.full((2, 3), True)),
        (sc.zeros_like(x), np.zeros((2, 3), "int32")),
        (sc.ones_like(x, "float64"), np.ones((2, 3))),
        (sc.full_like(x, 3), np.full((2, 3), 3, "int32")),
        (sc.zeros((x.shape[0], 0)), np.zeros((2, 0), "float32")),
        (sc.zeros_like(5.0), np.zeros((), "float32")),
    ):
        got = value(out, values)
        assert got.shape == want.shape and got.dtype == want.dtype == out.dtype
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("n,m,k", [(3, None, 0), (2, 4, 1), (4, 2, -1), (2, 2, 5), (0, 3, 0), (3, 3, -7)])
def test_eye_equals_numpy(n, m, k):
    np.testing.assert_array_equal(value(sc.eye(n, m, k)), np.eye(n, m, k))
    s = sc.iscalar()
    np.testing.assert_array_equal(value(sc.eye(s, m, k), {s: np.int32(n)}), np.eye(n, m, k))


def test_one_hot_puts_a_one_at_each_label():
    y = sc.tensor("uint8", (None, None))
    labels = np.array([[0, 2], [1, 1]], "uint8")
    out = sc.one_hot(y, 3, "int32")
    assert out.type.shape == (None, None, 3)
    np.testing.assert_array_equal(value(out, {y: labels}), np.eye(3)[labels])
    np.testing.assert_array_equal(value(sc.one_hot(np.zeros(0, int), 3)), np.zeros((0, 3)))


def test_label_out_of_range_names_the_label_and_the_classes():
    y = sc.ivector()
    with pytest.raises(IndexRangeError, match=r"label 3 is out of range for 3 classes \(0\.\.2\)"):
        sc.one_hot([0, 3], 3)
    with pytest.raises(ExecutionError, match="label -1 is out of range for 3 classes"):
        value(sc.one_hot(y, 3), {y: np.array([0, -1], "int32")})


@pytest.mark.parametrize("n", [0, 1, 2, 7])
def test_linspace_equals_numpy(n):
    a, b = sc.scalar(), sc.scalar()
    want = np.linspace(-1, 3, n)
    np.testing.assert_allclose(value(sc.linspace(-1, 3, n)), want, rtol=1e-6)
    values = {a: np.float32(-1), b: np.float32(3)}
    np.testing.assert_allclose(value(sc.linspace(a, b, n), values), want, rtol=1e-6)


BAD = [
    (lambda: sc.arange(0, 5, 0), ShapeError, "step is 0"),
    (lambda: sc.arange(sc.vector()), ShapeError, "must be scalars"),
    (lambda: sc.arange(3, dtype="bool"), DTypeError, "bool has no range"),
    (lambda: sc.zeros((2, -1)), ShapeError, "negative dimension -1"),
    (lambda: sc.zeros((2, 1.5)), ShapeError, "must be an integer"),
    (lambda: sc.zeros(sc.scalar()), ShapeError, "must be an integer scalar"),
    (lambda: sc.zeros(3, "float128"), DTypeError, "unknown dtype"),
    (lambda: sc.eye(3, k=0.5), ShapeError, "must be an int"),
    (lambda: sc.one_hot(sc.vector(), 3), DTypeError, "labels must be integers"),
    (lambda: sc.linspace(0, 1, -1), ShapeError, "n >= 0"),
]


@pytest.mark.parametrize("make,error,text", BAD, ids=[text for _, _, text in BAD])
def test_bad_sizes_raise_where_they_are_written(make, error, text):
    with pytest.raises(error, match=re.escape(text)):
        make()
