"""Logistic regression on MNIST, written out: an expression, its gradient, and a training loop.

    python examples/03_logistic_regression.py [--quick]

Everything that symconv.nn does for larger networks is done here by hand, in thirty lines.
"""

import argparse

import numpy as np

import symconv as sc

parser = argparse.ArgumentParser()
parser.add_argument("--quick", action="store_true", help="few images and epochs: to see that it runs")
quick = parser.parse_args().quick

data = sc.datasets.mnist(limit=500 if quick else None)
epochs, batch, eta = (2 if quick else 5), 50, 0.5

# The data stay where they are: the function is given only the number of a mini-batch.
images = sc.shared(data.train.images, name="images")
labels = sc.shared(data.train.labels, name="labels")

x, y = sc.matrix("x"), sc.ivector("y")
w = sc.shared(np.zeros((784, 10), "float32"), name="w")
b = sc.shared(np.zeros(10, "float32"), name="b")

# Probability of each digit, and the cost: the mean of -log(probability of the right one). The compiler
# recognises log(softmax) at the labels, and computes it in a form that cannot overflow.
p = sc.softmax(sc.dot(x, w) + b)
cost = -sc.mean(sc.log(p)[sc.arange(y.shape[0]), y])
dw, db = sc.grad(cost, [w, b])

i = sc.lscalar("i")
rows = slice(i * batch, (i + 1) * batch)
train = sc.function(
    [i], cost, updates=[(w, w - eta * dw), (b, b - eta * db)], givens={x: images[rows], y: labels[rows]}
)
predict = sc.function([x], sc.argmax(p, axis=1))

batches = np.arange(len(data.train) // batch)
for epoch in range(1, epochs + 1):
    costs = train.map(batches)  # an epoch in one call, without Python inside
    accuracy = np.mean(predict(data.validation.images) == data.validation.labels)
    print(f"epoch {epoch}: cost {costs.mean():.4f}, validation accuracy {100 * accuracy:.2f} %")

accuracy = np.mean(predict(data.test.images) == data.test.labels)
print(f"test accuracy {100 * accuracy:.2f} %")
assert accuracy > (0.7 if quick else 0.91)
