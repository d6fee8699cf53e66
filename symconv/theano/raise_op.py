"""theano.raise_op."""

from symconv.theano.printing import Assert

__all__ = ["Assert"]
