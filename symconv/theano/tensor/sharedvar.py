"""theano.tensor.sharedvar."""

from symconv.theano.sharedvar import TensorSharedVariable, shared

tensor_constructor = scalar_constructor = shared
ScalarSharedVariable = TensorSharedVariable

__all__ = [
    "ScalarSharedVariable",
    "TensorSharedVariable",
    "scalar_constructor",
    "shared",
    "tensor_constructor",
]
