"""theano.tensor.nnet.conv3d2d: conv3d with time before the channels."""

from symconv.theano.absent import refusing
from symconv.theano.tensor.nnet.conv3d import conv3d_of_signals as conv3d

__getattr__ = refusing("tensor.nnet.conv3d2d", "T.diagonal, or indices by T.arange")

__all__ = ["conv3d"]
