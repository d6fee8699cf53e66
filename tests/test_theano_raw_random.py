"""theano.tensor.raw_random: random states as inputs and outputs, with NumPy's values; functions of states."""

import pickle

import numpy as np
import pytest

import symconv.theano as theano
import symconv.theano.tensor as T
from symconv.theano.tensor import raw_random

DRAWS = {
    "uniform": ((-2.0, 2.0), lambda r, shape: r.uniform(-2, 2, shape)),
    "normal": ((1.0, 3.0), lambda r, shape: r.normal(1, 3, shape)),
    "binomial": ((5, 0.8), lambda r, shape: r.binomial(5, 0.8, shape)),
    "random_integers": ((-3, 16), lambda r, shape: r.randint(-3, 17, shape, "int64")),
    "poisson": ((2.5,), lambda r, shape: r.poisson(2.5, shape)),
    "choice": ((7,), lambda r, shape: r.choice(7, shape)),
    "permutation": ((4,), lambda r, shape: np.reshape([r.permutation(4) for _ in range(6)], (*shape, 4))),
    "multinomial": ((6, [0.2, 0.8]), lambda r, shape: r.multinomial(6, [0.2, 0.8], shape)),
}
SHAPE = (2, 3)


@pytest.fixture
def rng():
    return raw_random.random_state_type("rng")


@pytest.mark.parametrize("kind", DRAWS)
def test_draws_from_a_state_that_is_an_input(rng, kind):
    arguments, numpy_draw = DRAWS[kind]
    options = {"dtype": "float64"} if kind in ("uniform", "normal") else {}
    after, values = getattr(raw_random, kind)(rng, SHAPE, *arguments, **options)
    assert after.type == rng.type == raw_random.random_state_type
    f = theano.function([rng], [after, values])
    given, peer = np.random.RandomState(5), np.random.RandomState(5)
    state, first = f(given)
    last, second = f(state)
    assert np.array_equal(first, numpy_draw(peer, SHAPE)) and np.array_equal(second, numpy_draw(peer, SHAPE))
    assert np.array_equal(f(given)[1], first)  # the caller's state is as it was
    assert rng.type.values_eq(last, peer) and not rng.type.values_eq(last, given)


def test_a_state_that_lasts(rng):
    after, values = raw_random.normal(rng, (3,), dtype="float64")
    f = theano.function([theano.In(rng, value=np.random.RandomState(5), update=after, mutable=True)], values)
    peer = np.random.RandomState(5)
    assert np.array_equal(f(), peer.normal(size=3)) and np.array_equal(f(), peer.normal(size=3))
    assert rng.type.values_eq(f[rng], peer)
    f[rng] = np.random.RandomState(8)
    assert np.array_equal(f(), np.random.RandomState(8).normal(size=3))
    assert np.array_equal(f(np.random.RandomState(5)), np.random.RandomState(5).normal(size=3))
    twin = pickle.loads(pickle.dumps(f))
    assert np.array_equal(twin(), f())


def test_a_default_state(rng):
    _, values = raw_random.uniform(rng, (3,), dtype="float64")
    f = theano.function([theano.In(rng, value=np.random.RandomState(1))], values)
    assert np.array_equal(f(), f()) and np.array_equal(f(), np.random.RandomState(1).uniform(size=3))


def test_what_is_no_state_is_refused(rng):
    f = theano.function([rng], raw_random.uniform(rng, (3,))[1])
    for bad in (3, np.zeros(628, "int32")):
        with pytest.raises(TypeError, match="RandomState"):
            f(bad)
    with pytest.raises(TypeError, match="random_state_type"):
        raw_random.uniform(T.ivector(), (3,))


def test_shapes_from_size_parameters_and_ndim(rng):
    size, low = T.lvector("size"), T.dvector("low")
    f = theano.function([rng, size], raw_random.uniform(rng, size, ndim=2, dtype="float64")[1])
    draw = np.random.RandomState(2).uniform(size=(4, 3))
    assert np.array_equal(f(np.random.RandomState(2), [4, 3]), draw)
    with pytest.raises(ValueError):
        raw_random.uniform(rng, (4,), ndim=2)
    wide = raw_random.uniform(rng, low=low, high=9.0, ndim=3, dtype="float64")[1]
    got = theano.function([rng, low], wide)(np.random.RandomState(2), [1.0, 2.0])
    assert got.shape == (1, 1, 2)
    assert np.array_equal(got[0, 0], np.random.RandomState(2).uniform([1.0, 2.0], 9.0))
    assert raw_random.uniform(rng, size=None, ndim=2)[1].broadcastable == (True, True)


def test_open_sizes_take_the_dimensions_of_the_parameters(rng):
    pvals = T.dmatrix("pvals")
    values = raw_random.multinomial(rng, size=(-1,), n=6, pvals=pvals)[1]
    rows = np.array([[0.1, 0.9], [0.5, 0.5], [1.0, 0.0]])
    peer = np.random.RandomState(4)
    got = theano.function([rng, pvals], values)(np.random.RandomState(4), rows)
    assert np.array_equal(got, [peer.multinomial(6, p) for p in rows])
    with pytest.raises(ValueError, match="no dimension"):
        raw_random.uniform(rng, size=(-1, 3), low=T.dvector())


def test_one_permutation(rng):
    one = raw_random.permutation(rng, n=5, ndim=1)[1]
    assert np.array_equal(
        theano.function([rng], one)(np.random.RandomState(1)), np.random.RandomState(1).permutation(5)
    )
    with pytest.raises(TypeError, match="ndim cannot be 2"):
        raw_random.permutation(rng, n=5, ndim=2)


@pytest.mark.parametrize("fn", ["uniform", np.random.RandomState.uniform], ids=["name", "method"])
def test_random_function(rng, fn):
    op = raw_random.RandomFunction(fn, T.dvector)
    after, values = op(rng, (4,), -2, 2)
    f = theano.function([rng], [after, values])
    peer = np.random.RandomState(5)
    state, first = f(np.random.RandomState(5))
    assert np.array_equal(first, peer.uniform(-2, 2, 4))
    assert np.array_equal(f(state)[1], peer.uniform(-2, 2, 4))
    g = theano.function([theano.In(rng, value=np.random.RandomState(5), update=after)], values)
    assert np.array_equal(g(), first) and not np.array_equal(g(), first)
    assert op == raw_random.RandomFunction(fn, T.dvector)


def test_random_function_without_a_shape_takes_that_of_the_arguments(rng):
    low = T.dvector("low")
    values = raw_random.RandomFunction("uniform", T.dmatrix)(rng, (), low, 9.0)[1]
    got = theano.function([rng, low], values)(np.random.RandomState(2), [1.0, 2.0])
    assert np.array_equal(got, np.random.RandomState(2).uniform([1.0, 2.0], 9.0)[None])


def test_random_function_that_adds_dimensions(rng):
    helper = raw_random.permutation_helper
    values = raw_random.RandomFunction(helper, T.imatrix, ndim_added=1)(rng, (7,), 8)[1]
    peer = np.random.RandomState(3)
    got = theano.function([rng], values)(np.random.RandomState(3))
    assert got.dtype == "int32" and np.array_equal(got, [peer.permutation(8) for _ in range(7)])
    for added in (0, 2):
        wrong = raw_random.RandomFunction(helper, T.imatrix, ndim_added=added)(rng, (7,), 8)[1]
        with pytest.raises(ValueError, match="ndim_added"):
            theano.function([rng], wrong)(np.random.RandomState(3))
    too_flat = raw_random.RandomFunction(helper, T.ivector)(rng, (7,), 8)[1]
    with pytest.raises(ValueError, match="2 dimensions"):
        theano.function([rng], too_flat)(np.random.RandomState(3))


def test_random_function_refuses(rng):
    with pytest.raises(ValueError, match="no method 'unifrom'"):
        raw_random.RandomFunction("unifrom", T.dvector)
    with pytest.raises(ValueError, match="vector of integers"):
        raw_random.RandomFunction("uniform", T.dvector)(rng, T.dvector(), 0, 1)
