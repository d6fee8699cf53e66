"""theano.sandbox.rng_mrg: MRG31k3p as published, its draws, their sizes and errors."""

import itertools
import math

import numpy as np
import pytest

import symconv.theano as theano
import symconv.theano.tensor as T
from symconv.errors import ArgumentError, UnsupportedError
from symconv.ops.mrg31k3p import M1, M2, skip, substreams
from symconv.ops.mrg31k3p import draw as mrg_draw
from symconv.theano.sandbox.rng_mrg import MRG_RandomStreams


def published(state, n):
    """n values of one stream by the recurrences of L'Ecuyer and Touzin, in Python's integers."""
    x, y = list(state[:3]), list(state[3:])
    out = []
    for _ in range(n):
        x = [(2**22 * x[1] + 129 * x[2]) % M1, *x[:2]]
        y = [(2**15 * y[0] + 32769 * y[2]) % M2, *y[:2]]
        out.append(x[0] - y[0] if x[0] > y[0] else x[0] - y[0] + M1)
    return out


def test_mrg_follows_the_published_recurrence():
    rng = MRG_RandomStreams(12345)
    f = theano.function([], rng.uniform((5, 4), nstreams=3, dtype="float64"))
    streams, state = [], [12345] * 6
    for _ in range(3):
        streams.append(state)
        state = skip(state, 72)
    words = [published(s, 14) for s in streams]
    used = [0, 0, 0]
    for _ in range(2):
        want = []
        for i in range(20):
            want.append(words[i % 3][used[i % 3]] / 2**31)
            used[i % 3] += 1
        np.testing.assert_array_equal(f().ravel(), want)


def test_mrg_jumps_are_many_steps():
    state = [11, 22, 33, 44, 55, 66]
    for _ in range(2**5):
        x = (2**22 * state[1] + 129 * state[2]) % M1
        y = (2**15 * state[3] + 32769 * state[5]) % M2
        state = [x, *state[:2], y, *state[3:5]]
    assert skip([11, 22, 33, 44, 55, 66], 5) == state


def test_mrg_substreams_of_the_default_seed():
    """The second stream of seed 12345 as Theano's own test of the generator lists it: 2^72 values on."""
    matrix = np.array([[1516919229, 758510237, 499121365], [1884998244, 1516919229, 335398200],
                       [601897748, 1884998244, 358115744]], dtype=object)  # fmt: skip
    want = [int(v) % M1 for v in matrix @ np.array([12345] * 3, dtype=object)]
    assert substreams([12345] * 6, 2)[1, :3].tolist() == want


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_mrg_kernel_equals_the_reference(dtype):
    size = (37, 11)
    f = theano.function([], MRG_RandomStreams(7).uniform(size, dtype=dtype))
    state = substreams([7] * 6, 37 * 11 // 6)
    for _ in range(2):
        state, want = mrg_draw(state, 37 * 11, dtype)
        got = f()
        np.testing.assert_array_equal(got, want.reshape(size))
        assert got.min() > 0 and got.max() < 1
    assert "REFERENCE" not in f.explain()


def test_mrg_draws():
    rng = MRG_RandomStreams(3)
    p = np.array([[0.2, 0.5, 0.3], [0.0, 0.1, 0.9]])
    draws = [
        rng.uniform((20000,), -1, 3), rng.binomial((20000,), p=0.3), rng.normal((20001,), 2.0, 0.5),
        rng.multinomial(pvals=p, n=2000), rng.multinomial_wo_replacement(pvals=np.repeat(p, 50, 0), n=2),
    ]  # fmt: skip
    u, b, z, m, w = theano.function([], draws)()
    assert abs(u.mean() - 1) < 0.03 and u.min() >= -1 and u.max() <= 3
    assert b.dtype == np.int64 and set(b.tolist()) == {0, 1} and abs(b.mean() - 0.3) < 0.02
    assert z.shape == (20001,) and abs(z.mean() - 2) < 0.02 and abs(z.std() - 0.5) < 0.02
    assert m.sum(1).tolist() == [2000, 2000] and np.abs(m / 2000 - p).max() < 0.05
    assert w.shape == (100, 2) and (w[:, 0] != w[:, 1]).all() and set(w[50:].ravel().tolist()) == {1, 2}


class TwoStreams:
    """The values of two streams, 2^72 apart, from a state on; element i of a draw is of stream i % 2."""

    def __init__(self, state: list[int]) -> None:
        self.values = [iter([w / 2**31 for w in published(s, 400)]) for s in (state, skip(state, 72))]

    def draw(self):
        for i in range(400):
            yield next(self.values[i % 2])


@pytest.mark.parametrize("size", [(5, 31), (3,), ()], ids=str)
def test_mrg_truncated_normal_draws_radii_again(size):
    """Value by value: what lies beyond 2 keeps its angle and takes a radius from streams of its own."""
    n = int(np.prod(size))
    half = (n + 1) // 2
    rng = MRG_RandomStreams(7)
    f = theano.function([], rng.normal(size, 1.0, 3.0, nstreams=2, dtype="float64", truncate=True))
    streams, others = TwoStreams([7] * 6), TwoStreams(skip([7] * 6, 134))
    drawn_again = 0
    for _ in range(3):
        u = list(itertools.islice(streams.draw(), 2 * half))
        more, want = others.draw(), []
        for side in (math.cos, math.sin):
            kept, late = [], []
            for a, b in zip(u[:half], u[half:]):
                z = math.sqrt(-2 * math.log(a)) * side(2 * math.pi * b)
                if abs(z) <= 2:
                    kept.append(z)
                else:
                    v = math.exp(-2) + next(more) * (1 - math.exp(-2))
                    late.append(math.sqrt(-2 * math.log(v)) * side(2 * math.pi * b))
            want += kept + late
            drawn_again += len(late)
        np.testing.assert_allclose(f(), 1 + 3 * np.reshape(want[:n], size), rtol=1e-12)
    assert drawn_again > 10 or n < 100


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_mrg_truncated_normal_has_the_deviation_asked_for(dtype):
    x = T.matrix()
    z, of_shape = (
        MRG_RandomStreams(5).truncated_normal(size, -5.0, 2.0, dtype=dtype, nstreams=50)
        for size in ((301, 101), x.shape)
    )
    f, g = theano.function([], z), theano.function([x], of_shape)
    for _ in range(2):
        v = f()
        assert v.dtype == dtype and v.shape == (301, 101)
        assert abs(v.mean() + 5) < 0.05 and abs(v.std() - 2) < 0.03
        assert 4.4 < np.abs(v + 5).max() < 2 * 2 / 0.8796 + 1e-5  # 2 deviations of the normal that is cut
        np.testing.assert_array_equal(g(np.zeros((301, 101))), v)


def test_mrg_outcomes_of_a_vector_of_probabilities():
    p = np.array([0.2, 0.5, 0.0, 0.3])
    draws = {
        "multinomial": lambda r, q: r.multinomial(pvals=q, n=500, nstreams=5),
        "choice": lambda r, q: r.choice(size=3, p=q, replace=False, nstreams=5),
        "multinomial_wo_replacement": lambda r, q: r.multinomial_wo_replacement(n=2, pvals=q, nstreams=5),
    }
    for name, make in draws.items():
        one, row = (theano.function([], make(MRG_RandomStreams(4), q)) for q in (p, p[None]))
        for _ in range(2):
            got = one()
            assert got.ndim == 1, name
            np.testing.assert_array_equal(got, row()[0])
    counts = theano.function([], MRG_RandomStreams(4).multinomial(pvals=p, n=500, nstreams=5))()
    assert counts.sum() == 500 and counts[2] == 0 and np.abs(counts / 500 - p).max() < 0.08
    with pytest.raises(ArgumentError, match="rows .* or a vector"):
        MRG_RandomStreams(4).multinomial(pvals=np.ones((2, 2, 2)) / 2)
    with pytest.raises(ArgumentError, match="neither size nor ndim"):
        MRG_RandomStreams(4).multinomial((3,), 1, [0.5, 0.5])
    with pytest.raises(ArgumentError, match="no size"):
        MRG_RandomStreams(4).multinomial_wo_replacement((3,), 1, [0.5, 0.5])


def test_mrg_target_has_no_effect():
    p = np.array([[0.2, 0.5, 0.3]])
    for make in (
        lambda r, **k: r.uniform((3, 2), **k),
        lambda r, **k: r.normal((3, 2), **k),
        lambda r, **k: r.truncated_normal((3, 2), nstreams=2, **k),
        lambda r, **k: r.binomial((3, 2), **k),
        lambda r, **k: r.multinomial(pvals=p, nstreams=2, **k),
        lambda r, **k: r.choice(p=p, replace=False, nstreams=2, **k),
        lambda r, **k: r.multinomial_wo_replacement(pvals=p, nstreams=2, **k),
    ):
        with_target, without = make(MRG_RandomStreams(6), target="cpu"), make(MRG_RandomStreams(6))
        np.testing.assert_array_equal(with_target.eval(), without.eval())


def test_mrg_seeding_and_errors():
    rng = MRG_RandomStreams(9)
    v = rng.uniform((3,))
    f = theano.function([], v)
    first = f()
    assert not np.array_equal(first, f())
    rng.seed(9)
    np.testing.assert_array_equal(f(), first)
    for bad in (0, -(2**31), 2**31, [1, 2], [0, 0, 0, 1, 1, 1], "a"):
        with pytest.raises(ArgumentError, match="MRG_RandomStreams"):
            MRG_RandomStreams(bad)
    with pytest.raises(ArgumentError, match="positive"):
        rng.uniform((0, 3))
    with pytest.raises(UnsupportedError, match="n = 1"):
        rng.binomial((2,), n=4)


@pytest.mark.parametrize("size", [(2**31,), (2**15, 2**16), (2, 2**15, 2**15)])
def test_mrg_refuses_more_values_than_it_counts(size):
    """Before memory is taken; as ints and as variables."""
    s = MRG_RandomStreams(5)
    with pytest.raises(ValueError, match="at most 2147483647"):
        theano.function([], s.uniform(size))()
    dims = T.lvector()
    f = theano.function([dims], s.uniform(dims, ndim=len(size)))
    with pytest.raises(ValueError, match="at most 2147483647"):
        f(list(size))
    assert f([1] * len(size)).size == 1


def test_negative_seeds_are_seeds():
    """PyMC3 seeds with -1."""
    draws = [MRG_RandomStreams(seed).uniform((2000,)).eval() for seed in (-1, -1, -2)]
    assert np.array_equal(draws[0], draws[1]) and not np.array_equal(draws[0], draws[2])
    assert 0 < draws[0].min() and draws[0].max() < 1 and abs(draws[0].mean() - 0.5) < 0.03
    for bad in (0, -(2**31), 2**31):
        with pytest.raises(ValueError, match="between 1 and"):
            MRG_RandomStreams(bad)
