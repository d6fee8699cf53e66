"""theano.gpuarray.dnn: cuDNN's functions by their names: theano.tensor's operations, on any device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symconv.errors import ArgumentError
from symconv.theano.absent import missing
from symconv.theano.gpuarray import on_gpu
from symconv.theano.tensor.nnet import bn
from symconv.theano.tensor.nnet.conv3d import conv3d
from symconv.theano.tensor.nnet.conv_ops import conv2d, conv2d_grad_wrt_inputs, conv2d_grad_wrt_weights
from symconv.theano.tensor.signal.pool import pool_2d, pool_3d


class _Available:
    """dnn_available(context): whether functions run on a GPU; `msg` says why not."""

    msg = ""

    def __call__(self, context_name: Any = None) -> bool:
        self.msg = (
            "" if on_gpu() else "theano.config.device is no GPU; dnn_conv and dnn_pool run all the same"
        )
        return on_gpu()


dnn_available = _Available()


def _flipped(conv_mode: str, what: str) -> bool:
    if conv_mode not in ("conv", "cross"):
        raise ArgumentError(f"{what}: conv_mode must be 'conv' or 'cross', got {conv_mode!r}")
    return conv_mode == "conv"


def dnn_conv(
    img: Any, kerns: Any, border_mode: Any = "valid", subsample: Any = (1, 1), dilation: Any = (1, 1),
    conv_mode: str = "conv", direction_hint: Any = None, workmem: Any = None, algo: Any = None,
    precision: Any = None, num_groups: int = 1,
) -> Any:  # fmt: skip
    """nnet.conv2d, with flipped filters for conv_mode 'conv'; the kernels are chosen by symconv."""
    flip = _flipped(conv_mode, "dnn_conv")
    return conv2d(
        img, kerns, border_mode=border_mode, subsample=subsample, filter_flip=flip, filter_dilation=dilation,
        num_groups=num_groups,
    )  # fmt: skip


def dnn_conv3d(
    img: Any, kerns: Any, border_mode: Any = "valid", subsample: Any = (1, 1, 1),
    dilation: Any = (1, 1, 1), conv_mode: str = "conv", direction_hint: Any = None, algo: Any = None,
    precision: Any = None, num_groups: int = 1,
) -> Any:  # fmt: skip
    """nnet.conv3d, with flipped filters for conv_mode 'conv'."""
    flip = _flipped(conv_mode, "dnn_conv3d")
    return conv3d(
        img, kerns, border_mode=border_mode, subsample=subsample, filter_flip=flip, filter_dilation=dilation,
        num_groups=num_groups,
    )  # fmt: skip


def dnn_gradweight(
    img: Any, topgrad: Any, kerns_shp: Any, border_mode: Any = "valid", subsample: Any = (1, 1),
    dilation: Any = (1, 1), conv_mode: str = "conv", precision: Any = None, algo: Any = None,
    num_groups: int = 1,
) -> Any:  # fmt: skip
    """The gradient of dnn_conv by the filters, which have the shape kerns_shp."""
    flip = _flipped(conv_mode, "dnn_gradweight")
    return conv2d_grad_wrt_weights(
        img, topgrad, kerns_shp, None, border_mode, subsample, flip, dilation, num_groups
    )


def dnn_gradinput(
    kerns: Any, topgrad: Any, img_shp: Any, border_mode: Any = "valid", subsample: Any = (1, 1),
    dilation: Any = (1, 1), conv_mode: str = "conv", precision: Any = None, algo: Any = None,
    num_groups: int = 1,
) -> Any:  # fmt: skip
    """The gradient of dnn_conv by the images, which have the shape img_shp."""
    flip = _flipped(conv_mode, "dnn_gradinput")
    return conv2d_grad_wrt_inputs(
        topgrad, kerns, img_shp, None, border_mode, subsample, flip, dilation, num_groups
    )


def dnn_pool(img: Any, ws: Sequence[int], stride: Any = None, mode: str = "max", pad: Any = None) -> Any:
    """pool_2d or pool_3d, by the length of ws, of whole windows; a window at every place without stride."""
    stride = (1,) * len(ws) if stride is None else stride
    pad = (0,) * len(ws) if pad is None else pad
    mode = "max" if mode == "max_deterministic" else mode
    return (pool_3d if len(ws) == 3 else pool_2d)(img, tuple(ws), True, tuple(stride), tuple(pad), mode)


def dnn_batch_normalization_train(
    inputs: Any, gamma: Any, beta: Any, mode: Any = "per-activation", epsilon: float = 1e-4,
    running_average_factor: float = 0.1, running_mean: Any = None, running_var: Any = None,
) -> Any:  # fmt: skip
    """nnet.bn.batch_normalization_train over the axes `mode`."""
    return bn.batch_normalization_train(
        inputs, gamma, beta, mode, epsilon, running_average_factor, running_mean, running_var
    )


def dnn_batch_normalization_test(
    inputs: Any, gamma: Any, beta: Any, mean: Any, var: Any, mode: Any = "per-activation",
    epsilon: float = 1e-4,
) -> Any:  # fmt: skip
    """nnet.bn.batch_normalization_test over the axes `mode`."""
    return bn.batch_normalization_test(inputs, gamma, beta, mean, var, mode, epsilon)


def __getattr__(name: str) -> Any:
    from symconv.theano.gpuarray import dnn_classes

    if name in ("GpuDnnConv", "GpuDnnConvDesc", "GpuDnnConvGradI", "GpuDnnConvGradW"):
        return getattr(dnn_classes, name)
    return missing("gpuarray.dnn", name)
