"""T.inplace: arguments that a function overwrites, where it may."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import symconv.theano as theano
import symconv.theano.tensor as T


@pytest.fixture
def x():
    return T.dmatrix("x")


def ones(*shape: int) -> np.ndarray:
    return np.ones(shape or (2, 3))


def test_a_function_that_accepts_it_overwrites_its_argument(x):
    y = T.dmatrix("y")
    f = theano.function([x, y], T.inplace.add_inplace(x, y), accept_inplace=True)
    a, b = ones(), 2 * ones()
    out = f(a, b)
    assert (a == 3).all() and (out == 3).all() and (b == 2).all()
    out[:] = 7
    assert (a == 3).all()  # the result is the caller's own
    for again in (copy.copy(f), pickle.loads(pickle.dumps(f))):
        a = ones()
        again(a, b)
        assert (a == 3).all()


def test_mutable_inputs_are_overwritten_and_others_not(x):
    y = T.dmatrix("y")
    outputs = [T.inplace.exp_inplace(T.inplace.mul_inplace(x, y)), T.inplace.neg_inplace(y), x]
    f = theano.function([theano.In(x, mutable=True), y], outputs)
    a, b = ones(), ones() / 2
    results = f(a, y=b)
    assert np.allclose(a, np.exp(0.5)) and (b == 0.5).all()  # through a chain; y may not be
    assert len(results) == 3 and np.allclose(results[0], a) and (results[1] == -0.5).all()
    assert (results[2] == 1).all()  # the value from before
    c = ones()
    f(y=b, x=c)
    assert np.allclose(c, np.exp(0.5))
    theano.function([theano.In(x, mutable=True)], T.exp(x))(c)
    assert np.allclose(c, np.exp(0.5))  # what is not in place overwrites nothing


def test_results_have_the_dtype_of_the_operand_and_gradients(x):
    i = T.bmatrix("i")
    f = theano.function([i], T.inplace.exp_inplace(i), accept_inplace=True)
    a = np.int8([[0, 1, 2]])
    assert f(a).dtype == np.int8 and a.tolist() == [[1, 2, 7]]
    g = T.grad(T.inplace.sqr_inplace(x).sum(), x)
    assert (theano.function([x], g)(3 * ones()) == 6).all()
    compared = T.inplace.lt_inplace(x, 2.0)
    assert compared.dtype == "float64" and compared.eval({x: ones()}).all()
    assert (T.inplace.gamma_inplace(x).eval({x: 4 * ones()}) == 6).all()


def test_converted_arguments_are_not_written_to(x):
    f = theano.function([x], T.inplace.neg_inplace(x), accept_inplace=True, allow_input_downcast=True)
    a = np.ones((2, 3), "float32")
    assert (f(a) == -1).all() and (a == 1).all()
    assert (f([[1.0, 2.0]]) == [[-1, -2]]).all()


def test_operands_smaller_than_the_result_are_refused(x):
    row = T.drow("r")
    with pytest.raises(ValueError, match="cannot be written over"):
        T.inplace.add_inplace(row, x)
    with pytest.raises(ValueError, match="cannot be written over"):
        T.inplace.add_inplace(T.dvector("v"), x)
