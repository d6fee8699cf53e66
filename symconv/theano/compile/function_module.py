"""theano.compile.function_module."""

from symconv.theano.functions import Function, function

__all__ = ["Function", "function"]
