"""theano.tensor.nnet.conv3d2d: conv3d with time before the channels."""

from symconv.theano.tensor.nnet.conv3d import conv3d_of_signals as conv3d

__all__ = ["conv3d"]
