"""theano.tensor.nnet."""

from __future__ import annotations

from typing import Any

from symconv.theano.tensor.nnet import abstract_conv as abstract_conv
from symconv.theano.tensor.nnet import bn as bn
from symconv.theano.tensor.nnet import conv as conv
from symconv.theano.tensor.nnet import conv3d2d as conv3d2d
from symconv.theano.tensor.nnet import neighbours as neighbours
from symconv.theano.tensor.nnet import nnet as nnet
from symconv.theano.tensor.nnet.abstract_conv import conv2d as conv2d
from symconv.theano.tensor.nnet.abstract_conv import conv2d_grad_wrt_inputs as conv2d_grad_wrt_inputs
from symconv.theano.tensor.nnet.abstract_conv import conv2d_grad_wrt_weights as conv2d_grad_wrt_weights
from symconv.theano.tensor.nnet.abstract_conv import conv2d_transpose as conv2d_transpose
from symconv.theano.tensor.nnet.bn import batch_normalization as batch_normalization
from symconv.theano.tensor.nnet.bn import batch_normalization_test as batch_normalization_test
from symconv.theano.tensor.nnet.bn import batch_normalization_train as batch_normalization_train
from symconv.theano.tensor.nnet.conv3d import conv3d as conv3d
from symconv.theano.tensor.nnet.nnet import *  # noqa: F403


def __getattr__(name: str) -> Any:
    from symconv.theano.absent import missing

    return missing("tensor.nnet", name)
