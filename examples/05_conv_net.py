"""The book's convolutional networks, one improvement after another.

    python examples/05_conv_net.py [--quick] [--epochs N]

Chapter 6 builds them in this order and gives, after 60 epochs: 98.78 % with one convolution, 99.06 % with
two, 99.23 % with rectified linear units and a little regularisation, 99.60 % with dropout and more data.
"""

import argparse
from pathlib import Path

import symconv as sc
from symconv.nn import ConvPoolLayer, FullyConnectedLayer, Network, ReLU, SoftmaxLayer

parser = argparse.ArgumentParser()
parser.add_argument("--quick", action="store_true", help="few images and one epoch: to see that it runs")
parser.add_argument("--epochs", type=int, default=2)
parser.add_argument("--out", type=Path, default=Path("runs/examples"))
options = parser.parse_args()

data = sc.datasets.mnist(limit=200 if options.quick else None)
epochs = 1 if options.quick else options.epochs
mb = 10  # the mini-batch size


def one_convolution():
    """20 filters see patches of 5 x 5 pixels; pooling halves the 24 x 24 positions to 12 x 12."""
    return Network(
        [
            ConvPoolLayer(image_shape=(mb, 1, 28, 28), filter_shape=(20, 1, 5, 5), poolsize=(2, 2)),
            FullyConnectedLayer(n_in=20 * 12 * 12, n_out=100),
            SoftmaxLayer(n_in=100, n_out=10),
        ],
        mb,
    )


def two_convolutions(activation_fn=sc.nn.sigmoid):
    """40 more filters look at all 20 feature maps of the first layer."""
    return Network(
        [
            ConvPoolLayer((20, 1, 5, 5), (mb, 1, 28, 28), (2, 2), activation_fn),
            ConvPoolLayer((40, 20, 5, 5), (mb, 20, 12, 12), (2, 2), activation_fn),
            FullyConnectedLayer(40 * 4 * 4, 100, activation_fn),
            SoftmaxLayer(100, 10),
        ],
        mb,
    )


def with_dropout():
    """Two layers of 1000 neurons, of which each mini-batch drops half."""
    return Network(
        [
            ConvPoolLayer((20, 1, 5, 5), (mb, 1, 28, 28), (2, 2), ReLU),
            ConvPoolLayer((40, 20, 5, 5), (mb, 20, 12, 12), (2, 2), ReLU),
            FullyConnectedLayer(40 * 4 * 4, 1000, ReLU, p_dropout=0.5),
            FullyConnectedLayer(1000, 1000, ReLU, p_dropout=0.5),
            SoftmaxLayer(1000, 10, p_dropout=0.5),
        ],
        mb,
    )


# name: (network, eta, lmbda)
experiments = {
    "one convolution": (one_convolution(), 0.1, 0.0),
    "two convolutions": (two_convolutions(), 0.1, 0.0),
    "rectified linear units": (two_convolutions(ReLU), 0.03, 0.1),
    "dropout": (with_dropout(), 0.03, 0.0),
}
runs = {}
for name, (net, eta, lmbda) in experiments.items():
    print(f"\n{name}\n{net.summary()}")
    runs[name] = net.SGD(data.train, epochs, mb, eta, data.validation, data.test, lmbda=lmbda)

print("\ntest accuracy at the best validation epoch")
for name, history in runs.items():
    print(f"  {name:<24} {100 * history.test_accuracy:.2f} %   {history.images_per_s:,.0f} images/s")

# The filters of the first layer: what each of the 20 looks for in a patch.
options.out.mkdir(parents=True, exist_ok=True)
net = experiments["rectified linear units"][0]
sc.viz.plot_filters(net.layers[0].w.get_value(), options.out / "filters.png")
sc.viz.plot_curves({name: h.epochs for name, h in runs.items()}, options.out / "conv_curves.png")
print("pictures in", options.out)
