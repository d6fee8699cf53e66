"""Slices with a symbolic step: values, gradients, updates and errors against NumPy's slices."""

import itertools

import numpy as np
import pytest

import symconv as sc
import symconv.theano as theano
import symconv.theano.tensor as T
from symconv.errors import DTypeError, ExecutionError, ShapeError

X = np.arange(35.0).reshape(7, 5)
BOUNDS = [-9, -3, 0, 2, 8]
STEPS = [-8, -2, -1, 1, 3, 9]


def test_stepped_slices_are_those_of_numpy():
    x = sc.tensor("float64", (None, None))
    a, b, s = sc.iscalar(), sc.lscalar(), sc.lscalar()
    f = sc.function([x, a, b, s], [x[a:b:s], x[:b:s, ::s], x[a::s, [1, 0]], x[::s, None, 2], x[1, a:b:s]])
    for va, vb, vs in itertools.product(BOUNDS, BOUNDS, STEPS):
        got = f(X, va, vb, vs)
        want = X[va:vb:vs], X[:vb:vs, ::vs], X[va::vs, [1, 0]], X[::vs, None, 2], X[1, va:vb:vs]
        for g, w in zip(got, want):
            np.testing.assert_array_equal(g, w)


def test_stepped_parts_are_set_and_added_to():
    x, y, s = sc.tensor("float64", (None, None)), sc.tensor("float64", (None,)), sc.lscalar()
    part, inner = x[5:0:s], x[5:0:s, 1:3]
    rest = x[::s, [1, 1]]
    f = sc.function(
        [x, y, s],
        [
            sc.set_subtensor(part, y),
            sc.inc_subtensor(part, y),
            sc.set_subtensor(inner, 7.0),
            sc.inc_subtensor(rest, 1.0),
        ],
    )
    for step in (-1, -2, -9, 1):
        row = np.arange(5.0)
        got = f(X, row, step)
        want = [X.copy() for _ in range(4)]
        want[0][5:0:step] = row
        want[1][5:0:step] += row
        want[2][5:0:step, 1:3] = 7
        want[3][::step, 1] += 2  # the column is named twice
        for g, w in zip(got, want):
            np.testing.assert_array_equal(g, w)


def test_gradients_reach_both_sides_of_a_stepped_update():
    x, y, s = T.dmatrix(), T.dmatrix(), T.lscalar()
    set_, inc = T.set_subtensor(x[5:0:s], y), T.inc_subtensor(x[::s, 1:], y[0, 1:])
    c = T.as_tensor_variable(X)
    f = theano.function(
        [x, y, s], [*T.grad((set_**2 * c).sum(), [x, y]), *T.grad((inc**2 * c).sum(), [x, y])]
    )
    rng = np.random.RandomState(1)
    for step in (-2, -1, -5):
        a = rng.normal(size=X.shape)
        b = rng.normal(size=a[5:0:step].shape)
        kept, added = a.copy(), a.copy()
        kept[5:0:step] = b
        added[::step, 1:] += b[0, 1:]
        dx, dy, dx_inc, dy_inc = f(a, b, step)
        want = 2 * kept * X
        np.testing.assert_allclose(dy, want[5:0:step])
        want[5:0:step] = 0
        np.testing.assert_allclose(dx, want)
        np.testing.assert_allclose(dx_inc, 2 * added * X)
        want = np.zeros_like(b)
        want[0, 1:] = (2 * added * X)[::step, 1:].sum(0)
        np.testing.assert_allclose(dy_inc, want)


def test_one_plan_serves_all_slices_of_a_length():
    x, a, s = sc.tensor("float64", (9,)), sc.lscalar(), sc.lscalar()
    f = sc.function([x, a, s], x[a::s])
    v = np.arange(9.0)
    for start, step in ((0, 4), (8, -4), (1, 3)):
        np.testing.assert_array_equal(f(v, start, step), v[start::step])
    assert len(f.executables) == 1


def test_stepped_slices_within_a_loop():
    x, s = T.dmatrix(), T.lscalar()
    out, _ = theano.scan(lambda row, step: row[::step], [x], non_sequences=[s])
    f = theano.function([x, s], [out, T.grad((out**2).sum(), x)])
    for step in (2, -3):
        got, dx = f(X, step)
        np.testing.assert_array_equal(got, X[:, ::step])
        want = np.zeros_like(X)
        want[:, ::step] = 2 * X[:, ::step]
        np.testing.assert_array_equal(dx, want)


def test_the_shape_of_a_tensor_has_stepped_slices():
    x, s = T.tensor4(), T.lscalar()
    f = theano.function([x, s], x.shape[::s])
    assert f(np.zeros((2, 3, 4, 5), "float64"), -2).tolist() == [5, 3]


def test_a_step_of_zero_is_an_error():
    x, s = T.dvector(), T.lscalar()
    f = theano.function([x, s], x[::s])
    with pytest.raises(ExecutionError, match="the step of a slice is 0") as raised:
        f(X[0], 0)
    assert isinstance(raised.value, ValueError)  # as NumPy's
    np.testing.assert_array_equal(f(X[0], 2), X[0, ::2])


@pytest.mark.parametrize(
    "step, kind, message",
    [
        (sc.dscalar(), DTypeError, "must be an integer"),
        (sc.ivector(), ShapeError, "step of a slice must be a scalar"),
        (sc.constant(0), ShapeError, "cannot be 0"),
    ],
)
def test_bad_steps(step, kind, message):
    with pytest.raises(kind, match=message):
        sc.tensor("float64", (None,))[::step]
