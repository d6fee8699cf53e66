"""A convolutional network as Theano programs of 2015 wrote it, on symconv.theano.

    python examples/09_theano_program.py [--quick] [--epochs N] [--dropout]

In the style of the book's network3.py: layers with their own shared weights, costs from log(softmax) at
the labels, givens that slice mini-batches out of shared data, labels cast to int32, updates by gradients.
Theano's own programs say `import theano`: see docs/theano.md for how they run unchanged.
"""

import argparse

import numpy as np

import symconv as sc
import symconv.theano as theano
import symconv.theano.tensor as T
from symconv.theano.tensor import shared_randomstreams
from symconv.theano.tensor.nnet import conv
from symconv.theano.tensor.signal import downsample

try:
    theano.config.device = "gpu"
except Exception:
    pass  # no GPU here
theano.config.floatX = "float32"


def ReLU(z):
    return T.maximum(0.0, z)


def shared(array, name=None):
    return theano.shared(np.asarray(array, dtype=theano.config.floatX), name=name, borrow=True)


def dropout(layer, p_dropout):
    stream = shared_randomstreams.RandomStreams(np.random.RandomState(0).randint(999999))
    mask = stream.binomial(n=1, p=1 - p_dropout, size=layer.shape)
    return layer * T.cast(mask, theano.config.floatX)


class ConvPoolLayer:
    def __init__(self, filter_shape, image_shape, poolsize=(2, 2), activation=ReLU):
        self.filter_shape, self.image_shape, self.poolsize = filter_shape, image_shape, poolsize
        self.activation = activation
        n_out = filter_shape[0] * np.prod(filter_shape[2:]) / np.prod(poolsize)
        self.w = shared(np.random.normal(0, np.sqrt(1.0 / n_out), filter_shape), "w")
        self.b = shared(np.random.normal(0, 1, (filter_shape[0],)), "b")
        self.params = [self.w, self.b]

    def set_input(self, x, x_dropout, mini_batch_size):
        images = x.reshape(self.image_shape)
        convolved = conv.conv2d(
            input=images, filters=self.w, filter_shape=self.filter_shape, image_shape=self.image_shape
        )
        pooled = downsample.max_pool_2d(input=convolved, ds=self.poolsize, ignore_border=True)
        self.output = self.activation(pooled + self.b.dimshuffle("x", 0, "x", "x"))
        self.output_dropout = self.output  # no dropout in convolutional layers


class DenseLayer:
    def __init__(self, n_in, n_out, activation=ReLU, p_dropout=0.0):
        self.n_in, self.p_dropout, self.activation = n_in, p_dropout, activation
        self.w = shared(np.random.normal(0, np.sqrt(1.0 / n_out), (n_in, n_out)), "w")
        self.b = shared(np.random.normal(0, 1, (n_out,)), "b")
        self.params = [self.w, self.b]

    def set_input(self, x, x_dropout, mini_batch_size):
        x = x.reshape((mini_batch_size, self.n_in))
        self.output = self.activation((1 - self.p_dropout) * T.dot(x, self.w) + self.b)
        self.y_out = T.argmax(self.output, axis=1)
        x = x_dropout.reshape((mini_batch_size, self.n_in))
        if self.p_dropout:
            x = dropout(x, self.p_dropout)
        self.output_dropout = self.activation(T.dot(x, self.w) + self.b)

    def accuracy(self, y):
        return T.mean(T.eq(y, self.y_out))


class SoftmaxLayer(DenseLayer):
    def __init__(self, n_in, n_out, p_dropout=0.0):
        super().__init__(n_in, n_out, T.nnet.softmax, p_dropout)
        self.w.set_value(np.zeros((n_in, n_out), dtype=theano.config.floatX))
        self.b.set_value(np.zeros((n_out,), dtype=theano.config.floatX))

    def cost(self, net):
        return -T.mean(T.log(self.output_dropout)[T.arange(net.y.shape[0]), net.y])


class Network:
    def __init__(self, layers, mini_batch_size):
        self.layers, self.mini_batch_size = layers, mini_batch_size
        self.params = [param for layer in layers for param in layer.params]
        self.x, self.y = T.matrix("x"), T.ivector("y")
        layers[0].set_input(self.x, self.x, mini_batch_size)
        for before, layer in zip(layers[:-1], layers[1:]):
            layer.set_input(before.output, before.output_dropout, mini_batch_size)

    def compile(self, training, validation, test, eta, lmbda=0.0):
        """A training step, and the accuracies on the validation and test data, by the mini-batch's number."""
        l2_norm_squared = sum([(layer.w**2).sum() for layer in self.layers])
        n_batches = training[0].get_value(borrow=True).shape[0] / self.mini_batch_size
        cost = self.layers[-1].cost(self) + 0.5 * lmbda * l2_norm_squared / n_batches
        grads = T.grad(cost, self.params)
        updates = [(param, param - eta * grad) for param, grad in zip(self.params, grads)]
        i, mb = T.lscalar(), self.mini_batch_size
        batch = slice(i * mb, (i + 1) * mb)
        step = theano.function(
            [i], cost, updates=updates, givens={self.x: training[0][batch], self.y: training[1][batch]}
        )
        accuracies = [
            theano.function(
                [i],
                self.layers[-1].accuracy(self.y),
                givens={self.x: data[0][batch], self.y: data[1][batch]},
            )
            for data in (validation, test)
        ]
        return step, *accuracies


def load_shared(data):
    """Images and labels as shared variables; labels are kept as floats and cast, as GPUs once asked for."""
    return shared(data.images), T.cast(shared(data.labels), "int32")


def build(mb, p_dropout=0.0):
    """The book's network of two convolutional layers."""
    return Network(
        [
            ConvPoolLayer((20, 1, 5, 5), (mb, 1, 28, 28)),
            ConvPoolLayer((40, 20, 5, 5), (mb, 20, 12, 12)),
            DenseLayer(40 * 4 * 4, 100, p_dropout=p_dropout),
            SoftmaxLayer(100, 10, p_dropout=p_dropout),
        ],
        mb,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="few images and one epoch: to see that it runs")
    parser.add_argument("--dropout", action="store_true")
    parser.add_argument("--epochs", type=int, default=2)
    options = parser.parse_args()

    np.random.seed(0)
    mnist = sc.datasets.mnist(limit=500 if options.quick else None)
    training, validation, test = (load_shared(d) for d in (mnist.train, mnist.validation, mnist.test))
    net = build(10, 0.5 if options.dropout else 0.0)
    step, *accuracies = net.compile(training, validation, test, eta=0.03, lmbda=0.1)
    n_training, n_validation, n_test = (
        data[0].get_value(borrow=True).shape[0] // 10 for data in (training, validation, test)
    )
    best = 0.0
    for epoch in range(1 if options.quick else options.epochs):
        costs = [step(i) for i in range(n_training)]
        score = np.mean([accuracies[0](i) for i in range(n_validation)])
        print(f"epoch {epoch}: cost {np.mean(costs):.4f}, validation accuracy {score:.2%}")
        if score >= best:
            best, corresponding = score, np.mean([accuracies[1](i) for i in range(n_test)])
    print(f"test accuracy {corresponding:.2%} where the validation accuracy is best, {best:.2%}")
