"""theano.scalar.basic."""

from typing import Any

from symconv.theano import scalar
from symconv.theano.scalar import *  # noqa: F403
from symconv.theano.scalar import __all__  # noqa: F401


def __getattr__(name: str) -> Any:
    return getattr(scalar, name)
