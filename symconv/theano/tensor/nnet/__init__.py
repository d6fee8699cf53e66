"""theano.tensor.nnet."""

from __future__ import annotations

from typing import Any

from symconv.theano.tensor.nnet import abstract_conv as abstract_conv
from symconv.theano.tensor.nnet import bn as bn
from symconv.theano.tensor.nnet import conv as conv
from symconv.theano.tensor.nnet import conv3d2d as conv3d2d
from symconv.theano.tensor.nnet import corr as corr
from symconv.theano.tensor.nnet import corr3d as corr3d
from symconv.theano.tensor.nnet import neighbours as neighbours
from symconv.theano.tensor.nnet import nnet as nnet
from symconv.theano.tensor.nnet.abstract_conv import bilinear_upsampling as bilinear_upsampling
from symconv.theano.tensor.nnet.abstract_conv import causal_conv1d as causal_conv1d
from symconv.theano.tensor.nnet.abstract_conv import conv2d as conv2d
from symconv.theano.tensor.nnet.abstract_conv import conv2d_grad_wrt_inputs as conv2d_grad_wrt_inputs
from symconv.theano.tensor.nnet.abstract_conv import conv2d_grad_wrt_weights as conv2d_grad_wrt_weights
from symconv.theano.tensor.nnet.abstract_conv import conv2d_transpose as conv2d_transpose
from symconv.theano.tensor.nnet.abstract_conv import conv3d as conv3d
from symconv.theano.tensor.nnet.abstract_conv import conv3d_grad_wrt_inputs as conv3d_grad_wrt_inputs
from symconv.theano.tensor.nnet.abstract_conv import conv3d_grad_wrt_weights as conv3d_grad_wrt_weights
from symconv.theano.tensor.nnet.abstract_conv import frac_bilinear_upsampling as frac_bilinear_upsampling
from symconv.theano.tensor.nnet.abstract_conv import separable_conv2d as separable_conv2d
from symconv.theano.tensor.nnet.abstract_conv import separable_conv3d as separable_conv3d
from symconv.theano.tensor.nnet.bn import batch_normalization as batch_normalization
from symconv.theano.tensor.nnet.bn import batch_normalization_test as batch_normalization_test
from symconv.theano.tensor.nnet.bn import batch_normalization_train as batch_normalization_train
from symconv.theano.tensor.nnet.nnet import *  # noqa: F403
from symconv.theano.tensor.nnet.nnet_classes import *  # noqa: F403

sigmoid_inplace = sigmoid  # noqa: F405


def __getattr__(name: str) -> Any:
    from symconv.theano.absent import missing

    return missing("tensor.nnet", name)
