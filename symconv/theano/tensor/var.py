"""theano.tensor.var: the classes of tensor variables."""

from symconv.theano.sharedvar import TensorSharedVariable
from symconv.theano.variable import TensorConstant, TensorVariable

__all__ = ["TensorConstant", "TensorSharedVariable", "TensorVariable"]
