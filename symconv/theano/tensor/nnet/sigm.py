"""theano.tensor.nnet.sigm."""

from symconv.theano.absent import refusing
from symconv.theano.tensor.nnet.nnet import hard_sigmoid, sigmoid, softplus, ultra_fast_sigmoid

sigmoid_inplace = sigmoid
__getattr__ = refusing("tensor.nnet.sigm", "symconv finds these rewrites itself; f.explain() shows them")

__all__ = ["hard_sigmoid", "sigmoid", "sigmoid_inplace", "softplus", "ultra_fast_sigmoid"]
