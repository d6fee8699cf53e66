"""theano.scan and its relatives as the programs and tutorials of its time use them."""

import numpy as np
import pytest

import symconv.theano as theano
import symconv.theano.tensor as T
from symconv.errors import DTypeError, GraphError

pytest.importorskip("symconv._core", reason="the C++ core is not built")
RNG = np.random.default_rng(3)


def test_power_of_the_tutorial():
    k, a = T.iscalar("k"), T.vector("A")
    result, updates = theano.scan(
        fn=lambda prior_result, A: prior_result * A,
        outputs_info=T.ones_like(a),
        non_sequences=a,
        n_steps=k,
    )
    power = theano.function(inputs=[a, k], outputs=result[-1], updates=updates)
    np.testing.assert_array_equal(power(range(10), 2), np.arange(10) ** 2)
    np.testing.assert_array_equal(power(range(10), 4), np.arange(10) ** 4)


def test_polynomial_of_the_tutorial():
    coefficients, x = T.vector("coefficients"), T.scalar("x")
    components, updates = theano.scan(
        fn=lambda coefficient, power, free_variable: coefficient * (free_variable**power),
        outputs_info=None,
        sequences=[coefficients, T.arange(10000)],
        non_sequences=x,
    )
    f = theano.function(inputs=[coefficients, x], outputs=components.sum())
    assert f(np.asarray([1, 0, 2], theano.config.floatX), 3) == 19.0


def test_accumulation_of_the_tutorial():
    up_to = T.iscalar("up_to")
    seq = T.arange(up_to)
    outputs_info = T.as_tensor_variable(np.asarray(0, seq.dtype))
    result, updates = theano.scan(lambda i, s: s + i, outputs_info=outputs_info, sequences=seq)
    f = theano.function([up_to], result)
    assert f(15).tolist() == np.cumsum(np.arange(15)).tolist()


def test_until_of_the_tutorial():
    max_value = T.scalar()
    values, _ = theano.scan(
        lambda previous, limit: (previous * 2, theano.scan_module.until(previous * 2 > limit)),
        outputs_info=T.constant(1.0),
        non_sequences=max_value,
        n_steps=1024,
    )
    assert theano.function([max_value], values)(45).tolist() == [2, 4, 8, 16, 32, 64]


def test_jacobian_of_the_tutorial():
    x = T.dvector("x")
    y = x**2
    j, updates = theano.scan(
        lambda i, y, x: T.grad(y[i], x), sequences=T.arange(y.shape[0]), non_sequences=[y, x]
    )
    f = theano.function([x], j, updates=updates)
    np.testing.assert_array_equal(f([4, 4, 2]), np.diag([8, 8, 4]))


def test_shared_variable_updated_by_a_dictionary():
    a = theano.shared(1)
    values, updates = theano.scan(lambda: {a: a + 1}, n_steps=10)
    assert values is None
    b = a + 1
    f = theano.function([], [b, updates[a] + 1], updates=updates)
    assert [int(v) for v in f()] == [2, 12]
    assert a.get_value() == 11


def test_recurrent_net_with_taps_of_the_tutorial():
    u, x0, y0 = T.dmatrix("u"), T.dmatrix("x0"), T.dvector("y0")
    w, w_in1, w_in2 = (theano.shared(RNG.standard_normal(s)) for s in ((3, 3), (2, 3), (2, 3)))
    w_feedback, w_out = theano.shared(RNG.standard_normal(3)), theano.shared(RNG.standard_normal(3))

    def step(u_tm4, u_t, x_tm3, x_tm1, y_tm1, W, W_in_1, W_in_2, W_feedback, W_out):
        x_t = T.tanh(
            theano.dot(x_tm1, W) + theano.dot(u_t, W_in_1) + theano.dot(u_tm4, W_in_2)
            + theano.dot(y_tm1, W_feedback)
        )  # fmt: skip
        return [x_t, theano.dot(x_tm3, W_out)]

    weights = [w, w_in1, w_in2, w_feedback, w_out]
    (x, y), updates = theano.scan(
        fn=step,
        sequences={"input": u, "taps": [-4, 0]},
        outputs_info=[{"initial": x0, "taps": [-3, -1]}, y0[0]],
        non_sequences=weights,
        strict=True,
    )
    assert not updates
    f = theano.function([u, x0, y0], [x, y])
    ud, xd, yd = RNG.standard_normal((9, 2)), RNG.standard_normal((3, 3)), RNG.standard_normal(1)
    values = [v.get_value() for v in weights]
    xs, ys = list(xd), [yd[0]]
    for t in range(4, 9):
        before = xs[-3]
        xs.append(
            np.tanh(xs[-1] @ values[0] + ud[t] @ values[1] + ud[t - 4] @ values[2] + ys[-1] * values[3])
        )
        ys.append(before @ values[4])
    got = f(ud, xd, yd)
    np.testing.assert_allclose(got[0], xs[3:], rtol=1e-10)
    np.testing.assert_allclose(got[1], ys[1:], rtol=1e-10)
    slopes = theano.function([u, x0, y0], T.grad((x**2).sum() + y.sum(), weights))
    assert [s.shape for s in slopes(ud, xd, yd)] == [v.shape for v in values]


def test_map_reduce_foldl_foldr():
    v = T.vector("v")
    zero = T.constant(np.float64(0))
    squares, _ = theano.map(lambda x: x**2, v)
    total, _ = theano.reduce(lambda x, s: x + s, v, zero)
    left, _ = theano.foldl(lambda x, s: x + 2 * s, v, zero)
    right, _ = theano.foldr(lambda x, s: x + 2 * s, v, zero)
    f = theano.function([v], [squares, total, left, right])
    got = f([1.0, 2, 3])
    assert got[0].tolist() == [1, 4, 9]
    assert [float(x) for x in got[1:]] == [6, 3 + 2 * (2 + 2 * 1), 1 + 2 * (2 + 2 * 3)]


def test_one_output_alone_or_in_a_list():
    x = T.vector("x")
    alone, _ = theano.scan(lambda v: [v * 2], x)
    listed, _ = theano.scan(lambda v: v * 2, x, return_list=True)
    assert not isinstance(alone, list) and isinstance(listed, list)


def test_until_takes_numbers():
    """A condition that is no bool ends the loop where it is not 0."""
    until = theano.scan_module.until
    left, _ = theano.scan(lambda s: (s + 1, until(s - 2)), None, T.constant(2.0), n_steps=9)
    assert left.eval().tolist() == [3, 4]
    first = T.constant(8.0)
    ended, _ = theano.scan(lambda s: (s * 0.5, {}, until(T.cast(s < 3, "int8"))), None, first, n_steps=9)
    assert ended.eval().tolist() == [4, 2, 1]


def test_strict_loops_miss_what_they_are_not_given():
    w, x = theano.shared(np.eye(2), "w"), T.dvector("x")
    with pytest.raises(theano.gof.MissingInputError, match="w.*not in non_sequences"):
        theano.scan(lambda h: T.dot(h, w), outputs_info=x, n_steps=2, strict=True)
    theano.scan(lambda h, w: T.dot(h, w), outputs_info=x, non_sequences=w, n_steps=2, strict=True)


@pytest.mark.parametrize("steps", [1, 3])
def test_hessian_through_loops_within_loops(steps):
    """The numbers of steps are inputs."""
    w, n, m = T.dvector("w"), T.lscalar("n"), T.lscalar("m")

    def outer(total, w, m):
        parts, _ = theano.scan(lambda s, w: s + (w**3).sum(), None, np.array(0.0), w, m)
        return total + parts[-1] * w[0]

    totals, _ = theano.scan(outer, None, np.array(0.0), [w, m], n)
    f = theano.function([w, n, m], theano.gradient.hessian(totals[-1], w))
    a = np.array([0.5, -2.0])
    want = steps * 2 * np.array([[12 * a[0] ** 2, 3 * a[1] ** 2], [3 * a[1] ** 2, 6 * a[0] * a[1]]])
    np.testing.assert_allclose(f(a, steps, 2), want)


def test_errors_name_the_output():
    x = T.fvector("x")
    with pytest.raises(DTypeError, match="output 0 starts as float32.*float64"):
        theano.scan(lambda v, s: s + T.cast(v, "float64"), x, T.constant(np.float32(0)))
    with pytest.raises(GraphError, match="updates of a step change shared"):
        theano.scan(lambda v: (v, {x: x}), x)


def test_restricted_boltzmann_machine_of_the_tutorial():
    """Persistent contrastive divergence as the deep learning tutorials write it: it learns two patterns."""
    from symconv.theano.tensor.shared_randomstreams import RandomStreams

    floatx, n_visible, n_hidden = theano.config.floatX, 12, 6
    numpy_rng = np.random.RandomState(123)
    theano_rng = RandomStreams(numpy_rng.randint(2**30))
    w = theano.shared(
        numpy_rng.uniform(-0.1, 0.1, (n_visible, n_hidden)).astype(floatx), name="W", borrow=True
    )
    hbias = theano.shared(np.zeros(n_hidden, floatx), name="hbias", borrow=True)
    vbias = theano.shared(np.zeros(n_visible, floatx), name="vbias", borrow=True)
    params = [w, hbias, vbias]

    def free_energy(v_sample):
        wx_b = T.dot(v_sample, w) + hbias
        return -T.sum(T.log(1 + T.exp(wx_b)), axis=1) - T.dot(v_sample, vbias)

    def sample_h_given_v(v0):
        pre = T.dot(v0, w) + hbias
        mean = T.nnet.sigmoid(pre)
        return [pre, mean, theano_rng.binomial(size=mean.shape, n=1, p=mean, dtype=floatx)]

    def sample_v_given_h(h0):
        pre = T.dot(h0, w.T) + vbias
        mean = T.nnet.sigmoid(pre)
        return [pre, mean, theano_rng.binomial(size=mean.shape, n=1, p=mean, dtype=floatx)]

    def gibbs_hvh(h0):
        v = sample_v_given_h(h0)
        return v + sample_h_given_v(v[2])

    x, index = T.matrix("x"), T.lscalar()
    persistent = theano.shared(np.zeros((10, n_hidden), floatx), borrow=True)
    (_, _, nv_samples, _, _, nh_samples), updates = theano.scan(
        gibbs_hvh, outputs_info=[None, None, None, None, None, persistent], n_steps=5, name="gibbs_hvh"
    )
    chain_end = nv_samples[-1]
    cost = T.mean(free_energy(x)) - T.mean(free_energy(chain_end))
    for param, slope in zip(params, T.grad(cost, params, consider_constant=[chain_end])):
        updates[param] = param - slope * T.cast(0.1, dtype=floatx)
    updates[persistent] = nh_samples[-1]
    bit = theano.shared(value=0, name="bit_i_idx")
    xi = T.round(x)
    xi_flip = T.set_subtensor(xi[:, bit], 1 - xi[:, bit])
    likelihood = T.mean(n_visible * T.log(T.nnet.sigmoid(free_energy(xi_flip) - free_energy(xi))))
    updates[bit] = (bit + 1) % n_visible

    patterns = np.array([[1] * 6 + [0] * 6, [0, 1] * 6], floatx)
    data = theano.shared(patterns[numpy_rng.randint(0, 2, 200)], borrow=True)
    train = theano.function(
        [index],
        likelihood,
        updates=updates,
        givens={x: data[index * 10 : (index + 1) * 10]},
        name="train_rbm",
    )
    values = [np.mean([train(i) for i in range(20)]) for _ in range(25)]
    assert values[0] < -5 and values[-1] > -2.5


def test_steps_whose_shapes_change():
    x, lengths = T.dmatrix("x"), T.ivector("lengths")

    def row(v, n):
        part = v[:n]
        kept = part[(part > 0).nonzero()]
        powers, _ = theano.scan(lambda p: p * T.tanh(kept.sum() + 1), None, part, n_steps=n)
        filled = T.set_subtensor(T.zeros_like(v)[:n], T.exp(part))
        return powers[-1].sum() + T.max(filled), T.inc_subtensor(filled[T.arange(n)], 1.0)

    (sums, rows), _ = theano.scan(row, [x, lengths])
    cost = sums.sum() + (rows**2).sum()
    f = theano.function([x, lengths], [cost, T.grad(cost, x)])
    values, counts = np.random.RandomState(0).randn(3, 4), np.int32([2, 4, 1])
    want = 0.0
    for v, n in zip(values, counts):
        part = v[:n]
        want += (part * np.tanh(part[part > 0].sum() + 1) ** n).sum() + np.exp(part).max()
        want += ((np.exp(part) + 1) ** 2).sum()
    assert abs(f(values, counts)[0] - want) < 1e-9
    for at in np.ndindex(3, 4):
        ends = []
        for step in (1e-6, -1e-6):
            moved = values.copy()
            moved[at] += step
            ends.append(f(moved, counts)[0])
        assert abs((ends[0] - ends[1]) / 2e-6 - f(values, counts)[1][at]) < 1e-6


def test_a_non_sequence_that_the_step_does_not_read_is_no_unused_input():
    x, unread = T.vector("x"), T.matrix("unread")
    y, _ = theano.scan(lambda v, w: v * 2, sequences=x, non_sequences=[unread * 1])
    f = theano.function([x, unread], y)
    assert f([1.0, 2.0], [[3.0]]).tolist() == [2, 4]
    assert f([1.0, 2.0], None).tolist() == [2, 4]


@pytest.mark.parametrize("floatx", [theano.config.floatX])
def test_strict_lets_a_step_draw(floatx):
    """The Gibbs chain of the manual: the states of its draws are no non_sequences."""
    draw = theano.tensor.shared_randomstreams.RandomStreams(1234)
    w, bias, v = theano.shared(np.ones((3, 2), floatx)), theano.shared(np.zeros(2, floatx)), T.matrix()

    def step(v, w, bias):
        mean = T.nnet.sigmoid(T.dot(v, w) + bias)
        h = draw.binomial(size=mean.shape, n=1, p=mean)
        return draw.binomial(size=v.shape, n=1, p=T.nnet.sigmoid(T.dot(h, w.T)), dtype=floatx)

    values, updates = theano.scan(step, outputs_info=v, non_sequences=[w, bias], n_steps=10, strict=True)
    f = theano.function([v], values[-1], updates=updates)
    first, second = f(np.ones((20, 3), floatx)), f(np.ones((20, 3), floatx))
    assert first.shape == (20, 3) and set(np.unique(first)) <= {0, 1} and (first != second).any()
    with pytest.raises(GraphError, match="strict"):
        theano.scan(lambda v, w: T.dot(v, w) + bias, None, v, w, n_steps=2, strict=True)
