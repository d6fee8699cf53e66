"""theano.tensor.nnet.abstract_conv."""

from __future__ import annotations

from typing import Any

from symconv.theano.tensor.nnet.conv3d import conv3d
from symconv.theano.tensor.nnet.conv_ops import (
    AbstractConv2d,
    AbstractConv2d_gradInputs,
    AbstractConv2d_gradWeights,
    conv2d,
    conv2d_grad_wrt_inputs,
    conv2d_grad_wrt_weights,
    conv2d_transpose,
)
from symconv.theano.tensor.nnet.conv_shapes import bilinear_kernel_1D, get_conv_output_shape

__all__ = [
    "AbstractConv2d",
    "AbstractConv2d_gradInputs",
    "AbstractConv2d_gradWeights",
    "bilinear_kernel_1D",
    "conv2d",
    "conv2d_grad_wrt_inputs",
    "conv2d_grad_wrt_weights",
    "conv2d_transpose",
    "conv3d",
    "get_conv_output_shape",
]


def __getattr__(name: str) -> Any:
    from symconv.theano.absent import missing

    return missing("tensor.nnet.abstract_conv", name)
