"""theano.configdefaults."""

from __future__ import annotations

import platform

from symconv.theano.casting import change_flags
from symconv.theano.configuration import TheanoConfig, config

TheanoConfigParser = TheanoConfig


def local_bitwidth() -> int:
    """32 or 64: the bits of an address."""
    return int(platform.architecture()[0].removesuffix("bit"))


def python_int_bitwidth() -> int:
    """The bits of NumPy's default integer."""
    import numpy as np

    return np.dtype(int).itemsize * 8


__all__ = ["TheanoConfigParser", "change_flags", "config", "local_bitwidth", "python_int_bitwidth"]
