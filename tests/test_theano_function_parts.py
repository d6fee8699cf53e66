"""Compiled functions taken apart: copies with their own defaults, the order of checks, expanded_inputs."""

import copy

import numpy as np
import pytest

import symconv.theano as theano
import symconv.theano.tensor as T
from symconv.errors import ShapeError
from symconv.theano.compile import UnusedInputError
from symconv.theano.tensor.shared_randomstreams import RandomStreams


def test_a_copy_has_defaults_of_its_own():
    x, a = T.dscalars("xa")
    f = theano.function([x, theano.In(a, value=2.0)], [x * a])
    g = copy.copy(f)
    assert g(3.0) == f(3.0) == [6.0]
    g["a"] = 5.0
    assert (f["a"], f(3.0), g(3.0)) == (2.0, [6.0], [15.0])
    assert g.container[a].storage is not f.container[a].storage
    f.container[a].data = 7.0
    assert (f(1.0), g(1.0)) == ([7.0], [5.0])


def test_an_unused_input_is_told_before_a_missing_one():
    x, s = T.dscalars("xs")
    with pytest.raises(UnusedInputError, match="the input s"):
        theano.function([s], [x])
    with pytest.raises(theano.gof.MissingInputError, match="the input x"):
        theano.function([s], [x], on_unused_input="ignore")


def test_streams_are_set_back_by_expanded_inputs():
    draws = RandomStreams(5).uniform((3,))
    w = theano.shared(np.array([1.0, 2.0, 3.0]), name="w")
    x = T.dvector("x")
    f = theano.function([x], draws + 0 * w + x)
    parts = f.maker.expanded_inputs
    assert parts[0].variable is x and {p.variable for p in parts[1:]} == {w, draws.owner.inputs[0]}
    for part in parts:
        if part.value and type(part.value.data) is np.random.RandomState:
            part.value.data = np.random.RandomState(123)
    assert np.array_equal(f([0, 0, 0]), np.random.RandomState(123).uniform(size=3))
    part = next(p for p in parts if p.variable is w)
    part.value.data[0] = 8.0  # a copy
    assert w.get_value().tolist() == [1.0, 2.0, 3.0]


def test_a_given_of_another_rank_is_stretched_without_rebuild_strict():
    w, b = T.imatrix("w"), T.irow("b")
    x, y = T.ivectors("x", "y")
    rows, y_value = np.arange(15, dtype="int32").reshape(3, 5), np.arange(5, dtype="int32")
    f = theano.function([w, y], (x * y).sum(axis=0), givens=[(x, w)], rebuild_strict=False)
    assert np.array_equal(f(rows, y_value), (rows * y_value).sum(axis=0))
    with pytest.raises(ShapeError, match="givens replace x"):
        theano.function([w, y], x * y, givens=[(x, w)])
    z = theano.clone(w * T.imatrix("other"), {w: b}, strict=False)  # a row in the place of a matrix
    other = next(v for v in theano.gof.graph.inputs([z]) if v.name == "other")
    assert np.array_equal(theano.function([b, other], z)([y_value], rows), rows * y_value)


def test_an_update_of_an_input_without_a_value():
    x, s = T.dscalars("xs")
    f = theano.function([theano.In(x, update=x + 1)], [x])
    assert f(2.0) == [2.0]
    assert f["x"] == 3.0
    with pytest.raises(TypeError, match="no value for the argument 'x'"):
        f()
    assert f(7.0) == [7.0] and f["x"] == 8.0
    with pytest.raises(theano.gof.MissingInputError, match="the input s"):
        theano.function([theano.In(x, update=s + x)], x)
    v = T.dvector("v")  # states of any length
    g = theano.function([theano.In(v, update=2 * v)], v.sum())
    assert (g([1.0, 2.0]), g["v"].tolist()) == (3.0, [2.0, 4.0])
    assert (g([1.0, 2.0, 3.0]), g["v"].tolist()) == (6.0, [2.0, 4.0, 6.0])


def test_deepcopy_uses_the_copies_that_memo_holds():
    a, x = T.dscalars("ax")
    w = theano.shared(3.0, name="w")
    h = theano.function([theano.In(a, value=0.0)], a)
    f = theano.function([x, theano.In(a, value=h.container[a])], w * (x + a))
    memo = {}
    ac, wc = copy.deepcopy(a), copy.deepcopy(w)
    memo |= {id(a): ac, id(w): wc}
    hc = copy.deepcopy(h, memo)
    fc = copy.deepcopy(f, memo)
    h[a], hc[ac] = 1.0, 2.0
    wc.set_value(5.0)
    assert (f[a], fc[ac]) == (1.0, 2.0)
    assert (f(1.0), fc(1.0)) == (6.0, 15.0)


def test_fn_calls_a_function_without_arguments():
    w = theano.shared(np.float64(1.0))
    f = theano.function([], w, updates=[(w, 2 * w)])
    assert f.fn(n_calls=4) == [8.0] and w.get_value() == 16.0
    f.fn.allow_gc = False
    assert f.fn() == [16.0]
    x = T.dscalar("x")
    with pytest.raises(TypeError, match="no value for the argument 'x'"):
        theano.function([x], x).fn()
    assert theano.function([theano.In(x, value=3.0)], {"double": 2 * x}).fn() == [6.0]


def test_constants_are_equal_by_type_and_value():
    values = [[np.nan, 1.0], [0.0, 1.0], np.nan, 0.0, 1.0, np.float32(1.0), np.int8(1)]
    constants = [T.constant(np.asarray(v)) for v in values]
    again = [T.constant(np.asarray(v), name="again") for v in values]
    for i, a in enumerate(constants):
        for j, b in enumerate(again):
            assert (a.signature() == b.signature()) == a.equals(b) == (i == j)
    assert T.constant(-0.0).equals(0.0) and not constants[3].equals(T.dscalar())
    assert len({a.signature() for a in constants + again}) == len(values)
