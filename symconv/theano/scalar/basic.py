"""theano.scalar.basic."""

from symconv.theano.scalar import discrete_dtypes, float_dtypes, int_dtypes, upcast

__all__ = ["discrete_dtypes", "float_dtypes", "int_dtypes", "upcast"]
