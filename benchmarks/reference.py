"""The nets of workloads.py in plain NumPy: the oracle against which every peer is checked before it is timed.

The arithmetic runs in the dtype of the weights: float64 for the oracle, float32 to train a while first.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from benchmarks.workloads import Conv, Data, Dense, Workload

Saved = tuple[np.ndarray, ...]


def conv_forward(layer: Conv, x: np.ndarray, w: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, Saved]:
    n = len(x)
    x = x.reshape(n, layer.channels, layer.size, layer.size)
    windows = sliding_window_view(x, (layer.kernel, layer.kernel), (2, 3))  # [N, C, P, Q, R, S]
    patches = windows.transpose(0, 2, 3, 1, 4, 5).reshape(n, layer.conv_size**2, -1)
    y = patches @ w.reshape(layer.filters, -1).T
    cells = y.reshape(n, layer.out_size, layer.pool, layer.out_size, layer.pool, layer.filters)
    cells = cells.transpose(0, 1, 3, 5, 2, 4).reshape(n, layer.out_size, layer.out_size, layer.filters, -1)
    winner = cells.argmax(-1)
    pooled = np.take_along_axis(cells, winner[..., None], -1)[..., 0]
    out = activate(layer.activation, pooled + b).transpose(0, 3, 1, 2)
    return out.reshape(n, -1), (patches, winner, out)


def conv_backward(
    layer: Conv, w: np.ndarray, saved: Saved, d_out: np.ndarray, first: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    patches, winner, out = saved
    n = len(out)
    dz = d_out.reshape(out.shape) * slope(layer.activation, out)
    db = dz.sum((0, 2, 3))
    cells = np.zeros((*winner.shape, layer.pool**2), w.dtype)
    np.put_along_axis(cells, winner[..., None], dz.transpose(0, 2, 3, 1)[..., None], -1)
    shape = (n, layer.out_size, layer.out_size, layer.filters, layer.pool, layer.pool)
    dy = cells.reshape(shape).transpose(0, 1, 4, 2, 5, 3).reshape(n, -1, layer.filters)
    dw = np.tensordot(dy, patches, ((0, 1), (0, 1))).reshape(w.shape)
    if first:
        return dw, db, None
    p = layer.conv_size
    d_patches = (dy @ w.reshape(layer.filters, -1)).reshape(
        n, p, p, layer.channels, layer.kernel, layer.kernel
    )
    dx = np.zeros((n, layer.channels, layer.size, layer.size), w.dtype)
    for r in range(layer.kernel):
        for s in range(layer.kernel):
            dx[:, :, r : r + p, s : s + p] += d_patches[..., r, s].transpose(0, 3, 1, 2)
    return dw, db, dx.reshape(n, -1)


def activate(name: str, z: np.ndarray) -> np.ndarray:
    if name == "relu":
        return np.maximum(z, 0)
    if name == "tanh":
        return np.tanh(z)
    if name == "sigmoid":
        return 0.5 * (1 + np.tanh(0.5 * z))
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def slope(name: str, out: np.ndarray) -> np.ndarray:
    """d activation / dz, from the activation's value."""
    if name == "relu":
        return (out > 0).astype(out.dtype)
    return 1 - out * out if name == "tanh" else out * (1 - out)


def forward(net: Workload, weights: Sequence[np.ndarray], x: np.ndarray) -> tuple[np.ndarray, list[Saved]]:
    """Class probabilities [N, 10], and what the backward pass needs. Dropout is off."""
    saved: list[Saved] = []
    for layer, w, b in zip(net.layers, weights[::2], weights[1::2]):
        if isinstance(layer, Dense):
            out = activate(layer.activation, x @ w + b)
            saved.append((x, out))
            x = out
        else:
            x, kept = conv_forward(layer, x, w, b)
            saved.append(kept)
    return x, saved


def train(
    net: Workload, weights: Sequence[np.ndarray], data: Data, batch: int, first: int, steps: int, dtype: str
) -> list[np.ndarray]:
    """The weights after `steps` steps of gradient descent, from minibatch `first` on."""
    params = [w.astype(dtype) for w in weights]
    decay = net.decay(batch, len(data.labels))
    for step in range(first, first + steps):
        x, labels = data.batch(step, batch)
        p, saved = forward(net, params, x.astype(dtype))
        d = p.copy()  # d cost / d softmax input
        d[np.arange(batch), labels] -= 1
        d /= batch
        grads: list[np.ndarray] = []
        for i in reversed(range(len(net.layers))):
            layer, w = net.layers[i], params[2 * i]
            dx: np.ndarray | None
            if isinstance(layer, Dense):
                x_in, out = saved[i]
                dz = d if layer.activation == "softmax" else d * slope(layer.activation, out)
                dw, db, dx = x_in.T @ dz, dz.sum(0), dz @ w.T if i else None
            else:
                dw, db, dx = conv_backward(layer, w, saved[i], d, i == 0)
            grads[:0] = [dw + decay * w, db]
            d = dx if dx is not None else d
        params = [w - net.eta * g for w, g in zip(params, grads)]
    return [w.astype(dtype) for w in params]


def predict(net: Workload, weights: Sequence[np.ndarray], x: np.ndarray) -> np.ndarray:
    """Class probabilities in float64."""
    return forward(net, [w.astype("float64") for w in weights], x.astype("float64"))[0]
