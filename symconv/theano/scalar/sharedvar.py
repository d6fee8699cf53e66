"""theano.scalar.sharedvar: scalars are tensors without dimensions here."""

from symconv.theano.sharedvar import TensorSharedVariable as ScalarSharedVariable
from symconv.theano.sharedvar import shared

__all__ = ["ScalarSharedVariable", "shared"]
