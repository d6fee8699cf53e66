"""theano.scalar: the dtype rules by their names."""

from __future__ import annotations

from typing import Any

from symconv.theano.dtypes import DISCRETE, INTS, upcast
from symconv.theano.dtypes import FLOATS as float_dtypes  # noqa: N811

discrete_dtypes, int_dtypes = DISCRETE, INTS

__all__ = ["discrete_dtypes", "float_dtypes", "int_dtypes", "upcast"]


def __getattr__(name: str) -> Any:
    from symconv.theano.absent import refusing

    return refusing("scalar", "operations are on tensors; scalars are tensors without dimensions")(name)
