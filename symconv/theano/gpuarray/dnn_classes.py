"""cuDNN's convolution ops as classes, as the first convolutional GANs called them:

    desc = GpuDnnConvDesc(border_mode=(2, 2), subsample=(2, 2), conv_mode="conv")(out.shape, w.shape)
    y = GpuDnnConvGradI()(gpu_contiguous(w), x, out, desc)

`out` tells the shape of the result, as an empty array that the op fills; alpha and beta must be left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from symconv.errors import ArgumentError
from symconv.theano.configuration import config
from symconv.theano.gpuarray import dnn
from symconv.theano.tensor.shape_ops import alloc, zeros


@dataclass(frozen=True)
class Description:
    """The options of a convolution."""

    border_mode: Any
    subsample: Sequence[int]
    dilation: Sequence[int]
    conv_mode: str
    num_groups: int

    def options(self) -> dict[str, Any]:
        return {
            "border_mode": self.border_mode, "subsample": tuple(self.subsample), "conv_mode": self.conv_mode,
            "dilation": tuple(self.dilation), "num_groups": self.num_groups,
        }  # fmt: skip


class GpuDnnConvDesc:
    """GpuDnnConvDesc(border_mode, subsample)(shapes): the options; the shapes are not needed."""

    def __init__(
        self, border_mode: Any, subsample: Sequence[int] = (1, 1), dilation: Sequence[int] = (1, 1),
        conv_mode: str = "conv", precision: Any = None, num_groups: int = 1,
    ) -> None:  # fmt: skip
        if conv_mode not in ("conv", "cross"):
            raise ArgumentError(f"GpuDnnConvDesc: conv_mode must be 'conv' or 'cross', got {conv_mode!r}")
        self.description = Description(border_mode, tuple(subsample), tuple(dilation), conv_mode, num_groups)

    def __call__(self, *shapes: Any) -> Description:
        return self.description


def undilated_desc(
    border_mode: Any, subsample: Sequence[int] = (1, 1), conv_mode: str = "conv", precision: Any = None
) -> GpuDnnConvDesc:
    """The GpuDnnConvDesc of theano.sandbox.cuda, whose third argument is conv_mode."""
    return GpuDnnConvDesc(border_mode, subsample, conv_mode=conv_mode)


class _ConvOp:
    """What the three ops share. Algorithms and the like are chosen by symconv."""

    def __init__(self, algo: Any = None, inplace: bool = False, workmem: Any = None, **_: Any) -> None:
        pass

    def _options(self, desc: Any, alpha: Any, beta: Any) -> dict[str, Any]:
        name = type(self).__name__
        if not isinstance(desc, Description):
            raise ArgumentError(f"{name}: desc must be a GpuDnnConvDesc(...)(shapes), got {desc!r}")
        if alpha not in (None, 1, 1.0) or beta not in (None, 0, 0.0):
            raise ArgumentError(f"{name}: alpha and beta are not supported; scale and add the result instead")
        return desc.options()


class GpuDnnConv(_ConvOp):
    """GpuDnnConv()(images, filters, out, desc)."""

    def __call__(
        self, img: Any, kern: Any, output: Any, desc: Any, alpha: Any = None, beta: Any = None
    ) -> Any:
        return dnn.dnn_conv(img, kern, **self._options(desc, alpha, beta))


class GpuDnnConvGradW(_ConvOp):
    """GpuDnnConvGradW()(images, output gradient, out, desc): by the filters, which have the shape of out."""

    def __call__(
        self, img: Any, topgrad: Any, output: Any, desc: Any, alpha: Any = None, beta: Any = None
    ) -> Any:
        return dnn.dnn_gradweight(img, topgrad, _shape(output), **self._options(desc, alpha, beta))


class GpuDnnConvGradI(_ConvOp):
    """GpuDnnConvGradI()(filters, output gradient, out, desc): by the images, which have the shape of out."""

    def __call__(
        self, kern: Any, topgrad: Any, output: Any, desc: Any, alpha: Any = None, beta: Any = None
    ) -> Any:
        return dnn.dnn_gradinput(kern, topgrad, _shape(output), **self._options(desc, alpha, beta))


def _shape(output: Any) -> list[Any]:
    return [output.shape[i] for i in range(output.ndim)]


def gpu_alloc_empty(*shape: Any) -> Any:
    """An array to be filled by one of these ops; zeros, if anybody reads it."""
    return zeros(shape, dtype=config.floatX)


def gpu_alloc(value: Any, *shape: Any) -> Any:
    """T.alloc."""
    return alloc(value, *shape)


__all__ = [
    "GpuDnnConv", "GpuDnnConvDesc", "GpuDnnConvGradI", "GpuDnnConvGradW", "gpu_alloc", "gpu_alloc_empty",
    "undilated_desc",
]  # fmt: skip
