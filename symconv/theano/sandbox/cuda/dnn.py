"""theano.sandbox.cuda.dnn: theano.gpuarray.dnn; its dnn_conv knew no dilation."""

from typing import Any

from symconv.theano.absent import missing
from symconv.theano.gpuarray import dnn
from symconv.theano.gpuarray.dnn import (
    dnn_available,
    dnn_batch_normalization_test,
    dnn_batch_normalization_train,
    dnn_pool,
)
from symconv.theano.gpuarray.dnn_classes import undilated_desc as GpuDnnConvDesc  # noqa: N812

__all__ = [
    "GpuDnnConvDesc",
    "dnn_available",
    "dnn_batch_normalization_test",
    "dnn_batch_normalization_train",
    "dnn_conv",
    "dnn_pool",
]


def dnn_conv(
    img: Any, kerns: Any, border_mode: Any = "valid", subsample: Any = (1, 1), conv_mode: str = "conv",
    direction_hint: Any = None, workmem: Any = None, algo: Any = None, precision: Any = None,
) -> Any:  # fmt: skip
    """nnet.conv2d, with flipped filters for conv_mode 'conv'."""
    return dnn.dnn_conv(img, kerns, border_mode, subsample, conv_mode=conv_mode)


def __getattr__(name: str) -> Any:
    if name in ("GpuDnnConv", "GpuDnnConvGradI", "GpuDnnConvGradW"):
        return getattr(dnn, name)
    return missing("sandbox.cuda.dnn", name)
