"""Programs as people wrote them for Theano between 2010 and 2017, shortened: nets for images, sentences."""

import pickle
from collections import OrderedDict

import numpy
import pytest

import symconv.theano as theano
import symconv.theano.tensor as T
from symconv.theano.sandbox.rng_mrg import MRG_RandomStreams
from symconv.theano.tensor.nnet import conv, conv2d
from symconv.theano.tensor.shared_randomstreams import RandomStreams
from symconv.theano.tensor.signal import downsample, pool

pytest.importorskip("symconv._core", reason="the C++ core is not built")

pytest_plugins = ["theano_fixtures"]


def bars(n, size=6, classes=3, seed=0):
    """Images in which every third row is lit, and which of the three it is."""
    rng = numpy.random.RandomState(seed)
    y = rng.randint(0, classes, n)
    x = rng.uniform(0, 0.3, (n, size, size))
    for k in range(n):
        x[k, y[k] :: classes] += 0.6
    return x.reshape(n, -1), y


def shared_dataset(data_xy, borrow=True):
    data_x, data_y = data_xy
    shared_x = theano.shared(numpy.asarray(data_x, dtype=theano.config.floatX), borrow=borrow)
    shared_y = theano.shared(numpy.asarray(data_y, dtype=theano.config.floatX), borrow=borrow)
    return shared_x, T.cast(shared_y, "int32")


class LogisticRegression:
    def __init__(self, input, n_in, n_out):
        self.W = theano.shared(
            value=numpy.zeros((n_in, n_out), dtype=theano.config.floatX), name="W", borrow=True
        )
        self.b = theano.shared(value=numpy.zeros((n_out,), dtype=theano.config.floatX), name="b", borrow=True)
        self.p_y_given_x = T.nnet.softmax(T.dot(input, self.W) + self.b)
        self.y_pred = T.argmax(self.p_y_given_x, axis=1)
        self.params = [self.W, self.b]
        self.input = input

    def negative_log_likelihood(self, y):
        return -T.mean(T.log(self.p_y_given_x)[T.arange(y.shape[0]), y])

    def errors(self, y):
        if y.ndim != self.y_pred.ndim:
            raise TypeError("y should have the shape of y_pred", ("y", y.type, "y_pred", self.y_pred.type))
        assert y.dtype.startswith("int")
        return T.mean(T.neq(self.y_pred, y))


class HiddenLayer:
    def __init__(self, rng, input, n_in, n_out, activation=T.tanh):
        bound = numpy.sqrt(6.0 / (n_in + n_out))
        values = numpy.asarray(rng.uniform(-bound, bound, (n_in, n_out)), dtype=theano.config.floatX)
        if activation == theano.tensor.nnet.sigmoid:
            values *= 4
        self.W = theano.shared(value=values, name="W", borrow=True)
        self.b = theano.shared(value=numpy.zeros((n_out,), dtype=theano.config.floatX), name="b", borrow=True)
        lin_output = T.dot(input, self.W) + self.b
        self.output = lin_output if activation is None else activation(lin_output)
        self.params = [self.W, self.b]


class LeNetConvPoolLayer:
    def __init__(self, rng, input, filter_shape, image_shape, poolsize=(2, 2)):
        values = numpy.asarray(rng.uniform(-0.3, 0.3, filter_shape), dtype=theano.config.floatX)
        self.W = theano.shared(values, borrow=True)
        self.b = theano.shared(value=numpy.zeros((filter_shape[0],), dtype=theano.config.floatX), borrow=True)
        conv_out = conv2d(input=input, filters=self.W, filter_shape=filter_shape, input_shape=image_shape)
        pooled_out = pool.pool_2d(input=conv_out, ws=poolsize, ignore_border=True)
        self.output = T.tanh(pooled_out + self.b.dimshuffle("x", 0, "x", "x"))
        self.params = [self.W, self.b]


def trained(classifier_of, epochs, rate, batch_size=20):
    """(model, x, error on new data) of a net trained on bars by shared data, givens and sliced batches."""
    train_x, train_y = shared_dataset(bars(300, seed=1))
    test_x, test_y = shared_dataset(bars(100, seed=2))
    index, x, y = T.lscalar(), T.matrix("x"), T.ivector("y")
    layers, top, penalty = classifier_of(x, batch_size)
    cost = top.negative_log_likelihood(y) + penalty
    batch = slice(index * batch_size, (index + 1) * batch_size)
    test_model = theano.function(
        inputs=[index], outputs=top.errors(y), givens={x: test_x[batch], y: test_y[batch]}
    )
    params = [p for layer in layers for p in layer.params]
    gparams = [T.grad(cost, param) for param in params]
    updates = [(param, param - rate * gparam) for param, gparam in zip(params, gparams)]
    train_model = theano.function(
        inputs=[index], outputs=cost, updates=updates, givens={x: train_x[batch], y: train_y[batch]}
    )
    for _ in range(epochs):
        for i in range(300 // batch_size):
            train_model(i)
    return top, x, numpy.mean([test_model(i) for i in range(100 // batch_size)])


def test_logistic_regression_and_its_pickle(floatx):
    def build(x, batch_size):
        top = LogisticRegression(input=x, n_in=36, n_out=3)
        return [top], top, 0.0

    top, _, error = trained(build, 5, 0.5)
    assert error < 0.05
    again = pickle.loads(pickle.dumps(top))
    predict = theano.function(inputs=[again.input], outputs=again.y_pred)
    images, labels = bars(50, seed=3)
    assert numpy.mean(predict(images.astype(floatx)) == labels) > 0.95


def test_multilayer_perceptron(floatx):
    def build(x, batch_size):
        rng = numpy.random.RandomState(1234)
        hidden = HiddenLayer(rng, x, 36, 20)
        top = LogisticRegression(hidden.output, 20, 3)
        l1 = abs(hidden.W).sum() + abs(top.W).sum()
        l2_sqr = (hidden.W**2).sum() + (top.W**2).sum()
        return [hidden, top], top, 0.00 * l1 + 0.0001 * l2_sqr

    assert trained(build, 6, 0.2)[2] < 0.05


def test_convolutional_net(floatx):
    def build(x, batch_size):
        rng = numpy.random.RandomState(23455)
        layer0 = LeNetConvPoolLayer(
            rng, x.reshape((batch_size, 1, 6, 6)), (4, 1, 3, 3), (batch_size, 1, 6, 6)
        )
        layer2 = HiddenLayer(rng, layer0.output.flatten(2), 4 * 2 * 2, 20)
        top = LogisticRegression(layer2.output, 20, 3)
        return [layer0, layer2, top], top, 0.0

    assert trained(build, 6, 0.2)[2] < 0.05


class dA:  # noqa: N801
    def __init__(self, numpy_rng, theano_rng, input, n_visible, n_hidden, W, bhid):
        self.W, self.b, self.theano_rng, self.x = W, bhid, theano_rng, input
        self.b_prime = theano.shared(numpy.zeros(n_visible, dtype=theano.config.floatX), borrow=True)
        self.params = [self.W, self.b, self.b_prime]

    def get_cost_updates(self, corruption_level, learning_rate):
        tilde_x = self.x * self.theano_rng.binomial(
            size=self.x.shape, n=1, p=1 - corruption_level, dtype=theano.config.floatX
        )
        y = T.nnet.sigmoid(T.dot(tilde_x, self.W) + self.b)
        z = T.nnet.sigmoid(T.dot(y, self.W.T) + self.b_prime)
        cost = T.mean(-T.sum(self.x * T.log(z) + (1 - self.x) * T.log(1 - z), axis=1))
        gparams = T.grad(cost, self.params)
        return cost, [(p, p - learning_rate * g) for p, g in zip(self.params, gparams)]


def test_stacked_denoising_autoencoders(floatx):
    """Pre-training functions with In(value=), called by keyword; fine-tuning of the weights they share."""
    train_x, train_y = shared_dataset(bars(300, seed=1))
    numpy_rng = numpy.random.RandomState(89677)
    theano_rng = RandomStreams(numpy_rng.randint(2**30))
    x, y, index = T.matrix("x"), T.ivector("y"), T.lscalar("index")
    corruption, rate = T.scalar("corruption"), T.scalar("lr")
    layers, pretraining, layer_input, n_in = [], [], x, 36
    for n_out in (20, 12):
        layers.append(HiddenLayer(numpy_rng, layer_input, n_in, n_out, T.nnet.sigmoid))
        coder = dA(numpy_rng, theano_rng, layer_input, n_in, n_out, layers[-1].W, layers[-1].b)
        cost, updates = coder.get_cost_updates(corruption, rate)
        pretraining.append(
            theano.function(
                inputs=[index, theano.In(corruption, value=0.2), theano.In(rate, value=0.1)],
                outputs=cost,
                updates=updates,
                givens={x: train_x[index * 20 : index * 20 + 20]},
            )
        )
        layer_input, n_in = layers[-1].output, n_out
    first = [numpy.mean([f(index=i, corruption=0.1, lr=0.1) for i in range(15)]) for f in pretraining]
    last = [numpy.mean([f(i) for i in range(15)]) for f in pretraining for _ in range(3)][2::3]
    assert last[0] < first[0]
    top = LogisticRegression(layer_input, 12, 3)
    params = [p for layer in [*layers, top] for p in layer.params]
    cost = top.negative_log_likelihood(y)
    tune = theano.function(
        [index],
        top.errors(y),
        updates=[(p, p - 0.5 * g) for p, g in zip(params, T.grad(cost, params))],
        givens={x: train_x[index * 20 : index * 20 + 20], y: train_y[index * 20 : index * 20 + 20]},
        name="train",
    )
    for _ in range(20):
        errors = [tune(i) for i in range(15)]
    assert numpy.mean(errors) < 0.05


def test_deep_belief_net(floatx):
    """Contrastive divergence by scan, whose updates carry the draws' states; draws from the model."""
    train_x, _ = shared_dataset(bars(300, seed=1))
    numpy_rng = numpy.random.RandomState(123)
    theano_rng = RandomStreams(numpy_rng.randint(2**30))
    x, index, rate = T.matrix("x"), T.lscalar("index"), T.scalar("lr")
    layer = HiddenLayer(numpy_rng, x, 36, 15, T.nnet.sigmoid)
    w, hbias = layer.W, layer.b
    vbias = theano.shared(numpy.zeros(36, dtype=theano.config.floatX), name="vbias", borrow=True)

    def sample(pre):
        mean = T.nnet.sigmoid(pre)
        draw = theano_rng.binomial(size=mean.shape, n=1, p=mean, dtype=theano.config.floatX)
        return [pre, mean, draw]

    def gibbs_hvh(h0):
        v = sample(T.dot(h0, w.T) + vbias)
        return v + sample(T.dot(v[2], w) + hbias)

    def free_energy(v):
        return -T.sum(T.log(1 + T.exp(T.dot(v, w) + hbias)), axis=1) - T.dot(v, vbias)

    start = sample(T.dot(x, w) + hbias)[2]
    (pre_v, _, v_samples, _, _, _), updates = theano.scan(
        gibbs_hvh, outputs_info=[None, None, None, None, None, start], n_steps=3, name="gibbs_hvh"
    )
    chain_end = v_samples[-1]
    cost = T.mean(free_energy(x)) - T.mean(free_energy(chain_end))
    params = [w, hbias, vbias]
    for gparam, param in zip(T.grad(cost, params, consider_constant=[chain_end]), params):
        updates[param] = param - gparam * T.cast(rate, dtype=theano.config.floatX)
    p = T.nnet.sigmoid(pre_v[-1])
    reconstruction = T.mean(T.sum(x * T.log(p) + (1 - x) * T.log(1 - p), axis=1))
    train = theano.function(
        inputs=[index, theano.In(rate, value=0.1)],
        outputs=reconstruction,
        updates=updates,
        givens={x: train_x[index * 20 : (index + 1) * 20]},
    )
    costs = [numpy.mean([train(index=i, lr=0.1) for i in range(15)]) for _ in range(6)]
    assert costs[-1] > costs[0] + 1
    chain = theano.shared(numpy.zeros((4, 15), dtype=theano.config.floatX))
    (_, means, _, _, _, hidden), updates = theano.scan(
        gibbs_hvh, outputs_info=[None, None, None, None, None, chain], n_steps=10
    )
    updates.update({chain: hidden[-1]})
    draw = theano.function([], means[-1], updates=updates, name="sample_fn")
    assert draw().shape == (4, 36) and not numpy.array_equal(draw(), draw())


def test_sentences_with_a_row_of_zeros(floatx):
    """Convolutions over word vectors that are trained; word 0 is kept at 0, norms are clipped."""
    rng = numpy.random.RandomState(3435)
    n, length, words, k, bs = 100, 8, 20, 6, 20
    data = rng.randint(1, words, (n, length))
    data[:, -2:] = 0
    labels = (data < 8).sum(1) > 4
    index, x, y = T.lscalar(), T.matrix("x"), T.ivector("y")
    vectors = theano.shared(value=rng.uniform(-0.5, 0.5, (words, k)).astype(floatx), name="Words")
    zero_vec_tensor = T.vector()
    set_zero = theano.function(
        [zero_vec_tensor],
        updates=[(vectors, T.set_subtensor(vectors[0, :], zero_vec_tensor))],
        allow_input_downcast=True,
    )
    images = vectors[T.cast(x.flatten(), dtype="int32")].reshape(
        (x.shape[0], 1, x.shape[1], vectors.shape[1])
    )
    params, pooled, predictors = [vectors], [], []
    for h in (2, 3):
        w = theano.shared(
            numpy.asarray(rng.uniform(-0.3, 0.3, (5, 1, h, k)), floatx), borrow=True, name="W_conv"
        )
        b = theano.shared(numpy.asarray(numpy.zeros(5), floatx), borrow=True, name="b_conv")

        def layer(input, size, w=w, b=b, h=h):
            out = conv.conv2d(
                input=input, filters=w, filter_shape=(5, 1, h, k), image_shape=(size, 1, length, k)
            )
            out = T.maximum(0.0, out + b.dimshuffle("x", 0, "x", "x"))
            return downsample.max_pool_2d(out, ds=(length - h + 1, 1), ignore_border=True).flatten(2)

        pooled.append(layer(images, bs))
        predictors.append(layer)
        params += [w, b]
    features = T.concatenate(pooled, 1)
    srng = theano.tensor.shared_randomstreams.RandomStreams(rng.randint(999999))
    dropped = features * T.cast(srng.binomial(n=1, p=0.5, size=features.shape), theano.config.floatX)
    top = LogisticRegression(dropped, 10, 2)
    params += top.params
    cost = top.negative_log_likelihood(y)
    updates = OrderedDict()
    for param in params:
        gp = T.grad(cost, param)
        empty = numpy.zeros_like(param.get_value())
        exp_sg, exp_su = theano.shared(empty), theano.shared(empty)
        updates[exp_sg] = 0.95 * exp_sg + (1 - 0.95) * T.sqr(gp)
        step = -(T.sqrt(exp_su + 1e-4) / T.sqrt(updates[exp_sg] + 1e-4)) * gp
        updates[exp_su] = 0.95 * exp_su + (1 - 0.95) * T.sqr(step)
        stepped = param + step
        if param.get_value(borrow=True).ndim == 2 and param.name != "Words":
            col_norms = T.sqrt(T.sum(T.sqr(stepped), axis=0))
            desired_norms = T.clip(col_norms, 0, T.sqrt(9))
            updates[param] = stepped * (desired_norms / (1e-7 + col_norms))
        else:
            updates[param] = stepped
    set_x = theano.shared(numpy.asarray(data, floatx), borrow=True)
    set_y = T.cast(theano.shared(numpy.asarray(labels, floatx), borrow=True), "int32")
    batch = slice(index * bs, (index + 1) * bs)
    train = theano.function(
        [index], cost, updates=updates, givens={x: set_x[batch], y: set_y[batch]}, allow_input_downcast=True
    )
    whole = vectors[T.cast(x.flatten(), dtype="int32")].reshape((n, 1, length, vectors.shape[1]))
    scores = T.dot(T.concatenate([f(whole, n) for f in predictors], 1), top.W * 0.5) + top.b
    error = theano.function(
        [x, y], T.mean(T.neq(T.argmax(T.nnet.softmax(scores), axis=1), y)), allow_input_downcast=True
    )
    for _ in range(25):
        for i in numpy.random.RandomState(1).permutation(range(n // bs)):
            train(i)
            set_zero(numpy.zeros(k))
    assert not vectors.get_value()[0].any() and error(data, labels) < 0.2


def test_rmsprop_and_dropout_by_mrg():
    srng = MRG_RandomStreams()
    rng = numpy.random.RandomState(0)

    def weights(*shape):
        return theano.shared(numpy.asarray(rng.randn(*shape) * 0.3, dtype=theano.config.floatX))

    def softmax(v):
        e_x = T.exp(v - v.max(axis=1).dimshuffle(0, "x"))
        return e_x / e_x.sum(axis=1).dimshuffle(0, "x")

    def dropout(v, p=0.0):
        if p > 0:
            v *= srng.binomial(v.shape, p=1 - p, dtype=theano.config.floatX)
            v /= 1 - p
        return v

    images, labels = bars(200)
    train_x = images.reshape(-1, 1, 6, 6).astype("float32")
    train_y = numpy.eye(3, dtype="float32")[labels]
    x, y = T.ftensor4(), T.fmatrix()
    params = [weights(4, 1, 3, 3), weights(4, 4, 3, 3), weights(4, 10), weights(10, 3)]

    def model(p_conv, p_hidden):
        a = T.maximum(conv.conv2d(x, params[0], border_mode="full"), 0.0)
        a = dropout(downsample.max_pool_2d(a, (2, 2)), p_conv)
        b = T.maximum(conv.conv2d(a, params[1]), 0.0)
        b = dropout(T.flatten(downsample.max_pool_2d(b, (2, 2)), outdim=2), p_conv)
        return softmax(T.dot(dropout(T.maximum(T.dot(b, params[2]), 0.0), p_hidden), params[3]))

    cost = T.mean(T.nnet.categorical_crossentropy(model(0.1, 0.2), y))
    updates = []
    for p, g in zip(params, T.grad(cost=cost, wrt=params)):
        acc = theano.shared(p.get_value() * 0.0)
        acc_new = 0.9 * acc + (1 - 0.9) * g**2
        updates += [(acc, acc_new), (p, p - 0.01 * (g / T.sqrt(acc_new + 1e-6)))]
    train = theano.function(inputs=[x, y], outputs=cost, updates=updates, allow_input_downcast=True)
    predict = theano.function([x], T.argmax(model(0.0, 0.0), axis=1), allow_input_downcast=True)
    for _ in range(10):
        for start in range(0, 200, 20):
            train(train_x[start : start + 20], train_y[start : start + 20])
    assert numpy.mean(predict(train_x) == labels) > 0.9
