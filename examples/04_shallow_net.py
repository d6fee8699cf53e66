"""The book's first network: one hidden layer of 100 sigmoid neurons.

    python examples/04_shallow_net.py [--quick]

Chapter 6 of "Neural Networks and Deep Learning" begins with it, as the line to beat: 97.80 % of the test
digits after 60 epochs. The names and arguments are those of the book's network3.py.
"""

import argparse
from pathlib import Path

import symconv as sc
from symconv.nn import FullyConnectedLayer, Network, SoftmaxLayer

parser = argparse.ArgumentParser()
parser.add_argument("--quick", action="store_true", help="few images and epochs: to see that it runs")
parser.add_argument("--epochs", type=int, default=10)
parser.add_argument("--out", type=Path, default=Path("runs/examples"))
options = parser.parse_args()

data = sc.datasets.mnist(limit=1000 if options.quick else None)
mini_batch_size = 10
net = Network([FullyConnectedLayer(n_in=784, n_out=100), SoftmaxLayer(n_in=100, n_out=10)], mini_batch_size)
print(net.summary())

# The validation data decide which epoch was best; the test data are looked at, never chosen by.
epochs = 2 if options.quick else options.epochs
history = net.SGD(data.train, epochs, mini_batch_size, 0.1, data.validation, data.test)
print(f"best epoch {history.best_epoch}: test accuracy {100 * history.test_accuracy:.2f} %")
assert history.test_accuracy > (0.4 if options.quick else 0.96)

# The network now holds the weights of that epoch. They go into a file, and come back from it.
options.out.mkdir(parents=True, exist_ok=True)
net.save(options.out / "shallow.safetensors")
again = sc.nn.load(options.out / "shallow.safetensors")
first = data.test.images[:5]
print("predicted:", again.predict(first), "labels:", data.test.labels[:5])

# What was taken for what, and pictures of the digits that were not recognised.
matrix = net.confusion_matrix(data.test)
print("rows: true digit, columns: prediction\n" + str(matrix))
sc.viz.plot_errors(*data.test, net.predict(data.test.images), options.out / "shallow_errors.png")
sc.viz.plot_curves(history.epochs, options.out / "shallow_curves.png")
print("pictures in", options.out)
