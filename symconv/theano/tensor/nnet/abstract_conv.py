"""theano.tensor.nnet.abstract_conv."""

from __future__ import annotations

from typing import Any

from symconv.theano.tensor.nnet import conv3d as _three
from symconv.theano.tensor.nnet import conv_classes, conv_ops, conv_shapes, separable, upsampling
from symconv.theano.tensor.nnet.conv3d import *  # noqa: F403
from symconv.theano.tensor.nnet.conv_classes import *  # noqa: F403
from symconv.theano.tensor.nnet.conv_ops import *  # noqa: F403
from symconv.theano.tensor.nnet.conv_shapes import *  # noqa: F403
from symconv.theano.tensor.nnet.separable import *  # noqa: F403
from symconv.theano.tensor.nnet.upsampling import *  # noqa: F403

imported_scipy_signal = True  # what tests ask before they convolve: symconv needs no SciPy for it

__all__ = sorted(
    [
        *conv_classes.__all__,
        *conv_ops.__all__,
        *conv_shapes.__all__,
        *separable.__all__,
        *_three.__all__,
        *upsampling.__all__,
    ]
)


def __getattr__(name: str) -> Any:
    from symconv.theano.absent import missing

    return missing("tensor.nnet.abstract_conv", name)
