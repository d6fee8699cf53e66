"""theano.tensor.sharedvar."""

from symconv.theano.sharedvar import SharedVariable, TensorSharedVariable, shared

tensor_constructor = scalar_constructor = shared
ScalarSharedVariable = TensorSharedVariable

__all__ = [
    "ScalarSharedVariable",
    "SharedVariable",
    "TensorSharedVariable",
    "scalar_constructor",
    "shared",
    "tensor_constructor",
]
