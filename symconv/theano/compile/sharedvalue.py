"""theano.compile.sharedvalue."""

from symconv.theano.generic import generic
from symconv.theano.sharedvar import SharedVariable, shared

__all__ = ["SharedVariable", "generic", "shared"]
