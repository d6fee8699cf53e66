"""A small net behind the page to draw on."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from demo_helpers import save

from symconv import nn
from symconv.demo import Demo, Server

LAYERS = [
    nn.Conv(3, 5, "relu", stride=2),
    nn.Pool(2),
    nn.Conv(4, 3, "tanh", padding="same", groups=1),
    nn.BatchNorm(),
    nn.Flatten(),
    nn.Dropout(0.5),
    nn.Dense(7, "sigmoid"),
    nn.Dense(4),
]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    model = nn.Sequential(LAYERS, (1, 20, 24), seed=3)
    return save(tmp_path_factory.mktemp("demo") / "small.npz", model, classes=["a", "b", "c", "longer"])


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("digits") / "digits.npz"
    images = rng.integers(0, 256, (6, 20, 24)).astype("uint8")
    labels = np.arange(6) % 4
    np.savez(path, x_train=images, y_train=labels, x_test=images[:5], y_test=labels[:5])
    return path


@pytest.fixture(scope="module")
def running(weights, digits):
    with Server(Demo([weights], data=digits, device="reference")) as found:
        thread = threading.Thread(target=found.serve_forever, args=[0.01], daemon=True)
        thread.start()
        yield found
        found.shutdown()
