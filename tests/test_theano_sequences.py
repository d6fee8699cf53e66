"""Programs as people wrote them for Theano between 2010 and 2017, shortened: recurrent nets."""

from collections import OrderedDict

import numpy
import pytest

import symconv.theano as theano
import symconv.theano.tensor as T
from symconv.theano.sandbox.rng_mrg import MRG_RandomStreams
from symconv.theano.tensor.shared_randomstreams import RandomStreams

pytest.importorskip("symconv._core", reason="the C++ core is not built")

pytest_plugins = ["theano_fixtures"]


def numpy_floatX(data):  # noqa: N802
    return numpy.asarray(data, dtype=theano.config.floatX)


def test_lstm_with_masks_and_adadelta(floatx):
    rng = numpy.random.RandomState(0)
    d, words = 8, 12
    tparams = OrderedDict()
    shapes = {"Wemb": (words, d), "lstm_W": (d, 4 * d), "lstm_U": (d, 4 * d), "lstm_b": (4 * d,)}
    for name, shape in {**shapes, "U": (d, 2), "b": (2,)}.items():
        tparams[name] = theano.shared(numpy_floatX(rng.normal(0, 0.5, shape)), name=name)
    trng, use_noise = MRG_RandomStreams(123), theano.shared(numpy_floatX(0.0))
    x, mask = T.matrix("x", dtype="int64"), T.matrix("mask", dtype=theano.config.floatX)
    y = T.vector("y", dtype="int64")

    def part(v, n):
        return v[:, :, n * d : (n + 1) * d] if v.ndim == 3 else v[:, n * d : (n + 1) * d]

    def step(m_, x_, h_, c_):
        preact = T.dot(h_, tparams["lstm_U"])
        preact += x_
        i, f, o = (T.nnet.sigmoid(part(preact, n)) for n in range(3))
        c = f * c_ + i * T.tanh(part(preact, 3))
        c = m_[:, None] * c + (1.0 - m_)[:, None] * c_
        h = o * T.tanh(c)
        return m_[:, None] * h + (1.0 - m_)[:, None] * h_, c

    n_samples = x.shape[1]
    emb = tparams["Wemb"][x.flatten()].reshape([x.shape[0], n_samples, d])
    below = T.dot(emb, tparams["lstm_W"]) + tparams["lstm_b"]
    zeros = [T.alloc(numpy_floatX(0.0), n_samples, d) for _ in range(2)]
    (h, _), _ = theano.scan(step, [mask, below], zeros, name="lstm_layers", n_steps=x.shape[0])
    proj = (h * mask[:, :, None]).sum(axis=0) / mask.sum(axis=0)[:, None]
    kept = proj * trng.binomial(proj.shape, p=0.5, n=1, dtype=proj.dtype)
    proj = T.switch(use_noise, kept, proj * 0.5)
    pred = T.nnet.softmax(T.dot(proj, tparams["U"]) + tparams["b"])
    cost = -T.log(pred[T.arange(n_samples), y] + 1e-8).mean()
    grads = T.grad(cost, wrt=list(tparams.values()))

    def zeros_like_all(tag):
        return [
            theano.shared(p.get_value() * numpy_floatX(0.0), name=f"{k}_{tag}") for k, p in tparams.items()
        ]

    zipped_grads, running_up2, running_grads2 = (zeros_like_all(t) for t in ("grad", "rup2", "rgrad2"))
    zgup = list(zip(zipped_grads, grads))
    rg2up = [(rg2, 0.95 * rg2 + 0.05 * (g**2)) for rg2, g in zip(running_grads2, grads)]
    f_grad_shared = theano.function([x, mask, y], cost, updates=zgup + rg2up, name="f_grad_shared")
    updir = [
        -T.sqrt(ru2 + 1e-4) / T.sqrt(rg2 + 1e-4) * zg
        for zg, ru2, rg2 in zip(zipped_grads, running_up2, running_grads2)
    ]
    ru2up = [(ru2, 0.95 * ru2 + 0.05 * (ud**2)) for ru2, ud in zip(running_up2, updir)]
    param_up = [(p, p + ud) for p, ud in zip(tparams.values(), updir)]
    lr = T.scalar(name="lr")
    f_update = theano.function([lr], [], updates=ru2up + param_up, on_unused_input="ignore")
    costs = []
    for _ in range(60):
        use_noise.set_value(numpy_floatX(1.0))
        tokens = rng.randint(0, words, (5, 16))
        m = numpy_floatX(numpy.arange(5)[:, None] < rng.randint(1, 6, 16))
        costs.append(f_grad_shared(tokens, m, (tokens[0] > 5).astype("int64")))
        f_update(0.1)
    assert costs[0].dtype == floatx and numpy.mean(costs[-10:]) < numpy.mean(costs[:10]) - 0.05


def test_recurrent_tagging_with_normalised_embeddings(floatx):
    rng = numpy.random.RandomState(0)
    nh, nc, ne, de, cs = 10, 3, 20, 5, 3

    def weight(name, *shape):
        return theano.shared(name=name, value=numpy_floatX(0.2 * rng.uniform(-1.0, 1.0, shape)))

    emb, wx, wh, w = (
        weight("emb", ne + 1, de),
        weight("wx", de * cs, nh),
        weight("wh", nh, nh),
        weight("w", nh, nc),
    )
    bh, b, h0 = weight("bh", nh), weight("b", nc), weight("h0", nh)
    idxs, y = T.imatrix(), T.ivector("y_sentence")
    x = emb[idxs].reshape((idxs.shape[0], de * cs))

    def recurrence(x_t, h_tm1):
        h_t = T.nnet.sigmoid(T.dot(x_t, wx) + T.dot(h_tm1, wh) + bh)
        return [h_t, T.nnet.softmax(T.dot(h_t, w) + b)]

    [_, s], _ = theano.scan(fn=recurrence, sequences=x, outputs_info=[h0, None], n_steps=x.shape[0])
    p = s[:, 0, :]
    lr, params = T.scalar("lr"), [emb, wx, wh, w, bh, b, h0]
    nll = -T.mean(T.log(p)[T.arange(x.shape[0]), y])
    updates = OrderedDict((v, v - lr * g) for v, g in zip(params, T.grad(nll, params)))
    train = theano.function(inputs=[idxs, y, lr], outputs=nll, updates=updates, allow_input_downcast=True)
    length = T.sqrt((emb**2).sum(axis=1)).dimshuffle(0, "x")
    normalize = theano.function(inputs=[], updates={emb: emb / length})
    losses = []
    for _ in range(250):
        words = rng.randint(0, ne, (8, cs)).astype("int32")
        losses.append(train(words, (words[:, 1] % nc).astype("int32"), 1.0))
        normalize()
    numpy.testing.assert_allclose((emb.get_value() ** 2).sum(1), 1, rtol=1e-5)
    assert numpy.mean(losses[-20:]) < 0.7 * numpy.mean(losses[:20])


def test_a_loop_within_the_step_of_a_loop_with_draws(floatx):
    """A recurrent net whose every state biases a Boltzmann machine: generation samples within each step."""
    rng, numpy_rng = RandomStreams(seed=5), numpy.random.RandomState(1)
    nv, nh, nr = 8, 6, 5
    w, wuv, wvu = (
        theano.shared(numpy_floatX(numpy_rng.normal(scale=0.3, size=s)))
        for s in ((nv, nh), (nr, nv), (nv, nr))
    )
    bu = theano.shared(numpy_floatX(numpy.zeros(nr)))

    def machine(v, bv, k):
        def gibbs_step(v):
            h = T.nnet.sigmoid(T.dot(v, w))
            h = rng.binomial(size=h.shape, n=1, p=h, dtype=theano.config.floatX)
            mean_v = T.nnet.sigmoid(T.dot(h, w.T) + bv)
            return mean_v, rng.binomial(size=mean_v.shape, n=1, p=mean_v, dtype=theano.config.floatX)

        chain, updates = theano.scan(lambda v: gibbs_step(v)[1], outputs_info=[v], n_steps=k)
        mean = gibbs_step(chain[-1])[0]
        monitor = T.xlogx.xlogy0(v, mean) + T.xlogx.xlogy0(1 - v, 1 - mean)
        return chain[-1], monitor.sum() / v.shape[0], updates

    v, u0 = T.matrix(), T.zeros((nr,))

    def train_step(v_t, u_tm1):
        return [T.tanh(bu + T.dot(v_t, wvu) + u_tm1), T.dot(u_tm1, wuv)]

    (_, bv_t), _ = theano.scan(train_step, sequences=v, outputs_info=[u0, None])
    sampled, monitor, updates = machine(v, bv_t[:], 2)
    energy = lambda s: -(s * bv_t).sum() - T.log(1 + T.exp(T.dot(s, w))).sum()  # noqa: E731
    cost = (energy(v) - energy(sampled)) / v.shape[0]
    slopes = T.grad(cost, [w, wuv, wvu, bu], consider_constant=[sampled])
    updates.update((p, p - 0.01 * g) for p, g in zip([w, wuv, wvu, bu], slopes))
    train = theano.function([v], monitor, updates=updates)
    data = numpy_floatX(numpy_rng.uniform(size=(9, nv)) < 0.3)
    assert all(numpy.isfinite(train(data)) for _ in range(3))

    def generate_step(u_tm1):
        v_t, _, updates = machine(T.zeros((nv,)), T.dot(u_tm1, wuv), 3)
        return [v_t, T.tanh(bu + T.dot(v_t, wvu) + u_tm1)], updates

    (v_t, _), updates = theano.scan(generate_step, outputs_info=[None, u0], n_steps=6)
    generate = theano.function([], v_t, updates=updates)
    first = generate()
    assert first.shape == (6, nv) and set(numpy.unique(first)) <= {0, 1}
    assert not numpy.array_equal(first, generate())
