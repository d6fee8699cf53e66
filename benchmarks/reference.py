"""The nets of workloads.py in plain NumPy: the oracle against which every peer is checked before it is timed.

The arithmetic runs in the dtype of the weights: float64 for the oracle, float32 to train a while first.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from benchmarks.workloads import Conv, Data, Dense, Workload

Saved = tuple[np.ndarray, ...]
NEAR = 2e-5  # of the largest value: what sums in float32 and Winograd transforms may take for equal


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
    ties = cells > pooled[..., None] - NEAR * np.abs(cells).max()
    np.put_along_axis(ties, winner[..., None], False, -1)
    z = (pooled + b).transpose(0, 3, 1, 2)
    out = activate(layer.activation, z)
    return out.reshape(n, -1), (patches, winner, ties, kinks(layer.activation, z), out)


def conv_backward(
    layer: Conv, w: np.ndarray, saved: Saved, d_out: np.ndarray, first: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    patches, winner, _, _, out = saved
    dz = d_out.reshape(out.shape) * slope(layer.activation, out)
    cells = np.zeros((*winner.shape, layer.pool**2), w.dtype)
    np.put_along_axis(cells, winner[..., None], dz.transpose(0, 2, 3, 1)[..., None], -1)
    dw, dx = through_conv(layer, w, patches, cells, first)
    return dw, dz.sum((0, 2, 3)), dx


def through_conv(
    layer: Conv, w: np.ndarray, patches: np.ndarray, cells: np.ndarray, first: bool
) -> tuple[np.ndarray, np.ndarray | None]:
    """dw and dx from the gradient of the convolution's outputs, which comes ordered in cells of pooling."""
    n = len(cells)
    shape = (n, layer.out_size, layer.out_size, layer.filters, layer.pool, layer.pool)
    dy = cells.reshape(shape).transpose(0, 1, 4, 2, 5, 3).reshape(n, -1, layer.filters)
    dw = np.tensordot(dy, patches, ((0, 1), (0, 1))).reshape(w.shape)
    if first:
        return dw, None
    p = layer.conv_size
    d_patches = (dy @ w.reshape(layer.filters, -1)).reshape(
        n, p, p, layer.channels, layer.kernel, layer.kernel
    )
    dx = np.zeros((n, layer.channels, layer.size, layer.size), w.dtype)
    for r in range(layer.kernel):
        for s in range(layer.kernel):
            dx[:, :, r : r + p, s : s + p] += d_patches[..., r, s].transpose(0, 3, 1, 2)
    return dw, dx.reshape(n, -1)


def conv_doubt(
    layer: Conv, w: np.ndarray, saved: Saved, d_out: np.ndarray, doubt: np.ndarray, first: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """How far dw, db and dx may be off if near-ties go the other way and d_out is off by up to `doubt`.

    Where the largest two of a cell differ by a few roundings, float32 may send the gradient to either; where
    the input of a ReLU is a few roundings from 0, it may let the gradient pass or not.
    """
    patches, winner, ties, kink, out = saved
    d, factor = np.abs(d_out.reshape(out.shape)), np.abs(slope(layer.activation, out))
    unsure = doubt.reshape(out.shape) * np.maximum(factor, kink) + np.where(kink, d, 0)
    unsure, moved = (a.transpose(0, 2, 3, 1) for a in (unsure, d * factor + unsure))
    cells = np.zeros(ties.shape, w.dtype)
    np.put_along_axis(cells, winner[..., None], unsure[..., None], -1)
    dw, _ = through_conv(layer, w, np.abs(patches), cells, True)
    dw = dw.reshape(layer.filters, -1)
    for k in range(layer.filters):
        n, p, q, cell = np.nonzero(ties[:, :, :, k] & (moved[:, :, :, k, None] > 0))
        here, there = (
            patches[n, (p * layer.pool + c // layer.pool) * layer.conv_size + q * layer.pool + c % layer.pool]
            for c in (cell, winner[n, p, q, k])
        )
        dw[k] += moved[n, p, q, k] @ np.abs(here - there)
    dx = None
    if not first:
        cells = np.where(ties, moved[..., None], 0.0)
        top = np.where(ties.any(-1), moved, unsure)
        np.put_along_axis(cells, winner[..., None], top[..., None], -1)
        _, dx = through_conv(layer, np.abs(w), patches, cells, False)
    return dw.reshape(w.shape), unsure.sum((0, 1, 2)), dx


def activate(name: str, z: np.ndarray) -> np.ndarray:
    if name == "relu":
        return np.maximum(z, 0)
    if name == "tanh":
        return np.tanh(z)
    if name == "sigmoid":
        return 0.5 * (1 + np.tanh(0.5 * z))
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def kinks(name: str, z: np.ndarray) -> np.ndarray:
    """Where rounding may decide the slope."""
    return np.abs(z) < NEAR * np.abs(z).max() if name == "relu" else np.zeros(z.shape, bool)


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
            z = x @ w + b
            out = activate(layer.activation, z)
            saved.append((x, kinks(layer.activation, z), out))
            x = out
        else:
            x, kept = conv_forward(layer, x, w, b)
            saved.append(kept)
    return x, saved


def train(
    net: Workload, weights: Sequence[np.ndarray], data: Data, batch: int, first: int, steps: int, dtype: str
) -> list[np.ndarray]:
    """The weights after `steps` steps of gradient descent, from minibatch `first` on."""
    return train_with_doubt(net, weights, data, batch, first, steps, dtype)[0]


def train_with_doubt(
    net: Workload, weights: Sequence[np.ndarray], data: Data, batch: int, first: int, steps: int, dtype: str
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """`train`, and per array how far near-ties may lead from these weights (conv_doubt)."""
    params = [w.astype(dtype) for w in weights]
    doubts = [np.zeros(w.shape, dtype) for w in weights]
    decay = net.decay(batch, len(data.labels))
    for step in range(first, first + steps):
        x, labels = data.batch(step, batch)
        p, saved = forward(net, params, x.astype(dtype))
        d = p.copy()  # d cost / d softmax input
        d[np.arange(batch), labels] -= 1
        d /= batch
        doubt = np.zeros_like(d)
        grads: list[np.ndarray] = []
        for i in reversed(range(len(net.layers))):
            layer, w = net.layers[i], params[2 * i]
            dx: np.ndarray | None
            if isinstance(layer, Dense):
                x_in, kink, out = saved[i]
                factor = 1.0 if layer.activation == "softmax" else slope(layer.activation, out)
                dz = d * factor
                dw, db, dx = x_in.T @ dz, dz.sum(0), dz @ w.T if i else None
                unsure = doubt * np.maximum(np.abs(factor), kink) + np.where(kink, np.abs(d), 0)
                doubt_w, doubt_b, doubt_x = np.abs(x_in).T @ unsure, unsure.sum(0), unsure @ np.abs(w).T
            else:
                dw, db, dx = conv_backward(layer, w, saved[i], d, i == 0)
                doubt_w, doubt_b, doubt_x = conv_doubt(layer, w, saved[i], d, doubt, i == 0)
            doubts[2 * i] += net.eta * doubt_w
            doubts[2 * i + 1] += net.eta * doubt_b
            doubt = doubt_x if doubt_x is not None else doubt
            grads[:0] = [dw + decay * w, db]
            d = dx if dx is not None else d
        params = [w - net.eta * g for w, g in zip(params, grads)]
    return [w.astype(dtype) for w in params], doubts


def predict(net: Workload, weights: Sequence[np.ndarray], x: np.ndarray) -> np.ndarray:
    """Class probabilities in float64."""
    return forward(net, [w.astype("float64") for w in weights], x.astype("float64"))[0]
