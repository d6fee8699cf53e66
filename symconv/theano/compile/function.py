"""theano.compile.function."""

from symconv.theano.functions import function

__all__ = ["function"]
