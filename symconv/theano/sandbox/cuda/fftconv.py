"""theano.sandbox.cuda.fftconv: the convolution that cuFFT computed, by symconv's kernels."""

from __future__ import annotations

from typing import Any

from symconv.theano.tensor.nnet.conv_ops import conv2d


def conv2d_fft(
    input: Any, filters: Any, image_shape: Any = None, filter_shape: Any = None, border_mode: str = "valid",
    pad_last_dim: bool = False,
) -> Any:  # fmt: skip
    """nnet.conv2d, true convolution, border_mode 'valid' or 'full'; pad_last_dim has no effect."""
    return conv2d(input, filters, image_shape, filter_shape, border_mode=border_mode)


__all__ = ["conv2d_fft"]
