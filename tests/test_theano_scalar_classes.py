"""theano.scalar's operations, and the classes that take them to tensors: Elemwise, CAReduce, Sum, Prod."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import symconv.theano as theano
import symconv.theano.tensor as T
from symconv import errors

REDUCED = {"add": np.sum, "mul": np.prod, "maximum": np.max, "minimum": np.min, "and_": np.all, "or_": np.any}


@pytest.mark.parametrize("name", REDUCED)
@pytest.mark.parametrize("axis", [None, (), (0,), -1, (0, 2)])
def test_careduce_joins_elements_by_a_scalar_operation(name, axis):
    a = (
        np.random.default_rng(2)
        .integers(0, 4, (2, 3, 4))
        .astype("bool" if name in ("and_", "or_") else "int8")
    )
    x = T.TensorType(str(a.dtype), (False,) * 3)("x")
    y = T.CAReduce(getattr(theano.scalar, name), axis)(x)
    assert y.dtype == x.dtype
    expected = a if axis == () else REDUCED[name](a, axis=axis)
    assert np.array_equal(y.eval({x: a}), expected.astype(a.dtype))


@pytest.mark.parametrize("name", ["or_", "and_", "xor"])
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "bool"])
@pytest.mark.parametrize("axis", [None, (), (0,), -1, (0, 2)])
def test_careduce_joins_bits(name, dtype, axis):
    a = np.random.default_rng(3).integers(0, 2 if dtype == "bool" else 100, (2, 3, 4)).astype(dtype)
    x = T.TensorType(dtype, (False,) * 3)("x")
    y = T.CAReduce(getattr(theano.scalar, name), axis)(x)
    expected = getattr(np, f"bitwise_{name.strip('_')}").reduce(a, axis=axis)
    f = theano.function([x], [y, y.shape])
    value, shape = f(a)
    assert y.dtype == value.dtype == dtype and np.array_equal(value, expected)
    assert tuple(shape) == expected.shape


def test_elemwise_takes_scalar_operations_to_tensors():
    x, y = T.dmatrix("x"), T.dvector("y")
    a, b = np.array([[1.0, -2.0]]), np.array([3.0, 0.5])
    add = T.Elemwise(theano.scalar.add)
    assert np.array_equal(add(x, y).eval({x: a, y: b}), a + b)
    assert np.array_equal(T.Elemwise(theano.scalar.basic.identity)(x).eval({x: a}), a)
    assert isinstance(add(x, y).owner.op, T.Elemwise) and add == T.Elemwise(theano.scalar.add)
    assert theano.scalar.mul(2, T.dscalar("s") + 1).ndim == 0
    f = theano.function([x], T.Elemwise(theano.scalar.exp, {0: 0})(x), accept_inplace=True)
    data = a.copy()
    f(data)
    np.testing.assert_allclose(data, np.exp(a))
    assert pickle.loads(pickle.dumps(add)) == add and hash(add) == hash(T.Elemwise(theano.scalar.add))


def test_sums_and_products_as_classes():
    x = T.fmatrix("x")
    a = np.array([[1, 2, 0], [0, 5, 6], [0, 0, 0]], "float32")
    without = T.elemwise.ProdWithoutZeros(axis=1)(x)
    assert without.dtype == "float32" and without.eval({x: a}).tolist() == [2, 30, 1]
    assert T.elemwise.Prod(axis=0, dtype="float64")(x).dtype == "float64"
    assert T.elemwise.Sum()(x).eval({x: a}) == 14
    assert T.elemwise.CAReduceDtype(theano.scalar.add, 0, "float64")(x).eval({x: a}).tolist() == [1, 7, 6]
    assert isinstance(T.sum(x).owner.op, T.elemwise.Sum) and isinstance(T.sum(x).owner.op, T.CAReduce)
    assert not isinstance(T.exp(x).owner.op, T.CAReduce)


def test_classes_over_other_operations_are_refused():
    with pytest.raises(errors.UnsupportedError, match="(?s)CAReduce of.*scalar.add, scalar.mul"):
        T.CAReduce(theano.scalar.exp)
    with pytest.raises(errors.UnsupportedError, match="Elemwise of"):
        T.Elemwise(np.exp)
    with pytest.raises(errors.UnsupportedError, match="inplace_pattern"):
        T.Elemwise(theano.scalar.add, {0: 1})
    with pytest.raises(errors.UnsupportedError, match="bools"):
        T.CAReduce(theano.scalar.and_)(T.fmatrix())
    with pytest.raises(errors.ShapeError):
        theano.scalar.add(T.dvector(), 1)
