"""The values that the operators of opcases.py must give, in NumPy float64, and the comparison with them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from benchmarks.opcases import CHAIN, OpCase


def oracle(case: OpCase) -> list[np.ndarray]:
    inputs = case.inputs()
    x = inputs[0].astype(np.float64)
    if case.kind == "copy":
        return [x]
    if case.kind == "chain":
        a, b, c, d = CHAIN
        return [c / (1 + np.exp(-(x * a + b))) + d]
    if case.kind == "softmax_xent":
        rows, labels = np.arange(len(x)), inputs[1]
        z = x - x.max(1, keepdims=True)
        log_p = z - np.log(np.exp(z).sum(1, keepdims=True))
        dx = np.exp(log_p)
        dx[rows, labels] -= 1
        return [-log_p[rows, labels].mean(), dx / len(x)]
    if case.kind == "sgemm":
        return [x @ inputs[1].astype(np.float64)]
    if case.kind.startswith("max_pool"):
        return _pool(case, x, inputs[-1].astype(np.float64))
    return [_conv(case, x, inputs[1].astype(np.float64))]


def _pool(case: OpCase, x: np.ndarray, dy: np.ndarray) -> list[np.ndarray]:
    n, c, h, w = case.shape
    p, q = h // 2, w // 2
    cells = x.reshape(n, c, p, 2, q, 2).transpose(0, 1, 2, 4, 3, 5).reshape(n, c, p, q, 4)
    if case.kind == "max_pool":
        return [cells.max(-1)]
    dx = np.zeros_like(cells)
    np.put_along_axis(dx, cells.argmax(-1)[..., None], dy[..., None], -1)
    dx = dx.reshape(n, c, p, q, 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(case.shape)
    return [cells.max(-1), dx]


def _conv(case: OpCase, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a, b are the case's inputs: (x, w), (dy, w) or (x, dy)."""
    n, c, h, w, k, r, s = case.shape
    (p, q), pad, step = case.out_size, case.padding, case.stride
    x = np.zeros((n, c, h + 2 * pad, w + 2 * pad))
    inner = x[:, :, pad : pad + h, pad : pad + w]
    if case.kind != "conv_dgrad":
        inner[...] = a
    windows = sliding_window_view(x, (r, s), (2, 3), writeable=True)  # type: ignore[call-overload]
    windows = windows[:, :, : (p - 1) * step + 1 : step, : (q - 1) * step + 1 : step]  # [N, C, P, Q, R, S]
    out = np.zeros(case.output_shapes[0])
    for g in range(case.groups):
        cs = slice(g * c // case.groups, (g + 1) * c // case.groups)
        ks = slice(g * k // case.groups, (g + 1) * k // case.groups)
        if case.kind == "conv_forward":
            out[:, ks] = np.tensordot(windows[:, cs], b[ks], ((1, 4, 5), (1, 2, 3))).transpose(0, 3, 1, 2)
        elif case.kind == "conv_wgrad":
            out[ks] = np.tensordot(b[:, ks], windows[:, cs], ((0, 2, 3), (0, 2, 3)))
        else:
            d = np.tensordot(a[:, ks], b[ks], ((1,), (0,))).transpose(0, 3, 1, 2, 4, 5)
            for i in range(r):
                for j in range(s):
                    windows[:, cs, ..., i, j] += d[..., i, j]  # one tap at a time: no two overlap
    return inner.copy() if case.kind == "conv_dgrad" else out


def disagreement(case: OpCase, got: Sequence[np.ndarray], wanted: Sequence[np.ndarray]) -> str:
    """What is wrong with `got`, or nothing.

    Allowed, in units of 2^-24 of the largest sum: 128, as Winograd forms may lose two digits (5x5 windows
    reach 90, half of what the case table allows), or twice the square root of the number of terms, for
    kernels that add them one by one.
    """
    if len(got) != len(wanted):
        return f"{len(got)} outputs for {len(wanted)}"
    for i, (g, w) in enumerate(zip(got, wanted)):
        if g.shape != w.shape:
            return f"output {i} has shape {list(g.shape)}, expected {list(w.shape)}"
        scale = max(float(np.abs(w).max(initial=0.0)), math.sqrt(case.reduction) if case.flops else 0.0)
        worst = float(np.abs(g - w).max(initial=0.0))
        if (
            not worst <= max(128.0, 2 * math.sqrt(case.reduction)) * 2.0**-24 * scale
        ):  # NaN is not <= anything
            return f"output {i} is off by {worst:.2g} of {scale:.2g}"
    return ""
