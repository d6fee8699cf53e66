"""Sizes of convolutions without building one."""

from __future__ import annotations

from typing import Any

import numpy as np

from symconv.ops.window import conv_output_size


def get_conv_output_shape(
    image_shape: Any, kernel_shape: Any, border_mode: Any, subsample: Any, filter_dilation: Any = None
) -> tuple[int | None, ...]:
    """(N, K, P, ...) for images (N, C, H, ...) and filters (K, C, R, ...); None where a size is unknown."""
    rank = len(image_shape) - 2
    dilation = filter_dilation or (1,) * rank
    out: list[int | None] = []
    for i in range(rank):
        size, window = image_shape[2 + i], kernel_shape[2 + i]
        extent = None if window is None else dilation[i] * (window - 1) + 1
        mode = border_mode if isinstance(border_mode, str) else border_mode[i]
        if isinstance(mode, str):
            pad = 0 if mode == "valid" or extent is None else extent - 1 if mode == "full" else extent // 2
        else:
            pad = mode
        out.append(conv_output_size(size, window, subsample[i], pad, pad, dilation[i]))
    return image_shape[0], kernel_shape[0], *out


def bilinear_kernel_1D(ratio: int, normalize: bool = True) -> np.ndarray:  # noqa: N802
    """The triangle 1, 2, ..., ratio, ..., 2, 1; divided by ratio where `normalize`."""
    rise = np.arange(1, ratio + 1, dtype="float64")
    triangle = np.concatenate([rise, rise[-2::-1]])
    return triangle / ratio if normalize else triangle
