"""theano.tensor.var: the classes of tensor variables."""

from symconv.theano.sharedvar import TensorSharedVariable
from symconv.theano.variable import TensorConstant, TensorVariable
from symconv.theano.variable import TensorOperators as _tensor_py_operators

__all__ = ["TensorConstant", "TensorSharedVariable", "TensorVariable", "_tensor_py_operators"]
