"""symconv.theano: joins, repetitions, declared shapes, and the numbers of an arange."""

import numpy as np
import pytest

import symconv as sc
import symconv.theano as theano
import symconv.theano.tensor as T
from symconv.errors import ShapeError

RANGES = [(0, 5, 1), (2, 11, 4), (-5, 1.1, 1.2), (1.3, 2, -2.1), (10, 2, 2), (0.1, 9, 0.3), (3.7, -4.1, -0.9)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_ranges_of_floats_are_numpys_bit_for_bit(dtype):
    start, stop, step = (T.scalar(dtype=dtype) for _ in range(3))
    f = theano.function([start, stop, step], T.arange(start, stop, step))
    for values in RANGES:
        given = [np.asarray(v, dtype) for v in values]
        want = np.arange(*(v.item() for v in given), dtype=dtype)
        np.testing.assert_array_equal(f(*given), want)
        np.testing.assert_array_equal(sc.arange(*(v.item() for v in given), dtype=dtype).eval(), want)


def test_gradients_of_ranges():
    start, step = T.dscalars("start", "step")
    weights = np.array([1.0, -2.0, 4.0])
    cost = (T.arange(start, 100.0, step) * weights).sum()
    f = theano.function([start, step], T.grad(cost, [start, step]))
    np.testing.assert_allclose(f(1.0, 40.0), [weights.sum(), (weights * [0, 1, 2]).sum()])


def test_joins_need_one_rank():
    v, m = T.dvector(), T.dmatrix()
    for parts in ((v, m), (m, v, v), (T.dscalar(), T.dscalar())):
        with pytest.raises(TypeError, match="one rank"):
            T.join(0, *parts)
    for empty in (lambda: T.concatenate([]), lambda: T.join(0), lambda: T.stack([])):
        with pytest.raises(ShapeError, match="no tensors"):
            empty()
    with pytest.raises(TypeError, match="T.stack"):
        T.concatenate([T.constant(1), T.constant(2)])


@pytest.mark.parametrize(
    "make",
    [lambda m: T.join(2, m, m), lambda m: T.join(-3, m, m), lambda m: T.stack([m, m], axis=3),
     lambda m: T.stack([m, m], axis=-4), lambda m: T.split(m, [1, 1], 2, axis=2)],
)  # fmt: skip
def test_axes_out_of_range(make):
    with pytest.raises(IndexError, match="out of range for . dimensions"):
        make(T.dmatrix())


@pytest.mark.parametrize("ndim", [2, 3, 4])
def test_repetitions_fewer_than_dimensions(ndim):
    x, reps = T.dmatrix(), T.lvector()
    f = theano.function([x, reps], T.tile(x, reps, ndim))
    data = np.arange(6.0).reshape(2, 3)
    for given in ([2], [3, 2], [1, 0]):
        want = np.tile(data, [1] * (ndim - len(given)) + given)
        np.testing.assert_array_equal(f(data, given), want)


def test_flags_for_the_first_dimensions():
    m = T.dmatrix()
    assert T.patternbroadcast(m, ()) is m
    row = T.patternbroadcast(m, (True,))
    assert row.broadcastable == (True, False)
    assert theano.function([m], row)(np.ones((1, 3))).shape == (1, 3)


def test_declared_shapes_that_are_variables_are_checked():
    x, n = T.dmatrix(), T.lscalar()
    f = theano.function([x, n], T.specify_shape(x, (n, 3)) * 2)
    np.testing.assert_array_equal(f(np.ones((2, 3)), 2), np.full((2, 3), 2.0))
    for shape, rows in (((2, 3), 4), ((2, 4), 2)):
        with pytest.raises(AssertionError):
            f(np.ones(shape), rows)
    for shape in ([], [2], [2, 3, 4]):
        with pytest.raises(AssertionError, match="dimensions declared"):
            T.specify_shape(x, shape)
    whole = theano.function([x, n], T.specify_shape(x, x.shape).sum(), on_unused_input="ignore")
    assert whole(np.ones((2, 3)), 0) == 6


def test_axes_of_sorts_may_be_floats():
    m, axis = T.dmatrix(), T.dscalar()
    f = theano.function([m, axis], [T.sort(m, axis), T.argsort(m, axis)])
    data = np.random.RandomState(2).normal(size=(3, 4))
    for k in (0, 1, -1):
        ordered, places = f(data, k)
        np.testing.assert_array_equal(ordered, np.sort(data, k))
        np.testing.assert_array_equal(places, np.argsort(data, k))


def test_dimensions_of_a_shape_may_be_set():
    x, n = T.dmatrix(), T.lscalar()
    wide = T.set_subtensor(x.shape[-1], x.shape[-1] * 2)
    more = T.inc_subtensor(x.shape[0], n)
    both = T.set_subtensor(x.shape[:1], [7])
    f = theano.function(
        [x, n], [wide, more, both, T.zeros(wide), T.zeros(more), T.zeros(T.set_subtensor(wide[0], n))]
    )
    found = f(np.ones((2, 3)), 4)
    assert [v.tolist() for v in found[:3]] == [[2, 6], [6, 3], [7, 3]]
    assert [v.shape for v in found[3:]] == [(2, 6), (6, 3), (4, 6)]
    v = T.lvector()
    first = v[0]
    made = T.zeros((first, 3))
    made.shape[0]  # the same number, but set_subtensor(first, ...) is about v
    assert T.set_subtensor(first, 9).eval({v: [1, 2]}).tolist() == [9, 2]
