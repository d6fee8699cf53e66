"""Draws the pictures of the tutorial: python docs/tutorial/pictures.py (a minute; needs symconv[viz])."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import symconv as sc
from symconv.nn import ConvPoolLayer, FullyConnectedLayer, Network, SoftmaxLayer

OUT = Path(__file__).parent / "pictures"


def main() -> None:
    OUT.mkdir(exist_ok=True)
    data = sc.datasets.mnist()
    seven = data.test.images[0].reshape(28, 28)
    x = sc.tensor4("x")

    # page 1: the edges of a digit from four sides
    w = np.repeat([[1.0], [1.0], [0.0], [-1.0], [-1.0]], 5, axis=1).astype("float32")
    edges = np.ascontiguousarray(np.stack([w, w[::-1], w.T, w.T[:, ::-1]])).reshape(4, 1, 5, 5)
    maps = sc.function([x], sc.sigmoid(sc.conv2d(x, edges) - 2))(seven.reshape(1, 1, 28, 28))[0]
    sc.viz.plot_features(seven, {"filters": edges[:, 0], "feature maps": maps}, OUT / "edges.png")

    # page 2: the maps and their maxima
    pooled = sc.function([x], sc.max_pool2d(x, 2))(maps[None])[0]
    sc.viz.plot_features(seven, {"feature maps": maps, "max-pooled": pooled}, OUT / "pooling.png")

    # page 4: what a net with one convolution learned in one epoch
    net = sc.nn.net("conv").build(seed=1)
    net.SGD(data.train, 1, 10, 0.1, progress=False)
    sc.viz.plot_filters(net.layers[0].w.get_value(), OUT / "filters.png")
    outputs = sc.nn.layer_outputs(net, data.test.images[:1])
    sc.viz.plot_features(seven, {k: v[0] for k, v in outputs.items()}, OUT / "features.png")

    # page 5: three activations on 5,000 images
    few = sc.datasets.mnist(limit=5000)
    histories = {}
    for name, eta, lmbda in (("sigmoid", 0.1, 0.0), ("tanh", 0.1, 0.0), ("relu", 0.03, 0.1)):
        f = getattr(sc, name)
        layers = [
            ConvPoolLayer((20, 1, 5, 5), (10, 1, 28, 28), (2, 2), f),
            ConvPoolLayer((40, 20, 5, 5), (10, 20, 12, 12), (2, 2), f),
            FullyConnectedLayer(640, 100, f),
            SoftmaxLayer(100, 10),
        ]
        histories[name] = Network(layers, 10, seed=1).SGD(
            few.train, 8, 10, eta, few.validation, lmbda=lmbda, progress=False
        )
    sc.viz.plot_curves({k: h.epochs for k, h in histories.items()}, OUT / "activations.svg")

    # page 6: an image and its copies
    copies, _ = sc.datasets.shift_expand(data.train.images[:1], data.train.labels[:1], seed=None)
    sc.viz.plot_filters(copies.reshape(5, 1, 28, 28), OUT / "shifts.png", columns=5)

    bends = sc.nn.Augmentation(rotation=10, translation=1, shear=5, elastic=20, seed=3)
    bent = [data.train.images[:1], *(bends(data.train.images[:1], epoch) for epoch in range(1, 8))]
    sc.viz.plot_filters(np.stack(bent).reshape(8, 1, 28, 28), OUT / "bent.png", columns=8)

    # page 10: a graph
    sc.viz.draw_graph(sc.softmax(sc.dot(sc.matrix("x"), sc.matrix("w"))), OUT / "graph.svg")


if __name__ == "__main__":
    main()
