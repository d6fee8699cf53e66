"""Random streams of symconv.theano: bit for bit NumPy's RandomState, and MRG31k3p as published."""

import numpy as np
import pytest

import symconv.theano as theano
import symconv.theano.tensor as T
from symconv.errors import ArgumentError, DTypeError, ExecutionError
from symconv.theano.tensor.shared_randomstreams import RandomStreams

pytest.importorskip("symconv._core", reason="the C++ core is not built")


def states(seed, count):
    """The RandomStates of the first draws of RandomStreams(seed)."""
    generator = np.random.RandomState(seed)
    return [np.random.RandomState(int(generator.randint(2**30))) for _ in range(count)]


DRAWS = {
    "uniform": (lambda s: s.uniform((3, 5)), lambda r: r.uniform(0, 1, (3, 5))),
    "uniform_range": (lambda s: s.uniform((400,), -2.5, 0.1), lambda r: r.uniform(-2.5, 0.1, 400)),
    "normal": (lambda s: s.normal((7, 3)), lambda r: r.normal(0, 1, (7, 3))),
    "normal_shifted": (lambda s: s.normal((701,), 3.5, 0.3), lambda r: r.normal(3.5, 0.3, 701)),
    "binomial": (lambda s: s.binomial((9, 100)), lambda r: r.binomial(1, 0.5, (9, 100))),
    "binomial_low": (lambda s: s.binomial((500,), 1, 0.1), lambda r: r.binomial(1, 0.1, 500)),
    "binomial_high": (lambda s: s.binomial((500,), 1, 0.8), lambda r: r.binomial(1, 0.8, 500)),
    "binomial_never": (lambda s: s.binomial((50,), 1, 0.0), lambda r: r.binomial(1, 0.0, 50)),
    "binomial_always": (lambda s: s.binomial((50,), 1, 1.0), lambda r: r.binomial(1, 1.0, 50)),
    "binomial_many": (lambda s: s.binomial((500,), 40, 0.7), lambda r: r.binomial(40, 0.7, 500)),
    "binomial_large": (lambda s: s.binomial((50,), 1000, 0.3), lambda r: r.binomial(1000, 0.3, 50)),
    "binomial_array": (
        lambda s: s.binomial(None, 1, np.array([0.1, 0.9, 0.5])), lambda r: r.binomial(1, [0.1, 0.9, 0.5])
    ),
    "integers": (lambda s: s.random_integers((300,), 2, 20), lambda r: r.randint(2, 21, 300)),
    "integers_one": (lambda s: s.random_integers((3,), 4, 4), lambda r: r.randint(4, 5, 3)),
    "integers_wide": (
        lambda s: s.random_integers((60,), -5, 2**40), lambda r: r.randint(-5, 2**40 + 1, 60, "int64")
    ),
    "integers_32_bits": (
        lambda s: s.random_integers((60,), 0, 2**32 - 1), lambda r: r.randint(0, 2**32, 60, "int64")
    ),
    "choice": (lambda s: s.choice((8,), [10, 20, 30]), lambda r: r.choice([10, 20, 30], 8)),
    "choice_p": (
        lambda s: s.choice((8,), 3, True, [0.2, 0.3, 0.5]), lambda r: r.choice(3, 8, True, [0.2, 0.3, 0.5])
    ),
    "choice_without": (lambda s: s.choice((3,), 7, False), lambda r: r.choice(7, 3, False)),
    "poisson": (lambda s: s.poisson((20,), 4.5), lambda r: r.poisson(4.5, 20)),
    "permutation": (lambda s: s.permutation((), 9), lambda r: r.permutation(9)),
    "permutations": (
        lambda s: s.permutation((4,), 9), lambda r: np.array([r.permutation(9) for _ in range(4)])
    ),
    "multinomial": (
        lambda s: s.multinomial((5,), 6, [0.2, 0.3, 0.5]), lambda r: r.multinomial(6, [0.2, 0.3, 0.5], 5)
    ),
    "multinomial_rows": (
        lambda s: s.multinomial(None, 1, np.array([[0.2, 0.8], [0.6, 0.4]])),
        lambda r: np.array([r.multinomial(1, p) for p in ([0.2, 0.8], [0.6, 0.4])]),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DRAWS)
def test_draws_are_numpys(name):
    make, numpy_draw = DRAWS[name]
    streams = RandomStreams(234)
    variables = [make(streams), make(streams)]
    f = theano.function([], variables)
    twins = states(234, 2)
    for _ in range(3):
        for got, twin in zip(f(), twins):
            want = np.asarray(numpy_draw(twin))
            assert got.shape == want.shape
            np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("name", ["uniform", "normal", "binomial", "binomial_many", "integers"])
def test_single_parameters_run_compiled(name):
    make, _ = DRAWS[name]
    f = theano.function([], make(RandomStreams(1)))
    f()
    text = f.explain()
    assert "mt19937_" in text and "REFERENCE" not in text


@pytest.mark.parametrize("dtype", ["bool", "int8", "int32", "float32", "float64"])
@pytest.mark.parametrize("p", [0.0, 0.3, 0.5, 0.9, 1.0])
def test_masks_are_drawn_in_the_dtype_of_their_readers(p, dtype):
    mask = RandomStreams(17).binomial((1700,), 1, p)
    f = theano.function([], [T.cast(mask, dtype), T.cast(mask, dtype) * np.ones((), dtype)])
    (twin,) = states(17, 1)
    for _ in range(3):
        want = twin.binomial(1, p, 1700).astype(dtype)
        got, product = f()
        assert got.dtype == dtype
        np.testing.assert_array_equal(got, want)
        np.testing.assert_array_equal(product, want)
    text = f.explain(rewrites=True)
    assert "narrow_mask" in text and "mt19937_bernoulli" in text and "cast " not in text.split("rewrites:")[0]


def test_a_mask_that_is_read_as_it_is_stays_int64():
    mask = RandomStreams(17).binomial((9,), 1, 0.5)
    f = theano.function([], [mask, T.cast(mask, "float32")])
    a, b = f()
    assert a.dtype == np.int64 and b.dtype == np.float32
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("seed", range(3))
def test_a_probability_for_each_value(seed):
    """Also where the draw lies so close to its bound that exp(log(1 - p)) decides."""
    p = np.random.default_rng(seed).uniform(size=4000)
    (twin,) = states(23 + seed, 1)
    state = twin.get_state()
    draws = twin.uniform(size=4000)
    p[::3] = np.clip(1 - draws[::3] * (1 + 1e-16 * (np.arange(p[::3].size) % 5 - 2)), 0, 1)
    p[:4] = [0, 1, 0.5, 1e-300]
    twin.set_state(state)
    v = T.dvector("p")
    f = theano.function([v], RandomStreams(23 + seed).binomial(v.shape, 1, v, dtype="float32"))
    np.testing.assert_array_equal(f(p), twin.binomial(1, p))
    np.testing.assert_array_equal(f(p[:7]), twin.binomial(1, p[:7]))
    assert "mt19937_bernoulli" in f.explain()
    with pytest.raises(ExecutionError, match="binomial: p must lie"):
        f(np.array([0.2, np.nan]))


@pytest.mark.parametrize("before", [0, 1, 623, 624, 1000])
def test_draws_go_on_from_any_position(before):
    stream = RandomStreams(4)
    draw = stream.uniform((700,), -1.0, 3.0)
    f = theano.function([], [draw, T.sum(draw)])
    twin = np.random.RandomState(9)
    twin.randint(0, 2**32, before, "uint32")
    draw.rng.set_value(twin)
    for _ in range(2):
        np.testing.assert_array_equal(f()[0], twin.uniform(-1.0, 3.0, 700))


def test_dtypes():
    s = RandomStreams(1)
    assert s.binomial((2,)).dtype == "int64"
    assert s.random_integers((2,)).dtype == "int64"
    assert s.uniform((2,)).dtype == theano.config.floatX
    assert s.uniform((2,), dtype="float32").dtype == "float32"
    with pytest.raises(DTypeError, match="must be a float"):
        s.normal((2,), dtype="int32")


def test_float32_draws_are_rounded_doubles():
    f = theano.function([], RandomStreams(5).uniform((100,), dtype="float32"))
    np.testing.assert_array_equal(f(), states(5, 1)[0].uniform(size=100).astype("float32"))


def test_seed_and_states():
    s = RandomStreams(23)
    a, b = s.uniform((2,)), s.normal((2,))
    f = theano.function([], [a, b])
    first = f()
    s.seed(23)
    np.testing.assert_array_equal(f()[0], first[0])
    a.rng.set_value(np.random.RandomState(7))
    np.testing.assert_array_equal(f()[0], np.random.RandomState(7).uniform(size=2))
    state = b.rng.get_value()
    assert isinstance(state, np.random.RandomState)
    np.testing.assert_array_equal(f()[1], state.normal(size=2))
    s[a.rng] = np.random.RandomState(9)
    np.testing.assert_array_equal(s[a.rng].uniform(size=2), np.random.RandomState(9).uniform(size=2))
    with pytest.raises(DTypeError, match="RandomState"):
        a.rng.set_value(3)
    with pytest.raises(ArgumentError, match="seed"):
        RandomStreams(-1)


def test_without_default_updates_a_draw_repeats():
    s = RandomStreams(3)
    v = s.uniform((2,))
    same = theano.function([], v, no_default_updates=True)
    np.testing.assert_array_equal(same(), same())
    moving = theano.function([], v, no_default_updates=True, updates=s.updates())
    assert not np.array_equal(moving(), moving())


def test_one_draw_is_one_value_in_a_function():
    v = RandomStreams(3).uniform((2, 2))
    assert not theano.function([], v - v)().any()


def test_symbolic_sizes():
    x = T.matrix("x")
    s = RandomStreams(4)
    f = theano.function([x], [s.binomial(size=x.shape, n=1, p=0.9), s.uniform((x.shape[0], 3))])
    mask, u = f(np.zeros((4, 5), theano.config.floatX))
    twins = states(4, 2)
    np.testing.assert_array_equal(mask, twins[0].binomial(1, 0.9, (4, 5)))
    np.testing.assert_array_equal(u, twins[1].uniform(size=(4, 3)))


def test_shuffled_rows():
    x = T.matrix("x")
    shuffled = RandomStreams(6).shuffle_row_elements(x)
    values = np.arange(12, dtype=theano.config.floatX).reshape(3, 4)
    got = theano.function([x], shuffled)(values)
    twin = states(6, 1)[0]
    np.testing.assert_array_equal(got, [row[twin.permutation(4)] for row in values])


def test_dropout_of_network3():
    layer = T.matrix("layer")
    rng = np.random.RandomState(0)
    stream = RandomStreams(rng.randint(999999))
    mask = stream.binomial(n=1, p=1 - 0.5, size=layer.shape)
    f = theano.function([layer], layer * T.cast(mask, theano.config.floatX))
    got = f(np.ones((10, 100), theano.config.floatX))
    twin = states(np.random.RandomState(0).randint(999999), 1)[0]
    np.testing.assert_array_equal(got, twin.binomial(1, 0.5, (10, 100)))


def test_draws_in_a_scan_differ_and_go_on():
    s = RandomStreams(8)
    values, updates = theano.scan(lambda: s.uniform((2,)), n_steps=3)
    f = theano.function([], values, updates=updates)
    twin = states(8, 1)[0]
    np.testing.assert_array_equal(f(), twin.uniform(size=(3, 2)))
    np.testing.assert_array_equal(f(), twin.uniform(size=(3, 2)))


def test_a_draw_in_non_sequences_is_made_once():
    s = RandomStreams(8)
    mask = s.uniform((2,))
    values, updates = theano.scan(lambda m: m + 0, non_sequences=mask, n_steps=3)
    assert not updates
    f = theano.function([], values)
    twin = states(8, 1)[0]
    for _ in range(2):
        np.testing.assert_array_equal(f(), np.stack([twin.uniform(size=2)] * 3))


def test_gibbs_sampling_as_the_rbm_tutorial_writes_it():
    s = RandomStreams(17)
    w = theano.shared(np.random.RandomState(1).normal(size=(6, 4)), name="W")

    def gibbs(v):
        h = s.binomial(size=(3, 4), n=1, p=T.nnet.sigmoid(T.dot(v, w)), dtype=theano.config.floatX)
        mean = T.nnet.sigmoid(T.dot(h, w.T))
        return [mean, s.binomial(size=mean.shape, n=1, p=mean, dtype=theano.config.floatX)]

    v0 = T.matrix("v0")
    (means, samples), updates = theano.scan(gibbs, outputs_info=[None, v0], n_steps=4)
    f = theano.function([v0], [means[-1], samples[-1]], updates=updates)
    start = np.zeros((3, 6), theano.config.floatX)
    mean, sample = f(start)
    twins, v = states(17, 2), start
    sigmoid = lambda z: 1 / (1 + np.exp(-z))  # noqa: E731
    for _ in range(4):
        h = twins[0].binomial(1, sigmoid(v @ w.get_value()))
        p = sigmoid(h @ w.get_value().T)
        v = twins[1].binomial(1, p)
    np.testing.assert_allclose(mean, p, rtol=1e-10)
    np.testing.assert_array_equal(sample, v)


# ---- MRG31k3p
