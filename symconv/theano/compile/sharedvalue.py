"""theano.compile.sharedvalue."""

from symconv.theano.sharedvar import SharedVariable, shared

__all__ = ["SharedVariable", "shared"]
