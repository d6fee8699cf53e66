"""theano.scalar: the dtype rules by their names."""

from symconv.theano.dtypes import DISCRETE, INTS, upcast
from symconv.theano.dtypes import FLOATS as float_dtypes  # noqa: N811

discrete_dtypes, int_dtypes = DISCRETE, INTS

__all__ = ["discrete_dtypes", "float_dtypes", "int_dtypes", "upcast"]
