"""The nets that every peer runs: layers, hyper-parameters, initial weights, work per image, data.

    W1 shallow, W2 conv, W3 dbl_conv_relu, W4 dropout   the nets of the book's chapter 6
    D<n>                                                n dense layers 100-100: how time grows with depth
    W1t, ...                                            the same net with tanh in place of ReLU and sigmoid

Weights are [w0, b0, w1, b1, ...]: a conv layer has w [K, C, R, S], a dense layer w [n_in, n_out].
A minibatch is a slice of the resident arrays: step i takes images[(i % n) * batch :][:batch].
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

N_IMAGES = 50_000
PIXELS = 784
CLASSES = 10


@dataclass(frozen=True)
class Conv:
    """act(pool(conv(x, w)) + b) on [N, channels, size, size], kernel x kernel, pooled by pool x pool."""

    filters: int
    channels: int
    size: int
    activation: str
    kernel: int = 5
    pool: int = 2

    @property
    def conv_size(self) -> int:
        return self.size - self.kernel + 1

    @property
    def out_size(self) -> int:
        return self.conv_size // self.pool

    @property
    def w_shape(self) -> tuple[int, ...]:
        return self.filters, self.channels, self.kernel, self.kernel

    @property
    def fan_out(self) -> int:
        return self.filters * self.kernel**2 // self.pool**2

    @property
    def flops(self) -> int:
        return 2 * self.filters * self.conv_size**2 * self.channels * self.kernel**2


@dataclass(frozen=True)
class Dense:
    """act(dropout(x) @ w + b) on [N, n_in]; "softmax" is the last layer's, whose w and b start at 0."""

    n_in: int
    n_out: int
    activation: str
    dropout: float = 0.0

    @property
    def w_shape(self) -> tuple[int, ...]:
        return self.n_in, self.n_out

    @property
    def fan_out(self) -> int:
        return self.n_out

    @property
    def flops(self) -> int:
        return 2 * self.n_in * self.n_out


Layer = Conv | Dense


@dataclass(frozen=True)
class Workload:
    """A net with its step w -= eta * d(cost)/dw, cost = mean NLL + lmbda / (2 n_batches) * sum of w^2."""

    name: str
    title: str
    layers: tuple[Layer, ...]
    eta: float
    lmbda: float = 0.0

    @property
    def convs(self) -> tuple[Conv, ...]:
        return tuple(layer for layer in self.layers if isinstance(layer, Conv))

    @property
    def dense(self) -> tuple[Dense, ...]:
        return tuple(layer for layer in self.layers if isinstance(layer, Dense))

    @property
    def drops(self) -> bool:
        return any(layer.dropout for layer in self.dense)

    def decay(self, batch: int, n_images: int) -> float:
        """The factor lmbda / n_batches of w in its gradient."""
        return self.lmbda / max(1, n_images // batch)

    def without_dropout(self) -> Workload:
        layers = (replace(a, dropout=0.0) if isinstance(a, Dense) else a for a in self.layers)
        return replace(self, layers=tuple(layers))

    def with_tanh(self) -> Workload:
        """The same net with tanh in place of ReLU and sigmoid: no activation is ever zero."""
        swap = ("relu", "sigmoid")
        layers = (replace(a, activation="tanh") if a.activation in swap else a for a in self.layers)
        return replace(self, name=self.name + "t", title=self.title + ", tanh", layers=tuple(layers))

    def flops(self) -> tuple[int, int]:
        """FLOPs per image of the forward pass and of a training step (no input gradient for the images)."""
        forward = [layer.flops for layer in self.layers]
        return sum(forward), 3 * sum(forward) - forward[0]


_CONVS = (Conv(20, 1, 28, "relu"), Conv(40, 20, 12, "relu"))
WORKLOADS = {
    w.name: w
    for w in (
        Workload("W1", "shallow", (Dense(784, 100, "sigmoid"), Dense(100, 10, "softmax")), 0.1),
        Workload(
            "W2",
            "conv",
            (Conv(20, 1, 28, "sigmoid"), Dense(2880, 100, "sigmoid"), Dense(100, 10, "softmax")),
            0.1,
        ),
        Workload(
            "W3",
            "dbl_conv_relu",
            (*_CONVS, Dense(640, 100, "relu"), Dense(100, 10, "softmax")),
            0.03,
            0.1,
        ),
        Workload(
            "W4",
            "dropout",
            (
                *_CONVS,
                Dense(640, 1000, "relu", 0.5),
                Dense(1000, 1000, "relu", 0.5),
                Dense(1000, 10, "softmax", 0.5),
            ),
            0.03,
        ),
    )
}


def workload(name: str) -> Workload:
    """W1 to W4, a "t" behind for tanh, or D<n>: 784-100, n layers 100-100 ReLU, softmax. Raises KeyError."""
    if name in WORKLOADS:
        return WORKLOADS[name]
    if name.endswith("t") and name[:-1] in WORKLOADS:
        return WORKLOADS[name[:-1]].with_tanh()
    if match := re.fullmatch(r"D([1-9]\d{0,2})", name):
        n = int(match[1])
        hidden = (Dense(100, 100, "relu"),) * n
        layers = (Dense(784, 100, "relu"), *hidden, Dense(100, 10, "softmax"))
        return Workload(name, f"{n} dense layers", layers, 0.01)
    raise KeyError(f"unknown workload {name!r}; there are {', '.join(WORKLOADS)}, W1t to W4t, and D1 to D999")


def initial_weights(net: Workload, seed: int = 1) -> list[np.ndarray]:
    """The book's: w ~ N(0, 1/sqrt(fan_out)), b ~ N(0, 1), the softmax layer 0. D<n>: He's scale and b = 0.

    The book's biases of size 1 would saturate or kill a net of 100 layers.
    """
    rng = np.random.RandomState(seed)  # its streams are frozen, whatever the NumPy version
    weights = []
    for layer in net.layers:
        b_shape = layer.w_shape[0] if isinstance(layer, Conv) else layer.w_shape[1]
        if net.name[0] == "D":
            scale, b_scale = math.sqrt(2 / layer.w_shape[0]), 0.0
        else:
            scale, b_scale = math.sqrt(1 / layer.fan_out), 1.0
        if layer.activation == "softmax":
            scale = b_scale = 0.0
        weights.append((rng.standard_normal(layer.w_shape) * scale).astype(np.float32))
        weights.append((rng.standard_normal(b_shape) * b_scale).astype(np.float32))
    return weights


@dataclass(frozen=True)
class Data:
    """images float32 [n, 784], labels int32 [n]."""

    images: np.ndarray
    labels: np.ndarray

    def batch(self, step: int, size: int) -> tuple[np.ndarray, np.ndarray]:
        first = step % (len(self.labels) // size) * size
        return self.images[first : first + size], self.labels[first : first + size]


def gaussian(n: int = N_IMAGES, seed: int = 2) -> Data:
    """Dense images: pixels from N(0, 1), labels at random. No kernel can profit from zeros in them."""
    rng = np.random.default_rng(seed)
    return Data(rng.standard_normal((n, PIXELS), np.float32), rng.integers(0, CLASSES, n, np.int32))


def save_arrays(folder: Path, prefix: str, arrays: Sequence[np.ndarray]) -> None:
    """One .npy file per array: what the workers of another interpreter read."""
    for i, a in enumerate(arrays):
        np.save(folder / f"{prefix}.{i}.npy", np.asarray(a, order="C"))


def load_arrays(folder: Path, prefix: str) -> list[np.ndarray]:
    count = len(list(folder.glob(f"{prefix}.*.npy")))
    return [load_aligned(folder / f"{prefix}.{i}.npy") for i in range(count)]


def load_aligned(path: Path) -> np.ndarray:
    """A .npy file in memory from a multiple of 64 bytes on: JAX then needs no copy of its own."""
    stored = np.load(path, mmap_mode="r")
    memory = np.empty(stored.nbytes + 64, np.uint8)
    first = -memory.ctypes.data % 64
    array = memory[first : first + stored.nbytes].view(stored.dtype).reshape(stored.shape)
    with path.open("rb") as file:
        file.seek(stored.offset)
        file.readinto(array.reshape(-1).view(np.uint8).data)
    return array
